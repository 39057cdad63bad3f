"""A step, attempt by attempt: begun, placed on a worker, ended, and tried again where its policy says so."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from mcp_orchestrator import logs
from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.journal import Journal, steps
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.core.tasks import Outcome, Task, WorkerRef
from mcp_orchestrator.errors import OrchestratorError, OutOfTime
from orchestrator_memory.door import now

__all__ = ["Attempts", "Held", "Place", "digest_of"]

SORTED = json.JSONEncoder(sort_keys=True)
REFUSALS = frozenset(
    {"invalid_input", "unknown_name", "deleted", "missing_library", "not_allowed", "data_rejected", "tampered"}
)


class Held(Exception):
    """An attempt was cut off, and whether the step is done again is for a person to say."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands in its run: its name, position and next attempt, and its inputs as JSON and as a digest."""

    name: str
    position: int
    number: int
    text: str
    digest: str


class Owner(Protocol):
    """The run that a step belongs to."""

    leaving: bool

    def version_of(self, component: str, /) -> str:
        """Return the version of a component."""
        ...

    def advance(self, name: str, fraction: float | None, message: str) -> None:
        """Take the progress of a step."""
        ...


class Attempts:
    """Does the steps of one run."""

    def __init__(self, journal: Journal, dispatcher: Dispatcher, row: RunRow, owner: Owner) -> None:
        """Work for the run of ``row``."""
        self._journal, self._dispatcher, self._row, self._owner = journal, dispatcher, row, owner

    async def do(self, place: Place, capability: Capability[..., Any], params: dict[str, Any], policy: Policy) -> Any:  # noqa: ANN401
        """Do a step and return its answer, once that is on the disk.

        Raises:
            OrchestratorError: what the last attempt ended with.
            Held: its worker was lost, and the policy is to ask.

        """
        token = logs.step_name.set(place.name)
        try:
            return await self._try(place, capability, params, policy)
        finally:
            logs.step_name.reset(token)

    async def _try(self, place: Place, capability: Capability[..., Any], params: dict[str, Any], policy: Policy) -> Any:  # noqa: ANN401
        number, last = place.number, place.number + policy.attempts - 1
        while True:
            self._owner.advance(place.name, 0.0, "")
            began = self._began(place, capability, number)
            if policy.on_crash == "hold":
                await self._journal.do(steps.begin, self._row.id, began)
            else:  # written with the end if that comes soon: after a crash in between, the step runs again in any case
                self._journal.post(steps.begin, self._row.id, began)
            outcome = await self._perform(began, self._task(capability, params, began), policy)
            if not outcome.code:
                answer = capability.returns.validate_python(outcome.value)
                await self._finish(began, "done", outcome)
                self._owner.advance(place.name, 1.0, "")
                return answer
            lost = outcome.code == "worker_lost"
            if lost and policy.on_crash == "hold":
                ended = steps.Ended(status="lost", reason=outcome.error, usage=outcome.usage)
                await self._journal.do(steps.hold, self._row.id, began, ended)
                raise Held
            failing = policy.retry == "failed" and outcome.code not in REFUSALS
            if number >= last or not (lost or failing):
                tries = f" Tried {number - place.number + 1} times." if number > place.number else ""
                status = "timed_out" if outcome.code == OutOfTime.code else "failed"
                await self._finish(began, status, outcome, outcome.error + tries)
                raise outcome.failure()
            ended = steps.Ended(status="lost" if lost else "failed", reason=outcome.error, usage=outcome.usage)
            self._journal.post(steps.retry, self._row.id, began, ended)
            self._owner.advance(place.name, None, f"{outcome.error} Trying again.")
            await anyio.sleep(policy.pause(number - place.number + 1, random.Random()))  # noqa: S311 - jitter
            number += 1

    async def _perform(self, began: steps.Began, task: Task, policy: Policy) -> Outcome:
        def placed(worker: WorkerRef) -> None:
            began.placed(worker)
            if began.written:  # otherwise its beginning, when it is written, tells of the worker
                self._journal.post(steps.placed, self._row.id, began)

        def report(fraction: float | None, message: str) -> None:
            self._owner.advance(began.name, fraction, message)

        try:
            return await self._dispatcher.perform(
                task,
                report,
                need=policy.need,
                timeout=policy.timeout,
                grace=policy.grace,
                priority=self._row.priority,
                fair=self._row.fair,
                workflow=self._row.workflow,
                began=placed,
            )
        except OrchestratorError as error:
            return Outcome(code=error.code, error=str(error))
        except anyio.get_cancelled_exc_class():
            if not self._owner.leaving:  # a process that leaves lets whoever comes next repeat the step
                with anyio.CancelScope(shield=True):
                    await self._finish(began, "cancelled", Outcome(), "cancelled")
            raise

    def _began(self, place: Place, capability: Capability[..., Any], number: int) -> steps.Began:
        return steps.Began(
            name=place.name,
            number=number,
            position=place.position,
            component=capability.component,
            capability=capability.name,
            inputs=place.digest,
            params=place.text,
            asked=now(),
        )

    def _task(self, capability: Capability[..., Any], params: dict[str, Any], began: steps.Began) -> Task:
        return Task(
            component=capability.component,
            capability=capability.name,
            version=self._owner.version_of(capability.component),
            params=params,
            seed=seed if isinstance(seed := params.get("seed"), int) else 0,
            run=self._row.id,
            step=began.name,
            attempt=began.number,
            fence=self._row.fence,
            by=self._row.approved,
        )

    async def _finish(self, began: steps.Began, status: str, outcome: Outcome, reason: str = "") -> None:
        result = json.dumps(outcome.value) if status == "done" else None
        ended = steps.Ended(status=status, reason=reason, result=result, usage=outcome.usage)
        began.over = True
        await self._journal.do(steps.finish, self._row.id, self._row.fence, began, ended)


def digest_of(capability: Capability[..., Any], params: dict[str, Any]) -> tuple[str, str]:
    """Return parameters as JSON, and the SHA-256 of them with what they are given to."""
    text = SORTED.encode(params)
    whole = f'["{capability.component}", "{capability.name}", {text}]'
    return text, hashlib.sha256(whole.encode()).hexdigest()
