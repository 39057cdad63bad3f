"""The search: repeatable, stopped in time, cut short without harm, and honest about what it found."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from numpy.testing import assert_allclose
from optuna.study import Study

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import DataRejected, InvalidInput, NotReady, UnknownName, WorkerLost
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.search import course
from mcp_orchestrator.methods.search import pool as pool_module
from mcp_orchestrator.methods.search.candidates import Candidate, Found
from mcp_orchestrator.methods.search.choice import choose
from mcp_orchestrator.methods.search.course import Limits
from mcp_orchestrator.methods.search.ensemble import clearly_better, select, standard_error
from mcp_orchestrator.methods.search.pool import Pool
from mcp_orchestrator.methods.search.posing import pose
from mcp_orchestrator.methods.search.problem import Problem
from mcp_orchestrator.methods.search.search import Search
from mcp_orchestrator.methods.search.studies import Studies, in_memory
from mcp_orchestrator.methods.training.families import chosen

FAMILIES = ("linear", "boosting", "splines", "neighbors")


def waves(rows: int = 160, seed: int = 0) -> pd.DataFrame:
    """Two classes that a bend tells apart and a straight line only half."""
    order = np.random.default_rng(seed)
    frame = pd.DataFrame(order.normal(size=(rows, 4)), columns=list("abcd"))
    frame["y"] = np.where(frame["a"] + frame["b"] ** 2 + 0.3 * order.normal(size=rows) > 0.8, "yes", "no")
    return frame


def posed(frame: pd.DataFrame | None = None, **question: Any) -> Problem:
    asked: dict[str, Any] = {"folds": 4, **question}
    return pose(waves() if frame is None else frame, "y", **asked)


def searching(
    problem: Problem, families: tuple[str, ...] = FAMILIES, study: Study | None = None, **limits: Any
) -> Search:
    journal = in_memory(greater_is_better=problem.metric.greater_is_better) if study is None else study
    watch = limits.pop("watch", lambda _: "")
    settings: dict[str, Any] = {"trials": 8, **limits}
    return Search(problem, chosen(families, problem.shape), journal, Limits(**settings), watch=watch)


def outline(found: Found) -> list[Any]:
    """Everything that must be equal between two equal searches."""
    tried = [(one.number, one.family, one.params, one.state, one.scores) for one in found.candidates]
    members = [(one.number, weight) for one, weight in found.members]
    predictions = None if found.out_of_fold is None else found.out_of_fold[0].tolist()
    return [tried, members, found.fold_scores, found.stopped_by, predictions]


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork although the test runner has threads of its own, which hold nothing that the children need."""
    if sys.platform == "linux":
        monkeypatch.setattr(pool_module, "can_fork", lambda: True)


# Repeatable -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("forking")
def test_the_same_search_comes_out_whatever_the_number_of_processors() -> None:
    alone, two, three = (outline(searching(posed(), cpus=cpus, trials=12).run()) for cpus in (1, 2, 3))
    assert alone == two == three


def test_another_seed_makes_another_search() -> None:
    one, other = (searching(posed(seed=seed), ("linear",), seed=seed).run() for seed in (0, 1))
    assert [found.params for found in one.candidates[4:]] != [found.params for found in other.candidates[4:]]


def test_a_search_that_was_cut_off_in_a_batch_goes_on_as_if_nothing_had_happened(ctx: Context) -> None:
    whole = searching(posed(), trials=12).run()
    study = Studies(ctx).create("cut", {}, greater_is_better=True)

    class Killed(BaseException):
        """The end of a process."""

    answered: list[int] = []

    def watch(one: Candidate) -> str:
        answered.append(one.number)
        if len(answered) == 6:
            raise Killed  # two of the second batch are answered, two are not
        return ""

    with pytest.raises(Killed):
        searching(posed(), study=study, trials=12, watch=watch).run()
    again = searching(posed(), study=Studies(ctx).open("cut"), trials=12).run()
    assert len(again.candidates) == 12
    assert outline(again) == outline(whole)


