"""What a task is: its words, where it begins, how the state shows that it is done, and a way that does it."""

from __future__ import annotations

import csv
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import RunRow, Status, StepRow
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.tracking.versions import Version, Versions
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.values import Memory, Message
from orchestrator_memory.values import Task as Work

if TYPE_CHECKING:
    from .hands import Hands

__all__ = ["GOOD", "NAME", "Project", "Task", "Way"]

GOOD = (Status.SUCCEEDED, Status.DEGRADED)
NAME = "shop"
"""The name of every project folder: the memory goes by it, so that a copy of a folder must be called the same."""


class Project:
    """A project folder that an agent has worked in, as its checker sees it: nothing works in it any more."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder; its databases are opened when they are asked for."""
        self.folder = folder
        self.settings = Settings.load(folder)

    @cached_property
    def journal(self) -> Journal:
        """The runs."""
        return Journal(self.settings.home)

    @cached_property
    def versions(self) -> Versions:
        """The registered models."""
        return Versions(self.settings.home)

    @cached_property
    def memory(self) -> MemoryStore:
        """What agents kept and told each other."""
        return MemoryStore.open(self.settings.home / "memory.db", self.settings.project.name)

    def close(self) -> None:
        """Close what was opened."""
        for name in ("journal", "versions", "memory"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def runs(self, workflow: str, **spec: Any) -> list[RunRow]:
        """Return the runs of a workflow whose specification has these values, the newest first."""
        found = self.journal.runs(workflow=workflow, most=500)
        return [one for one in found if all(one.spec.get(key) == value for key, value in spec.items())]

    def steps(self, run: RunRow) -> dict[str, StepRow]:
        """Return the steps of a run by their names."""
        return {one.name: one for one in self.journal.steps(run.id)}

    def models(self, name: str) -> list[Version]:
        """Return the versions of a model, the newest first; none where there is no such model."""
        return self.versions.list(name) if name in self.versions.names() else []

    def champion(self, name: str, alias: str = "champion") -> int | None:
        """Return the version that has an alias."""
        return next((one.version for one in self.models(name) if alias in one.aliases), None)

    def training(self, version: Version) -> RunRow | None:
        """Return the run that made a version."""
        return next((one for one in self.journal.runs(most=500) if one.id == version.run), None)

    def columns(self, version: Version) -> set[str]:
        """Return the columns that the training workflow used for a version; none where it did not make it."""
        run = self.training(version)
        return {str(one["name"]) for one in (run.result or {}).get("importance", [])} if run else set()

    def kept(self, agent: str, kind: str | None = None) -> list[Memory]:
        """Return what an agent wrote into the memory."""
        found = self.memory.memories.list(agent=agent) if self._knows(agent) else []
        return [one for one in found if kind in {None, one.kind}]

    def letters(self, **about: Any) -> list[Message]:
        """Return the messages with these fields (``sender``, ``type``, ``reply_to``...), with all their receipts."""
        rows = self.memory.door.read().execute("SELECT uid FROM message ORDER BY id").fetchall()
        found = [self.memory.messages.get(row["uid"]) for row in rows]
        return [one for one in found if all(getattr(one, key) == value for key, value in about.items())]

    def tasks(self, agent: str) -> list[Work]:
        """Return the tasks of an agent, those of runs left out."""
        return [one for one in self.memory.tasks.list(agent=agent) if one.run is None] if self._knows(agent) else []

    def text(self, name: str) -> str | None:
        """Return what stands in a file, without blanks around it; None where there is none."""
        path = self.folder / name
        return path.read_text("utf-8").strip() if path.is_file() else None

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a CSV file; none where there is none."""
        text = self.text(name)
        return [] if text is None else list(csv.DictReader(text.splitlines()))

    def _knows(self, agent: str) -> bool:
        return agent in {one.name for one in self.memory.agents.list()}


Check = Callable[[Project], Iterable[str]]
Way = Callable[["Hands"], Awaitable[None]]
Company = Callable[[Path], AbstractAsyncContextManager[None]]


def _nobody(_project: Path) -> AbstractAsyncContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something that an agent is asked to do in a project folder.

    ``words`` is all that it is told. ``start`` names the prepared folder (`homes.HOMES`). ``check`` looks at the
    finished project and yields what is wrong. ``solve`` solves it with the tools, and ``wrong`` does what a hasty agent
    might. A person says yes to what has all words of one entry of ``asks``. ``beside`` is what goes on meanwhile.
    ``agent`` is the definition that the agent works by, if the task is about one; ``calls`` is the most it may call.
    """

    id: str
    about: str
    words: str
    check: Check
    solve: Way
    wrong: Way | None = None
    start: str = "tables"
    asks: tuple[tuple[str, ...], ...] = ()
    beside: Company = _nobody
    agent: str = ""
    calls: int = 40
