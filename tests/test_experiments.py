"""MLflow shows runs, trials, files, models and aliases as they are in our own records, and only in the state home."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import Model
from sklearn.ensemble import HistGradientBoostingClassifier

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import StateUnavailable, UnknownName
from mcp_orchestrator.methods.models import store
from mcp_orchestrator.methods.models.exports import contents_of
from mcp_orchestrator.methods.models.manifests import MODEL, read
from mcp_orchestrator.tracking.experiments import Tracker, Trial, prepare
from mcp_orchestrator.tracking.registrations import log_model, project
from mcp_orchestrator.tracking.versions import Version, Versions
from mcp_orchestrator.values import Dataset, Estimate, Profile, Trained, Value

FRAME = pd.DataFrame({"width": range(40), "wet": [True, False] * 20, "color": ["red", "blue"] * 20})
TRIALS = [
    Trial(
        number=0, params={"family": "linear", "C": 1.0}, metrics={"log_loss": 0.4}, started=2_000_000, ended=5_000_000
    ),
    Trial(number=1, params={"family": "boosting"}, metrics={"log_loss": 0.3}, name="the best"),
    Trial(number=2, params={"family": "svm"}, state="pruned"),
    Trial(number=3, params={"family": "knn"}, state="failed", reason="it did not converge"),
]


class Spec(Value):
    """A feature as the store sees it."""

    name: str
    kind: str


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("template"))


@pytest.fixture
def tracker(ctx: Context, template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    """A tracker whose database is a copy of one that was migrated before; the working folder is empty."""
    ctx.settings.home.mkdir()
    (ctx.settings.home / "mlflow.db").write_bytes(template.read_bytes())
    monkeypatch.chdir(ctx.settings.project)
    with Tracker(ctx.settings.home, "flowers") as opened:
        yield opened


def trained(ctx: Context, leaves: int = 3) -> Trained:
    model = HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=leaves, min_samples_leaf=5)
    inputs = FRAME[["width", "wet"]]
    return store(
        ctx,
        model.fit(inputs, FRAME["color"]),
        task="classification",
        target="color",
        features=[Spec(name="width", kind="numeric"), Spec(name="wet", kind="boolean"), Spec(name="id", kind="drop")],
        classes=["blue", "red"],
        reference=FRAME,
    )


def children(tracker: Tracker, run_id: str) -> list[Any]:
    found = tracker.client.search_runs([tracker.experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return sorted(found, key=lambda run: int(run.data.tags["orchestrator.trial"]))


def test_the_database_is_made_once_and_the_next_process_finds_it_ready(tmp_path: Path) -> None:
    place = prepare(tmp_path)
    before = place.stat()
    assert place.read_bytes()[18:20] == b"\x02\x02", "it is in WAL mode"
    assert prepare(tmp_path) == place
    assert place.stat().st_mtime_ns == before.st_mtime_ns
    client = MlflowClient(tracking_uri=f"sqlite:///{place}")
    assert client.get_experiment("0").artifact_location.startswith(tmp_path.as_uri())
    assert {file.name for file in tmp_path.iterdir()} <= {
        "mlflow.db",
        "mlflow.db.lock",
        "mlflow.db-wal",
        "mlflow.db-shm",
    }


@pytest.mark.slow
def test_processes_that_start_together_make_one_database(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from mcp_orchestrator.tracking.experiments import Tracker\n"
        "with Tracker(Path(sys.argv[1]), 'flowers') as tracker:\n"
        "    print(tracker.experiment, tracker.start('run', run=sys.argv[2]))\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in ("r1", "r1")
    ]
    told = [process.communicate()[0].split() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert told[0] == told[1]


@pytest.mark.requirement("tracking.run")
def test_a_run_shows_its_parameters_metrics_with_intervals_data_and_files(tracker: Tracker) -> None:
    data = Dataset(
        uri="dataset://flowers@" + "a" * 64,
        name="flowers",
        sha256="a" * 64,
        rows=40,
        columns=3,
        bytes=1,
        source="flowers.csv",
        profile=Profile(rows=40, columns=[]),
    )
    params = {"seed": 7, "tuning": {"method": "bayesian", "trials": None}, "long": "x" * 7000, "odd|name": True}
    run_id = tracker.start("flowers", run="r1", params=params, tags={"degraded": "false"}, dataset=data)
    tracker.log(run_id, metrics={"accuracy": Estimate(value=0.9, low=0.8, high=0.95), "log_loss": 0.3})
    tracker.files(run_id, {"plots/roc.png": b"\x89PNG", "model_card.md": "# Card: é"})
    tracker.end(run_id)
    run = tracker.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["tuning.method"] == "bayesian"
    assert (run.data.params["seed"], run.data.params["odd_name"], len(run.data.params["long"])) == ("7", "True", 6000)
    assert run.data.metrics == {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "log_loss": 0.3}
    assert (run.data.tags["degraded"], run.data.tags["orchestrator.run"]) == ("false", "r1")
    assert run.inputs is not None
    assert run.inputs.dataset_inputs[0].dataset.digest == "a" * 32
    assert {file.path for file in tracker.client.list_artifacts(run_id)} == {"plots", "model_card.md"}
    files = Path(tracker.home, "mlartifacts", run_id, "artifacts")
    assert (files / "plots" / "roc.png").read_bytes() == b"\x89PNG"
    assert (files / "model_card.md").read_text("utf-8") == "# Card: é"
    assert not [place.name for place in Path.cwd().iterdir() if place.name.startswith("ml")]


@pytest.mark.requirement("tracking.run")
def test_trials_are_runs_below_their_parent_in_the_state_they_ended_in(tracker: Tracker) -> None:
    run_id = tracker.start("flowers")
    ids = tracker.trials(run_id, TRIALS)
    below = children(tracker, run_id)
    assert [run.info.run_id for run in below] == ids
    assert [run.info.status for run in below] == ["FINISHED", "FINISHED", "KILLED", "FAILED"]
    assert below[0].data.params == {"family": "linear", "C": "1.0"}
    assert (below[0].info.start_time, below[0].info.end_time) == (2000, 5000)
    assert [run.data.metrics.get("log_loss") for run in below] == [0.4, 0.3, None, None]
    assert [run.info.run_name for run in below] == ["trial 0", "the best", "trial 2", "trial 3"]
    assert below[3].data.tags["mlflow.note.content"] == "it did not converge"


def test_a_trial_that_is_inserted_is_like_one_that_mlflow_writes(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    odd = Trial(
        number=0,
        name="odd",
        params={"a": None, "b": {"c": 1.5}, "long": "x" * 7000},
        metrics={"nan": math.nan, "inf": math.inf, "less": -math.inf, "one|two": 1.0, "loss": 0.5},
        state="pruned",
        reason="too slow",
        started=2_000_000,
        ended=5_000_000,
    )
    run_id = tracker.start("flowers")
    by_mlflow, inserted = tracker.trials(run_id, [odd, odd.model_copy(update={"number": 1})])
    assert told(tracker, inserted) == {**told(tracker, by_mlflow), "trial": "1"}
    assert told(tracker, inserted)["status"] == "KILLED"
    found = tracker.client.search_runs([tracker.experiment], "metrics.loss < 0.6 and params.`b.c` = '1.5'")
    assert {run.info.run_id for run in found} == {by_mlflow, inserted}
    tracker.client.log_metric(inserted, "loss", 0.4, step=1)
    assert tracker.client.get_run(inserted).data.metrics["loss"] == 0.4

    def changed(*_: object) -> list[str]:
        raise sqlite3.OperationalError("no such column")

    monkeypatch.setattr("mcp_orchestrator.tracking.experiments.insert_like", changed)
    more = [odd.model_copy(update={"number": number}) for number in (2, 3)]
    assert told(tracker, tracker.trials(run_id, more)[1]) == {**told(tracker, by_mlflow), "trial": "3"}
    assert "one by one" in caplog.text


def told(tracker: Tracker, run_id: str) -> dict[str, Any]:
    """Return all that MLflow says of a run but for its id."""
    run = tracker.client.get_run(run_id)
    info = {name: value for name, value in dict(run.info).items() if name not in {"run_id", "run_uuid"}}
    tags = dict(run.data.tags)
    history = [tracker.client.get_metric_history(run_id, name) for name in sorted(run.data.metrics)]
    metrics = [(one.key, str(one.value), one.timestamp, one.step) for found in history for one in found]
    return {
        **info,
        "artifact_uri": str(info["artifact_uri"]).replace(run_id, ""),
        "trial": tags.pop("orchestrator.trial"),
        "tags": tags,
        "params": run.data.params,
        "metrics": metrics,
        "latest": {name: str(value) for name, value in run.data.metrics.items()},
    }


def test_a_step_that_is_run_again_adds_nothing_twice(tracker: Tracker) -> None:
    run_id = tracker.start("flowers", run="r1", params={"seed": 1})
    first = tracker.trials(run_id, TRIALS[:2])
    tracker.end(run_id, "FAILED")
    assert tracker.start("flowers", run="r1", params={"seed": 1}) == run_id
    assert tracker.client.get_run(run_id).info.status == "RUNNING"
    assert tracker.trials(run_id, TRIALS)[:2] == first
    assert len(children(tracker, run_id)) == len(TRIALS)
    assert tracker.start("flowers", run="r2") != run_id


@pytest.mark.requirement("tracking.run")
def test_the_logged_model_is_the_stored_file_with_signature_and_requirements(ctx: Context, tracker: Tracker) -> None:
    ref = trained(ctx)
    run_id = tracker.start("flowers")
    model_id = log_model(tracker, contents_of(ctx, ref.sha256, {"leaves": 3}), run_id=run_id, metrics={"accuracy": 1.0})
    logged = tracker.client.get_logged_model(model_id)
    assert (logged.status, logged.source_run_id, logged.params) == ("READY", run_id, {"leaves": "3"})
    assert [(metric.key, metric.value) for metric in logged.metrics or []] == [("accuracy", 1.0)]
    outputs = tracker.client.get_run(run_id).outputs
    assert outputs is not None
    assert [output.model_id for output in outputs.model_outputs] == [model_id]
    folder = tracker.home / "mlartifacts" / "models" / model_id / "artifacts"
    assert (folder / MODEL).read_bytes() == ctx.artifacts.path(read(ctx, ref.sha256).files[MODEL]).read_bytes()
    described = Model.load(str(folder))
    signature = described.signature
    assert [(column.name, column.type.name) for column in signature.inputs] == [("width", "double"), ("wet", "boolean")]
    assert [(column.name, column.type.name) for column in signature.outputs] == [("color", "string")]
    assert described.metadata is not None
    assert described.metadata["sha256"] == ref.sha256
    assert described.flavors["sklearn"]["skops_trusted_types"] == [
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
    ]
    requirements = (folder / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in requirements} == {
        "mlflow",
        "scikit-learn",
        "numpy",
        "scipy",
        "pandas",
        "skops",
    }


def test_mlflow_itself_can_load_what_it_is_shown(
    ctx: Context, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.sklearn import load_model

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")  # MLflow counts skops as pickle there
    model_id = log_model(tracker, contents_of(ctx, trained(ctx).sha256))
    loaded: Any = load_model(str(tracker.home / "mlartifacts" / "models" / model_id / "artifacts"))
    assert loaded.predict(FRAME[["width", "wet"]]).tolist() == FRAME["color"].tolist()


@pytest.mark.requirement("deploy.registry")
def test_versions_and_aliases_are_shown_as_they_are_and_follow_each_move(ctx: Context, tracker: Tracker) -> None:
    def shown() -> dict[str, str]:
        found = tracker.client.get_registered_model("flower").aliases
        versions = {str(one.version): one for one in tracker.client.search_model_versions("name = 'flower'")}
        return {alias: versions[str(number)].tags["orchestrator.sha256"] for alias, number in found.items()}

    def contents(version: Version) -> Any:
        asked.append(version.version)
        return contents_of(ctx, version.sha256)

    asked: list[int] = []
    refs = [trained(ctx, leaves) for leaves in (3, 4)]
    with Versions(ctx.settings.home) as versions:
        for ref in refs:
            versions.register("flower", ref)
        versions.promote("flower", 1)
        versions.set_alias("flower", "challenger", 2)
        project(tracker, versions, "flower", contents)
        assert shown() == {"champion": refs[0].sha256, "challenger": refs[1].sha256}
        versions.promote("flower", 2)
        ids = project(tracker, versions, "flower", contents)
        assert shown() == {"champion": refs[1].sha256}
        assert asked == [1, 2]
        assert {key: versions.get(f"flower@{key}").mlflow for key in ids} == ids
        tracker.client.set_registered_model_alias("flower", "champion", "1")
        project(tracker, versions, "flower", contents)
        assert shown() == {"champion": refs[1].sha256}
        with pytest.raises(UnknownName, match="flower"):
            project(tracker, versions, "flwer", contents)
    assert not [place.name for place in Path.cwd().iterdir() if place.name.startswith("ml")]


def test_a_version_that_a_run_made_points_at_that_run_and_its_model(ctx: Context, tracker: Tracker) -> None:
    ref = trained(ctx)
    run_id = tracker.start("flowers")
    model_id = log_model(tracker, contents_of(ctx, ref.sha256), run_id=run_id)
    with Versions(ctx.settings.home) as versions:
        versions.register("flower", ref)
        versions.record("flower", 1, {"run": run_id, "model": model_id})
        ids = project(tracker, versions, "flower", lambda version: contents_of(ctx, version.sha256))
    assert ids["1"]["model"] == model_id
    (found,) = tracker.client.search_model_versions("name = 'flower'")
    assert found.run_id == run_id


def test_what_mlflow_refuses_is_an_error_of_ours(tracker: Tracker) -> None:
    with pytest.raises(StateUnavailable, match="could not record"):
        tracker.log("0" * 32, params={"a": 1})
