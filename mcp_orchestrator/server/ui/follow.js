// Which run is shown, and how it is followed while it goes on.
const RUN = /\b[Rr]un ([0-9a-f]{32})\b/;
const TRIAL = /trial (\d+) of (\d+): (\S+) (\S+) \(best (\S+)\)/;
const state = {
  id: "", run: null, full: false, problem: "", said: "", lost: "", ended: false, busy: false, timer: 0, failures: 0, watched: false,
  after: 0, first: 0, last: 0, lastSeen: 0, trials: [], most: 0, tuning: 0, test: null, pictures: [], missing: "", known: null, about: false, opened: Date.now(),
};

function isFinal() {
  return Boolean(state.run && ENDED.includes(state.run.status));
}

function can(what) {
  return Boolean(client.can[what]);
}

function watchedFor() {
  return (Date.now() - state.opened) / 1000;
}

// Seconds since the run began, by the server's clock: of its last event, and since that was seen here. Without events
// it is known only of a run that began with this page.
function elapsed() {
  if (state.run && isNumber(state.run.seconds)) return state.run.seconds;
  if (state.first) return (state.last - state.first) / 1e6 + (Date.now() - state.lastSeen) / 1000;
  return client.args && client.args.run_id ? null : watchedFor();
}

function remaining() {
  const run = state.run;
  if (!run || run.status !== "running") return "";
  const last = state.trials.at(-1);
  const tuning = run.steps.some((one) => one.name === "tune" && one.status === "running");
  if (tuning && last && state.tuning && last.trial < state.most) {
    const each = (state.last - state.tuning) / 1e6 / last.trial;
    return `about ${lasted(Math.max(1, Math.round(each * (state.most - last.trial))))} of the search left`;
  }
  return !tuning && run.workflow !== "train" && run.progress >= 0.1 && elapsed() !== null ? `about ${lasted(Math.max(1, Math.round((elapsed() * (1 - run.progress)) / run.progress)))} left` : "";
}

function follow(id) {
  if (state.id !== id) Object.assign(state, { id, run: null, full: false, ended: false, after: 0, first: 0, trials: [], most: 0, tuning: 0, test: null, pictures: [], known: null });
  look();
}

async function look() {
  clearTimeout(state.timer);
  if (!state.id || state.busy || state.ended || !can("serverTools")) return;
  state.busy = true;
  const { id } = state;
  try {
    const asked = { run_id: id, wait_seconds: 0 };
    const run = await call("get_run", asked, "run");
    if (id === state.id && !(state.full && ENDED.includes(run.status))) state.run = run;
    if (!isFinal()) state.watched = true;
    await events(id);
    if (id === state.id && isFinal()) await ended(asked);
    Object.assign(state, { failures: 0, lost: "" });
  } catch (error) {
    state.failures += 1;
    state.lost = "Not up to date: " + short(error.message, 200);
  }
  state.busy = false;
  if (id !== state.id) return look();
  show();
  again();
}

// Soon at first and seldom later; not at all while nobody sees it, or when the run has ended.
function again() {
  clearTimeout(state.timer);
  if (state.ended || document.hidden || state.failures > 8) return;
  const calm = state.run && ["paused", "waiting"].includes(state.run.status) ? 15 : 1;
  const took = elapsed() ?? watchedFor();
  const pace = Math.max(calm, took < 20 ? 1.5 : took < 120 ? 3 : took < 900 ? 5 : 15);
  state.timer = setTimeout(state.id ? look : seek, Math.min(60, pace * 2 ** state.failures) * 1000);
}

// The run of a call that has not been answered yet is the newest one that is about the same.
async function seek() {
  clearTimeout(state.timer);
  if (state.id || state.ended || !client.args || !can("serverTools")) return;
  const { data, target, model } = client.args;
  if (!target && !model) return;
  const workflow = target ? "train" : "evaluate";
  const wanted = [model, data, target].filter((one) => typeof one === "string").join(" ");
  try {
    const { runs } = await call("list_runs", { workflow, status: "running" }, "runs");
    const found = runs.find((one) => one.about === wanted);
    if (found && !state.id) return follow(found.run_id);
  } catch {
    state.failures += 1;
  }
  again();
}

