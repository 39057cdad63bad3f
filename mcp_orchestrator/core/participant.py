"""A process at work in a state home: whoever leads, what is asked here is done, and done once."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio
from anyio import to_thread

from mcp_orchestrator.core.address import address
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Watcher
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.link import Hello
from mcp_orchestrator.core.membership import SOCKET, STANDBY, Member
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.requests import Requests
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.tasks import Report
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.release import version
from mcp_orchestrator.settings import Settings

__all__ = ["Participant"]

LOOK_EVERY = 0.02
READ_EVERY = 25  # looks


def _quiet(_fraction: float | None, _message: str) -> None:
    """Report to nobody."""


class Participant:
    """One process of a project: it leads, or has the leader do what is asked here."""

    settings: Settings
    registry: Registry
    journal: Journal
    engine: Engine
    dispatcher: Dispatcher
    resources: Resources
    leadership: Leadership
    _member: Member | None = None

    @asynccontextmanager
    async def running(self, *, recover: bool = True, kind: str = "server") -> AsyncGenerator[Self]:
        """Take part in the work of the project until the block ends.

        One process of a project leads and works on runs; the others, of whatever ``kind``, have it do what is asked of
        them. With ``recover``, a leader goes on with the runs whose process died.

        Raises:
            StateUnavailable: the state home cannot be written to, or its leader does not answer.

        """

        @asynccontextmanager
        async def lead(former: bool) -> AsyncGenerator[None]:  # noqa: FBT001 - called by position
            epoch = self.journal.enter(kind, version(), address(str(self.settings.home), SOCKET))
            self.leadership.number(epoch)
            try:
                if self.dispatcher.executor.abilities.elsewhere:
                    await self.dispatcher.executor.start()  # what it has to grant is known then
                async with self.engine.running(recover=recover or former):
                    yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self.settle()
                    await self.dispatcher.executor.close()
                    self.journal.leave(epoch)

        requests = Requests(self.settings, self.registry, self.engine, self.dispatcher, self.resources)
        hello = Hello(kind=kind, version=version())
        member = Member(self.settings.home, self.leadership, hello, lead=lead, handlers=requests.handlers)
        async with member.taking_part():
            self._member = member
            try:
                yield self
            finally:
                self._member = None

    async def settle(self) -> None:
        """Do what is left to do before this process leads no longer."""

    @property
    def leads(self) -> bool:
        """Whether this process is the one that works on runs."""
        return self._member is not None and self._member.leads

    @property
    def followers(self) -> int:
        """How many other processes have this one do their work; one that waits to take over is not counted."""
        return 0 if self._member is None else sum(one.kind != STANDBY for one in self._member.peers)

    def busy(self) -> bool:
        """Whether a run is at work, or waits to be."""
        return bool(self.journal.runs(status=[one for one in Status if one.working], most=1))

    async def submit(
        self,
        workflow: str,
        spec: Mapping[str, Any],
        *,
        key: str | None = None,
        **about: Any,  # noqa: ANN401 - what `Engine.submit` takes
    ) -> str:
        """Check the input as far as that is quick, start a run and return its id; a refused one leaves no trace.

        The same ``key`` returns the run that was submitted with it before.

        Raises:
            InvalidInput: a field of the specification is not acceptable.
            DataRejected: the table cannot be used.

        """
        given = {"workflow": workflow, "spec": plain(dict(spec)), "key": key or secrets.token_hex(16), **about}
        return await self._ask("submit", given, again=True)

    async def call(
        self,
        component: str,
        capability: str,
        params: Mapping[str, Any],
        *,
        watch: Report = _quiet,
        cpus: int = 1,
        repeatable: bool = False,
        by: str = "",
    ) -> Any:  # noqa: ANN401 - any JSON value
        """Call a component's capability in a worker and return its answer as plain JSON values.

        One that is ``repeatable`` is called again when the leader dies over it. ``by`` is who approved the call, where
        somebody was asked.

        Raises:
            UnknownName: there is no such component or capability.
            InvalidInput: a parameter is unknown, missing or not acceptable.
            MissingLibrary: the component needs a library that is not installed.

        """
        given = {"component": component, "capability": capability, "params": plain(dict(params)), "cpus": cpus}
        given |= {"by": by} if by else {}
        return await self._ask("call", given, watch, again=repeatable)

    async def cancel(self, run: str) -> RunRow:
        """Stop a run; when this returns, its processes are gone.

        Raises:
            NotReady: the run has ended already.

        """
        return await self._control("cancel", run, again=True)

    async def pause(self, run: str) -> RunRow:
        """Let the steps that work finish, and start no other."""
        return await self._control("pause", run, again=True)

    async def resume(self, run: str) -> RunRow:
        """Go on with a run after its last finished step; one that has ended stays as it is, and a new one goes on."""
        return await self._control("resume", run)

    async def retry(self, run: str, *, step: str | None = None, spec: Mapping[str, Any] | None = None) -> RunRow:
        """Make a new run of an ended one that begins at ``step``, with another ``spec`` if one is given."""
        return await self._control("retry", run, step=step, spec=None if spec is None else plain(dict(spec)))

    async def decide(self, run: str, name: str, *, approved: bool, by: str, note: str = "") -> RunRow:
        """Answer the question ``name`` that a run asks a person, or say whether a step that is held may run again."""
        return await self._control("decide", run, name=name, approved=approved, by=by, note=note)

    async def warm(self) -> None:
        """Start what takes time to start."""
        await self._ask("warm", {}, again=True)

    async def granted(self, most: int = 100) -> dict[str, Any]:
        """Return what there is to lease, what is granted to whom, and who waits for what, as the leader sees it."""
        return await self._ask("granted", {"most": most}, again=True)

    async def prepare(self) -> None:
        """Load here what a leader needs, so that this process goes on at once when the one that leads has died."""
        await self.dispatcher.executor.start()
        await to_thread.run_sync(lambda: (self.engine.workflows, len(self.registry)))

    async def until_still(self, run: str, seconds: float | None = None, watcher: Watcher | None = None) -> RunRow:
        """Wait until a run has ended or waits for a person, at most ``seconds``; tell ``watcher`` what changes."""
        last: RunRow | None = None
        with anyio.move_on_after(seconds):
            while not self.leads:
                before = self.journal.changes()
                row = await to_thread.run_sync(self._seen, run)
                if watcher is not None and row != last:
                    await watcher(row)
                last = row
                if not row.status.working:
                    return row
                await self._change(before)
            return await self.engine.wait(run, None, watcher)
        return await to_thread.run_sync(self._seen, run)

    # Inside ----------------------------------------------------------------------------------------------------------

    def _seen(self, run: str) -> RunRow:
        return self.engine.seen(self.journal.run(run))

    async def _change(self, before: int) -> None:
        """Wait until another process has written; a look takes microseconds, a death writes nothing."""
        for _ in range(READ_EVERY):
            await anyio.sleep(LOOK_EVERY)
            if self.leads or self.journal.changes() != before:
                return

    async def _ask(self, verb: str, params: Mapping[str, Any], report: Report = _quiet, *, again: bool = False) -> Any:  # noqa: ANN401
        if self._member is None:
            raise NotReady("The orchestrator does not work yet; enter `running` first.")
        return await self._member.ask(verb, params, report, again=again)

    async def _control(self, verb: str, run: str, *, again: bool = False, **params: Any) -> RunRow:  # noqa: ANN401
        known = self.journal.run(run).id
        return self.journal.run(await self._ask(verb, {"run": known, **params}, again=again))
