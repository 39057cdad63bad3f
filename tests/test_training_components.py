"""Training, calibration, threshold, evaluation, explanation and prediction, as a caller meets them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcp_orchestrator.component import Context
from mcp_orchestrator.components.training import automl_callbacks, automl_orchestrator, ml_integration
from mcp_orchestrator.errors import DataRejected, InvalidInput, OrchestratorError
from mcp_orchestrator.methods.models import load
from mcp_orchestrator.methods.search.callbacks import Callbacks
from mcp_orchestrator.methods.search.studies import Studies
from mcp_orchestrator.methods.training.calibration import calibrated, crossfitted
from mcp_orchestrator.methods.training.outoffold import OutOfFold

ML: Any = ml_integration
AUTOML: Any = automl_orchestrator
CALLBACKS: Any = automl_callbacks
CANCER = {"data": "builtin:breast_cancer", "target": "target"}


def people(rows: int = 240, seed: int = 0) -> list[dict[str, Any]]:
    """A small table with text, dates, holes and a rare class that two columns explain."""
    order = np.random.default_rng(seed)
    age, plan = order.integers(18, 80, rows), order.choice(["free", "basic", "gold"], rows)
    left = order.random(rows) < 1 / (1 + np.exp(-(0.15 * (age - 60) + 2.0 * (plan == "free") - 1.0)))
    since = pd.Timestamp("2023-01-01") + pd.to_timedelta(order.integers(0, 700, rows), "D")
    frame = pd.DataFrame(
        {"age": age.astype(float), "plan": plan, "since": since.strftime("%Y-%m-%d"), "noise": order.normal(size=rows)}
    )
    frame["said"] = [" ".join(order.choice(["fine", "slow", "great", "bug", "help", "thanks"], 5)) for _ in range(rows)]
    frame.loc[order.random(rows) < 0.1, "age"] = np.nan
    frame["left"] = np.where(left, "gone", "stays")
    return json.loads(frame.to_json(orient="records"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The people as a file, in a folder of its own."""
    place = tmp_path_factory.mktemp("people") / "people.csv"
    pd.DataFrame(people()).to_csv(place, index=False)
    return place


@pytest.fixture
def data(ctx: Context, table: Path) -> str:
    """The people as a file of the project."""
    (ctx.settings.project / "people.csv").write_bytes(table.read_bytes())
    return "people.csv"


def train(ctx: Context, **asked: Any) -> Any:
    return ML.train.call(ctx, asked)


def start(ctx: Context, **asked: Any) -> Any:
    return AUTOML.start.call(ctx, {"families": ["linear", "boosting"], "trials": 4, "folds": 3, **asked})


# From a table to a model ----------------------------------------------------------------------------------------------


def test_a_search_its_model_and_the_steps_after_it_work_on_a_messy_file(ctx: Context, data: str) -> None:
    study = start(ctx, data=data, target="left", trials=6)
    made = ML.fit.call(
        ctx,
        {"data": data, "target": "left", "members": study.members, "features": study.features, "metric": study.metric},
    )
    assert {one.name: one.kind for one in study.features} == {
        "age": "numeric", "plan": "categorical", "since": "date", "noise": "numeric", "said": "text",
    }  # fmt: skip
    calibration = ML.calibrate.call(ctx, {"model": made.model.uri, "data": data, "method": "sigmoid", "oof": study.oof})
    scores = ML.evaluate.call(ctx, {"model": calibration.model.uri, "data": data, "metrics": ["roc_auc", "accuracy"]})
    area = scores.metrics["roc_auc"]
    assert scores.baseline["roc_auc"] == 0.5 < area.low < area.value < area.high
    assert sum(map(sum, scores.confusion)) == scores.rows == 240
    explained = ML.explain.call(ctx, {"model": made.model.uri, "data": data})
    assert {one.name for one in explained.features[:2]} == {"age", "plan"}
    assert {one.name for one in explained.features} == {"age", "plan", "since", "noise", "said"}


