"""The memory of a project: what its agents did, learned and told each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from orchestrator_memory.agents import Agents
from orchestrator_memory.arrival import Imported, arrive
from orchestrator_memory.collaboration import Collaborations
from orchestrator_memory.compiled import Statement, add, of, p
from orchestrator_memory.context import SharedContext
from orchestrator_memory.counting import stats
from orchestrator_memory.door import Door, NewerSchema, now
from orchestrator_memory.forgetting import Forgotten, forget
from orchestrator_memory.graph import read_graph
from orchestrator_memory.ground import Ground
from orchestrator_memory.marks import key
from orchestrator_memory.memories import Memories
from orchestrator_memory.messages import Messages
from orchestrator_memory.names import slug
from orchestrator_memory.redaction import known, named
from orchestrator_memory.related import RelatedRun, RunQuery, related
from orchestrator_memory.reservations import Reservations
from orchestrator_memory.retention import Keep, Pruned, prune
from orchestrator_memory.schema import AREA, STEPS
from orchestrator_memory.tables import Meta, Project
from orchestrator_memory.tasks import Tasks
from orchestrator_memory.transfer import Exported, export, form
from orchestrator_memory.values import Stats

__all__ = ["MemoryStore"]

OF_SLUG = Statement(select(of(Project).c.id).where(of(Project).c.slug == p("slug")))

MARK = Statement(select(of(Meta).c.value).where(of(Meta).c.key == p("key")))
_MARKED = insert(of(Meta)).values(key=p("key"), value=p("value"))
KEEP = Statement(_MARKED.on_conflict_do_update(["key"], set_={"value": _MARKED.excluded.value}))


class MemoryStore:
    """The parts of a project's memory, over one database that any number of processes may have open."""

    def __init__(self, ground: Ground) -> None:
        """Stand on a database that is open; `open` is the usual way."""
        self.ground = ground
        self.door, self.project, self.read_only = ground.door, ground.slug, ground.read_only
        self.agents = Agents(ground)
        self.tasks = Tasks(ground)
        self.memories = Memories(ground)
        self.collaboration = Collaborations(ground)
        self.context = SharedContext(ground)
        self.messages = Messages(ground)
        self.reservations = Reservations(ground)

    @classmethod
    def open(
        cls,
        path: Path,
        project: str = "default",
        *,
        synchronous: str = "NORMAL",
        anywhere: bool = False,
        clock: Callable[[], int] = now,
    ) -> Self:
        """Open the memory of a project, making the database when there is none.

        ``synchronous`` and ``anywhere`` are those of `Door`; ``clock`` tells the time in microseconds UTC. A database
        that a newer version wrote is read only.

        Raises:
            NetworkPlace: the file lies on the file system of another machine.

        """
        known(named(os.environ))
        door = Door(path, synchronous=synchronous, anywhere=anywhere)
        try:
            door.migrate(AREA, STEPS)
            newer = False
        except NewerSchema:
            newer = True
        wanted = slug(project)
        row = OF_SLUG(door.read(), slug=wanted).fetchone()
        if row is None and not newer:
            with door.write() as db:
                row = OF_SLUG(db, slug=wanted).fetchone()
                number = row[0] if row else add(db, Project, slug=wanted, created_at=clock())
        else:
            number = row[0] if row else 0
        return cls(Ground(door, number, wanted, clock, read_only=newer))

    def related_runs(self, query: RunQuery, most: int = 10) -> list[RelatedRun]:
        """Return the trainings of the project whose data are most like those of ``query``, the most alike first."""
        return related(self.ground, query, most)

    def changes(self) -> int:
        """Return a number that is another one after another connection has written; asking costs microseconds."""
        return int(self.door.read().execute("PRAGMA data_version").fetchone()[0])

    def stats(self) -> Stats:
        """Return how much there is of everything, now."""
        return stats(self.ground)

    def mark(self, name: str, value: int | None = None) -> int:
        """Return a number that a program keeps here, 0 before it has; with a ``value``, keep that one.

        It is how far something else was read, say: what was written before it was kept is there when it is.
        """
        kept = key(self.project, name)
        if value is None:
            row = MARK(self.ground.read(), key=kept).fetchone()
            return int(row[0]) if row else 0
        with self.ground.write() as db:
            KEEP(db, key=kept, value=str(value))
        return value

    def prune(self, keep: Keep | None = None, *, dry: bool = False) -> Pruned:
        """Let go what its time is over for; see `retention`."""
        return prune(self.ground, keep, dry=dry)

    def forget(
        self,
        *,
        uid: str | None = None,
        agent: str | None = None,
        text: str | None = None,
        hard: bool = False,
        dry: bool = False,
        seconds: float = 5.0,
    ) -> Forgotten:
        """Forget one thing, all of an agent, or everything with a text in it; see `forgetting`."""
        return forget(self.ground, uid=uid, agent=agent, text=text, hard=hard, dry=dry, seconds=seconds)

    def export(
        self, stream: TextIO, *, kinds: Iterable[str] = (), agent: str | None = None, since: int | None = None
    ) -> Exported:
        """Write the project's memory as sorted JSON lines; see `transfer`."""
        return export(self.ground, stream, kinds=kinds, agent=agent, since=since)

    def import_(self, stream: Iterable[str], *, own: bool | None = None, dry: bool = False) -> Imported:
        """Read what `export` wrote, or the file of a knowledge-graph server; see `arrival` and `graph`."""
        rest = iter(stream)
        first = next(rest, "")
        if form(first) == "graph":
            return read_graph(self.ground, chain([first], rest), dry=dry)
        return arrive(self.ground, chain([first], rest), own=own, dry=dry)

    def close(self) -> None:
        """Close the database."""
        self.memories.settle()
        self.door.close()

    def __enter__(self) -> Self:
        """Use it in a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database."""
        self.close()
