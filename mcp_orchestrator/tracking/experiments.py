"""MLflow's view of the runs: one parent run each, its trials below it, parameters, metrics, plots and the model.

It is a projection: the journal and `mcp_orchestrator.tracking.versions` hold the truth. Only `MlflowClient` is used,
never the fluent functions with their process-wide state, and nothing is logged in the background.
"""

from __future__ import annotations

import logging
import re
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from mcp_orchestrator.errors import StateUnavailable
from mcp_orchestrator.tracking.rows import Entry, insert_like
from mcp_orchestrator.tracking.store import DATABASE, artifacts_of, client_of, locked, prepare
from mcp_orchestrator.values import Dataset, Estimate, Value

if TYPE_CHECKING:
    from mlflow.entities import Metric

__all__ = ["Tracker", "Trial", "prepare"]

EXPERIMENT = "mcp-orchestrator"
RUN_TAG, TRIAL_TAG, PARENT_TAG = "orchestrator.run", "orchestrator.trial", "mlflow.parentRunId"
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
FOREIGN = re.compile(r"[^\w\-. /:]")
LONGEST = 6000
log = logging.getLogger(__name__)


class Trial(Value):
    """One candidate that was tried; times in microseconds UTC."""

    number: int
    params: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    state: Literal["complete", "pruned", "failed"] = "complete"
    reason: str = ""
    name: str = ""
    started: int | None = None
    ended: int | None = None


