"""Being one of the processes of a state home: the leader, or one that asks the leader, and each as long as it is so.

Whoever gets the lock leads and listens on ``leader.sock``; the others connect to it. When the leader dies, the kernel
ends the connections and releases the lock; the first of the others to take it leads, and the rest connect to that one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import anyio
from anyio.abc import TaskStatus

from mcp_orchestrator.core.address import address
from mcp_orchestrator.core.answers import Handler, listen
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.lines import bound
from mcp_orchestrator.core.link import Hello, Link, LinkLost
from mcp_orchestrator.core.tasks import Report
from mcp_orchestrator.errors import NotReady, StateUnavailable

__all__ = ["SOCKET", "STANDBY", "Member"]

SOCKET = "leader.sock"
STANDBY = "standby"
LOOK_EVERY = 0.005
PATIENCE = 30.0
log = logging.getLogger(__name__)


class Member:
    """A process that takes part in the work of a state home.

    ``lead`` does the leader's work while it is entered; it is told whether another leader went before, whose runs have
    to go on. ``handlers`` answer the requests, those of this process and those of the followers.
    """

    def __init__(
        self,
        home: Path,
        leadership: Leadership,
        hello: Hello,
        *,
        lead: Callable[[bool], AbstractAsyncContextManager[None]],
        handlers: Mapping[str, Handler],
    ) -> None:
        """Take the parts; the process takes part in nothing yet."""
        self.leadership = leadership
        self._home, self._hello, self._lead, self._handlers = home, hello, lead, handlers
        self._link: Link | None = None
        self._settled, self._over = anyio.Event(), anyio.Event()
        self._changing: anyio.CancelScope | None = None
        self._leaving = False
        self._begun = False
        self.peers: list[Hello] = []

    @property
    def leads(self) -> bool:
        """Whether this process leads and is ready to."""
        return self._settled.is_set() and self._link is None

    @asynccontextmanager
    async def taking_part(self) -> AsyncGenerator[Self]:
        """Lead or follow until the block ends.

        Raises:
            StateUnavailable: the leader does not answer, or the home cannot be written to.

        """
        try:
            async with anyio.create_task_group() as group:
                await group.start(self._belong)
                try:
                    yield self
                finally:
                    self._leaving = True
                    if self._changing is not None:
                        self._changing.cancel("it leaves")
        except ExceptionGroup as errors:  # the group wraps what the block raised
            first, *others = errors.exceptions
            if others:
                raise
            raise first from first.__cause__

    async def ask(
        self,
        verb: str,
        params: Mapping[str, Any],
        report: Report = lambda _fraction, _message: None,
        *,
        again: bool = False,
    ) -> Any:  # noqa: ANN401 - any JSON value
        """Have the leader do something, and return its answer.

        With ``again``, a request that a leader died over is put to the next one, since doing it twice is doing it once.

        Raises:
            NotReady: the leader died over a request that is not to be repeated.
            OrchestratorError: what the leader answered.

        """
        while True:
            await self._settled.wait()
            over = self._over
            if self._link is None:
                return await self._handlers[verb](dict(params), report)
            try:
                return await self._link.ask(verb, params, report)
            except LinkLost as error:
                if not again:
                    raise NotReady(
                        f"The orchestrator ended while it worked on {_about(verb, params)}; whether that was finished "
                        "is not known, and it was not done again by itself. Look at the runs, and ask again if it is "
                        "still wanted."
                    ) from error
                await over.wait()

    async def _belong(self, *, task_status: TaskStatus[None]) -> None:
        followed = False
        path = address(str(self._home), SOCKET)
        waited = anyio.current_time()
        while not self._leaving:
            try:
                leads = self.leadership.acquire(self._hello.kind, self._hello.version)
            except OSError as error:
                message = (
                    f"The state home {self._home} cannot be used: {error}. Choose another with MCP_ORCHESTRATOR_HOME."
                )
                raise StateUnavailable(message) from error
            if leads:
                await self._reign(path, task_status, former=followed)
                return
            with anyio.CancelScope() as self._changing:
                if await self._follow(path, task_status, until=waited + PATIENCE):
                    followed, waited = True, anyio.current_time()
                    log.info("the leader is gone")
                    continue
                if anyio.current_time() > waited + PATIENCE:
                    leader = self.leadership.leader()
                    who = f"Process {leader.pid} ({leader.kind})" if leader else "Another process"
                    message = f"{who} leads the orchestrator of {self._home} and does not answer."
                    raise StateUnavailable(f"{message} If it hangs, end it; its runs go on with the next one.")
                await anyio.sleep(LOOK_EVERY)

    async def _reign(self, path: str, task_status: TaskStatus[None], *, former: bool) -> None:
        try:
            with bound(path) as listener:
                try:
                    async with self._lead(former), anyio.create_task_group() as group:
                        group.start_soon(partial(listen, listener, self._hello, self._handlers, peers=self.peers))
                        with anyio.CancelScope() as self._changing:
                            self._enter(None, task_status)
                            if not self._leaving:
                                await anyio.sleep_forever()
                        group.cancel_scope.cancel("it leads no longer")
                finally:
                    self._settled = anyio.Event()
                    Path(path).unlink(missing_ok=True)  # noqa: ASYNC240 - takes microseconds
        finally:
            self.leadership.release()

    async def _follow(self, path: str, task_status: TaskStatus[None], *, until: float) -> bool:
        """Follow the leader to its end; False when none answered."""
        try:
            with anyio.CancelScope(deadline=until) as limit:
                async with Link.opened(path, self._hello) as link:
                    limit.deadline = float("inf")
                    try:
                        self._enter(link, task_status)
                        await link.lost.wait()
                    finally:
                        self._link, self._settled = None, anyio.Event()
                        self._over.set()
                    return True
        except OSError:  # it does not listen yet, or no longer
            return False
        return False

    def _enter(self, link: Link | None, task_status: TaskStatus[None]) -> None:
        self._link, self._over = link, anyio.Event()
        if link is not None and link.peer.version != self._hello.version:
            log.warning("the leader is of version %s, this one of %s", link.peer.version, self._hello.version)
        self._settled.set()
        if not self._begun:
            self._begun = True
            task_status.started()


def _about(verb: str, params: Mapping[str, Any]) -> str:
    if verb == "call":
        return f"{params['component']}.{params['capability']}"
    return " ".join([verb, *(str(params[name]) for name in ("workflow", "run") if name in params)])