async function events(id) {
  if (!can("serverResources")) return;
  for (let page = 0; page < 5; page += 1) {
    const found = await readFacts(`run://${id}/events?after=${state.after}`, "events");
    if (id !== state.id) return;
    for (const one of found.events) {
      state.after = one.seq;
      state.first ||= one.at;
      Object.assign(state, { last: one.at, lastSeen: Date.now() });
      if (one.kind === "step_started" && one.step === "tune") state.tuning = one.at;
      trial((one.data && one.data.message) || "");
    }
    if (!found.next) break;
  }
}

function trial(message) {
  const told = TRIAL.exec(message);
  if (!told) return;
  const [at, most, score, best] = [1, 2, 4, 5].map((place) => Number(told[place]));
  state.most = most;
  if (!state.trials.some((one) => one.trial === at)) state.trials.push({ trial: at, family: told[3], score, best, state: "complete" });
}

async function ended(asked) {
  const run = await complete(asked);
  Object.assign(state, { run, full: true });
  show();
  await pictures(run);
  state.ended = true;
  tell(run);
}

// All of a run at once by its address; for clients that do not pass that on, page by page.
async function complete(asked) {
  if (can("serverResources")) return readFacts("run://" + state.id, "run");
  let page = await call("get_run", { ...asked, detail: "full" }, "run");
  const run = page;
  for (let pages = 1; page.next_cursor && pages < 30; pages += 1) {
    page = await call("get_run", { ...asked, detail: "full", cursor: page.next_cursor }, "run");
    join(run, page);
  }
  return run;
}

// Short lists are whole on each page, long ones are continued.
function join(into, page) {
  for (const [name, more] of Object.entries(page)) {
    const had = into[name];
    if (Array.isArray(had) && Array.isArray(more)) {
      const known = new Set(had.map((one) => JSON.stringify(one)));
      had.push(...more.filter((one) => !known.has(JSON.stringify(one))));
    } else if (had && more && typeof had === "object" && typeof more === "object") join(had, more);
  }
}

async function pictures(run) {
  const names = run.artifacts.filter((one) => one.media === "image/png").map((one) => one.name.replace(/^plots\//, "").replace(/\.png$/, ""));
  const wanted = Object.keys(PICTURES).filter((name) => names.includes(name));
  if (wanted.length && !can("serverResources")) state.missing = "This client does not pass pictures on; they are among the artifacts of the run.";
  if (!can("serverResources")) return;
  if (run.workflow === "train" && run.task === "classification") state.test = await readFacts(`run://${state.id}/steps/test`, "test").catch(() => null);
  for (const name of wanted.filter((one) => !state.pictures.some((had) => had.name === one))) {
    const found = await read(`run://${state.id}/plots/${name}`);
    if (found.blob) state.pictures.push({ name, data: "data:image/png;base64," + found.blob });
  }
}

// Who watched a run to its end has seen what the model has not: it is told with its next turn.
function tell(run) {
  if (!state.watched || !can("updateModelContext")) return;
  state.watched = false;
  const text = `Run ${run.run_id} (${run.workflow}) has ended: ${run.status}. get_run(run_id="${run.run_id}") tells what it found.`;
  request("ui/update-model-context", { content: [{ type: "text", text }] }).catch(() => {});
}

function heard(result) {
  const told = textOf(result);
  const named = RUN.exec(told);
  if (result.taskId) return follow(String(result.taskId));
  if (result.isError && !named) {
    Object.assign(state, { problem: told || "The call was refused.", ended: true });
    return show();
  }
  if (result.isError) return follow(named[1]);
  const run = factsOf(result, "run");
  if (!run || !run.run_id) return show();
  if (state.id !== run.run_id) follow(run.run_id);
  if (!state.full) state.run = run;
  if (!can("serverTools") && isFinal()) state.ended = true;
  show();
  look();
}
