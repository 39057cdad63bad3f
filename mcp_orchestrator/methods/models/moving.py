"""The moves of a model's aliases: refused where somebody else has reserved the model, or has moved it meanwhile."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.methods.models.exports import Shown, show
from mcp_orchestrator.tracking.aliases import Change
from mcp_orchestrator.tracking.reserved import guard
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Value

__all__ = ["Moved", "expected", "holder", "moved", "moving", "who"]


class Moved(Value):
    """A move of an alias."""

    name: str
    alias: str
    previous: int | None
    version: int | None
    by: str
    why: str
    at: int
    shown: Shown


@contextmanager
def moving(ctx: Context, name: str, fence: int | None) -> Generator[Versions]:
    """Open the registry to move an alias of a model, which nobody else may have reserved.

    Raises:
        NotReady: somebody else has reserved it, or the reservation of the ``fence`` is over.

    """
    guard(ctx.settings, f"model:{name}", fence, alone=True)
    with Versions(ctx.settings.home) as versions:
        yield versions


def moved(ctx: Context, versions: Versions, change: Change) -> Moved:
    """Return what a change of an alias is told as."""
    told = change.model_dump(exclude={"action", "generation"})
    return Moved(**told, shown=show(ctx, versions, change.name))


def holder(versions: Versions, name: str, alias: str) -> int | None:
    """Return the version that holds an alias, if one does."""
    return next((one.version for one in versions.list(name) if alias in one.aliases), None)


def expected(
    versions: Versions, name: str, alias: str, instead_of: int | None, generation: int | None = None
) -> int | None:
    """Return the generation that a move must find, when it is asked to replace a certain version, or to find that one.

    Raises:
        NotReady: another version holds the alias.

    """
    if instead_of is None:
        return generation
    found, holds = versions.generation(name, alias), holder(versions, name, alias)
    if holds != instead_of:
        now = f"version {holds} does" if holds else "no version does"
        raise NotReady(f"Version {instead_of} of {name!r} is not {alias!r} any more: {now}. Nothing was changed.")
    return found if generation is None else generation


def who(ctx: Context) -> str:
    """Return in whose name an alias is moved, and who approved it where somebody was asked."""
    mover = f"run {ctx.run}" if ctx.run else "a call"
    return f"{mover}, approved by {ctx.by}" if ctx.by else mover
