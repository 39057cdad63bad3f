"""What happens at each finished trial of a study: rules that stop it, events, runs in MLflow."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.search.candidates import Candidate
from mcp_orchestrator.methods.search.stopping import stale_steps
from mcp_orchestrator.methods.search.studies import Studies
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    from mcp_orchestrator.tracking.experiments import Tracker

__all__ = ["TOPIC", "Callbacks", "EarlyStop", "Rules", "TrialEnded", "rules_of", "stale"]

TOPIC = "callbacks"


class EarlyStop(Value):
    """When a study is stopped before its last trial."""

    patience: Annotated[int | None, Field(ge=1, le=100_000, description="Trials without improvement.")] = None
    min_delta: Annotated[float, Field(ge=0, le=1e12, description="A smaller change is no improvement.")] = 0.0
    reach: Annotated[float | None, Field(ge=-1e300, le=1e300, description="A value that is good enough.")] = None


class Rules(Value):
    """What is attached to a study."""

    early_stop: EarlyStop | None = None
    track: Annotated[bool, Field(description="One MLflow run a trial, below one of the study.")] = False
    notify: Annotated[
        bool, Field(description="One event a trial: a line of the study's events file, and progress.")
    ] = True


class TrialEnded(Value):
    """The event of a finished trial."""

    study: str
    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    params: dict[str, Any] = Field(default_factory=dict)
    reason: str = ""


class Callbacks:
    """The rules of one study at work."""

    def __init__(self, ctx: Context, name: str, *, greater_is_better: bool) -> None:
        """Take the rules that are attached to the study at this moment."""
        self._ctx, self._name, self._greater = ctx, name, greater_is_better
        self._studies = Studies(ctx)
        self.rules = rules_of(self._studies, name)
        self._values: list[float] = []
        self._tracker: tuple[Tracker, str] | None = None

    def __enter__(self) -> Self:
        """Open nothing yet: MLflow is opened when the first trial is to be tracked."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what was opened."""
        if self._tracker is not None:
            self._tracker[0].close()
            self._tracker = None

    def known(self, values: list[float]) -> None:
        """Take in the values of the trials that ended before."""
        self._values = list(values)

    def seen(self, one: Candidate) -> str:
        """Do what the rules ask for when a candidate has ended; return the reason to stop, or an empty text."""
        state = "pruned" if one.state == "pruned" else "failed" if one.state == "failed" else "complete"
        value = None if math.isnan(one.score) else one.score
        params = {"family": one.family, **one.params}
        return self.ended(
            TrialEnded(study=self._name, number=one.number, state=state, value=value, params=params, reason=one.reason)
        )

    def ended(self, event: TrialEnded) -> str:
        """Do what the rules ask for; return the reason to stop, or an empty text."""
        if self.rules is None:
            return ""
        if self.rules.notify:
            self._studies.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.events_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event.model_dump(mode="json")) + "\n")
            self._ctx.report(None, f"{self._name}: trial {event.number} {event.state} {event.value}")
        if self.rules.track:
            self._track(event)
        if event.value is not None:
            self._values.append(event.value)
        return self._verdict(self.rules.early_stop)

    def events(self) -> list[TrialEnded]:
        """Return the events so far."""
        if not self.events_file.exists():
            return []
        lines = self.events_file.read_text("utf-8").splitlines()
        return [TrialEnded.model_validate_json(line) for line in lines]

    @property
    def events_file(self) -> Path:
        """Where the events stand, one JSON object a line."""
        return self._studies.folder / f"{self._name}.events.jsonl"

    def runs(self) -> int:
        """Count the trials that MLflow knows of the study."""
        tracker, parent = self._opened()
        query = f"tags.`mlflow.parentRunId` = '{parent}'"
        return len(tracker.client.search_runs([tracker.experiment], query, max_results=50_000))

    def _opened(self) -> tuple[Tracker, str]:
        from mcp_orchestrator.tracking.experiments import Tracker

        if self._tracker is None:
            tracker = Tracker(self._ctx.settings.home)
            key = f"study-{self._studies.identity(self._name)}"
            self._tracker = tracker, tracker.start(f"study {self._name}", run=key)
        return self._tracker

    def _track(self, event: TrialEnded) -> None:
        from mcp_orchestrator.tracking.experiments import Trial

        tracker, parent = self._opened()
        metrics = {} if event.value is None else {"value": event.value}
        one = Trial(number=event.number, params=event.params, metrics=metrics, state=event.state, reason=event.reason)
        tracker.trials(parent, [one])

    def _verdict(self, rule: EarlyStop | None) -> str:
        if rule is None or not self._values:
            return ""
        best = max(self._values) if self._greater else min(self._values)
        if rule.reach is not None and (best >= rule.reach if self._greater else best <= rule.reach):
            return f"the value {best:.6g} is good enough ({rule.reach:.6g})"
        if rule.patience is None:
            return ""
        waited = stale(self._values, rule.min_delta, greater_is_better=self._greater)
        return f"no improvement for {waited} trials" if waited >= rule.patience else ""


def rules_of(studies: Studies, name: str) -> Rules | None:
    """Return the rules that are attached to a study."""
    kept = studies.noted(name, TOPIC)
    return None if kept is None else Rules.model_validate(kept)


def stale(values: Sequence[float], min_delta: float = 0.0, *, greater_is_better: bool) -> int:
    """Count the trials since the last improvement by more than ``min_delta``."""
    errors = [-value if greater_is_better else value for value in values]
    return int(stale_steps(errors, min_delta)[-1]) if errors else 0
