// What the client says, and what the buttons do.
Object.assign(client.heard, {
  "ui/notifications/tool-input": (given) => {
    client.args = given.arguments || {};
    if (typeof client.args.run_id === "string" && client.args.run_id.length === 32) follow(client.args.run_id);
    else seek();
  },
  "ui/notifications/tool-result": heard,
  "ui/notifications/tool-cancelled": () => { state.said = "The call was given up" + (state.id ? "; the run goes on." : "."); show(); },
  "ui/notifications/host-context-changed": (context) => { settled(context); show(); },
});
client.asked["ping"] = () => ({});
client.asked["ui/resource-teardown"] = () => { state.ended = true; clearTimeout(state.timer); return {}; };

function press(id, act) {
  document.getElementById(id).addEventListener("click", async () => {
    state.said = "";
    try {
      await act();
    } catch (error) {
      state.said = short(error.message, 300);
    }
    show();
  });
}

function asking(on) {
  document.getElementById("ask").hidden = !on;
  document.getElementById(on ? "no" : "cancel").focus();
}

press("refresh", () => { Object.assign(state, { ended: false, failures: 0 }); return look(); });
press("cancel", () => asking(true));
press("no", () => asking(false));
press("yes", async () => {
  document.getElementById("ask").hidden = true;
  await call("control_run", { run_id: state.id, action: "cancel" }, "run");
  return look();
});
press("model", async () => {
  state.about = !state.about;
  const button = document.getElementById("model");
  button.setAttribute("aria-expanded", String(state.about));
  button.textContent = state.about ? "Hide the model" : "Show the model";
  const { name, version } = state.run.model;
  if (state.about && name && !state.known) {
    const { models } = await call("find_models", { name }, "models");
    state.known = models.find((one) => one.version === version) || null;
  }
  show();
  if (state.about) document.getElementById("about").focus();
});
press("report", () => request("ui/message", { role: "user", content: [{ type: "text", text: `Look at get_run(run_id="${state.id}") and tell me what it found, and how far that can be trusted.` }] }, 300));
press("wide", async () => { settled({ displayMode: (await request("ui/request-display-mode", { mode: "fullscreen" })).mode }); show(); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !document.getElementById("ask").hidden) asking(false); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
setInterval(() => { if (!document.hidden && state.run && !isFinal()) clock(); }, 1000);
new ResizeObserver(resized).observe(document.body);
show();
greet().then(show, () => {
  state.problem = "No client answers. This page is shown by programs that use the tools of mcp-orchestrator.";
  show();
});
