// Numbers, times and elements. Whatever comes from data reaches the page as text, never as markup.
const ENDED = ["succeeded", "degraded", "failed", "cancelled", "timed_out"];
const STATES = {
  queued: "Queued", running: "Running", paused: "Paused", waiting: "Waiting for a person", cancelling: "Stopping",
  succeeded: "Succeeded", degraded: "Degraded", failed: "Failed", cancelled: "Cancelled", timed_out: "Out of time",
};
const KINDS = { train: "Training", evaluate: "Evaluation", custom: "Workflow" };

function el(tag, given = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("--")) made.style.setProperty(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inside.filter((one) => one !== null && one !== undefined).map((one) => (one instanceof Node ? one : String(one))));
  return made;
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function num(value, digits = 4) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size && size < 1e-4) return value.toExponential(1).replaceAll("-", "\u2212");
  return new Intl.NumberFormat("en", { maximumSignificantDigits: digits }).format(value).replaceAll("-", "\u2212");
}

function whole(value) {
  return isNumber(value) ? new Intl.NumberFormat("en", { maximumFractionDigits: 0 }).format(value) : "–";
}

function span(estimate) {
  return isNumber(estimate.low) && isNumber(estimate.high) ? num(estimate.low, 3) + " to " + num(estimate.high, 3) : "not defined";
}

function lasted(seconds) {
  if (!isNumber(seconds)) return "";
  if (seconds < 0.1) return Math.round(seconds * 1000) + " ms";
  if (seconds < 10) return seconds.toFixed(1) + " s";
  if (seconds < 60) return Math.round(seconds) + " s";
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes + " min " + String(Math.floor(seconds % 60)).padStart(2, "0") + " s";
  return Math.floor(minutes / 60) + " h " + String(minutes % 60).padStart(2, "0") + " min";
}

function short(value, most = 28) {
  const line = String(value ?? "").replace(/\s+/g, " ").trim();
  return line.length > most ? line.slice(0, most - 1).trimEnd() + "…" : line;
}

function words(name) {
  return String(name).replaceAll("_", " ");
}

function settings(params) {
  if (!params) return "";
  const told = Object.entries(params).map(([name, value]) => name + " " + (isNumber(value) ? num(value, 3) : JSON.stringify(value).replaceAll('"', "")));
  return told.join(", ") || "defaults";
}

function table(head, rows, given = {}) {
  const line = el("tr", {}, ...head.map(([name, kind]) => (name ? el("th", { scope: "col", class: kind }, name) : el("td", { class: kind }))));
  return el("div", { class: "scroll" }, el("table", given, el("thead", {}, line), el("tbody", {}, ...rows)));
}

// What is said aloud when it changes is only put there when it does.
function put(id, text) {
  const place = document.getElementById(id);
  if (place.textContent !== text) place.textContent = text;
}

// A section is made again only when what it shows has changed: focus, selection and open folds stay where they are.
const shown = new Map();

function fill(id, facts, make) {
  const place = document.getElementById(id);
  const known = JSON.stringify(facts ?? null);
  if (shown.get(id) === known) return;
  shown.set(id, known);
  const parts = facts === null || facts === undefined ? [] : make(facts);
  place.replaceChildren(...parts);
  place.hidden = !parts.length;
}
