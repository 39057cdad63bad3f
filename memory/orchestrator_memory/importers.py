"""What the mission's own memory manager kept in ``.claude/memory``: a file of JSON for each agent, and a shared one.

All of it is imported in one transaction, at the times that it names, with origin ``import`` and no trust. What is known
already is left, so that a folder can be imported again when it has grown. What cannot be understood is skipped and
reported, by file and place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator_memory.errors import MemoryFailure, Refused
from orchestrator_memory.names import agent_name
from orchestrator_memory.saving import Saving
from orchestrator_memory.sending import Sending
from orchestrator_memory.shapes import listed, required
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.values import Value

__all__ = ["Imported", "import_folder", "is_folder"]

AGENTS, SHARED = "agents", "shared_context.json"
MOST = 64 * 2**20
"""Bytes of a file."""


class Imported(Value):
    """How many of each were new, and what was skipped; with ``dry``, what would be."""

    agents: int = 0
    tasks: int = 0
    insights: int = 0
    patterns: int = 0
    collaborations: int = 0
    keys: int = 0
    messages: int = 0
    skipped: tuple[str, ...] = ()
    dry: bool = False


class _Undone(Exception):
    """Ends a transaction in which nothing is to be kept."""


def is_folder(folder: Path) -> bool:
    """Whether this is a folder of the mission's memory manager."""
    return (folder / SHARED).is_file() or any((folder / AGENTS).glob("*.json"))


def import_folder(store: MemoryStore, folder: Path, *, dry: bool = False) -> Imported:
    """Import a ``.claude/memory`` folder, and report what was new; with ``dry``, nothing is kept.

    Raises:
        Refused: there are no such files in the folder.
        ReadOnly: a newer version of the program wrote the database.

    """
    if not is_folder(folder):
        raise Refused(
            str(folder), f"has neither {SHARED} nor {AGENTS}/NAME.json.", then="Name a .claude/memory folder."
        )
    one = _Import(store, folder)
    try:
        with store.ground.together():
            one.all()
            if dry:
                raise _Undone  # noqa: TRY301 - it leaves the transaction
    except _Undone:
        pass
    return Imported(**one.counts, skipped=tuple(one.skipped), dry=dry)


class _Import:
    """One import: what it has counted and skipped so far."""

    def __init__(self, store: MemoryStore, folder: Path) -> None:
        """Import a folder into a store."""
        self._store, self._folder = store, folder
        self._saving = Saving(store, origin="import", source=".claude/memory")
        self._sending = Sending(store, imported=True)
        self._known = {one.name for one in store.agents.list()}
        self.counts = Counter[str]()
        self.skipped: list[str] = []

    def all(self) -> None:
        """Import every file."""
        for path in sorted((self._folder / AGENTS).glob("*.json")):
            self._file(path, self._agent)
        if (self._folder / SHARED).is_file():
            self._file(self._folder / SHARED, self._shared)

    def _file(self, path: Path, take: Callable[[Path, dict[str, Any]], None]) -> None:
        try:
            if path.stat().st_size > MOST:
                raise Refused(path.name, f"has more than {MOST} bytes.")
            take(path, required(json.loads(path.read_text("utf-8-sig")), path.name))
        except (OSError, ValueError, RecursionError, MemoryFailure) as error:
            self.skipped.append(f"{path.relative_to(self._folder).as_posix()}: {error}")

    def _agent(self, path: Path, said: dict[str, Any]) -> None:
        name = agent_name(str(said.get("agent_name") or path.stem))
        self._store.agents.register(name)
        self.counts["agents"] += name not in self._known
        saving = self._saving
        for task in reversed(listed(said, "task_history")):
            self._one("tasks", path, lambda task=task: saving.task(name, task, once=True))
        for insight in listed(said, "optimization_insights"):
            self._one("insights", path, lambda insight=insight: saving.insight(name, insight, again=False))
        self._one("patterns", path, lambda: saving.patterns(name, said, {}))
        partners = required(said.get("collaboration_patterns", {}), "collaboration_patterns")
        for partner in listed(partners, "frequent_collaborators"):
            self._one("collaborations", path, lambda partner=partner: self._partner(name, partner))
        self._one("", path, lambda: saving.rest(name, said, {}))

    def _partner(self, name: str, said: Any) -> int:  # noqa: ANN401 - whatever the file holds
        """Count what was counted with another agent since it was imported the last time."""
        entry = required(said, "frequent_collaborators", "agent_name", "collaboration_frequency", "success_rate")
        mark = f"imported:{name}:{entry['agent_name']}"
        attempts, successes = self._store.mark(mark), self._store.mark(f"{mark}:successes")
        now = int(entry["collaboration_frequency"])
        if now <= attempts:
            return 0
        rate = successes / attempts if attempts else 0.0
        before = {**entry, "collaboration_frequency": attempts, "success_rate": rate}
        new = self._saving.partners(name, _partners(entry), _partners(before))
        self._store.mark(mark, now)
        self._store.mark(f"{mark}:successes", round(now * float(entry["success_rate"])))
        return new

    def _shared(self, path: Path, said: dict[str, Any]) -> None:
        for one in reversed(listed(said, "inter_agent_messages")):
            self._one("messages", path, lambda one=one: self._sending.letter(one))
        self._one("keys", path, lambda: self._sending.shared(said | {"inter_agent_messages": []}, None)["keys"])

    def _one(self, what: str, path: Path, take: Callable[[], int]) -> None:
        with self._store.ground.write() as db:
            db.execute("SAVEPOINT item")
            try:
                new = take()
            except (MemoryFailure, ValueError, TypeError) as error:
                db.execute("ROLLBACK TO item")
                self.skipped.append(f"{path.relative_to(self._folder).as_posix()}: {error}")
                new = 0
            db.execute("RELEASE item")
        if what:
            self.counts[what] += new


def _partners(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"collaboration_patterns": {"frequent_collaborators": list(entries)}}
