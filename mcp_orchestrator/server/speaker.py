"""Who speaks: a session has the names of the agents that it spoke as, and nobody else can use them while it lives.

A session is the front of a client; over HTTP the subject of a token, or else what the protocol calls a session, and all
requests without one together; otherwise the one client of the server. The memory keeps the names, so that a session has
them still when another host goes on with it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import anyio
from anyio import to_thread

from mcp_orchestrator.errors import InvalidInput, StateUnavailable
from mcp_orchestrator.server.session import Session, called, introduced
from mcp_orchestrator.server.subject import subject
from orchestrator_memory.errors import MemoryFailure
from orchestrator_memory.names import agent_name
from orchestrator_memory.sqlite import sqlite3

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator

__all__ = ["Speakers", "Voice", "voice"]

KEEP_EVERY = 20.0
SURE = 30.0
"""Seconds for which a name is one's own without asking again: the memory gives it to nobody else in twice that."""
HEADER = "mcp-session-id"
log = logging.getLogger(__name__)


class Voice(NamedTuple):
    """Whose a request is: its session, the name of the client, and what the request is called if it has a name."""

    speakers: Speakers
    session: str
    client: str
    request: str | None = None

    @property
    def short(self) -> str:
        """What others may see of the session: nobody can pass for it with that."""
        return f"{self.client or 'client'}-{hashlib.sha256(self.session.encode()).hexdigest()[:8]}"[:200]

    def name(self, agent: str | None) -> str:
        """Return the agent that speaks: the one that is named, who is the session's from then on, or its only one.

        Raises:
            InvalidInput: none is named, and the session has none, or several.
            Refused: the name is none.
            Taken: another session that is alive speaks in this name.

        """
        return self.speakers.name(self, agent)


def voice(ctx: Session) -> Voice:
    """Return whose request this is; of an HTTP session, that it ends is noted from then on."""
    asked = ctx.request_context
    guest, request = asked.lifespan_context, called(asked.meta or {})
    speakers, said = guest.attendance.speakers, introduced(asked)
    owner, headers = subject(), getattr(asked.request, "headers", None)
    given = headers.get(HEADER) if headers else None
    if owner is not None:
        return Voice(speakers, f"subject-{hashlib.sha256(owner.encode()).hexdigest()[:32]}", said, request)
    if given:
        session = f"http-{hashlib.sha256(given.encode()).hexdigest()[:32]}"  # whoever has the header is the session
        connection = asked.session._connection  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK tells nobody else that a session ends
        if connection.state.setdefault(HEADER, asked) is asked:
            connection.exit_stack.push_async_callback(speakers.gone, session)
        return Voice(speakers, session, said)
    if not guest.session and request:
        guest.session = request.partition(":")[0]  # each front draws its own
    return Voice(speakers, guest.session, said, request)


class Speakers:
    """The sessions of a server that speak, and the names that they have."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        """Begin with none; the memory is opened when the first one speaks."""
        self._orchestrator = orchestrator
        self._names: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def name(self, by: Voice, agent: str | None) -> str:
        """Return the agent that speaks; see `Voice.name`. Runs in a thread."""
        wanted = agent_name(agent) if agent else self._only(by)
        taken = self._names.get(by.session, {}).get(wanted)
        if taken is None or not 0 <= time.time() - taken < SURE:
            self._take(by, wanted)
        return wanted

    async def keep(self) -> None:
        """Tell the memory that the sessions are alive, until cancelled."""
        while True:
            await anyio.sleep(KEEP_EVERY)
            if self._names:
                await to_thread.run_sync(self._seen)

    async def gone(self, session: str) -> None:
        """Give the names of a session back, which has ended."""
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._end, session)

    async def leave(self) -> None:
        """Give the names of all sessions back: the server ends, and they with it."""
        for session in list(self._names):
            await self.gone(session)

    # In threads ------------------------------------------------------------------------------------------------------

    def _only(self, by: Voice) -> str:
        known = self._orchestrator.memory.agents.list()
        names = [one.name for one in known if one.session == by.session] if by.session else []
        if len(names) == 1:
            return names[0]
        if not names:
            then = "Give it once, such as agent='ml-orchestrator'; later calls of this session may leave it out."
            raise InvalidInput("agent", "is not given, and this session has not spoken yet.", then=then)
        raise InvalidInput("agent", "is not given, and this session has several.", allowed=names)

    def _take(self, by: Voice, name: str) -> None:
        memory = self._orchestrator.memory
        with memory.door.turn(), self._lock:  # in this order everywhere: see `quick`
            self._names.get(by.session, {}).pop(name, None)
            memory.agents.register(name, session=by.session or None, client=by.client)
            self._names.setdefault(by.session, {})[name] = time.time()

    def _seen(self) -> None:
        try:
            memory = self._orchestrator.memory
            with memory.door.turn(), self._lock:
                memory.agents.seen(*self._names)
        except (MemoryFailure, StateUnavailable, sqlite3.Error) as error:
            log.warning("sessions could not be kept alive: %s", error)

    def _end(self, session: str) -> None:
        if session not in self._names:
            return
        try:
            memory = self._orchestrator.memory
            with memory.door.turn(), self._lock:
                memory.agents.end(session)
        except (MemoryFailure, StateUnavailable, sqlite3.Error) as error:
            log.warning("a session could not be ended: %s", error)
        finally:
            self._names.pop(session, None)
