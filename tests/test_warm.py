"""A training that starts from what was learned on similar data: what is taken over, what is said, and what is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.component import Context
from mcp_orchestrator.components.training import automl_orchestrator
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.core.workflow import Lesson
from mcp_orchestrator.errors import InvalidInput, StateUnavailable, UnknownName
from mcp_orchestrator.methods.search import recalling
from mcp_orchestrator.methods.search.fingerprint import Fingerprint, fingerprint
from mcp_orchestrator.methods.search.posing import pose
from mcp_orchestrator.methods.search.question import Question
from mcp_orchestrator.methods.search.starts import Start, begun, why_not
from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import FAMILIES, chosen
from mcp_orchestrator.view import RunView
from mcp_orchestrator.workflows.lessons import configurations, lessons, trials
from mcp_orchestrator.workflows.summary import TrainingSummary
from orchestrator_memory.related import RelatedRun, Similarity

QUICK: dict[str, Any] = {"families": ["linear", "splines", "neighbors"], "ensemble": "none", "tracking": False}
BENT = Start(family="splines", params={"C": 3.0}, run="earlier")


@pytest.fixture
def orchestrator(tmp_path: Path) -> Iterator[Orchestrator]:
    with Orchestrator(tmp_path, in_process=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def experienced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orchestrator, RunView]]:
    """A home that remembers one training, and that training; nothing else is remembered there."""
    with Orchestrator(tmp_path_factory.mktemp("experienced"), in_process=True) as opened:
        first = train(opened, table(1), calibration="sigmoid")
        opened.chronicle.catch_up()
        yield opened, first


def table(seed: int, rows: int = 150, names: str = "amount duration distance speed") -> pd.DataFrame:
    """Draw a sample of a law that only a bend explains."""
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(rows, 4))
    frame = pd.DataFrame(x, columns=names.split())
    return frame.assign(kept=np.where(x[:, 0] ** 2 + 0.5 * chance.normal(size=rows) > 0.7, "yes", "no"))


def train(orchestrator: Orchestrator, data: Any, target: str = "kept", **more: Any) -> RunView:
    tuning = {"trials": 6, **more.pop("tuning", {})}
    return orchestrator.train_model(data, target, **{**QUICK, "name": "model", **more, "tuning": tuning})


def facts(run: RunView) -> dict[str, Any]:
    return run.model_dump(mode="json")


def tried(run: RunView) -> list[tuple[str, dict[str, Any]]]:
    """What was tried, in the order in which it was."""
    rows = sorted(facts(run)["leaderboard"], key=lambda one: one["trial"])
    return [(one["family"], one["params"]) for one in rows]


def said(run: RunView) -> str:
    return next(one.reason for one in run.steps if one.name == "recall")


# From one training to the next ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.requirement("memory.recall")
def test_the_second_training_of_a_related_table_tries_the_winner_of_the_first_ahead_of_all_and_says_whose_it_is(
    experienced: tuple[Orchestrator, RunView],
) -> None:
    orchestrator, first = experienced
    assert facts(first)["warm_start"]["from"] == []
    assert said(first).startswith("cold: no training of this kind")
    best = facts(first)["leaderboard"][0]
    second = train(orchestrator, table(2, rows=190))
    assert tried(second)[0] == (best["family"], best["params"])
    (source,) = facts(second)["warm_start"]["from"]
    assert source["run"] == first.run_id
    assert 0.7 < source["similarity"] < 1
    assert first.run_id in said(second)
    own = [(one["family"], one["params"]) for one in source["configurations"]]
    assert own == tried(second)[: len(own)]
    assert len(own) == 1  # of six trials
    assert not [one for one in tried(second)[len(own) :] if one in own]  # and nothing of it again
    winner = facts(second)["model"]["members"][0]
    won = [one["won"] for one in source["configurations"]]
    assert won == [(family, params) == (winner["family"], winner["params"]) for family, params in own]
    assert facts(second)["warm_start"]["won"] == any(won)


@pytest.mark.slow
def test_an_unrelated_table_starts_cold_and_so_does_one_that_is_to(experienced: tuple[Orchestrator, RunView]) -> None:
    orchestrator, _ = experienced
    other = train(orchestrator, "builtin:wine", "target")
    assert facts(other)["warm_start"]["from"] == []
    assert re.search(r"no remembered training is alike enough; the nearest, run [0-9a-f]{32}, is 0\.[0-5]", said(other))
    off = train(orchestrator, table(2), tuning={"warm": "off"})
    assert said(off) == "cold: tuning.warm is off"
    assert tried(off)[:3] == [("linear", {"C": 1.0}), ("splines", {"C": 0.1}), ("linear", {"C": 0.05})]


@pytest.mark.slow
@pytest.mark.requirement("workflow.random_state")
def test_a_training_that_is_repeated_gives_the_same_figures_whatever_was_learned_since(
    orchestrator: Orchestrator,
) -> None:
    small: dict[str, Any] = {"families": ["linear", "splines"], "tuning": {"trials": 3}}
    for seed, rows in ((0, table(1)), (4, table(2)), (5, table(2))):
        train(orchestrator, rows, seed=seed, **small)
        orchestrator.chronicle.catch_up()
    first = next(one for one in orchestrator.journal.runs() if one.spec["seed"] == 4)
    again = train(orchestrator, table(2), seed=4, **small)
    assert first.result is not None
    assert len(first.result["warm_start"]["from"]) == 1
    for part in ("metrics", "leaderboard", "warm_start", "validation"):
        assert facts(again)[part] == first.result[part]


@pytest.mark.slow
def test_a_warm_training_is_repeated_by_naming_the_runs(
    experienced: tuple[Orchestrator, RunView],
) -> None:
    orchestrator, _ = experienced
    warm = train(orchestrator, table(2))
    sources = [one["run"] for one in facts(warm)["warm_start"]["from"]]
    named = train(orchestrator, table(2), tuning={"start_from": sources})
    assert facts(named)["leaderboard"] == facts(warm)["leaderboard"]
    assert facts(named)["metrics"] == facts(warm)["metrics"]
    stranger = train(orchestrator, "builtin:wine", "target", tuning={"start_from": sources})
    assert tried(stranger)[0] == tried(warm)[0]


@pytest.mark.slow
def test_trials_that_are_steps_take_over_the_same(experienced: tuple[Orchestrator, RunView]) -> None:
    orchestrator, first = experienced
    whole, apart = (
        train(orchestrator, table(2), tuning={"start_from": [first.run_id], "trials_as": how, "at_once": 1})
        for how in ("step", "steps")
    )
    assert tried(apart) == tried(whole)
    assert facts(apart)["warm_start"]["from"] == facts(whole)["warm_start"]["from"] != []


def test_runs_that_the_memory_does_not_have_are_refused_before_there_is_a_run(orchestrator: Orchestrator) -> None:
    with pytest.raises(UnknownName, match="nobody"):
        train(orchestrator, table(1), tuning={"start_from": ["nobody"]})
    assert orchestrator.journal.runs() == []


@pytest.mark.parametrize("more", [{"warm": "off"}, {"method": "grid"}, {"method": "none"}])
def test_runs_to_start_from_are_refused_where_nothing_is_started_from(
    orchestrator: Orchestrator, more: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput, match="start_from"):
        train(orchestrator, table(1), tuning={"start_from": ["one"], **more})


@pytest.mark.slow
def test_a_family_that_is_left_out_is_not_taken_over(experienced: tuple[Orchestrator, RunView]) -> None:
    orchestrator, first = experienced
    assert facts(first)["leaderboard"][0]["family"] == "splines"
    second = train(orchestrator, table(2), families=["linear", "neighbors"])
    assert {family for family, _ in tried(second)} == {"linear", "neighbors"}
    assert "'splines' is not among the families of this search" in said(second)
    alone = train(orchestrator, table(2), families=["boosting"], tuning={"trials": 2})
    assert said(alone).startswith("cold: nothing of what worked")


def test_a_memory_that_is_broken_leaves_the_training_as_it_was(orchestrator: Orchestrator) -> None:
    memory = orchestrator.settings.home / "memory.db"
    memory.write_bytes(b"this is no database, " * 400)
    run = orchestrator.train_model(table(1), "kept", name="model", **QUICK, tuning={"trials": 2})
    assert run.status is Status.SUCCEEDED
    assert "cold: The memory in" in said(run)
    assert "cannot be read" in said(run)
    assert facts(run)["warm_start"]["from"] == []
    memory.unlink()


def test_a_memory_that_is_broken_is_said_where_runs_are_named(ctx: Context) -> None:
    ctx.settings.home.mkdir(parents=True, exist_ok=True)
    (ctx.settings.home / "memory.db").write_bytes(b"this is no database, " * 400)
    given = {"data": "builtin:iris", "question": {"target": "target"}, "runs": ["one"]}
    with pytest.raises(StateUnavailable, match="cannot be read"):
        automl_orchestrator.related.call(ctx, given)


@pytest.mark.parametrize(
    ("alike", "taken"),
    [((0.95, 0.9, 0.8), ["run 0", "run 1"]), ((0.7, 0.68, 0.66), ["run 0", "run 1", "run 2"]), ((0.6, 0.6), [])],
)
def test_what_is_far_less_alike_than_the_most_alike_is_not_started_from(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, alike: tuple[float, ...], taken: list[str]
) -> None:
    tips = [("splines", {"C": 3.0}), ("linear", {"C": 2.0}), ("neighbors", {"n_neighbors": 5, "weights": "uniform"})]
    known = [
        RelatedRun(
            run=f"run {place}",
            memory="one",
            similarity=Similarity(score=score),
            configurations=[{"family": family, "params": params}],
            created=place,
        )
        for place, (score, (family, params)) in enumerate(zip(alike, tips, strict=False))
    ]
    monkeypatch.setattr(recalling, "similar", lambda *_: known)
    found = recalling.recalled(ctx, table(1), "dataset://one", Question(target="kept"))
    assert [one.run for one in found.sources] == [one.run for one in found.earlier] == taken
    assert found.says.startswith("warm" if taken else "cold: no remembered training is alike enough")


# What is tried first --------------------------------------------------------------------------------------------------


def test_what_is_tried_first_is_checked_and_the_portfolio_does_not_repeat_it(ctx: Context) -> None:
    first = [{"family": "splines", "params": {"C": 3.0}, "run": "r"}, {"family": "linear", "params": {"C": 1.0}}]
    given = {"data": "builtin:iris", "target": "target", "families": ["linear", "splines"], "folds": 3, "trials": 8}
    study = automl_orchestrator.start.call(ctx, {**given, "first": [*first, first[0]]})
    rows = sorted(study.leaderboard, key=lambda one: one.trial)
    found = [(one.family, one.params["C"]) for one in rows]
    assert found[:2] == [("splines", 3.0), ("linear", 1.0)]
    assert len(set(found)) == 8
    assert found[6] == ("splines", 0.1) or ("splines", 0.1) in found[2:6]  # of the portfolio
    assert [(one.trial, one.run) for one in study.warm] == [(0, "r"), (1, "")]
    with pytest.raises(InvalidInput, match=r"first\[0\].*1000"):
        automl_orchestrator.start.call(ctx, {**given, "first": [{"family": "linear", "params": {"C": 1000.0}}]})


@pytest.mark.parametrize(
    ("family", "params", "problem"),
    [
        ("splines", {"C": 3.0}, ""),
        ("splines", {"C": 1e6}, "no value of 'C'"),
        ("splines", {"C": True}, "no value of 'C'"),
        ("splines", {}, "needs a value of 'C'"),
        ("splines", {"C": 1.0, "depth": 3}, "no parameter 'depth'"),
        ("neighbors", {"n_neighbors": 5, "weights": "distance"}, ""),
        ("neighbors", {"n_neighbors": 5.5, "weights": "distance"}, "no value of 'n_neighbors'"),
        ("neighbors", {"n_neighbors": 5, "weights": "other"}, "no value of 'weights'"),
        ("elastic_net", {"alpha": 1.0, "l1_ratio": 0.5}, "not among the families"),
    ],
)
def test_a_configuration_is_taken_only_where_it_can_be_tried(family: str, params: dict[str, Any], problem: str) -> None:
    shape = Shape(rows=300, classes=2)
    found = why_not(Start(family=family, params=params), chosen([], shape), shape)
    assert problem in found
    assert bool(found) == bool(problem)


def test_class_weights_follow_the_metric_of_this_search() -> None:
    families = [FAMILIES["linear"]]
    weighted = Start(family="linear", params={"C": 2.0, "class_weight": None})
    plain = Start(family="linear", params={"C": 2.0})
    balance, usual = Shape(rows=300, classes=2, balance=True), Shape(rows=300, classes=2)
    assert begun([weighted, plain], families, usual) == [("linear", {"C": 2.0})]
    assert [params["class_weight"] for _, params in begun([weighted, plain], families, balance)] == [None, "balanced"]


def test_a_study_that_was_begun_before_there_were_starts_is_still_the_same_question() -> None:
    assert not {"first", "earlier"} & {*Question(target="y").asked("dataset://y")}
    assert Question(target="y", first=[BENT]).asked("dataset://y")["first"][0]["run"] == "earlier"


# The fingerprint ------------------------------------------------------------------------------------------------------


def mark(frame: pd.DataFrame, target: str = "kept") -> Fingerprint:
    return fingerprint(pose(frame, target, screening=True))


def test_the_fingerprint_tells_known_facts() -> None:
    chance = np.random.default_rng(0)
    rows = pd.DataFrame({"income": chance.normal(size=1000), "city": chance.choice(["A", "B"], 1000)})
    rows["rent"] = rows["income"]
    rows.loc[:299, "rent"] = np.nan
    rows["y"] = np.where(rows["income"] > np.quantile(rows["income"], 0.75), "high", "low")
    found = mark(rows, "y")
    assert found.numbers["rows"] == 3
    assert found.numbers["classes"] == 1
    assert found.numbers["entropy"] == pytest.approx(0.8113, abs=1e-4)  # of 1/4 and 3/4
    assert found.numbers["missing"] == 0.1
    assert found.numbers["correlation"] == 1
    assert (found.numbers["numeric"], found.numbers["categorical"]) == (0.6667, 0.3333)
    assert found.numbers["tree"] > 0.9 > found.numbers["linear"]
    assert found.names == ["city", "income", "rent"]
    assert found.labels["task"] == "classification"


def test_a_rule_that_only_a_bend_explains_is_told_from_a_straight_one_and_from_noise() -> None:
    bent = mark(table(3, rows=600)).numbers
    straight = mark(table(3, rows=600).assign(kept=lambda one: one["amount"] > 0)).numbers
    noise = mark(table(3, rows=600).assign(kept=np.random.default_rng(0).random(600) > 0.5)).numbers
    assert bent["linear"] < 0.2 < bent["tree"]
    assert straight["linear"] > 0.8
    assert max(noise["linear"], noise["tree"], noise["near"]) < 0.2


def test_the_same_rows_have_the_same_fingerprint_and_names_that_number_columns_say_nothing() -> None:
    assert mark(table(3)) == mark(table(3))
    numbered = mark(table(3, names="x1 x2 feature_3 v4"))
    assert numbered.names == []
    assert "schema" not in numbered.labels
    assert numbered.numbers == mark(table(3)).numbers
    assert mark(table(3, names="reading_1 reading_2 Reading_03 speed")).names == ["speed"]
    assert mark(table(3, names="reading_1 width_2 pm10 speed")).names == ["pm10", "reading_1", "speed", "width_2"]


def test_a_regression_has_the_skewness_of_its_target() -> None:
    chance = np.random.default_rng(0)
    rows = pd.DataFrame({"income": chance.normal(size=4000), "cost": chance.exponential(size=4000)})
    assert mark(rows, "cost").numbers["skewness"] == pytest.approx(2, abs=0.3)  # of an exponential one
    assert "entropy" not in mark(rows, "cost").numbers


# What is left for the next one ----------------------------------------------------------------------------------------


def tries(*rows: tuple[str, float, float | None, str]) -> list[dict[str, Any]]:
    return [
        {"family": family, "params": {"C": value}, "score": score, "sd": 0.01, "state": state}
        for family, value, score, state in rows
    ]


def test_the_best_configurations_are_kept_two_of_a_family_and_none_that_was_given_up() -> None:
    board = tries(
        ("splines", 1.0, 0.95, "complete"),
        ("splines", 1.0, 0.95, "complete"),
        ("splines", 2.0, 0.94, "complete"),
        ("splines", 3.0, 0.93, "complete"),
        ("linear", 1.0, 0.92, "complete"),
        ("svm", 1.0, 0.99, "pruned"),
        ("network", 1.0, None, "failed"),
    )
    kept = [(one["family"], one["params"]["C"], one["score"]) for one in configurations(board)]
    assert kept == [("splines", 1.0, 0.95), ("splines", 2.0, 0.94), ("linear", 1.0, 0.92)]
    many = tries(*((f"family{place}", 1.0, 0.9, "complete") for place in range(9)))
    assert len(configurations(many)) == 8


def test_all_that_has_a_score_is_kept_rounded_the_best_of_each_family_ahead_of_the_best() -> None:
    kept = trials(
        tries(("svm", 1 / 3, 0.87654321, "complete"), ("linear", 1.0, 0.5, "pruned"), ("a", 1, None, "failed"))
    )
    assert kept == [
        {"family": "svm", "params": {"C": 0.3333}, "score": 0.876543},
        {"family": "linear", "params": {"C": 1.0}, "score": 0.5},
    ]
    many = tries(
        *(("svm", place, 0.9 - place / 1000, "complete") for place in range(50)), ("linear", 1.0, 0.1, "pruned")
    )
    assert len(trials(many)) == 32
    assert [one["family"] for one in trials(many)] == ["svm"] * 31 + ["linear"]


@pytest.mark.slow
def test_a_training_leaves_what_the_next_one_needs_and_sentences_with_its_figures(
    experienced: tuple[Orchestrator, RunView],
) -> None:
    orchestrator, run = experienced
    found = facts(run)
    left: Lesson = lessons(run.run_id, TrainingSummary.model_validate(found))
    assert left.data["configurations"][0]["params"] == found["leaderboard"][0]["params"]
    assert left.data["fingerprint"]["names"] == ["amount", "distance", "duration", "speed"]
    assert (left.data["score"], left.data["trials"]) == (found["validation"]["mean"], 6)
    assert left.evidence["model"] == ["model@1"]
    value = found["metrics"]["roc_auc"]["value"]
    assert left.evidence["metrics"]["roc_auc"] == value
    told = " ".join(left.insights)
    assert f"reached roc_auc {value:.4g}" in told
    assert "the baseline 0.5" in told
    assert "Calibration was " in told
    (kept,) = [one for one in orchestrator.memory.memories.list(kinds=["pattern"]) if one.run == run.run_id]
    assert (kept.run, kept.area, kept.data["configurations"]) == (run.run_id, "training", left.data["configurations"])
