// What is said to the client that shows this page, and by it: JSON-RPC 2.0 over postMessage (MCP Apps, 2026-01-26).
const PROTOCOL = "2026-01-26";
const client = { can: {}, context: {}, heard: Object.create(null), asked: Object.create(null) };
const waiting = new Map();
let count = 0;

function post(message) {
  window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
}

function notify(method, params = {}) {
  post({ method, params });
}

function request(method, params = {}, seconds = 60) {
  count += 1;
  const id = count;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting.delete(id);
      reject(new Error("The client did not answer in " + seconds + " s."));
    }, seconds * 1000);
    waiting.set(id, { resolve, reject, timer });
    post({ id, method, params });
  });
}

function settle(answer) {
  const asked = waiting.get(answer.id);
  if (!asked) return;
  waiting.delete(answer.id);
  clearTimeout(asked.timer);
  if (answer.error) asked.reject(new Error(String(answer.error.message || "The client refused.")));
  else asked.resolve(answer.result || {});
}

function answer(message) {
  const known = client.asked[message.method];
  if (known) post({ id: message.id, result: known(message.params || {}) || {} });
  else post({ id: message.id, error: { code: -32601, message: "Method not found" } });
}

window.addEventListener("message", (event) => {
  const said = event.data;
  if (event.source !== window.parent || !said || said.jsonrpc !== "2.0") return;
  if (typeof said.method !== "string") settle(said);
  else if (said.id !== undefined) answer(said);
  else if (client.heard[said.method]) client.heard[said.method](said.params || {});
});

async function greet() {
  const appInfo = { name: "mcp-orchestrator-run", title: "Run", version: document.documentElement.dataset.version };
  const appCapabilities = { availableDisplayModes: ["inline", "fullscreen"] };
  const said = await request("ui/initialize", { appInfo, appCapabilities, protocolVersion: PROTOCOL }, 15);
  client.can = said.hostCapabilities || {};
  settled(said.hostContext || {});
  notify("ui/notifications/initialized");
}

// The client's theme and style: those of its variables that the style sheet names count, whatever they are.
function settled(context) {
  Object.assign(client.context, context);
  const root = document.documentElement;
  if (context.theme === "light" || context.theme === "dark") root.dataset.theme = context.theme;
  const variables = (context.styles && context.styles.variables) || {};
  for (const [name, value] of Object.entries(variables)) {
    if (name.startsWith("--") && typeof value === "string") root.style.setProperty(name, value);
  }
  const inset = context.safeAreaInsets || {};
  for (const side of ["top", "right", "bottom", "left"]) {
    if (Number.isFinite(inset[side])) document.body.style.setProperty("--inset-" + side, inset[side] + "px");
  }
}

function resized() {
  const body = document.body.getBoundingClientRect();
  notify("ui/notifications/size-changed", { width: Math.ceil(body.width), height: Math.ceil(body.height) });
}

// Answers are seen through the table in reads.json alone: a field that is not there is dropped here.
const READS = {};
for (const [source, paths] of Object.entries(JSON.parse(document.getElementById("reads").textContent))) {
  const shape = {};
  for (const path of paths) {
    let place = shape;
    for (const part of path.replaceAll("[]", ".[]").replaceAll("{}", ".{}").split(".")) place = place[part] ??= {};
  }
  READS[source] = shape;
}

function seen(value, shape) {
  const parts = Object.entries(shape);
  const whole = value !== null && typeof value === "object" ? value : null;
  if ("[]" in shape) return Array.isArray(value) ? value.map((one) => seen(one, shape["[]"])) : [];
  if ("{}" in shape) return Object.fromEntries(Object.entries(whole || {}).map(([name, one]) => [name, seen(one, shape["{}"])]));
  if (!parts.length) return value ?? null;
  return whole && Object.fromEntries(parts.map(([name, part]) => [name, seen(whole[name], part)]));
}

function textOf(result) {
  return (result.content || []).map((one) => one.text || "").join("\n").trim();
}

function factsOf(result, source) {
  let facts = result.structuredContent;
  if (!facts) {
    try {
      facts = JSON.parse(textOf(result));
    } catch {
      facts = null;
    }
  }
  return seen(facts, READS[source]);
}

async function call(tool, given, source) {
  const result = await request("tools/call", { name: tool, arguments: given });
  if (result.isError) throw new Error(textOf(result) || tool + " failed.");
  return factsOf(result, source);
}

async function read(uri) {
  const [found] = (await request("resources/read", { uri })).contents || [];
  if (!found) throw new Error("There is nothing at " + uri + ".");
  return found;
}

async function readFacts(uri, source) {
  return seen(JSON.parse((await read(uri)).text), READS[source]);
}
