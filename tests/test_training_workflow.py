"""The workflows through the Python API, on tables whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcp_orchestrator import get_workflow_summary, run_ml_workflow
from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.component import Context
from mcp_orchestrator.components.data import training_data_loader
from mcp_orchestrator.components.training import ml_integration
from mcp_orchestrator.errors import DataRejected, InvalidInput, Tampered, UnknownName
from mcp_orchestrator.pipeline import CalibrationSpec, ModelSpec
from mcp_orchestrator.view import RunView

QUICK: dict[str, Any] = {"families": ["linear"], "ensemble": "none", "tuning": {"trials": 2}, "tracking": False}
UNTRACKED = {"gates": {"tracked": False}}


@pytest.fixture
def orchestrator(tmp_path: Path) -> Iterator[Orchestrator]:
    with Orchestrator(tmp_path, in_process=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def cancer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orchestrator, RunView]]:
    """A tracked training on breast cancer, which the tests of one process share."""
    project = tmp_path_factory.mktemp("cancer")
    table().to_csv(project / "cancer.csv", index=False)
    with Orchestrator(project, in_process=True) as opened:
        given = {**QUICK, "tracking": True, "name": "cancer", "seed": 5}
        yield opened, opened.train_model("cancer.csv", "diagnosis", **given)


def table() -> pd.DataFrame:
    features, target = load_breast_cancer(return_X_y=True, as_frame=True)
    return features.assign(diagnosis=target.map({0: "malignant", 1: "benign"}))


def steps(run: RunView) -> dict[str, str]:
    return {one.name: one.status for one in run.steps}


def facts(run: RunView) -> dict[str, Any]:
    return run.model_dump(mode="json")


@pytest.mark.requirement("python.train", "workflow.train", "training.known")
def test_a_known_table_reaches_what_a_script_written_by_hand_reaches(cancer: tuple[Orchestrator, RunView]) -> None:
    _, run = cancer
    rows = table()
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    by_hand = cross_val_score(plain, rows.drop(columns="diagnosis"), rows["diagnosis"], cv=5, scoring="roc_auc").mean()
    measured = facts(run)["metrics"]["roc_auc"]
    assert measured["low"] <= by_hand <= measured["high"]
    assert facts(run)["validation"]["mean"] == pytest.approx(by_hand, abs=0.01)
    assert not run.degraded
    made = {one["sha256"] for one in cancer[0].journal.artifacts(run.run_id)}
    assert {one["sha256"] for one in facts(run)["artifacts"]} <= made


@pytest.mark.requirement("tracking.register", "versions.aliases", "gates.tracked")
def test_a_model_that_passes_its_gates_is_registered_and_promoted(cancer: tuple[Orchestrator, RunView]) -> None:
    orchestrator, run = cancer
    (version,) = orchestrator.models("cancer")
    assert (version.version, version.aliases, version.sha256) == (1, ["champion"], facts(run)["model"]["sha256"])
    assert {one["name"]: one["passed"] for one in facts(run)["gates"]} == {
        "baseline": True,
        "stability": True,
        "tracked": True,
        "explained": True,
    }


@pytest.mark.requirement("training.baseline", "build.problem")
def test_task_and_metric_are_inferred_and_the_baseline_stands_beside_the_figures(
    cancer: tuple[Orchestrator, RunView],
) -> None:
    found = facts(cancer[1])
    assert (found["task"], found["metric"]) == ("classification", "roc_auc")
    assert found["baseline"]["roc_auc"] == 0.5
    assert found["baseline"].keys() == found["metrics"].keys()


@pytest.mark.requirement("training.card", "training.importance")
def test_card_and_plots_lie_where_the_answer_says(cancer: tuple[Orchestrator, RunView]) -> None:
    found = facts(cancer[1])
    files = {one["name"]: Path(one["path"]).read_bytes() for one in found["artifacts"]}
    assert {"model_card.md", "plots/roc.png", "plots/importance.png", "plots/calibration.png"} <= files.keys()
    assert all(content.startswith(b"\x89PNG") for name, content in files.items() if name.endswith(".png"))
    card = files["model_card.md"].decode()
    assert all(text in card for text in ("diagnosis", "roc_auc", "Baseline", found["importance"][0]["name"]))


@pytest.mark.requirement("python.predict")
def test_predictions_for_rows_are_those_for_the_table_and_mostly_right(cancer: tuple[Orchestrator, RunView]) -> None:
    orchestrator, _ = cancer
    rows = table()
    some = rows.drop(columns="diagnosis").head(50)
    answer = orchestrator.predict("cancer", some)
    assert answer["predictions"] == orchestrator.predict("cancer@1", some.to_dict("records"))["predictions"]
    assert np.mean(np.array(answer["predictions"]) == rows["diagnosis"].head(50)) > 0.9
    likely = [max(one, key=one.__getitem__) for one in answer["probabilities"]]
    assert likely == answer["predictions"]


@pytest.mark.requirement("python.evaluate", "workflow.evaluate")
def test_an_evaluation_on_new_rows_measures_and_judges(cancer: tuple[Orchestrator, RunView]) -> None:
    orchestrator, _ = cancer
    found = facts(orchestrator.evaluate("cancer@champion", table().sample(200, random_state=1)))
    assert found["passed"] is True
    assert found["metrics"]["roc_auc"]["value"] > 0.98
    noise = table().assign(diagnosis=lambda rows: rows["diagnosis"].sample(frac=1, random_state=3).to_numpy())
    spoiled = facts(orchestrator.evaluate("cancer", noise))
    assert spoiled["passed"] is False
    assert spoiled["metrics"]["roc_auc"]["value"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.requirement("python.save", "python.load", "safety.models")
def test_a_saved_model_predicts_identically_in_another_project_and_a_changed_one_is_refused(
    cancer: tuple[Orchestrator, RunView],
    tmp_path: Path,
) -> None:
    orchestrator, _ = cancer
    file = orchestrator.save_model("cancer", tmp_path / "cancer.model")
    some = table().drop(columns="diagnosis").head(20)
    (tmp_path / "other").mkdir()
    with Orchestrator(tmp_path / "other", in_process=True) as other:
        with pytest.raises(UnknownName, match="cancer"):
            other.predict("cancer", some)
        other.load_model(file, "cancer")
        assert other.predict("cancer", some) == orchestrator.predict("cancer", some)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises((Tampered, InvalidInput), match=r"cancer\.model"):
            other.load_model(file, "changed")
        assert [one.name for one in other.models()] == ["cancer"]


@pytest.mark.slow
@pytest.mark.requirement("workflow.random_state")
def test_the_same_spec_and_seed_give_the_same_figures_twice(orchestrator: Orchestrator) -> None:
    first, again, other = (
        facts(orchestrator.train_model("builtin:wine", "target", name="wine", seed=seed, **QUICK)) for seed in (1, 1, 2)
    )
    assert first["metrics"] == again["metrics"]
    assert first["model"]["sha256"] == again["model"]["sha256"]
    assert first["model"]["sha256"] != other["model"]["sha256"]


@pytest.mark.requirement("workflow.order")
def test_nothing_that_is_fitted_or_chosen_has_seen_the_test_part(orchestrator: Orchestrator) -> None:
    """The test part is the latest fifth; spoiling it must change the figures of the test and nothing before it."""
    chance = np.random.default_rng(0)
    x = chance.normal(size=(300, 3))
    rows = pd.DataFrame(x, columns=["a", "b", "c"]).assign(
        day=pd.date_range("2024-01-01", periods=300),
        y=np.where(x[:, 0] + chance.normal(scale=0.5, size=300) > 0, "up", "down"),
    )
    spoiled = rows.copy()
    spoiled.loc[240:, ["a", "b", "c"]] = chance.normal(loc=50, scale=20, size=(60, 3))
    given = {**QUICK, "validation": {"time": "day"}, "calibration": "sigmoid", "threshold": "auto", "seed": 1}
    honest, other = (facts(orchestrator.train_model(data, "y", name="order", **given)) for data in (rows, spoiled))
    assert honest["leaderboard"] == other["leaderboard"]
    assert honest["validation"] == other["validation"]
    assert honest["model"]["members"] == other["model"]["members"]
    assert honest["metrics"]["roc_auc"]["value"] > 0.8 > other["metrics"]["roc_auc"]["value"]
    names = [one["name"] for one in honest["steps"]]
    assert names[: names.index("test") + 1] == [
        "load",
        "check",
        "split",
        "recall",
        "tune",
        "fit",
        "calibrate",
        "threshold",
        "test",
    ]


@pytest.mark.requirement("training.noise")
def test_pure_noise_is_said_to_be_no_better_than_the_baseline_and_is_not_promoted(orchestrator: Orchestrator) -> None:
    chance = np.random.default_rng(1)
    rows = pd.DataFrame(chance.normal(size=(200, 4)), columns=list("abcd")).assign(y=chance.integers(0, 2, 200))
    run = orchestrator.train_model(rows, "y", name="noise", **QUICK, **UNTRACKED)
    failed = [one["name"] for one in facts(run)["gates"] if not one["passed"]]
    assert "baseline" in failed
    assert steps(run)["promote"] == "skipped"
    assert orchestrator.models("noise")[0].aliases == []


@pytest.mark.requirement("data.leakage")
def test_a_column_that_gives_the_target_away_is_named(orchestrator: Orchestrator) -> None:
    rows = table().assign(treatment=lambda all_rows: all_rows["diagnosis"].map({"malignant": 7.5, "benign": 1.0}))
    run = orchestrator.train_model(rows, "diagnosis", name="leak", **QUICK, **UNTRACKED)
    assert any("treatment" in one for one in facts(run)["warnings"])


@pytest.mark.slow
@pytest.mark.requirement("tracking.off")
def test_without_tracking_the_model_stands_and_the_gate_that_asks_for_it_says_so(orchestrator: Orchestrator) -> None:
    run = orchestrator.train_model("builtin:iris", "target", name="iris", **QUICK)
    assert steps(run)["track"] == "skipped"
    assert [one["name"] for one in facts(run)["gates"] if not one["passed"]] == ["tracked"]
    assert orchestrator.predict("iris@1", "builtin:iris")["predictions"][0] == "setosa"


@pytest.mark.requirement("tracking.off", "engine.optional")
def test_a_tracker_that_fails_leaves_the_model_standing_and_the_run_degraded(orchestrator: Orchestrator) -> None:
    (orchestrator.settings.home / "mlflow.db").write_bytes(b"no database at all")
    run = orchestrator.train_model("builtin:iris", "target", name="iris", **{**QUICK, "tracking": True})
    assert run.degraded
    assert steps(run)["track"] == "failed"
    assert len(orchestrator.models("iris")) == 1


@pytest.mark.slow
@pytest.mark.requirement("workflow.compare")
def test_a_worse_model_does_not_take_the_champion_s_place(orchestrator: Orchestrator) -> None:
    rows = table()
    first = orchestrator.train_model(rows, "diagnosis", name="cancer", **QUICK, **UNTRACKED)
    assert steps(first)["promote"] == "done"
    worse = rows.drop(columns=[name for name in rows if name not in {"mean smoothness", "diagnosis"}])
    second = orchestrator.train_model(
        rows[[*worse.columns, *[name for name in rows if name not in worse]]],
        "diagnosis",
        name="cancer",
        features=[{"name": name, "kind": "drop"} for name in rows if name not in {"mean smoothness", "diagnosis"}],
        **QUICK,
        **UNTRACKED,
    )
    assert steps(second)["promote"] == "skipped"
    assert {one.version: one.aliases for one in orchestrator.models("cancer")} == {2: [], 1: ["champion"]}
    compared = facts(orchestrator.evaluate("cancer@1", rows, against="cancer@2"))["comparison"]
    assert (compared["better"], compared["p"] < 0.001) == ("this", True)


@pytest.mark.requirement("safety.whole", "engine.required")
def test_what_cannot_be_trained_on_leaves_no_run_and_no_model(orchestrator: Orchestrator) -> None:
    with pytest.raises(DataRejected, match="every row is of the class"):
        orchestrator.train_model(pd.DataFrame({"x": range(20), "y": ["same"] * 20}), "y", **QUICK)
    assert orchestrator.journal.runs() == []
    assert orchestrator.models() == []


@pytest.mark.requirement("calibration.fails")
def test_a_run_that_is_resumed_repeats_no_finished_step(orchestrator: Orchestrator) -> None:
    run = orchestrator.train_model("builtin:wine", "target", **{**QUICK, "tracking": True})
    with orchestrator.journal.door.write() as db:
        db.execute("DELETE FROM step WHERE run=? AND name IN ('gate', 'promote')", (run.run_id,))
        db.execute("UPDATE run SET status='failed' WHERE id=?", (run.run_id,))

    async def resumed() -> RunView:
        return await orchestrator.wait((await orchestrator.engine.resume(run.run_id)).id)

    again = orchestrator._sync(resumed)
    own = {"seconds", "steps", "run_id"}
    assert again.model_dump(exclude=own) == run.model_dump(exclude=own)
    begun = {one.step for one in orchestrator.journal.events(again.run_id) if one.kind == "step_done"}
    assert begun == {"gate", "promote"}


def test_a_feature_store_is_refused_with_what_to_do_instead(orchestrator: Orchestrator) -> None:
    store = {"repository": "features", "features": ["customers:age"]}
    with pytest.raises(InvalidInput, match="joined table as data"):
        orchestrator.train_model("builtin:iris", "target", feature_store=store)
    assert orchestrator.journal.runs() == []


def test_a_calibration_that_fails_leaves_the_model_standing_and_is_named() -> None:
    rows = table().groupby("diagnosis").head(50)
    given = CalibrationSpec(method="isotonic", cv_folds=50)  # more folds than rows of a class in the training part
    linear = ModelSpec(algorithm="linear")
    rest, truth = rows.drop(columns="diagnosis"), rows["diagnosis"]
    results = run_ml_workflow(None, linear, rest, truth, "none", calibration_spec=given)
    assert results["degraded"]
    assert results["test_accuracy"] > 0.8
    summary = get_workflow_summary(results)
    assert "calibration" in summary["left_out"]
    assert not summary["calibration_enabled"]


@pytest.mark.requirement("custom.function")
def test_a_workflow_of_one_s_own_is_a_plain_function_over_the_same_parts(ctx: Context) -> None:
    def compared(data: str, target: str, names: list[str]) -> dict[str, float]:
        parts = training_data_loader.split.call(ctx, {"data": data, "target": target, "seed": 2})
        models = [
            ml_integration.train.call(ctx, {"data": parts.train.uri, "target": target, "estimator": name})
            for name in names
        ]
        scores = [ml_integration.evaluate.call(ctx, {"model": one.model.uri, "data": parts.test.uri}) for one in models]
        return {name: one.metrics["accuracy"].value for name, one in zip(names, scores, strict=True)}

    found = compared("builtin:digits", "target", ["linear", "neighbors"])
    assert found["neighbors"] > 0.97 > found["linear"] > 0.9