# Honest ---------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("tuning.summary")
def test_the_out_of_fold_predictions_give_the_reported_scores() -> None:
    problem = posed()
    found = searching(problem).run()
    assert found.out_of_fold is not None
    predictions, _, covered = found.out_of_fold
    assert covered.all()
    assert_allclose(
        [problem.score(fold, predictions[one.test]) for fold, one in enumerate(problem.folds)], found.fold_scores
    )
    assert_allclose(predictions.sum(axis=1), 1)


@pytest.mark.requirement("training.families")
def test_what_a_bend_explains_is_found_and_beats_the_straight_line() -> None:
    found = searching(posed(), trials=4).run()
    scores = {one.family: one.score for one in found.candidates}
    assert found.score > scores["linear"] + 0.1
    assert not any(one.linear for one, _ in found.members)


@pytest.mark.requirement("training.families")
def test_a_linear_truth_is_answered_with_a_linear_model() -> None:
    order = np.random.default_rng(4)
    frame = pd.DataFrame(order.normal(size=(200, 5)), columns=list("abcde"))
    frame["y"] = frame @ [3, -2, 1, 0, 0] + order.normal(size=200)
    found = searching(posed(frame), ("linear", "boosting", "extra_trees")).run()
    assert [one.family for one, _ in found.members] == ["linear"]


def test_noise_stays_noise() -> None:
    order = np.random.default_rng(5)
    frame = pd.DataFrame(order.normal(size=(300, 6)), columns=list("abcdef")).assign(y=order.integers(0, 2, 300))
    found = searching(posed(frame.iloc[:200]), trials=12).run()
    rest = frame.iloc[200:]
    from mcp_orchestrator.methods.metrics import evaluate
    from mcp_orchestrator.methods.training.fitting import fitted
    from mcp_orchestrator.methods.training.pipelines import Member

    members = [Member(family=one.family, params=one.params, weight=weight) for one, weight in found.members]
    model, _ = fitted(posed(frame.iloc[:200], validation="none"), members)
    chances = model.predict_proba(rest)
    area = evaluate("classification", rest["y"], chances.argmax(axis=1), chances, [0, 1], ["roc_auc"])["roc_auc"]
    assert area.low < 0.5 < area.high


def candidate(problem: Problem, number: int, family: str, right: Callable[[int], float]) -> Candidate:
    """A candidate whose chance of the true class is given by the row."""
    one = Candidate(number=number, family=family, params={}, state="complete")
    for fold, rows in enumerate(problem.folds):
        chance = np.array([right(int(row)) for row in rows.test])
        second = np.where(problem.target.y[rows.test] == 1, chance, 1 - chance)
        one.predictions[fold] = np.column_stack([1 - second, second])
        one.scores[fold] = problem.score(fold, one.predictions[fold])
    return one


@pytest.mark.requirement("training.ensemble")
def test_a_blend_of_models_that_err_on_other_rows_is_kept_and_its_weights_sum_up() -> None:
    problem = posed(metric="log_loss")
    even = candidate(problem, 0, "boosting", lambda row: 0.9 if row % 2 else 0.45)
    odd = candidate(problem, 1, "neighbors", lambda row: 0.45 if row % 2 else 0.9)
    found = choose(problem, [even, odd], "auto", "trials", [])
    assert found.ensemble.startswith("kept: ")
    assert {one.family for one, _ in found.members} == {"boosting", "neighbors"}
    assert sum(weight for _, weight in found.members) == pytest.approx(1)
    assert found.score < min(even.score, odd.score)
    assert [weight for _, weight in choose(problem, [even, odd], "none", "trials", []).members] == [1]


def test_a_blend_of_equals_is_not_kept() -> None:
    problem = posed(metric="log_loss")
    same = [candidate(problem, number, "boosting", lambda row: 0.5 + (row % 7) / 15) for number in range(3)]
    found = choose(problem, same, "auto", "trials", [])
    assert (len(found.members), found.ensemble.partition(":")[0]) == (1, "not kept")