def test_a_model_answers_records_with_holes_strings_and_unknown_values_as_after_a_restart(
    ctx: Context, data: str
) -> None:
    made = train(ctx, data=data, target="left")
    records = [
        {"age": "61", "plan": "free", "since": "2023-05-06", "noise": 0, "said": "bug bug help", "more": 1},
        {"age": None, "plan": "platinum", "since": None, "noise": "0.5", "said": None},
        {"age": 61.0, "plan": " free ", "since": "2023-05-06 00:00", "noise": 0.0, "said": "help, BUG bug"},
    ]
    found = ML.predict.call(ctx, {"model": made.model.uri, "records": records})
    assert set(found.predictions) <= {"gone", "stays"}
    assert [sum(row.values()) for row in found.probabilities] == pytest.approx([1] * 3)
    assert found.probabilities[0] == found.probabilities[2] != found.probabilities[1]
    later = ML.predict.call(replace(ctx, seed=7), {"model": made.model.uri, "data": records})
    assert later == found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"records": [{"age": 3}]}, "'plan'"),
        ({"records": []}, "no row"),
        ({}, "records: or data must be given"),
        ({"data": "builtin:iris", "records": [{"age": 3}]}, "not both"),
        ({"records": [{"age": "old", "plan": "free", "since": None, "noise": 1, "said": ""}]}, "'old' in row 1"),
    ],
)
def test_rows_that_cannot_be_predicted_are_refused_by_name(
    ctx: Context, data: str, change: dict[str, Any], says: str
) -> None:
    made = train(ctx, data=data, target="left")
    with pytest.raises(OrchestratorError, match=says):
        ML.predict.call(ctx, {"model": made.model.uri, **change})


