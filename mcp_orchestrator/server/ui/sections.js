// The sections of the page, each from the facts that it shows.
const MOST = 8;

function titled(text, about) {
  return el("h2", {}, text, about ? el("small", {}, about) : null);
}

function tile(name, value, about) {
  return el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, value, about ? el("small", {}, about) : null));
}

function headline(run) {
  const main = run.metrics[run.metric];
  const parts = [];
  if (main) parts.push(tile(words(run.metric) + " on unseen rows", num(main.value), "95 %: " + span(main)));
  if (isNumber(run.baseline[run.metric])) parts.push(tile("Baseline", num(run.baseline[run.metric]), "knows only the target"));
  const mean = run.validation && run.validation.mean;
  if (isNumber(mean)) parts.push(tile("Validation", num(mean), `± ${num(run.validation.deviation, 2)} over ${run.validation.folds} folds`));
  if (run.search && isNumber(run.search.trials)) parts.push(tile("Trials", whole(run.search.trials), "stopped by: " + words(run.search.stopped_by)));
  const data = run.data || {};
  const sizes = data.split && data.split.sizes;
  if (sizes) parts.push(tile("Rows", whole(data.rows), `${whole(sizes.train)} to train, ${whole(sizes.test)} to test`));
  else if (isNumber(data.rows)) parts.push(tile("Rows", whole(data.rows), null));
  return [el("dl", { class: "tiles" }, ...parts), el("p", { class: "verdict" }, run.verdict || "")];
}

function metrics({ figures, baseline, main }) {
  const names = Object.keys(figures);
  names.sort((a, b) => (b === main) - (a === main));
  const rows = names.map((name) => {
    const one = figures[name];
    const known = [one.value, one.low, one.high, baseline[name]].filter(isNumber);
    const unit = known.every((at) => at >= 0 && at <= 1);
    const [low, high] = unit ? [0, 1] : [Math.min(...known), Math.max(...known)];
    const room = unit ? 0 : (high - low) * 0.06;
    return el("tr", { class: name === main ? "main" : null },
      el("th", { scope: "row" }, words(name)), el("td", { class: "n" }, num(one.value)), el("td", { class: "n quiet" }, span(one)),
      el("td", { class: "n" }, num(baseline[name])), el("td", { class: "draw" }, strip(one.value, one.low, one.high, baseline[name], low - room, high + room)));
  });
  const key = el("p", { class: "key" }, el("i", { class: "point" }), "value", el("i", { class: "range" }), "95 % interval", el("i", { class: "against" }), "baseline");
  return [titled("Metrics", "on rows that no fit and no choice has seen"), table([["metric"], ["value", "n"], ["95 %", "n"], ["baseline", "n"], ["", "draw"]], rows), key];
}

function board({ rows, metric, whole }) {
  const known = rows.filter((one) => isNumber(one.score));
  const near = known.slice(0, Math.max(3, Math.ceil(known.length * 0.75)));
  const edges = near.flatMap((one) => [one.score - (one.sd || 0), one.score + (one.sd || 0)]);
  const [low, high] = [Math.min(...edges), Math.max(...edges)];
  const clip = (at) => Math.min(Math.max(at, low), high);
  const lines = rows.map((one, place) => el("tr", { class: place === 0 ? "main" : null, hidden: place >= MOST },
    el("td", { class: "n quiet" }, place + 1), el("th", { scope: "row", title: settings(one.params) }, words(one.family), el("small", {}, (one.state === "complete" ? "" : words(one.state) + ": ") + short(settings(one.params), 34))),
    isNumber(one.score)
      ? el("td", { class: "n" }, num(one.score), isNumber(one.sd) ? el("small", {}, "± " + num(one.sd, 2)) : null)
      : el("td", { class: "n quiet", title: one.reason }, words(one.state)),
    el("td", { class: "draw" }, isNumber(one.score) ? strip(one.score < low || one.score > high ? null : one.score, clip(one.score - (one.sd || 0)), clip(one.score + (one.sd || 0)), null, low, high) : null)));
  const parts = [titled("Leaderboard", words(metric) + (whole ? ", mean over the folds ± deviation" : ", so far")), table([["", "n"], ["pipeline"], ["score", "n"], ["", "draw"]], lines)];
  if (lines.length > MOST) {
    const more = el("button", { type: "button", class: "more", "aria-expanded": "false" }, `All ${lines.length} trials`);
    more.addEventListener("click", () => {
      const all = more.getAttribute("aria-expanded") === "false";
      lines.forEach((one, place) => { one.hidden = !all && place >= MOST; });
      more.setAttribute("aria-expanded", String(all));
      more.textContent = all ? `The best ${MOST}` : `All ${lines.length} trials`;
    });
    parts.push(more);
  }
  return parts;
}

