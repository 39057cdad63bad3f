"""Models and aliases as MLflow shows them: a projection of `mcp_orchestrator.tracking.versions`, always repeatable."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.tracking.experiments import Tracker
from mcp_orchestrator.tracking.versions import Version, Versions
from mcp_orchestrator.values import Estimate, Trained

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model

__all__ = ["Contents", "forget", "log_model", "project"]

VERSION_TAG, DIGEST_TAG = "orchestrator.version", "orchestrator.sha256"
MODEL_TAG = "orchestrator.model"
FILE = "model.skops"
LONGEST = 6000


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What MLflow is told of a model: its stored file, and what stands in it.

    ``columns`` are pairs of name and MLflow type, ``allowed`` the types of our allow-list that the file holds.
    """

    trained: Trained
    file: Path
    columns: Sequence[tuple[str, str]]
    requirements: Sequence[str]
    sklearn: str
    allowed: Sequence[str]
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])


def log_model(
    tracker: Tracker,
    contents: Contents,
    *,
    run_id: str | None = None,
    metrics: Mapping[str, Estimate | float] | None = None,
) -> str:
    """Show a stored model in MLflow, with signature and requirements, and return MLflow's id of it.

    The stored file is copied as it is; nothing is dumped or inferred again.

    Raises:
        StateUnavailable: MLflow could not record it.

    """
    from mlflow.entities import LoggedModelOutput

    client = tracker.client
    with tracker.writing():
        logged = client.create_logged_model(
            tracker.experiment,
            name=contents.trained.estimator,
            source_run_id=run_id,
            tags={DIGEST_TAG: contents.trained.sha256},
            params={name: str(value)[:LONGEST] for name, value in contents.params.items()},
        )
        model_id: str = logged.model_id
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), contents, _described(contents, run_id, model_id, logged.artifact_location))
            client.log_model_artifacts(model_id, folder)
        client.finalize_logged_model(model_id, "READY")
        if run_id is not None:
            client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
            if metrics:
                tracker.log(run_id, metrics=metrics, model_id=model_id)
    return model_id


def project(
    tracker: Tracker, versions: Versions, name: str, contents: Callable[[Version], Contents]
) -> dict[str, dict[str, str]]:
    """Make MLflow's registered model ``name`` show the versions and aliases of ours; return its ids by version.

    What was deleted here is deleted there. ``contents`` is asked for the versions that MLflow does not hold yet.

    Raises:
        UnknownName: there is no such model.
        StateUnavailable: MLflow could not record it.

    """
    client = tracker.client
    ours = versions.list(name)
    gone = {str(one.version) for one in versions.deletions(name)}
    with tracker.writing():
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        shown = {
            found.tags[VERSION_TAG]: found
            for found in client.search_model_versions(f"name = '{name}'")
            if VERSION_TAG in found.tags
        }
        for number in gone & shown.keys():
            client.delete_model_version(name, shown.pop(number).version)
        for version in sorted(ours, key=lambda one: one.version):
            if str(version.version) not in shown:
                shown[str(version.version)] = _show(tracker, version, contents)
        wanted = {alias: str(shown[str(one.version)].version) for one in ours for alias in one.aliases}
        present: dict[str, str] = {
            alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()
        }
        for alias in present.keys() - wanted.keys():
            client.delete_registered_model_alias(name, alias)
        for alias, number in wanted.items():
            if present.get(alias) != number:
                client.set_registered_model_alias(name, alias, number)
    ids = {key: {"version": str(found.version), "model": found.tags[MODEL_TAG]} for key, found in shown.items()}
    for version in ours:
        told = ids[str(version.version)]
        if any(version.mlflow.get(key) != value for key, value in told.items()):
            versions.record(name, version.version, told)
    return ids


def forget(tracker: Tracker, model_id: str) -> None:
    """Remove a model that MLflow keeps: its files, then the mark at its run that it is there, then itself.

    Raises:
        StateUnavailable: MLflow could not do it.
        OSError: its files cannot be removed.

    """
    client = tracker.client
    folder = (tracker.home / "mlartifacts" / "models" / model_id).absolute()
    with tracker.writing():
        if folder.parent.name == "models" and folder.is_dir():
            shutil.rmtree(folder)
        found = client.search_logged_models(
            [one.experiment_id for one in client.search_experiments()], f"model_id = '{model_id}'"
        )
        for one in found:
            run = client.get_run(one.source_run_id) if one.source_run_id else None
            if run is not None and run.data.tags.get(MODEL_TAG, "").endswith(f" {model_id}"):
                client.delete_tag(run.info.run_id, MODEL_TAG)
            client.delete_logged_model(model_id)


def _show(tracker: Tracker, version: Version, contents: Callable[[Version], Contents]) -> ModelVersion:
    """Make MLflow's version of one of ours.

    MLflow would look a model up by its id in the database that is its default, not in the client's; so the version
    names the model's folder, and the model is told of the version by the tag that MLflow's page reads.
    """
    client, run_id = tracker.client, version.mlflow.get("run")
    model_id = version.mlflow.get("model") or log_model(tracker, contents(version), run_id=run_id)
    made = client.create_model_version(
        version.name,
        client.get_logged_model(model_id).artifact_location,
        run_id=run_id,
        tags={VERSION_TAG: str(version.version), DIGEST_TAG: version.sha256, MODEL_TAG: model_id},
        await_creation_for=0,
    )
    told = json.dumps([{"name": version.name, "version": str(made.version)}])
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": told})
    return made


def _described(contents: Contents, run_id: str | None, model_id: str, location: str) -> Model:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    trained = contents.trained
    answer = "double" if trained.task == "regression" else _type(trained.classes)
    model = Model(
        artifact_path=location,
        run_id=run_id,
        model_uuid=model_id,
        model_id=model_id,
        model_size_bytes=contents.file.stat().st_size,
        metadata={"sha256": trained.sha256, "target": trained.target, "task": trained.task},
        signature=ModelSignature(
            Schema([ColSpec(kind, name) for name, kind in contents.columns]),
            Schema([ColSpec(answer, trained.target)]),
        ),
    )
    model.add_flavor(
        "python_function",
        loader_module="mlflow.sklearn",
        model_path=FILE,
        predict_fn="predict",
        python_version=platform.python_version(),
        env={"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
    )
    model.add_flavor(
        "sklearn",
        pickled_model=FILE,
        sklearn_version=contents.sklearn,
        serialization_format="skops",
        skops_trusted_types=list(contents.allowed),
        code=None,
    )
    return model


def _write(folder: Path, contents: Contents, model: Model) -> None:
    import yaml

    python, requirements = platform.python_version(), list(contents.requirements)
    conda: dict[str, Any] = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": requirements}],
    }
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    (folder / FILE).write_bytes(contents.file.read_bytes())
    (folder / "requirements.txt").write_text("\n".join(requirements), "utf-8")
    (folder / "conda.yaml").write_text(yaml.safe_dump(conda, sort_keys=False), "utf-8")
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment, sort_keys=False), "utf-8")
    model.save(str(folder / "MLmodel"))


def _type(classes: list[Any]) -> str:
    kinds = {type(label) for label in classes}
    if len(kinds) != 1:
        return "string"
    return {bool: "boolean", int: "long", float: "double"}.get(kinds.pop(), "string")