def test_a_blend_is_never_worse_out_of_fold_than_its_best_member() -> None:
    problem = posed(metric="log_loss")
    order = np.random.default_rng(6)
    tables = order.uniform(0.3, 0.9, (4, len(problem.target.y)))
    some = [
        candidate(problem, number, "boosting", lambda row, own=own: float(own[row]))
        for number, own in enumerate(tables)
    ]
    folds = list(range(4))
    found = select(problem, [[one.predictions[fold] for fold in folds] for one in some], folds)
    assert np.mean(found.fold_scores) <= min(one.score for one in some)


def test_the_standard_error_is_that_of_the_mean_and_ignores_what_is_undefined() -> None:
    assert standard_error([1.0, 2.0, 3.0, 4.0, math.nan]) == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)
    assert standard_error([1.0]) == 0


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        ([0.9, 0.9, 0.9], [0.8, 0.8, 0.8], True),
        ([0.9, 0.7, 0.8], [0.7, 0.9, 0.79], False),
        ([0.8, 0.8, 0.8], [0.8, 0.8, 0.8], False),
        ([0.91, 0.71, 0.81], [0.9, 0.7, 0.8], False),  # steady, and small beside what the folds leave open
    ],
)
def test_clearly_better_looks_at_the_differences_fold_by_fold(
    one: list[float], other: list[float], *, better: bool
) -> None:
    assert clearly_better(posed(), one, other) is better


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("forking")
def test_a_search_without_time_still_returns_a_model_and_says_so() -> None:
    found = searching(posed(), seconds=1e-6, cpus=2).run()
    assert (found.stopped_by, found.fold_scores) == ("seconds", [])
    assert [(one.family, weight) for one, weight in found.members] == [("linear", 1.0)]
    assert "no candidate was scored" in found.choice


def test_what_has_finished_counts_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Candidate] = []
    monkeypatch.setattr(Pool, "expired", property(lambda _: len(ended) >= 4))
    search = searching(posed(), trials=50, watch=lambda one: ended.append(one) or "")
    found = search.run()
    assert (found.stopped_by, len(found.candidates)) == ("seconds", 4)
    assert len(found.fold_scores) == 4


@pytest.mark.requirement("tuning.random", "tuning.grid", "tuning.bayesian")
@pytest.mark.parametrize(
    ("limits", "count", "stopped_by"),
    [
        ({"method": "none"}, 4, "none"),
        ({"method": "grid", "trials": 1000}, 6, "grid"),
        ({"method": "random", "trials": 9}, 9, "trials"),
        ({"method": "bayesian", "trials": 60, "patience": 3}, None, "patience"),
    ],
)
def test_a_search_ends_where_its_method_does(limits: dict[str, Any], count: int | None, stopped_by: str) -> None:
    families = ("linear", "splines") if limits["method"] == "grid" else FAMILIES
    found = searching(posed(), families, **limits).run()
    assert found.stopped_by == stopped_by
    assert len(found.candidates) == count if count is not None else len(found.candidates) < 60


def test_a_hopeless_candidate_is_given_up_after_two_folds_unless_that_is_not_wanted() -> None:
    frame = waves()
    frame = frame.assign(
        **{f"noise{place}": np.random.default_rng(place).normal(size=len(frame)) for place in range(30)}
    )
    with_pruning, without = (
        {one.family: one.state for one in searching(posed(frame), trials=6, pruning=pruning).run().candidates}
        for pruning in (True, False)
    )
    assert with_pruning["neighbors"] == "pruned"
    assert set(without.values()) == {"complete"}


def test_a_long_table_is_screened_on_one_fold_and_only_the_best_are_tried_on_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "SCREENED", 100)
    monkeypatch.setattr(course, "FINALISTS", 2)
    found = searching(posed(), trials=8).run()
    folds = sorted(len(one.scores) for one in found.candidates)
    assert folds[:5] == [1] * 5
    assert folds[-2:] == [4] * 2
    assert len(found.fold_scores) == 4
    assert "tried on one fold" in found.notes[0]


