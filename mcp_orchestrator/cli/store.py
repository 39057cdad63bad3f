"""What the commands of the memory share: the open store, who speaks, times in and out."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcp_orchestrator.cli.session import Session

if TYPE_CHECKING:
    from orchestrator_memory.store import MemoryStore

__all__ = ["KINDS", "SINCE", "limit", "moment", "opened", "said", "since", "speaking"]

F = TypeVar("F", bound=Callable[..., Any])

KINDS = ("insight", "pattern", "decision", "fact", "baseline", "lesson", "note")
UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SPAN = re.compile(r"(\d+)([mhdw])")


class Since(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - generic only in newer versions of click
    """A moment: so long ago (``30m``, ``12h``, ``7d``, ``2w``), or a date or time in ISO 8601, local without a zone."""

    name = "7d|date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Return the moment in microseconds UTC."""
        from orchestrator_memory.door import now

        if isinstance(value, int):
            return value
        if span := SPAN.fullmatch(value):
            return now() - int(span[1]) * UNITS[span[2]] * 1_000_000
        try:
            return int(datetime.fromisoformat(value).timestamp() * 1e6)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time. Give 30m, 12h, 7d, 2w, or a date such as 2026-05-01.", param, ctx)


SINCE = Since()


def since(what: str) -> Callable[[F], F]:
    """Return the option ``--since`` for the kind of thing that is listed."""
    return click.option("--since", type=SINCE, help=f"Only {what} since then: 12h, 7d, 2w, or a date.")


def limit(default: int) -> Callable[[F], F]:
    """Return the option ``--limit`` with its default."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 200),
        default=default,
        help=f"How many at most; {default} by default, 200 at most.",
    )


@contextmanager
def opened(session: Session) -> Generator[MemoryStore]:
    """Open the memory of the project, which other processes may have open too."""
    from orchestrator_memory.store import MemoryStore

    settings = session.settings()
    path = settings.home / "memory.db"
    with MemoryStore.open(path, settings.project.name, anywhere=settings.network_home) as store:
        yield store


@contextmanager
def speaking(store: MemoryStore, name: str | None) -> Generator[str]:
    """Speak in the name of an agent, or in that of the user; not while another session does.

    Raises:
        Taken: a session that is alive speaks in this name.

    """
    from orchestrator_memory.names import new_uid

    session = new_uid()
    agent = store.agents.register(name or getpass.getuser(), session=session, client="command").name
    try:
        yield agent
    finally:
        store.agents.end(session)


def said(text: str) -> str:
    """Return a text that was given as an argument, or, for ``-``, on stdin."""
    return sys.stdin.read() if text == "-" else text


def moment(microseconds: int | None) -> str:
    """Return a time of the memory as the local one; nothing for none."""
    if microseconds is None:
        return ""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
