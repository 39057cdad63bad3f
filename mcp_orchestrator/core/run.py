"""One run from the inside: what a workflow's function holds in its hand.

The function reads as prose over steps. Each step is journaled; when the function runs again after a crash, finished
steps answer from the journal and the one that was cut off runs again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

import anyio
from anyio import to_thread

from mcp_orchestrator import logs
from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.executors import Executor, Task
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.rows import StepRow
from mcp_orchestrator.errors import Cancelled, OrchestratorError, StepFailed, WorkerLost

__all__ = ["Run"]

P = ParamSpec("P")
R = TypeVar("R")
SAY_EVERY = 0.25
log = logging.getLogger(__name__)


class Run:
    """The steps of one run."""

    class Paused(Cancelled):
        """Somebody asked for a pause; the run continues when it is resumed."""

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name everywhere
        plan: tuple[str, ...],
        journal: Journal,
        executor: Executor,
        tell: Callable[[], None],
    ) -> None:
        """Continue the run ``id`` where its journal ends."""
        self.id, self._plan = id, plan
        self._journal, self._executor, self._tell = journal, executor, tell
        self._known = {step.name: step for step in journal.steps(id)}
        self.degraded = False
        self._said = 0.0

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
            return await self._do(name, capability, kwargs, policy or Policy())
        except OrchestratorError as error:
            if isinstance(error, Cancelled):
                raise
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
            return await self._do(name, capability, kwargs, policy or Policy())
        except Cancelled:
            raise
        except OrchestratorError:
            self.degraded = True
            return None

    async def skip(self, name: str, reason: str) -> None:
        """Write down that a step was not done, and why."""
        await self.note(name, "skipped", reason)

    async def note(self, name: str, status: str, reason: str = "") -> None:
        """Write down a step that the workflow's function did by itself."""
        known = self._known.get(name)
        if known is None or known.status != status:
            await to_thread.run_sync(self._journal.begin, self.id, name, "workflow", name, "")
            await to_thread.run_sync(partial(self._journal.finish, self.id, name, status, reason=reason))
        self._advance(name, 1.0, "")
        if status == "failed":
            self.degraded = True

    async def explain(self, name: str, reason: str) -> None:
        """Add a reason to a finished step."""
        await to_thread.run_sync(self._journal.explain, self.id, name, reason)

    def steps(self) -> list[StepRow]:
        """Return the steps so far."""
        return self._journal.steps(self.id)

    async def _do(self, name: str, capability: Capability[..., Any], kwargs: dict[str, Any], policy: Policy) -> Any:  # noqa: ANN401
        if self._journal.run(self.id).wish == "pause":
            raise Run.Paused(self.id)
        params = plain(dict(kwargs))
        digest = _digest(capability, params)
        known = self._known.get(name)
        if known is not None and known.status == "done" and known.inputs == digest:
            self._advance(name, 1.0, "")
            return capability.returns.validate_python(known.result)
        token = logs.step_name.set(name)
        try:
            return await self._try(name, capability, params, digest, policy)
        finally:
            logs.step_name.reset(token)
            self._advance(name, 1.0, "")

    async def _try(
        self, name: str, capability: Capability[..., Any], params: dict[str, Any], digest: str, policy: Policy
    ) -> Any:  # noqa: ANN401
        capability.validate(params)
        begin = partial(self._journal.begin, self.id, name, capability.component, capability.name, digest)
        finish = partial(self._journal.finish, self.id, name)
        attempt = await to_thread.run_sync(begin)
        task = Task(
            component=capability.component,
            capability=capability.name,
            params=params,
            seed=int(params.get("seed", 0)),
            cpus=policy.cpus,
            run=self.id,
            step=name,
        )
        while True:
            try:
                value = await self._executor.execute(task, partial(self._advance, name), timeout=policy.timeout)
            except WorkerLost as error:
                if attempt < policy.attempts:
                    self._advance(name, None, f"{error} Trying again.")
                    await anyio.sleep(policy.pause(attempt, random.Random()))  # noqa: S311 - jitter
                    attempt = await to_thread.run_sync(begin)
                    continue
                await to_thread.run_sync(partial(finish, "failed", reason=f"{error} Tried {attempt} times."))
                raise
            except OrchestratorError as error:
                await to_thread.run_sync(partial(finish, "failed", reason=str(error)))
                raise
            answer = capability.returns.validate_python(value)
            await to_thread.run_sync(partial(finish, "done", result=value))
            return answer

    def _advance(self, name: str, fraction: float | None, message: str) -> None:
        """Note progress: steps count alike, and a step that says how far it is counts in part."""
        if time.monotonic() - self._said < SAY_EVERY and fraction != 1:
            return
        self._said = time.monotonic()
        place = self._plan.index(name) if name in self._plan else 0
        done = (place + (fraction or 0.0)) / max(len(self._plan), 1)
        self._journal.progress(self.id, min(done, 0.999), f"{name}: {message}" if message else name)
        self._tell()


def _named(args: tuple[object, ...]) -> None:
    if args:
        message = "a step takes its parameters by name"
        raise TypeError(message)


def _digest(capability: Capability[..., Any], params: dict[str, Any]) -> str:
    text = json.dumps([capability.component, capability.name, params], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