class Tracker:
    """Writes runs into MLflow's database of a state home."""

    def __init__(self, home: Path, experiment: str = EXPERIMENT) -> None:
        """Open, or make, the database; the experiment is made when something is written to it.

        Raises:
            StateUnavailable: the database cannot be used.

        """
        self.home = home
        self._name = experiment
        self._experiment = ""
        with self.writing():
            self.client = client_of(home)

    def __enter__(self) -> Self:
        """Use the tracker for the length of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the database connections, for which MLflow has no call of its own."""
        self.client._tracking_client.store.engine.dispose()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self.client._get_registry_client().store.engine.dispose()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @property
    def experiment(self) -> str:
        """MLflow's id of the experiment.

        Raises:
            StateUnavailable: MLflow could not make it.

        """
        if not self._experiment:
            with self.writing():
                found = self.client.get_experiment_by_name(self._name)
                self._experiment = str(
                    self.client.create_experiment(self._name, artifact_location=artifacts_of(self.home))
                    if found is None
                    else found.experiment_id
                )
        return self._experiment

    @contextmanager
    def writing(self) -> Generator[None]:
        """Take the turn as the one writer.

        Raises:
            StateUnavailable: MLflow could not do it.

        """
        import sqlite3

        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with locked(self.home):
                yield
        except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
            raise StateUnavailable(f"MLflow could not record it: {error}") from error

    def start(
        self,
        name: str,
        *,
        run: str = "",
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        dataset: Dataset | None = None,
    ) -> str:
        """Start a parent run and return its id; the same ``run`` of ours is continued, not started twice.

        Raises:
            StateUnavailable: MLflow could not record it.

        """
        with self.writing():
            known = self._find(run) if run else None
            if known is not None:
                self.client.update_run(known, status="RUNNING")
                return known
            labels = {"mlflow.source.name": EXPERIMENT, "mlflow.source.type": "LOCAL", **(tags or {}), RUN_TAG: run}
            started = self.client.create_run(self.experiment, tags=labels, run_name=name).info.run_id
            if params:
                self.log(started, params=params)
            if dataset is not None:
                self._log_dataset(started, dataset)
            return started

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Estimate | float] | None = None,
        tags: Mapping[str, str] | None = None,
        model_id: str | None = None,
    ) -> None:
        """Record parameters, metrics (an estimate as three: the value, ``_low`` and ``_high``) and tags.

        Raises:
            StateUnavailable: MLflow could not record it.

        """
        from mlflow.entities import Param, RunTag

        with self.writing():
            self.client.log_batch(
                run_id,
                metrics=_metrics(metrics or {}, int(time.time() * 1000), run_id, model_id),
                params=[Param(_key(name), _text(value)) for name, value in _flat(params or {})],
                tags=[RunTag(name, value) for name, value in (tags or {}).items()],
            )

    def trials(self, run_id: str, trials: Sequence[Trial]) -> list[str]:
        """Record trials as runs below ``run_id``, those that are there already left as they are; return their ids.

        Raises:
            StateUnavailable: MLflow could not record it.

        """
        with self.writing():
            known = self._children(run_id)
            fresh = [trial for trial in trials if str(trial.number) not in known]
            entries = [_entry(run_id, trial) for trial in fresh]
            ids = [self._log_entry(entry) for entry in entries[:1]]
            ids += self._log_like(ids[0], entries[1:]) if len(entries) > 1 else []
            known |= {str(trial.number): made for trial, made in zip(fresh, ids, strict=True)}
            return [known[str(trial.number)] for trial in trials]

    def files(self, run_id: str, files: Mapping[str, bytes | str | Path]) -> None:
        """Attach files to a run, each under its relative path, such as ``plots/roc.png``.

        Raises:
            StateUnavailable: MLflow could not record it.

        """
        with self.writing(), tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                place = Path(folder, name)
                place.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, str):
                    place.write_text(content, "utf-8")
                else:
                    place.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
            self.client.log_artifacts(run_id, folder)

    def end(self, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
        """End a run.

        Raises:
            StateUnavailable: MLflow could not record it.

        """
        with self.writing():
            self.client.set_terminated(run_id, status)

    def _find(self, run: str) -> str | None:
        found = self.client.search_runs([self.experiment], f"tags.`{RUN_TAG}` = '{run}'", max_results=1)
        return found[0].info.run_id if found else None

    def _children(self, run_id: str) -> dict[str, str]:
        found = self.client.search_runs([self.experiment], f"tags.`{PARENT_TAG}` = '{run_id}'", max_results=50_000)
        return {run.data.tags.get(TRIAL_TAG, ""): run.info.run_id for run in found}

    def _log_entry(self, entry: Entry) -> str:
        from mlflow.entities import Param

        made = self.client.create_run(
            self.experiment, start_time=entry.started, tags=dict(entry.tags), run_name=entry.name
        ).info.run_id
        metrics = _metrics(entry.metrics, entry.ended, made, None)
        self.client.log_batch(made, metrics=metrics, params=[Param(name, text) for name, text in entry.params.items()])
        self.client.set_terminated(made, entry.status, end_time=entry.ended)
        return str(made)

    def _log_like(self, pattern: str, entries: Sequence[Entry]) -> list[str]:
        import sqlite3

        try:
            return insert_like(self.home / DATABASE, pattern, entries)
        except sqlite3.Error as error:
            log.warning(
                "MLflow's tables are not the known ones; trials are logged one by one", extra={"why": str(error)}
            )
            return [self._log_entry(entry) for entry in entries]

    def _log_dataset(self, run_id: str, dataset: Dataset) -> None:
        from mlflow.entities import Dataset as Table
        from mlflow.entities import DatasetInput, InputTag

        profile = f'{{"num_rows": {dataset.rows}, "num_columns": {dataset.columns}}}'
        table = Table(dataset.name, dataset.sha256[:32], "orchestrator", dataset.uri, profile=profile)
        self.client.log_inputs(run_id, [DatasetInput(table, [InputTag("mlflow.data.context", "training")])])


def _entry(run_id: str, trial: Trial) -> Entry:
    moment = time.time_ns() // 1000
    tags = {PARENT_TAG: run_id, TRIAL_TAG: str(trial.number), "mlflow.source.name": EXPERIMENT}
    return Entry(
        name=trial.name or f"trial {trial.number}",
        status=STATUS[trial.state],
        started=(trial.started or moment) // 1000,
        ended=(trial.ended or moment) // 1000,
        tags={**tags, "mlflow.note.content": trial.reason} if trial.reason else tags,
        params={_key(name): _text(value) for name, value in _flat(trial.params)},
        metrics={_key(name): value for name, value in trial.metrics.items()},
    )


def _metrics(metrics: Mapping[str, Estimate | float], moment: int, run_id: str, model_id: str | None) -> list[Metric]:
    from mlflow.entities import Metric

    return [
        Metric(_key(name), float(value), moment, 0, model_id=model_id, run_id=run_id)
        for key, given in metrics.items()
        for name, value in (
            ((key, given.value), (f"{key}_low", given.low), (f"{key}_high", given.high))
            if isinstance(given, Estimate)
            else ((key, given),)
        )
    ]


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _key(name: str) -> str:
    return FOREIGN.sub("_", name)[:250]


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
