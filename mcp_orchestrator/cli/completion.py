"""What the shell may complete: names that exist in the project right now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from mcp_orchestrator.cli.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from orchestrator_memory.store import MemoryStore

__all__ = [
    "agents",
    "capabilities",
    "components",
    "keys",
    "memories",
    "messages",
    "models",
    "runs",
    "speakers",
    "tasks",
]


def agents(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an agent."""
    from mcp_orchestrator.definitions import agents

    named: tuple[str, ...] = ctx.params.get("names") or ()
    return _items([(one.name, one.summary) for one in agents().values() if one.name not in named], incomplete)


def components(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a component."""
    from mcp_orchestrator.core.registry import Registry

    registry = Registry(_session(ctx).settings().components)
    return _items([(one.name, one.summary) for one in registry], incomplete)


def capabilities(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a capability of the component that was named before."""
    from mcp_orchestrator.core.registry import Registry
    from mcp_orchestrator.errors import UnknownName

    try:
        chosen = Registry(_session(ctx).settings().components).get(str(ctx.params.get("component")))
    except UnknownName:
        return []
    return _items([(one.name, one.summary) for one in chosen.capabilities.values()], incomplete)


def models(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a registered model; after an ``@``, its aliases and versions."""
    from mcp_orchestrator.tracking.versions import Versions

    home = _session(ctx).settings().home
    if not (home / "orchestrator.db").exists():
        return []
    known = Versions(home).list()
    if "@" not in incomplete:
        names = {one.name: f"{one.task}, target {one.target}" for one in known}
        return _items(list(names.items()), incomplete)
    exact = [(f"{one.name}@{tag}", "") for one in known for tag in [*one.aliases, one.version]]
    return _items(exact, incomplete)


def runs(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a run, the newest first."""
    from mcp_orchestrator.core.journal import Journal

    home = _session(ctx).settings().home
    if not (home / "orchestrator.db").exists():
        return []
    return _items([(row.id, f"{row.workflow} {row.status}") for row in Journal(home).runs(most=50)], incomplete)


def speakers(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an agent that the memory knows."""
    return _remembered(ctx, lambda store: [(one.name, one.role) for one in store.agents.list()], incomplete)


def memories(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a memory, the newest first."""
    return _remembered(
        ctx, lambda store: [(one.uid, one.title or one.body) for one in store.memories.list(most=50)], incomplete
    )


def tasks(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a task, the newest first."""
    return _remembered(ctx, lambda store: [(one.uid, one.description) for one in store.tasks.list(most=50)], incomplete)


def messages(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a message that the agent named before has not acknowledged."""
    agent = str(ctx.params.get("agent") or "")

    def found(store: MemoryStore) -> list[tuple[str, str]]:
        return [(one.uid, one.subject or one.body) for one in store.messages.inbox(agent, most=50)]

    return _remembered(ctx, found, incomplete) if agent else []


def keys(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a key of what agents share."""
    return _remembered(
        ctx, lambda store: [(one.key, f"version {one.version}") for one in store.context.all()], incomplete
    )


def _remembered(
    ctx: click.Context, known: Callable[[MemoryStore], list[tuple[str, str]]], incomplete: str
) -> list[CompletionItem]:
    """Return what of the memory fits; nothing where there is no memory, or nobody of that name."""
    from mcp_orchestrator.cli.store import opened
    from orchestrator_memory.errors import MemoryFailure

    session = _session(ctx)
    if not (session.settings().home / "memory.db").exists():
        return []
    try:
        with opened(session) as store:
            return _items([(name, " ".join(text.split())[:60]) for name, text in known(store)], incomplete)
    except MemoryFailure:
        return []


def _session(ctx: click.Context) -> Session:
    return ctx.find_object(Session) or Session()


def _items(known: list[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name, help=text) for name, text in known if name.startswith(incomplete)]
