"""One run from the inside: what a workflow's function holds in its hand.

The function reads as prose over steps. Each step is journaled; when the function runs again, after a crash or a wait,
finished steps answer from the journal and the one that was cut off runs again.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

import anyio

from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.attempts import Attempts, Held, Place, digest_of
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.family import Family, Suspended
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.journal import Journal, events, runs, steps
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.rows import Decision, RunRow, Status, StepRow
from mcp_orchestrator.errors import Cancelled, OrchestratorError, StepFailed, revive

__all__ = ["Run"]

P = ParamSpec("P")
R = TypeVar("R")
SAY_EVERY = 0.25
AT_ONCE = 256
USUAL = Policy()


@dataclass(eq=False)
class Run:
    """The steps of one run."""

    row: RunRow
    plan: tuple[str, ...]
    journal: Journal
    dispatcher: Dispatcher
    family: Family
    version_of: Callable[[str], str] = lambda _component: ""
    degraded: bool = False
    wish: str | None = None
    leaving: bool = False
    _known: dict[str, StepRow] = field(default_factory=dict[str, StepRow])
    _news: tuple[str, float, str] | None = None
    _said: float = 0.0
    _timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        """Continue where the journal ends."""
        self.id, self.wish = self.row.id, self.row.wish
        begun = self.row.fence > 1 or self.row.forked_from is not None
        self._known = {step.name: step for step in self.journal.steps(self.id)} if begun else {}
        self._next = len(self._known)
        self._attempts = Attempts(self.journal, self.dispatcher, self.row, self)

    @property
    def origin(self) -> str:
        """The id under which the run's work is known: its own, or that of the run that it continues."""
        return self.row.origin or self.id

    # Steps -------------------------------------------------------------------------------------------------------

    async def step(
        self,
        name: str,
        capability: Capability[P, R],
        policy: Policy | None = None,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Do a required step and return its answer; its failure ends the run."""
        _named(args)
        try:
            return await self._do(name, capability, kwargs, policy or USUAL)
        except Cancelled:
            raise
        except OrchestratorError as error:
            failed = StepFailed(f"Step {name!r} failed: {error}")
            failed.code = error.code  # type: ignore[misc]  # the cause decides how programs see it
            raise failed from error

    async def attempt(
        self,
        name: str,
        capability: Capability[P, R],
        policy: Policy | None = None,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R | None:
        """Do an optional step; when it fails, the run goes on without it and is marked as degraded."""
        _named(args)
        try:
            return await self._do(name, capability, kwargs, policy or USUAL)
        except Cancelled:
            raise
        except OrchestratorError:
            self.degraded = True
            return None

    async def map(
        self,
        name: str,
        capability: Capability[..., R],
        items: Sequence[Mapping[str, Any]],
        policy: Policy | None = None,
        /,
        *,
        at_once: int = AT_ONCE,
    ) -> list[R]:
        """Do a step for each of ``items`` (its parameters), so many at once, and return the answers in their order.

        The steps are called ``name[0]``, ``name[1]`` and so on. The first one that fails stops the others.
        """
        answers: dict[int, R] = {}
        rest = iter(enumerate(items))

        async def work() -> None:
            for place, item in rest:
                answers[place] = await self.step(f"{name}[{place}]", capability, policy, **item)
                self.advance(name, len(answers) / len(items), f"{len(answers)} of {len(items)}")

        await self.gather(*(work() for _ in range(min(at_once, len(items)))))
        return [answers[place] for place in range(len(items))]

    async def gather(self, *works: Awaitable[Any]) -> list[Any]:
        """Do things side by side and return their answers in order; the first failure stops the others.

        A pause, or a wait for a person, lets those that are at work finish first.
        """
        answers: list[Any] = [None] * len(works)
        suspended: list[Suspended] = []

        async def do(place: int, work: Awaitable[Any]) -> None:
            try:
                answers[place] = await work
            except Suspended as reason:
                suspended.append(reason)

        try:
            async with anyio.create_task_group() as group:
                for place, work in enumerate(works):
                    group.start_soon(do, place, work)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__
        finally:
            for work in works:
                if inspect.iscoroutine(work):
                    work.close()  # one that never began would warn of it
        if suspended:
            raise suspended[0]
        return answers

    async def skip(self, name: str, reason: str) -> None:
        """Write down that a step was not done, and why."""
        await self.note(name, "skipped", reason)

    async def note(self, name: str, status: str, reason: str = "") -> None:
        """Write down a step that the workflow's function did by itself."""
        known = self._known.get(name)
        if known is None or known.status != status:
            await self._note(name, status, reason)
        self.advance(name, 1.0, "")
        if status == "failed":
            self.degraded = True

    async def explain(self, name: str, reason: str) -> None:
        """Add a reason to a finished step."""
        await self.journal.do(steps.explain, self.id, name, reason)

    def steps(self) -> list[StepRow]:
        """Return the steps so far."""
        return self.journal.steps(self.id)

    # People and other runs ---------------------------------------------------------------------------------------

    async def approval(self, name: str, question: str, /, **details: Any) -> Decision:  # noqa: ANN401 - JSON values
        """Ask a person and return the decision; until then the run waits, for days if need be, and holds nothing."""
        known = self._known.get(name)
        if known is not None and known.status == "done":
            return Decision.model_validate(known.result)
        asked = next((one for one in self.journal.approvals(self.id) if one.name == name), None)
        if asked is None or asked.status == "asked":
            await self.journal.do(events.ask, self.id, name, question, plain(details))
            await self._note(name, "waiting", question)
            raise Suspended(Status.WAITING, name)
        decision = Decision(approved=asked.status == "approved", by=asked.decided_by, note=asked.note)
        await self._note(name, "done", f"{asked.status} by {asked.decided_by}", result=decision.model_dump())
        return decision

    async def child(self, name: str, workflow: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Do another workflow as a run of its own below this one and return its result.

        Raises:
            StepFailed: it did not succeed.

        """
        known = self._known.get(name)
        if known is not None and known.status == "done":
            return dict(known.result["result"])
        child = await self.family.submit(workflow, spec, key=f"{self.id}/{name}", parent=self.id)
        about = partial(self._note, name, component="workflow", capability=workflow, params=plain(dict(spec)))
        await about("running", f"run {child}")
        try:
            row = await self.family.wait(child)
        except anyio.get_cancelled_exc_class():
            if not self.leaving:
                with anyio.CancelScope(shield=True), suppress(OrchestratorError):
                    await self.family.cancel(child)
                    await about("cancelled", f"run {child}")
            raise
        if not row.status.final:
            await about("waiting", f"run {child} is {row.status}")
            raise Suspended(Status.WAITING, name)
        if row.status not in {Status.SUCCEEDED, Status.DEGRADED}:
            await about("failed", f"run {child} {row.status}: {row.error or ''}")
            raise StepFailed(f"Step {name!r} failed: run {child} {row.status}: {row.error or ''}")
        self.degraded = self.degraded or row.status is Status.DEGRADED
        await about("done", f"run {child}", result={"run": child, "result": row.result or {}})
        return row.result or {}

    # Inside ------------------------------------------------------------------------------------------------------

    async def _do(self, name: str, capability: Capability[..., Any], kwargs: dict[str, Any], policy: Policy) -> Any:  # noqa: ANN401
        if self.wish == "pause":
            raise Suspended(Status.PAUSED)
        params = plain(kwargs)
        text, digest = digest_of(capability, params)
        known = self._known.get(name)
        if known is not None and known.inputs == digest:
            if known.status == "done":
                self.advance(name, 1.0, "")
                return capability.returns.validate_python(known.result)
            if known.status in {"failed", "timed_out"}:
                raise revive("out_of_time" if known.status == "timed_out" else "step_failed", known.reason)
        capability.validate(params)
        if known is not None and known.status in {"running", "held"} and policy.on_crash == "hold":
            await self._again(name, known.attempt)
        place, number = (self._next, 1) if known is None else (0, known.attempt + 1)
        self._next += known is None
        while True:
            try:
                return await self._attempts.do(Place(name, place, number, text, digest), capability, params, policy)
            except Held:
                await self._again(name, number)
                number += 1

    async def _again(self, name: str, attempt: int) -> None:
        """Ask a person whether a step whose attempt was cut off is to be done again; each time is asked about."""
        question = f"Step {name} was at work when its process ended. Shall it be done again?"
        if not (await self.approval(f"{name}: again" + (f" {attempt}" if attempt > 1 else ""), question)).approved:
            raise StepFailed(f"A person decided not to repeat {name}, which was cut off.")

    async def _note(self, name: str, status: str, reason: str = "", **more: Any) -> None:  # noqa: ANN401 - fields of Noted
        known = self._known.get(name)
        if known is None:
            self._next += 1
        noted = steps.Noted(name=name, position=self._next - 1, status=status, reason=reason, **more)
        await self.journal.do(steps.note, self.id, noted)

    def advance(self, name: str, fraction: float | None, message: str) -> None:
        """Tell how far a step is: steps count alike, and one that says how far it is counts in part.

        What comes too fast is told a moment later, with what came after it.
        """
        base, _, rest = name.partition("[")
        if rest and base in self.plan:
            return
        self._news = (base, fraction or 0.0, f"{name}: {message}" if message else name)
        wait = self._said + SAY_EVERY - time.monotonic()
        if wait <= 0:
            self.say()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait, self.say)

    def say(self) -> None:
        """Write down the last progress that was told."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._news is not None:
            self._said, (base, fraction, message), self._news = time.monotonic(), self._news, None
            place = self.plan.index(base) if base in self.plan else 0
            self.journal.post(runs.progress, self.id, min(0.999, (place + fraction) / max(len(self.plan), 1)), message)


def _named(args: tuple[object, ...]) -> None:
    if args:
        raise TypeError("a step takes its parameters by name")
