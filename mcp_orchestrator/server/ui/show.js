// What is shown of the state.
function show() {
  const run = state.run;
  const final = isFinal();
  const status = run ? run.status : state.problem ? "failed" : "";
  put("status", run ? STATES[status] || status : state.problem ? "Refused" : "Waiting for the run");
  document.getElementById("status").className = "status " + status;
  put("title", title());
  clock();
  const bar = document.getElementById("bar");
  bar.hidden = !run || final;
  if (run) {
    bar.setAttribute("aria-valuenow", String(Math.round(run.progress * 100)));
    bar.firstElementChild.style.setProperty("--done", run.progress * 100 + "%");
  }
  put("now", (!final && run && run.message) || "");
  notes();
  if (final) document.getElementById("ask").hidden = true;
  document.getElementById("refresh").hidden = !state.id || !can("serverTools");
  document.getElementById("cancel").hidden = !run || final || run.status === "cancelling" || !can("serverTools");
  document.getElementById("model").hidden = !final || !run.model || !can("serverTools");
  document.getElementById("report").hidden = !final || !can("message");
  const modes = client.context.availableDisplayModes || [];
  document.getElementById("wide").hidden = !modes.includes("fullscreen") || client.context.displayMode === "fullscreen";
  if (run) sections(run);
}

function title() {
  const run = state.run;
  const model = (run && run.model) || {};
  if (model.name) return `${model.name}@${model.version}`;
  const asked = { ...client.args, ...(run && run.spec) };
  const [data, target] = [asked.data, asked.target].map((one) => (typeof one === "string" ? short(one, 30) : ""));
  const tested = model.asked || asked.model;
  if (tested) return short(tested, 40) + (data ? " on " + data : "");
  return [target, data].filter(Boolean).join(" from ") || short((asked.graph && asked.graph.name) || asked.workflow || (run && words(run.workflow)) || "Run", 40);
}

function clock() {
  const run = state.run;
  const took = run ? lasted(elapsed()) : "";
  const parts = run ? [KINDS[run.workflow] || run.workflow, isFinal() ? took : took && `${took} so far`, remaining(), `run ${run.run_id.slice(0, 8)}`] : [];
  put("facts", parts.filter(Boolean).join(" · "));
}

function notes() {
  const run = state.run;
  const told = [];
  const add = (kind, text, more) => told.push({ kind, text, more: more || [] });
  if (state.problem) add("bad", state.problem);
  if (run && run.error) add("bad", run.error, run.next);
  if (run && run.status === "degraded") add("warn", "Degraded: not all that was asked for could be done.", run.steps.filter((one) => one.status === "failed").map((one) => `${one.name}: ${one.reason}`));
  if (run && run.warnings.length) add("warn", run.warnings.length === 1 ? run.warnings[0] : `${run.warnings.length} warnings`, run.warnings.length === 1 ? [] : run.warnings);
  if (run && (run.status === "waiting" || run.status === "paused")) add("warn", STATES[run.status] + ".", run.next.slice(0, 1));
  for (const one of [state.said, state.lost].filter(Boolean)) add("quiet", one);
  fill("notes", told.length ? told : null, () => told.map((one) => el("div", { class: "note " + one.kind }, el("p", {}, one.text), one.more.length ? el("ul", {}, ...one.more.map((line) => el("li", {}, line))) : null)));
}

function sections(run) {
  const found = Object.keys(run.metrics).length > 0;
  const metric = run.metric || "score";
  fill("head", found || run.verdict ? { ...run, steps: null, seconds: null, next: null } : null, headline);
  fill("metrics", found ? { figures: run.metrics, baseline: run.baseline, main: run.metric } : null, metrics);
  fill("gates", run.gates.length ? run.gates : null, gates);
  const tried = run.leaderboard.filter((one) => isNumber(one.trial));
  const points = (tried.length ? tried.map((one) => ({ ...one, trial: one.trial + 1 })) : [...state.trials]).sort((a, b) => a.trial - b.trial);
  const direct = { greater: run.search ? run.search.greater_is_better : !state.trials.some((one) => one.best < one.score), choice: run.search && run.search.choice };
  fill("curve", points.some((one) => isNumber(one.score)) ? { points, metric, most: isFinal() ? points.length : state.most, ...direct } : null, search);
  const ranked = tried.length ? tried : [...points].sort((a, b) => (direct.greater ? b.score - a.score : a.score - b.score));
  fill("board", ranked.length ? { rows: ranked, metric, whole: tried.length > 0 } : null, board);
  fill("importance", run.importance.length ? { features: run.importance, metric } : null, importance);
  const test = state.test && state.test.result;
  fill("confusion", test && test.confusion.length ? { classes: test.classes, counts: test.confusion } : null, confusion);
  fill("calibration", run.calibration && run.calibration.bins.length ? run.calibration : null, calibration);
  fill("comparison", run.comparison, comparison);
  fill("slices", run.slices.length ? run.slices : null, slices);
  fill("drift", run.drift && run.drift.columns.length ? run.drift : null, drift);
  fill("plots", state.pictures.length || state.missing ? { pictures: state.pictures, missing: state.missing } : null, plots);
  fill("steps", run.steps.length ? run.steps : null, steps);
  fill("outputs", Object.keys(run.outputs).length ? run.outputs : null, (all) => [titled("Outputs"), el("pre", { tabindex: "0" }, JSON.stringify(all, null, 2))]);
  fill("about", state.about && run.model ? { model: run.model, known: state.known } : null, about);
}