function search({ points, metric, greater, most, choice }) {
  return [titled("Search", "best so far, trial by trial"), course(points, words(metric), greater, most), choice ? el("p", { class: "quiet" }, choice) : null].filter(Boolean);
}

function gates(list) {
  const lines = list.map((one) => el("li", { class: one.passed ? "good" : "bad" }, mark(one.passed ? "done" : "failed"), el("div", {}, el("b", {}, words(one.name)), " ", el("span", { class: "quiet" }, one.reason))));
  const failed = list.filter((one) => !one.passed).length;
  return [titled("Gates", failed ? `${failed} of ${list.length} not passed` : `all ${list.length} passed`), el("ul", { class: "marked" }, ...lines)];
}

function mark(status) {
  const sign = { done: "✓", failed: "✕", skipped: "–", running: "●", cancelled: "✕", timed_out: "✕", waiting: "?", held: "?" }[status] || "○";
  return el("span", { class: "mark " + (status || ""), role: "img", "aria-label": words(status || "") }, sign);
}

function importance({ features, metric }) {
  const edges = features.flatMap((one) => [one.importance - (one.sd || 0), one.importance + (one.sd || 0)]);
  const [low, high] = [Math.min(0, ...edges), Math.max(0, ...edges)];
  const rows = features.slice(0, 15).map((one) => el("tr", {}, el("th", { scope: "row", title: one.name }, short(one.name)), el("td", { class: "draw" }, length(one.importance, one.sd, low, high)), el("td", { class: "n" }, num(one.importance, 3))));
  const more = features.length > 15 ? `, the first 15 of ${features.length}` : "";
  return [titled("What matters", `loss of ${words(metric)} when the column is shuffled${more}`), table([["column"], ["", "draw"], ["loss", "n"]], rows, { class: "bars" })];
}

function confusion({ classes, counts }) {
  if (classes.length > 12) return [];
  const rows = counts.map((line, place) => {
    const all = line.reduce((sum, one) => sum + one, 0) || 1;
    const cells = line.map((one, other) => el("td", { class: place === other ? "n hit" : "n miss", "--share": (100 * one) / all + "%", title: `${one} of ${all} rows of ${classes[place]} were taken for ${classes[other]}` }, whole(one)));
    return el("tr", {}, el("th", { scope: "row", title: classes[place] }, short(classes[place], 18)), ...cells);
  });
  const head = [["is \\ taken for"], ...classes.map((one) => [short(one, 14), "n"])];
  return [titled("Confusion", "rows of the test part"), table(head, rows, { class: "confusion" })];
}

function calibration({ bins, calibration_error, rows }) {
  const about = `error ${num(calibration_error, 3)} on ${whole(rows)} rows`;
  return bins.length ? [titled("Calibration", about), reliability(bins)] : [];
}

function comparison(one) {
  const { value, low, high } = one.difference || {};
  if (!isNumber(value)) return [];
  const reach = Math.max(Math.abs(value), Math.abs(low || 0), Math.abs(high || 0)) * 1.15 || 1;
  const signed = (at) => (at > 0 ? "+" : "") + num(at, 3);
  return [titled("Against the other model", `${one.test}, p = ${num(one.p, 2)}`), el("div", { class: "versus" }, el("span", { class: "quiet" }, "other better"), strip(value, low, high, 0, -reach, reach), el("span", { class: "quiet" }, "this better")),
    el("p", { class: "center" }, `${words(one.metric)} ${signed(value)} (${signed(low)} to ${signed(high)})`), el("p", { class: "quiet" }, one.says)];
}

