"""A search whose trials are steps: the same finding as in one step, each trial once, the study at home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import psutil
import pytest
from pydantic import BaseModel
from test_elsewhere import cluster, needs_dask

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.component import Context
from mcp_orchestrator.components.training import automl_orchestrator
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import InProcess, Workers
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.errors import InvalidInput, WorkerLost
from mcp_orchestrator.methods.search import course, rounds, tries
from mcp_orchestrator.methods.search.callbacks import Callbacks
from mcp_orchestrator.methods.search.findings import Study
from mcp_orchestrator.methods.search.problem import Attempt, Problem
from mcp_orchestrator.methods.search.question import Question
from mcp_orchestrator.methods.search.rounds import Extent, Round, Told
from mcp_orchestrator.methods.search.studies import Studies
from mcp_orchestrator.methods.search.tries import Scored
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.workflows.spec import TrainingSpec
from mcp_orchestrator.workflows.tuning import tuned

pytestmark = pytest.mark.anyio
FAMILIES = ["linear", "splines", "neighbors"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def search(run: Run, spec: TrainingSpec) -> BaseModel:
    """Search, and look at the study afterwards."""
    study = await tuned(run, spec, "auto", str(spec.data), Policy(cpus=2))
    await run.step("after", automl_orchestrator.leaderboard, name=study.name)
    return study


SEARCH = Workflow("search", TrainingSpec, search, ("tune", "after"))


@asynccontextmanager
async def engine_of(settings: Settings, *, processes: bool = False) -> AsyncGenerator[Engine]:
    executor = Workers(settings, tracking=False) if processes else InProcess(settings, Registry())
    try:
        dispatcher = Dispatcher(executor, Resources(Capacity(cpus=2)))
        async with Engine(Journal(settings.home), dispatcher, [SEARCH]).running() as engine:
            yield engine
    finally:
        await executor.close()


def spec_of(trials_as: str = "steps", **tuning: Any) -> dict[str, Any]:
    tuned = {"trials": 14, "seconds": 80_000, "at_once": 2, "trials_as": trials_as, **tuning}
    return {"data": "builtin:wine", "target": "target", "families": FAMILIES, "seed": 3, "tuning": tuned}


async def found(settings: Settings, spec: dict[str, Any]) -> tuple[Study, dict[str, str]]:
    """Search, and return what was found with the states of all steps."""
    async with engine_of(settings) as engine:
        row = await engine.wait(await engine.submit("search", spec), 300)
        assert row.status is Status.SUCCEEDED, row.error
        return Study.model_validate(row.result), {one.name: one.status for one in engine.journal.steps(row.id)}


def timeless(study: Study) -> dict[str, Any]:
    """What must be equal between two equal searches; the predictions out of fold are under their digest."""
    return study.model_dump(exclude={"name": True, "seconds": True, "leaderboard": {"__all__": {"seconds"}}})


# The same search ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [1, 4])
async def test_steps_find_what_one_step_finds_with_up_to_four_places(settings: Settings, places: int) -> None:
    whole, steps = await found(settings, spec_of("step"))
    assert set(steps) == {"tune", "after"}
    assert whole.oof is not None
    apart, steps = await found(settings, spec_of("steps", at_once=places))
    assert timeless(apart) == timeless(whole)
    assert len([one for one in steps if one.startswith("trial[")]) == 14
    assert set(steps.values()) == {"done"}


async def test_a_long_table_is_screened_and_its_finalists_are_tried_on_the_other_folds_as_steps(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "SCREENED", 100)
    monkeypatch.setattr(course, "FINALISTS", 2)
    whole, _ = await found(settings, spec_of("step", trials=8))
    apart, steps = await found(settings, spec_of("steps", trials=8))
    assert timeless(apart) == timeless(whole)
    assert len([one for one in steps if one.startswith("final[")]) == 2 * 4
    assert "tried on one fold" in apart.notes[0]


async def test_more_places_make_longer_rounds_and_equal_searches_stay_equal(settings: Settings) -> None:
    one, steps = await found(settings, spec_of(at_once=7))
    other, _ = await found(settings, spec_of(at_once=7))
    assert timeless(one) == timeless(other)
    assert len([name for name in steps if name.startswith("propose[")]) == 2
    assert one.trials == 14


async def test_at_home_a_search_is_one_step_unless_steps_are_asked_for(settings: Settings) -> None:
    _, steps = await found(settings, spec_of("auto", trials=2))
    assert set(steps) == {"tune", "after"}


# What fails, and what is late -----------------------------------------------------------------------------------------


async def test_candidates_that_fail_do_not_end_the_search(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fit: Callable[..., Any] = Problem._fit
    score = tries.score

    def breaking(self: Problem, task: Attempt) -> Any:
        if task.family == "neighbors":
            raise ValueError("has no neighbors")
        return fit(self, task)

    def dying(ctx: Context, data: Any, question: Question, proposed: Any, **more: Any) -> Scored:
        if proposed.number == 1:
            raise WorkerLost("The worker is gone.")
        return score(ctx, data, question, proposed, **more)

    monkeypatch.setattr(Problem, "_fit", breaking)
    monkeypatch.setattr(tries, "score", dying)
    study, steps = await found(settings, spec_of(trials=8))
    failed = {one.trial: one.reason for one in study.leaderboard if one.state == "failed"}
    assert "The worker is gone." in failed.pop(1)
    assert failed
    assert set(failed.values()) == {"ValueError: has no neighbors"}
    assert {one.family for one in study.leaderboard if one.trial in failed} == {"neighbors"}
    assert [name for name, status in steps.items() if status == "failed"] == ["trial[1]"]
    assert (study.trials, study.members[0].family in {"linear", "splines"}) == (8, True)


async def test_a_search_without_time_still_returns_a_model_and_says_so(settings: Settings) -> None:
    study, steps = await found(settings, spec_of(seconds=1e-6, at_once=1))
    assert (study.stopped_by, study.fold_scores, study.trials) == ("seconds", [], 4)
    assert "no candidate was scored" in study.choice
    assert [one.family for one in study.members] == ["linear"]
    assert {steps[f"trial[{place}]"] for place in range(4)} == {"skipped"}


def test_a_trial_whose_time_is_up_is_cut_and_one_that_is_far_behind_is_given_up(ctx: Context) -> None:
    given: dict[str, Any] = {
        "data": "builtin:wine",
        "question": {"target": "target", "metric": "accuracy"},
        "candidate": {"number": 1, "family": "linear", "params": {"C": 1e-6}},
    }
    whole = automl_orchestrator.score.call(ctx, given)
    assert (whole.state, [fold for fold, _ in whole.scores]) == ("complete", [0, 1, 2, 3, 4])
    assert automl_orchestrator.score.call(ctx, {**given, "fold": 3}).scores == [whole.scores[3]]
    late = automl_orchestrator.score.call(ctx, {**given, "seconds": 1e-6})
    assert (late.state, late.scores, late.predictions) == ("cut", [], "")
    scores = [[fold, 1.0] for fold in range(5)]
    perfect = {"number": 0, "family": "linear", "params": {}, "scores": scores, "state": "complete"}
    behind = automl_orchestrator.score.call(ctx, {**given, "incumbent": perfect})
    assert (behind.state, behind.scores, behind.predictions) == ("pruned", whole.scores[:2], "")
    assert "clearly worse than trial 0" in behind.reason


# Cut off --------------------------------------------------------------------------------------------------------------

CRASHING = """
import json, sys
import anyio
sys.path[:0] = json.loads(sys.argv[2])
import test_trials as t
from mcp_orchestrator.settings import Settings
async def main():
    async with t.engine_of(Settings.load(sys.argv[1], workers=2), processes=True) as engine:
        print(await engine.submit("search", t.spec_of()), flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


async def test_a_trial_that_failed_can_be_tried_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    score = tries.score

    def dying(ctx: Context, data: Any, question: Question, proposed: Any, **more: Any) -> Scored:
        if proposed.number == 1:
            raise WorkerLost("The worker is gone.")
        return score(ctx, data, question, proposed, **more)

    async with engine_of(settings) as engine:
        with monkeypatch.context() as patched:
            patched.setattr(tries, "score", dying)
            first = await engine.wait(await engine.submit("search", spec_of(trials=6)), 120)
        again = await engine.wait((await engine.retry(first.id, step="trial[1]")).id, 120)
    states = [{one.trial: one.state for one in Study.model_validate(row.result).leaderboard} for row in (first, again)]
    assert (states[0][1], states[1][1]) == ("failed", "complete")
    whole, _ = await found(settings, spec_of("step", trials=6))
    assert timeless(Study.model_validate(again.result)) == timeless(whole)


@pytest.mark.slow
async def test_a_search_whose_process_is_killed_repeats_no_trial_that_had_ended(
    settings: Settings, tmp_path: Path
) -> None:
    paths = json.dumps([one for one in sys.path if one])
    command = [sys.executable, "-c", CRASHING, str(tmp_path), paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        journal = Journal(settings.home)
        with anyio.fail_after(60):
            while not {"tell[0]", "trial[5]"} <= {one.name for one in journal.steps(run) if one.status == "done"}:
                await anyio.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = {one.name: one for one in journal.steps(run) if one.status == "done"}
    assert "tune" not in before
    async with engine_of(settings) as engine:
        row = await engine.wait(run, 120)
        after = {one.name: one for one in engine.journal.steps(run)}
    assert (row.status, row.cut) == (Status.SUCCEEDED, 1)
    assert {name: one for name, one in after.items() if name in before} == before
    study = Study.model_validate(row.result)
    whole, _ = await found(settings, spec_of("step"))
    assert timeless(study) == timeless(whole)


async def test_a_run_that_is_tried_again_from_a_later_step_keeps_the_trials(settings: Settings) -> None:
    async with engine_of(settings) as engine:
        first = await engine.wait(await engine.submit("search", spec_of(trials=5)), 120)
        again = await engine.retry(first.id, step="after")
        row = await engine.wait(again.id, 120)
        assert row.result == first.result
        kept, steps = engine.journal.steps(first.id), engine.journal.steps(row.id)
        assert steps[:-1] == kept[:-1]
        assert (steps[-1].name, steps[-1].started > kept[-1].started) == ("after", True)
        changed = await engine.retry(first.id, step="after", spec=spec_of(trials=6))
        row = await engine.wait(changed.id, 120)
        assert Study.model_validate(row.result).trials == 6


QUESTION = Question(target="target", families=FAMILIES)
EXTENT = Extent(trials=8)


def proposed(ctx: Context, number: int = 0) -> Round:
    given = {"name": "r", "data": "builtin:iris", "question": QUESTION, "extent": EXTENT, "number": number}
    return automl_orchestrator.propose.call(ctx, given)


def told(ctx: Context, results: list[Scored], number: int = 0) -> Told:
    given = {"name": "r", "extent": EXTENT, "number": number, "results": results}
    return automl_orchestrator.tell.call(ctx, given)


def results(one: Round, score: float = 0.9) -> list[Scored]:
    scores: list[tuple[int, float | None]] = [(fold, score) for fold in range(5)]
    return [Scored(**each.model_dump(), scores=scores, seconds=1, state="complete") for each in one.candidates]


def test_a_round_that_is_proposed_or_told_again_is_the_same(ctx: Context) -> None:
    first = proposed(ctx)
    assert proposed(ctx) == first
    once = told(ctx, results(first))
    assert told(ctx, results(first, 0.1)) == once
    second = proposed(ctx, 1)
    assert [one.number for one in second.candidates] == [4, 5, 6, 7]
    assert second.incumbent is not None
    assert second.incumbent.scores == [(fold, 0.9) for fold in range(5)]
    assert proposed(ctx) == first
    assert told(ctx, results(second), 1).stopped_by == "trials"


def test_a_tell_that_was_cut_off_answers_the_rest(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """The end of a process."""

    seen: list[int] = []

    def watch(_: Callbacks, one: Any) -> str:
        seen.append(one.number)
        if len(seen) == 2:
            raise Killed
        return ""

    monkeypatch.setattr(Callbacks, "seen", watch)
    first = proposed(ctx)
    with pytest.raises(Killed):
        told(ctx, results(first))
    answer = told(ctx, results(first))
    assert (answer.trials, seen) == (4, [0, 1, 2, 3])
    assert [one.state.name for one in Studies(ctx).open("r").get_trials()] == ["COMPLETE"] * 4


def test_results_of_other_candidates_and_other_rounds_are_refused(ctx: Context) -> None:
    first = proposed(ctx)
    with pytest.raises(InvalidInput, match=r"round 0 is of the candidates \[0, 1, 2, 3\]"):
        told(ctx, results(first)[:3])
    with pytest.raises(InvalidInput, match="no round 1"):
        told(ctx, results(first), 1)
    none = {"target": "target", "validation": "none"}
    given = {"name": "n", "data": "builtin:iris", "question": none, "extent": EXTENT}
    with pytest.raises(InvalidInput, match="nothing to compare"):
        automl_orchestrator.propose.call(ctx, given)


def test_the_time_of_a_crash_is_not_the_search_s(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    first = proposed(ctx)
    monkeypatch.setattr(rounds, "time", SimpleNamespace(time=lambda: 1e12))
    assert 4 <= told(ctx, results(first)).seconds <= 8


# Elsewhere ------------------------------------------------------------------------------------------------------------


@needs_dask
@pytest.mark.slow
@pytest.mark.requirement("engine.elsewhere")
@pytest.mark.checkout  # reads docs/scaling.md
def test_trials_go_to_the_workers_of_a_cluster_and_the_study_stays_at_home(tmp_path: Path) -> None:
    (machines := tmp_path / "cluster").mkdir()
    (project := tmp_path / "home").mkdir()
    with cluster(machines, 2) as made:
        home = Orchestrator(settings=Settings.load(project, **made.settings))

        async def kill_in_the_middle(run: str) -> None:
            """Kill the worker that has a trial of the second round."""
            while not (
                busy := [
                    one
                    for one in home.journal.attempts(run)
                    if one.step in {"trial[4]", "trial[5]"} and one.worker.get("pid") and one.ended is None
                ]
            ):
                await anyio.sleep(0.01)
            psutil.Process(busy[0].worker["pid"]).kill()

        async def work() -> Any:
            async with home.running():
                given = {"data": "builtin:wine", "target": "target", "seed": 3, "tracking": False}
                run = await home.submit("train", {**given, "tuning": {"trials": 8, "seconds": 80_000}})
                with anyio.fail_after(240):
                    async with anyio.create_task_group() as group:
                        group.start_soon(kill_in_the_middle, run)
                        return await home.wait(run)

        view = anyio.run(work)
        assert view.status == "succeeded", view.error
        attempts = home.journal.attempts(view.run_id)
        trials = [one for one in attempts if one.step.startswith("trial[")]
        assert {one.executor for one in trials if one.started is not None} == {"dask"}
        assert len({one.worker["pid"] for one in trials if one.worker.get("pid")}) == 2
        assert {one.status for one in trials} == {"lost", "done"}
        assert {one.executor for one in attempts if one.step.startswith(("propose[", "tell["))} <= {"local", ""}
        assert len([one for one in trials if one.status == "done"]) == 8
        assert [path.parent for path in tmp_path.rglob(f"{view.run_id}.log") if path.parent.name == "studies"] == [
            home.settings.home / "studies"
        ]
