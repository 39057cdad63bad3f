"""The memory of a project as a file of sorted JSON lines: two exports of the same are equal, byte for byte.

The first line says what it is, and of which project. The history of changes, sessions, reservations and claims are not
in it. How it is read again: `arrival`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Literal, TextIO, get_args

from orchestrator_memory.errors import Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.lines import FORMAT, NAME, Wanted, lines, sealed
from orchestrator_memory.names import agent_name
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.values import Kind, Value

__all__ = ["Exported", "export", "form", "header"]


class Exported(Value):
    """How many lines of which kind were written, and how many secrets were taken out on the way."""

    lines: dict[str, int]
    redacted: int = 0


def export(
    ground: Ground, stream: TextIO, *, kinds: Iterable[str] = (), agent: str | None = None, since: int | None = None
) -> Exported:
    """Write the memory of a project, as it is at one moment, to a stream of text.

    With ``kinds``, memories of these alone; with ``agent``, what that one wrote; with ``since`` (microseconds UTC),
    what was changed from then on. Secrets whose shapes are known by now are taken out.

    Raises:
        Refused: one of ``kinds`` is none, or that is no name of an agent.

    """
    wanted = Wanted(tuple(_kind(one) for one in kinds), None if agent is None else agent_name(agent), since)
    counts: Counter[str] = Counter()
    secrets = 0
    stream.write(json.dumps(header(ground.slug), sort_keys=True, separators=(",", ":")) + "\n")
    with _moment(ground.read()) as db:
        for line, found in lines(db, ground.project, wanted):
            stream.write(sealed(line) + "\n")
            counts[line["line"]] += 1
            secrets += found
    return Exported(lines=dict(counts), redacted=secrets)


def _kind(one: str) -> str:
    if one not in get_args(Kind):
        raise Refused("kinds", f"{one[:80]!r} is no kind of memory.", allowed=get_args(Kind))
    return one


def header(project: str) -> dict[str, Any]:
    """Return the first line of a file."""
    return {"line": NAME, "format": FORMAT, "project": project}


def form(first: str) -> Literal["memory", "graph"] | None:
    """Tell by its first line what a file is: one of ours, one of the knowledge-graph server, or neither."""
    try:
        line = json.loads(first)
    except ValueError:
        return None
    match line:
        case {"line": "orchestrator-memory"}:
            return "memory"
        case {"type": "entity", "name": _} | {"type": "relation", "from": _}:
            return "graph"
        case _:
            return None


@contextmanager
def _moment(db: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    """Read what there is at one moment, whatever is written meanwhile."""
    db.execute("BEGIN")
    try:
        yield db
    finally:
        db.execute("COMMIT")