function slices(list) {
  const most = Math.max(...list.map((one) => one.error.high ?? one.error.value), ...list.map((one) => one.elsewhere || 0)) || 1;
  const rows = list.slice(0, MOST).map((one) => el("tr", { class: one.worse ? "bad" : null }, el("th", { scope: "row", title: `${one.column}: ${one.value}` }, short(one.column, 20), el("small", {}, short(one.value, 22))),
    el("td", { class: "n" }, whole(one.rows)), el("td", { class: "n" }, num(one.error.value, 3)), el("td", { class: "draw" }, strip(one.error.value, one.error.low, one.error.high, one.elsewhere, 0, most * 1.05)), el("td", { class: "quiet" }, one.worse ? "worse" : "")));
  return [titled("Worst slices", "error there, 95 % interval, and elsewhere (line)"), table([["slice"], ["rows", "n"], ["error", "n"], ["", "draw"], [""]], rows)];
}

function drift({ columns, drifted }) {
  const order = [...columns].sort((a, b) => (b.verdict === "drifted") - (a.verdict === "drifted") || (b.effect || 0) - (a.effect || 0));
  const rows = order.slice(0, 12).map((one) => el("tr", { class: one.verdict === "drifted" ? "bad" : null }, el("th", { scope: "row", title: one.column }, short(one.column)), el("td", {}, words(one.verdict)), el("td", { class: "n" }, num(one.effect, 3)), el("td", { class: "quiet" }, one.test || "")));
  return [titled("Drift since training", drifted.length ? `${drifted.length} of ${columns.length} columns moved` : "no column moved"), table([["column"], ["verdict"], ["effect", "n"], ["test"]], rows)];
}

function steps(list) {
  const lines = list.map((one) => el("li", {}, mark(one.status), el("div", {}, el("b", {}, words(one.name)), one.reason ? el("span", { class: "quiet" }, " " + one.reason) : null), el("span", { class: "n quiet" }, one.status === "skipped" ? "" : lasted(one.seconds))));
  const count = (status) => list.filter((one) => one.status === status).length;
  const told = ["done", "running", "skipped", "failed"].filter(count).map((status) => count(status) + " " + status).join(", ");
  return [titled("Steps", told), el("ol", { class: "marked steps" }, ...lines)];
}

function about({ model, known }) {
  const rows = [];
  const add = (name, value) => { if (value !== null && value !== undefined && value !== "") rows.push(el("dt", {}, name), el("dd", {}, value)); };
  const found = known || {};
  add("Name", found.name ? `${found.name}@${found.version}` : model.name ? `${model.name}@${model.version}` : model.asked || "");
  add("Aliases", (found.aliases || model.aliases).join(", ") || "none");
  add("Estimator", found.estimator || model.estimator);
  add("Predicts", found.target ? `${found.target} (${found.task})` : model.target);
  add("Classes", (found.classes || []).map((one) => short(one, 40)).join(", "));
  add("Columns", (found.features || []).map((one) => short(one, 40)).join(", "));
  add("Members", model.members.map((one) => `${words(one.family)} (${settings(one.params)})${isNumber(one.weight) && one.weight < 1 ? " × " + num(one.weight, 2) : ""}`).join("; "));
  add("Registered", found.created);
  add("SHA-256", el("code", {}, model.sha256 || found.uri || model.uri || ""));
  return [titled("Model"), el("dl", { class: "pairs" }, ...rows)];
}

const PICTURES = {
  roc: "ROC curve", precision_recall: "Precision and recall", calibration: "Calibration", predicted_actual: "Predicted and actual",
  residuals: "Residuals",
};

function plots({ pictures, missing }) {
  const made = pictures.map(({ name, data }) => el("figure", {}, el("img", { src: data, alt: `${PICTURES[name]} on the test part; the figures are under Metrics.`, width: 640, height: 480 })));
  const parts = [titled("Plots", "of the test part")];
  if (made.length) parts.push(el("div", { class: "plots" }, ...made));
  if (missing) parts.push(el("p", { class: "quiet" }, missing));
  return parts;
}
