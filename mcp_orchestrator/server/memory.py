"""The memory by its addresses: what an agent should know of itself, what all share, inboxes, tasks, how much it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mcp.server.mcpserver import MCPServer

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.server.frames import framed, marked
from mcp_orchestrator.server.history import found
from mcp_orchestrator.server.recollections import letters
from mcp_orchestrator.server.results import compact, finite, moment
from mcp_orchestrator.server.session import Session, orchestrator
from mcp_orchestrator.server.templates import template
from orchestrator_memory.errors import NotFound, Refused
from orchestrator_memory.names import slug

if TYPE_CHECKING:
    from orchestrator_memory.store import MemoryStore
    from orchestrator_memory.values import Task

__all__ = ["digest", "look", "project", "publish", "task_of"]

JSON = "application/json"
FEW, SOME, MANY = 5, 20, 50
SAME = "0" * 12
"""The number of the frames of what is only compared."""
ADDRESS = re.compile(r"memory://([^/]+)/(?:(agents|inbox|tasks)/([^/]+)|(context|stats))")
View = Callable[["MemoryStore", str, str | None], dict[str, Any]]


def publish(server: MCPServer[Any]) -> None:
    """Add the resources to a server."""
    address = "memory://{project}/agents/{agent}"
    template(server, address, agent, name="agent", title="What an agent should know of itself", mime_type=JSON)
    template(
        server, "memory://{project}/context", shared, name="context", title="What all agents share", mime_type=JSON
    )
    address = "memory://{project}/inbox/{agent}"
    template(server, address, inbox, name="inbox", title="The messages of an agent", mime_type=JSON)
    template(server, "memory://{project}/tasks/{id}", task, name="task", title="A task", mime_type=JSON)
    template(server, "memory://{project}/stats", stats, name="stats", title="How much is remembered", mime_type=JSON)


async def agent(project: str, agent: str, ctx: Session) -> str:
    """An agent: its role, its last tasks, what it found out, whom it works with, how many messages wait."""
    return await found(partial(_read, orchestrator(ctx), project, digest, agent))


async def shared(project: str, ctx: Session) -> str:
    """What all agents share, by key, each with its version."""
    return await found(partial(_read, orchestrator(ctx), project, _context, ""))


async def inbox(project: str, agent: str, ctx: Session) -> str:
    """The messages that wait for an agent, the most urgent first; reading this changes nothing."""
    return await found(partial(_read, orchestrator(ctx), project, _inbox, agent))


async def task(project: str, id: str, ctx: Session) -> str:  # noqa: A002 - its name in the address
    """A task: what it is, how far, its insights, what was given to others, its parts."""
    return await found(partial(_read, orchestrator(ctx), project, task_of, id))


async def stats(project: str, ctx: Session) -> str:
    """How many agents, memories by kind, tasks by outcome and messages by state there are."""
    return await found(partial(_read, orchestrator(ctx), project, _stats, ""))


def project(orchestrator: Orchestrator) -> str:
    """Return what the project of an orchestrator is called in addresses."""
    return slug(orchestrator.settings.project.name)


def look(orchestrator: Orchestrator, address: str) -> object:
    """Return what an address of this project shows, to be compared; None where there is nothing yet.

    Raises:
        LookupError: no resource of this project has such an address.

    """
    fits = ADDRESS.fullmatch(address)
    if fits is None or fits[1] != project(orchestrator):
        raise UnknownName("resource", address)
    view = VIEWS[fits[2] or fits[4]]
    try:
        return view(orchestrator.memory, unquote(fits[3] or ""), SAME)
    except (NotFound, Refused):
        return None


def digest(store: MemoryStore, name: str, nonce: str | None = None) -> dict[str, Any]:
    """Return what an agent should know of itself.

    Raises:
        NotFound: there is no such agent.

    """
    one = store.agents.get(name)
    tasks = store.tasks.list(agent=one.name, most=FEW)
    learned = store.memories.list(agent=one.name, most=FEW)
    frames = framed(learned, nonce)
    mark = partial(marked, nonce=frames.nonce, agent=one.name)
    with_whom = store.collaboration.of(one.name)[:FEW]
    return {
        "agent": one.name,
        "role": mark(one.role) if one.role else None,
        "note": frames.note,
        "tasks": [_line(task, mark) for task in tasks],
        "memories": [
            {"uid": memory.uid, "kind": memory.kind, "trust": memory.trust, "text": text}
            for memory, text in zip(learned, frames.texts, strict=True)
        ],
        "collaborators": [
            one.model_dump(include={"other", "type", "attempts", "successes", "rate"}) for one in with_whom
        ],
        "waiting": store.messages.unread(one.name),
    }


def _context(store: MemoryStore, _none: str, nonce: str | None) -> dict[str, Any]:
    frames = framed(nonce=nonce)
    entries = [
        {
            "key": one.key,
            "version": one.version,
            "by": one.by,
            "updated": moment(one.updated),
            "value": marked(json.dumps(one.value, ensure_ascii=False), frames.nonce, one.by, one.updated),
        }
        for one in store.context.all()
    ]
    return {"note": frames.note, "context": entries}


def _inbox(store: MemoryStore, name: str, nonce: str | None) -> dict[str, Any]:
    note, shown = letters(store.messages.inbox(name, most=SOME, peek=True), nonce)
    return {"agent": name, "note": note, "messages": shown, "waiting": store.messages.unread(name)}


def task_of(store: MemoryStore, uid: str, nonce: str | None = None) -> dict[str, Any]:
    """Return a task with its insights, what was given to others, and its parts.

    Raises:
        NotFound: there is no such task.

    """
    one = store.tasks.get(uid)
    frames = framed(nonce=nonce)
    mark = partial(marked, nonce=frames.nonce, agent=one.agent)
    parts = [
        {**part.model_dump(exclude={"reason", "note", "created", "settled"}), "reason": mark(part.reason)}
        for part in one.delegations
    ]
    below = store.tasks.list(parent=one.uid, most=MANY)
    return {
        "note": frames.note,
        **_line(one, mark),
        "parent": one.parent,
        "workflow": one.workflow or None,
        "phase": one.phase or None,
        "tokens": one.tokens_in + one.tokens_out,
        "delegations": parts,
        "parts": [_line(task, partial(marked, nonce=frames.nonce, agent=task.agent)) for task in below],
    }


def _stats(store: MemoryStore, _none: str, _nonce: str | None) -> dict[str, Any]:
    return store.stats().model_dump(mode="json")


VIEWS: dict[str, View] = {"agents": digest, "context": _context, "inbox": _inbox, "tasks": task_of, "stats": _stats}


def _line(one: Task, mark: Callable[[str], str]) -> dict[str, Any]:
    return {
        "task": one.uid,
        "agent": one.agent,
        "outcome": one.outcome,
        "progress": one.progress,
        "run": one.run,
        "started": moment(one.started),
        "ended": moment(one.ended) if one.ended else None,
        "description": mark(one.description),
        "note": mark(one.note) if one.note else None,
        "insights": [mark(text) for text in one.insights],
    }


def _read(orchestrator: Orchestrator, wanted: str, view: View, subject: str) -> str:
    ours = project(orchestrator)
    if wanted != ours:
        raise UnknownName("project", wanted, [ours])
    try:
        return compact(finite(_filled(view(orchestrator.memory, subject, None))))
    except (NotFound, Refused) as error:
        raise UnknownName("resource", subject, then=str(error)) from error


def _filled(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