@pytest.mark.parametrize("capability", [ML.train, AUTOML.start], ids=["train", "search"])
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"target": "lost"}, r"no column 'lost'|'lost'"),
        ({"metric": "rmse"}, "'rmse' does not fit a classification"),
        ({"metric": "acuracy"}, "Did you mean 'accuracy'"),
        ({"features": [{"name": "agee", "kind": "numeric"}]}, "no column 'agee'"),
        ({"features": [{"name": "age", "kind": "number"}]}, "numeric"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_before_anything_is_stored(
    ctx: Context,
    data: str,
    capability: Any,
    asked: dict[str, Any],
    says: str,
) -> None:
    with pytest.raises(InvalidInput, match=says):
        capability.call(ctx, {"data": data, "target": "left", **asked})
    assert not list(ctx.settings.home.glob("studies/*.log"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"trials": 0}, "trials"),
        ({"trials": -3}, "trials"),
        ({"seconds": 0}, "seconds"),
        ({"folds": 1}, "folds"),
        ({"group": "town"}, "no column 'town'"),
        ({"time": "left"}, "no column 'left'"),
        ({"families": ["svm", "boost"]}, "'boosting'"),
        ({"families": ["elastic_net"]}, "does not fit a classification"),
        ({"group": "plan", "time": "since"}, "not both"),
        ({"name": "../x"}, "name"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_by_the_field(
    ctx: Context, data: str, asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(OrchestratorError, match=says):
        start(ctx, data=data, target="left", **asked)


@pytest.mark.parametrize(
    ("params", "says"), [({"C": -1.0}, "'C' parameter"), ({"depth": 3}, "depth: LogisticRegression")]
)
def test_parameters_that_the_estimator_does_not_take_are_refused(
    ctx: Context, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        train(ctx, **CANCER, params=params)


def test_a_blend_is_the_weighted_mean_of_its_members_whatever_the_number_of_processors(ctx: Context) -> None:
    members = [{"family": "linear", "weight": 0.75}, {"family": "neighbors", "weight": 0.25}]
    both, again, linear, near = (
        ML.fit.call(replace(ctx, cpus=cpus), {**CANCER, "members": some}).model.uri
        for cpus, some in ((1, members), (2, members), (1, members[:1]), (1, members[1:]))
    )
    assert both == again
    chances = [
        np.array(
            [list(row.values()) for row in ML.predict.call(ctx, {"model": uri, "data": CANCER["data"]}).probabilities]
        )
        for uri in (both, linear, near)
    ]
    assert_allclose(chances[0], 0.75 * chances[1] + 0.25 * chances[2], rtol=1e-12)


# Against scikit-learn itself ------------------------------------------------------------------------------------------


@pytest.mark.requirement("training.known")
@pytest.mark.parametrize(
    ("name", "metric", "at_least"),
    [
        ("iris", "accuracy", 0.95),
        ("wine", "accuracy", 0.97),
        ("breast_cancer", "accuracy", 0.97),
        ("diabetes", "r2", 0.47),
    ],
)
def test_the_named_tables_reach_what_a_plain_script_reaches(
    ctx: Context, name: str, metric: str, at_least: float
) -> None:
    study = start(
        ctx, data=f"builtin:{name}", target="target", metric=metric, families=["linear", "splines"], trials=3, folds=5
    )
    assert study.score is not None
    assert study.score + study.sd / 5**0.5 >= at_least


@pytest.mark.requirement("calibration.methods", "calibration.held_out")
@pytest.mark.parametrize("way", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize(
    "base", [make_pipeline(StandardScaler(), LogisticRegression()), RandomForestClassifier(10, random_state=0)]
)
def test_calibration_is_that_of_scikit_learn_without_its_second_fits(ctx: Context, base: Any, way: Any) -> None:
    from mcp_orchestrator.methods.tables import frame

    table = frame(ctx, "builtin:wine")
    X, y = table.drop(columns="target").to_numpy(), table["target"].astype("category").cat.codes.to_numpy().astype(int)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    direct = CalibratedClassifierCV(base, method=way, cv=folds, ensemble=False).fit(X, y)
    given = {
        name: cross_val_predict(base, X, y, cv=folds, method=name)
        for name in ("predict_proba", "decision_function")
        if hasattr(base, name)
    }
    found = OutOfFold(np.arange(len(y)), given["predict_proba"], given.get("decision_function"))
    ours = calibrated(clone(base).fit(X, y), found, y, way)
    assert_allclose(ours.predict_proba(X), direct.predict_proba(X), rtol=1e-12)
    across = crossfitted(found, y, way)
    assert_allclose(across.sum(axis=1), 1)
    assert across.shape == found.predictions.shape


@pytest.mark.requirement("calibration.methods")
def test_an_overconfident_model_is_calibrated_and_a_good_one_is_left_alone(ctx: Context) -> None:
    order = np.random.default_rng(0)
    frame = pd.DataFrame(order.normal(size=(200, 3)), columns=list("abc"))
    frame["y"] = (frame["a"] + 2 * order.normal(size=200) > 0).map({True: "yes", False: "no"})
    rows = json.loads(frame.to_json(orient="records"))
    wild = train(ctx, data=rows, target="y", estimator="neighbors", params={"n_neighbors": 3, "weights": "distance"})
    found = ML.calibrate.call(ctx, {"model": wild.model.uri, "data": rows, "method": "sigmoid"})
    assert (found.kept, found.method) == (True, "sigmoid")
    assert found.after < 0.8 * found.before
    assert load(ctx, found.model.uri).facts["calibration"] == "sigmoid"
    good = train(ctx, data=rows, target="y", estimator="linear")
    left = ML.calibrate.call(ctx, {"model": good.model.uri, "data": rows, "method": "isotonic"})
    assert (left.kept, left.model.uri) == (False, good.model.uri)
    assert left.reason.startswith("no clear gain: log-loss")
    unasked = ML.calibrate.call(ctx, {"model": good.model.uri, "data": rows})
    assert unasked.reason.startswith("200 rows are too few")


def test_the_predictions_of_a_study_serve_for_calibration_and_threshold(ctx: Context, data: str) -> None:
    study = start(ctx, data=data, target="left", families=["boosting"], trials=1, folds=5)
    made = ML.fit.call(ctx, {"data": data, "target": "left", "members": study.members, "metric": study.metric})
    own, given = (
        ML.calibrate.call(ctx, {"model": made.model.uri, "data": data, "method": "sigmoid", "oof": oof})
        for oof in (None, study.oof)
    )
    assert own == given
    with pytest.raises(InvalidInput, match="another table"):
        ML.calibrate.call(ctx, {"model": made.model.uri, "data": people(60), "method": "sigmoid", "oof": study.oof})


# Threshold ------------------------------------------------------------------------------------------------------------


def test_a_fixed_threshold_decides_the_labels_and_leaves_the_probabilities(ctx: Context) -> None:
    made = train(ctx, **CANCER)
    low = ML.tune_threshold.call(ctx, {"model": made.model.uri, "data": CANCER["data"], "threshold": 0.1})
    before, after = (
        ML.predict.call(ctx, {"model": uri, "data": CANCER["data"]}) for uri in (made.model.uri, low.model.uri)
    )
    assert before.probabilities == after.probabilities
    assert after.predictions == ["malignant" if row["malignant"] >= 0.1 else "benign" for row in after.probabilities]
    assert after.predictions.count("malignant") > before.predictions.count("malignant")


def test_a_tuned_threshold_finds_more_of_a_rare_class(ctx: Context) -> None:
    order = np.random.default_rng(1)
    frame = pd.DataFrame(order.normal(size=(400, 2)), columns=["a", "b"])
    frame["y"] = np.where(frame["a"] + order.normal(size=400) > 1.9, "rare", "common")
    frame["y"] = frame["y"].map({"rare": 1, "common": 0})
    rows = json.loads(frame.to_json(orient="records"))
    (ctx.settings.project / "rare.json").write_text(json.dumps(rows))
    made = train(ctx, data="rare.json", target="y")
    tuned = ML.tune_threshold.call(ctx, {"model": made.model.uri, "data": "rare.json"})
    assert tuned.kept
    assert tuned.metric == "balanced_accuracy"
    assert 0 < tuned.threshold < 0.4
    assert tuned.after > tuned.before + 0.1
    balanced = [
        ML.evaluate.call(ctx, {"model": uri, "data": "rare.json"}).metrics["balanced_accuracy"].value
        for uri in (made.model.uri, tuned.model.uri)
    ]
    assert balanced[1] > balanced[0] + 0.1


def test_a_threshold_needs_two_classes(ctx: Context) -> None:
    made = train(ctx, data="builtin:iris", target="target")
    with pytest.raises(InvalidInput, match="this one has 3"):
        ML.tune_threshold.call(ctx, {"model": made.model.uri, "data": "builtin:iris", "threshold": 0.3})


def test_train_calibrates_and_sets_the_threshold_when_asked(ctx: Context) -> None:
    made = train(ctx, **CANCER, estimator="neighbors", cv=3, calibration="sigmoid", threshold=0.3)
    facts = load(ctx, made.model.uri).facts
    assert facts["threshold"] == 0.3
    assert len(made.fold_scores) == 3


# Groups, time, missing targets ----------------------------------------------------------------------------------------


def test_rows_without_a_target_are_left_out_and_counted(ctx: Context) -> None:
    rows = [{**row, "left": None} if place % 8 == 0 else row for place, row in enumerate(people(160))]
    made = train(ctx, data=rows, target="left")
    assert (made.rows, made.rows_without_target) == (140, 20)


def test_a_group_that_would_leak_makes_the_score_honest(ctx: Context) -> None:
    order = np.random.default_rng(2)
    groups = np.repeat(np.arange(40), 5)
    frame = pd.DataFrame(order.normal(size=(40, 6))[groups], columns=list("abcdef")) + 0.01 * order.normal(
        size=(200, 6)
    )
    frame = frame.assign(group=groups, y=order.integers(0, 2, 40)[groups])
    (ctx.settings.project / "grouped.json").write_text(frame.to_json(orient="records"))
    asked = {"data": "grouped.json", "target": "y", "families": ["neighbors"], "trials": 1}
    leaky = start(ctx, **asked, features=[{"name": "group", "kind": "drop"}])
    honest = start(ctx, **asked, group="group")
    assert leaky.score > 0.95 > honest.score + 0.15


# Studies --------------------------------------------------------------------------------------------------------------


def test_a_kept_study_is_still_there_and_goes_on_after_a_restart(ctx: Context) -> None:
    first = start(ctx, data="builtin:iris", target="target", name="irises", families=["linear"], trials=10)
    best = AUTOML.best.call(ctx, {"name": "irises"})
    assert best.model_copy(update={"seconds": 0}) == first.leaderboard[0].model_copy(update={"seconds": 0})
    more = AUTOML.resume.call(ctx, {"name": "irises", "trials": 20})
    assert (first.trials, more.trials) == (10, 20)
    board = AUTOML.leaderboard.call(ctx, {"name": "irises", "top": 5})
    assert [row.trial for row in board.rows] == [row.trial for row in more.leaderboard[:5]]
    again = start(ctx, data="builtin:iris", target="target", name="irises", families=["linear"], trials=10)
    timeless = {"seconds": True, "leaderboard": {"__all__": {"seconds"}}}
    assert again.model_dump(exclude=timeless) == more.model_dump(exclude=timeless)


def test_a_running_search_ends_when_it_is_asked_to(ctx: Context) -> None:
    def report(_fraction: float | None, _message: str) -> None:
        assert AUTOML.stop.call(ctx, {"name": "long"}).running

    found = start(replace(ctx, report=report), data="builtin:iris", target="target", name="long", trials=40)
    assert (found.stopped_by, found.trials) == ("request", 4)


def test_attached_rules_stop_a_search_and_each_trial_is_an_event_and_a_run(ctx: Context) -> None:
    CALLBACKS.attach.call(ctx, {"study": "watched", "early_stop": {"reach": 0.5}, "track": True})
    found = start(ctx, data="builtin:breast_cancer", target="target", name="watched", families=["linear"], trials=20)
    seen = CALLBACKS.attached.call(ctx, {"study": "watched"})
    assert (found.stopped_by, found.trials) == ("callback", 4)
    assert seen.trials == seen.events == seen.runs == 4
    assert "good enough" in found.notes[0]
    with Callbacks(ctx, "watched", greater_is_better=True) as callbacks:
        assert [one.number for one in callbacks.events()] == [0, 1, 2, 3]
        assert callbacks.events()[0].params["family"] == "linear"
    assert CALLBACKS.detach.call(ctx, {"study": "watched"}).rules is not None
    assert CALLBACKS.attached.call(ctx, {"study": "watched"}).rules is None


def test_a_replayed_study_is_not_mistaken_for_a_search(ctx: Context) -> None:
    CALLBACKS.replay.call(ctx, {"study": "mine", "values": [3, 2, 1]})
    with pytest.raises(InvalidInput, match="begun with another"):
        start(ctx, data="builtin:iris", target="target", name="mine")
    assert Studies(ctx).names() == ["mine"]


def test_a_class_with_one_row_is_refused_by_its_row(ctx: Context) -> None:
    rows = [{"a": place, "y": "once" if place == 7 else "often"} for place in range(40)]
    with pytest.raises(DataRejected, match=r"column 'y', row 8: the class 'once' has one row"):
        train(ctx, data=rows, target="y")