@pytest.mark.requirement("validation.none")
def test_nothing_is_compared_where_no_validation_is_wanted() -> None:
    found = searching(posed(validation="none")).run()
    assert (found.stopped_by, found.fold_scores, found.out_of_fold) == ("none", [], None)


def test_when_every_candidate_fails_the_reason_is_given() -> None:
    words = waves().assign(word=["some", "words"] * 80)
    problem = posed(words, features=[FeatureSpec(name="word", kind="numeric")])
    with pytest.raises(
        DataRejected, match=r"None of 4 candidates could be trained.*word: 'some' in row 1 is not a number"
    ):
        searching(problem, trials=4).run()


# Processes ------------------------------------------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize("processes", [0, 1, 3])
def test_every_task_is_answered_under_its_key(processes: int) -> None:
    with Pool[int, int, int](lambda task: task * task, processes) as pool:
        for key in range(10):
            pool.put(key, key)
        assert dict(pool.results()) == {key: key * key for key in range(10)}


@linux
@pytest.mark.usefixtures("forking")
def test_a_process_that_dies_takes_only_its_task_with_it() -> None:
    def work(task: int) -> int:
        if task == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    with Pool[int, int, int](work, 2) as pool:
        for key in range(5):
            pool.put(key, key)
        found = dict(pool.results())
    assert isinstance(found.pop(2), WorkerLost)
    assert found == {0: 0, 1: 1, 3: 3, 4: 4}


@linux
@pytest.mark.usefixtures("forking")
def test_when_time_is_up_what_is_running_is_ended_and_nothing_is_left() -> None:
    def work(task: int) -> int:
        while task:
            pass
        return task

    import time

    before = {one.pid for one in psutil.Process().children()}  # another test may have left some
    with Pool[int, int, int](work, 2, deadline=time.monotonic() + 0.3) as pool:
        for key in (0, 1, 2, 3):
            pool.put(key, key)
        found = dict(pool.results())
        assert found == {0: 0}
        assert pool.expired
    assert {one.pid for one in psutil.Process().children()} <= before


@linux
@pytest.mark.usefixtures("forking")
def test_the_processes_end_when_their_parent_is_killed() -> None:
    code = (
        "import os, time\n"
        "from mcp_orchestrator.methods.search.pool import Pool\n"
        "def work(task):\n"
        "    print(os.getpid(), flush=True)\n"
        "    while True: pass\n"
        "with Pool(work, 1, deadline=time.monotonic() + 1000) as pool:\n"
        "    pool.put(0, 0)\n"
        "    list(pool.results())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == ""  # the pipe is closed when the last process that holds it has ended
    parent.stdout.close()
    assert not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()


# Studies --------------------------------------------------------------------------------------------------------------


def test_a_study_of_another_question_is_not_continued(ctx: Context) -> None:
    studies = Studies(ctx)
    studies.create("one", {"target": "y", "folds": 5}, greater_is_better=True)
    with pytest.raises(InvalidInput, match="begun with another folds"):
        studies.create("one", {"target": "y", "folds": 3}, greater_is_better=True)


def test_a_study_is_searched_by_one_at_a_time_and_can_be_asked_to_stop(ctx: Context) -> None:
    studies = Studies(ctx)
    studies.create("one", {}, greater_is_better=True)
    assert studies.stop("one") is False
    with studies.searching("one"):
        with pytest.raises(NotReady, match="being searched"), Studies(ctx).searching("one"):
            pass
        assert studies.stop("one") is True
        assert studies.stop_asked("one")
    with studies.searching("one"):
        assert not studies.stop_asked("one")


def test_an_unknown_study_is_refused_with_a_suggestion(ctx: Context) -> None:
    studies = Studies(ctx)
    studies.create("churn", {}, greater_is_better=True)
    for name in ("churm", "../churn"):
        with pytest.raises(UnknownName, match="'churn'"):
            studies.open(name)
