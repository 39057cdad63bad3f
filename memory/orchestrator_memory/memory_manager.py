"""The memory manager that the mission's agents import, under its names and with its dictionaries, on the store.

A dictionary that was loaded knows what it was then: saving it brings in what was changed since, so that nothing that
others wrote meanwhile is lost, and nothing is removed. Lists show the latest 50 tasks, 20 insights and 100 messages;
the memory keeps more, and messages that are unread are all there.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from threading import Lock
from typing import Any

from orchestrator_memory import portrait
from orchestrator_memory.deleting import back, delete
from orchestrator_memory.errors import NotFound
from orchestrator_memory.home import FILE, Home, home_of
from orchestrator_memory.intake import number
from orchestrator_memory.retention import Keep
from orchestrator_memory.saving import Saving, word_of
from orchestrator_memory.sending import Sending
from orchestrator_memory.shapes import Loaded, stamp
from orchestrator_memory.store import MemoryStore

__all__ = [
    "AgentMemoryManager",
    "load_my_memory",
    "load_shared_context",
    "save_my_memory",
    "send_message_to_agents",
]

USUAL = Path(".claude/memory")
_OPEN: dict[tuple[int, Path], MemoryStore] = {}
_LOCK = Lock()


class AgentMemoryManager:
    """What agents did, learned and told each other."""

    def __init__(self, memory_dir: str | Path = USUAL, *, store: MemoryStore | None = None) -> None:
        """Use the memory of the project that the working folder belongs to, which the orchestrator uses too.

        With the ``.claude/memory`` of another project, the memory of that one; with any other folder, the database
        ``memory.db`` in it.

        Raises:
            NetworkPlace: the file would lie on the file system of another machine.

        """
        self.memory_dir = Path(memory_dir)
        self._store = store or _opened(_home(self.memory_dir))

    # An agent's own --------------------------------------------------------------------------------------------------

    def load_agent_memory(self, agent_name: str) -> dict[str, Any]:
        """Return what an agent did and learned; an agent who is not known becomes known.

        Raises:
            Refused: the name is none.

        """
        self._known(agent_name)
        found = portrait.agent(self._store, agent_name)
        return Loaded(found, deepcopy(found))

    def save_agent_memory(self, agent_name: str, memory_data: dict[str, Any]) -> None:
        """Bring in what was changed of a memory since it was loaded: all of it, or nothing when something is refused.

        Raises:
            Refused: something is not acceptable.

        """
        self._known(agent_name)
        Saving(self._store).agent(agent_name, memory_data, _loaded(memory_data))
        self._saved(memory_data)

    def add_task_to_history(self, agent_name: str, task_info: dict[str, Any]) -> None:
        """Record a task that is over: ``task_description``, ``outcome``, ``key_insights``, ``delegations``.

        One whose ``task_id`` is known is not recorded again.

        Raises:
            Refused: a key is missing, or something is not acceptable.

        """
        self._known(agent_name)
        Saving(self._store).task(agent_name, task_info)

    def add_optimization_insight(self, agent_name: str, insight_info: dict[str, Any]) -> None:
        """Remember what was learned: ``area``, ``insight``, ``impact`` and ``confidence``.

        What the agent has said before is counted, and has the impact and confidence that were given last.

        Raises:
            Refused: a key is missing, or something is not acceptable.

        """
        self._known(agent_name)
        Saving(self._store).insight(agent_name, insight_info)

    def update_collaboration_pattern(self, agent_name: str, collaborator: str, success: bool, task_type: str) -> None:  # noqa: FBT001 - the mission's parameters
        """Count that somebody did something for an agent, and whether it went well.

        Raises:
            Refused: a name is none, or both are one agent.

        """
        self._known(agent_name)
        self._store.collaboration.record(agent_name, collaborator, success=success, type=word_of(task_type))

    def agent_memory_exists(self, agent_name: str) -> bool:
        """Whether an agent is known, and was not deleted."""
        try:
            return self._store.agents.get(agent_name).retired is None
        except NotFound:
            return False

    def list_agents(self) -> list[str]:
        """Return the names of the agents that are known."""
        return [one.name for one in self._store.agents.list() if one.retired is None]

    def get_agent_statistics(self, agent_name: str) -> dict[str, Any]:
        """Return figures of all that an agent did; an ``error`` for one who is not known."""
        return portrait.statistics(self._store, agent_name)

    # What all share --------------------------------------------------------------------------------------------------

    def load_shared_context(self) -> dict[str, Any]:
        """Return what all agents share, with the latest messages between them."""
        found = portrait.shared(self._store)
        return Loaded(found, deepcopy(found))

    def save_shared_context(self, context_data: dict[str, Any]) -> None:
        """Bring in what was changed of the shared context since it was loaded: all of it, or nothing.

        Raises:
            Refused: something is not acceptable.

        """
        Sending(self._store).shared(context_data, _loaded(context_data))
        self._saved(context_data)

    def add_inter_agent_message(
        self,
        from_agent: str,
        message_type: str,
        content: str,
        target_agents: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> str:
        """Send a message to some agents, or to all, also those who come later; return its id.

        Of the ``metadata``, ``priority`` (low, medium, high, urgent), ``expiry`` (a time) and ``task_id`` mean what
        they say.

        Raises:
            Refused: something is not acceptable.

        """
        to, about = target_agents or [], metadata or {}
        return Sending(self._store).send(from_agent, message_type, content, to=to, metadata=about).message.uid

    def get_unread_messages(self, agent_name: str) -> list[dict[str, Any]]:
        """Return all messages that an agent has not acknowledged and that have not expired, the newest first.

        Reading them changes nothing: they are here until they are acknowledged.

        Raises:
            Refused: the name is none.

        """
        self._known(agent_name)
        return portrait.unread(self._store, agent_name)

    def acknowledge_message(self, message_id: str, agent_name: str) -> None:
        """Note that an agent has dealt with a message; once more changes nothing.

        Raises:
            NotFound: there is no such message, or agent.
            NotYours: the message is for others.
            Held: somebody has claimed it for work.

        """
        self._store.messages.ack(agent_name, [message_id])

    # What is over ----------------------------------------------------------------------------------------------------

    def delete_agent_memory(self, agent_name: str) -> bool:
        """Delete an agent's tasks, memories and counts, and retire it; return whether it was known.

        Messages that it sent stay with those who got them. To leave no byte behind: ``MemoryStore.forget``.

        Raises:
            Refused: the name is none.

        """
        return self.agent_memory_exists(agent_name) and delete(self._store, agent_name)

    def cleanup_expired_data(self, days_to_keep: int = 30) -> int:
        """Remove messages that all have acknowledged and tasks that ended, so many days ago; return how many it were.

        So are memories that expired; what is unread stays.

        Raises:
            Refused: the number of days is negative.

        """
        days = number("days_to_keep", days_to_keep, 0, 36_500) or 0.0
        gone = self._store.prune(Keep(acknowledged=days, dead=days, tasks=days, expired=days))
        return gone.messages + gone.tasks + gone.memories

    # Inside ----------------------------------------------------------------------------------------------------------

    def _known(self, name: str) -> None:
        if not self.agent_memory_exists(name):
            back(self._store, name)

    def _saved(self, data: dict[str, Any]) -> None:
        data["last_updated"] = stamp(self._store.ground.clock())
        if isinstance(data, Loaded):
            data.loaded = deepcopy(dict(data))


def load_my_memory(agent_name: str) -> dict[str, Any]:
    """Return what an agent did and learned: `AgentMemoryManager.load_agent_memory`."""
    return AgentMemoryManager().load_agent_memory(agent_name)


def save_my_memory(agent_name: str, memory_data: dict[str, Any]) -> None:
    """Bring in what was changed of a memory since it was loaded: `AgentMemoryManager.save_agent_memory`."""
    AgentMemoryManager().save_agent_memory(agent_name, memory_data)


def load_shared_context() -> dict[str, Any]:
    """Return what all agents share: `AgentMemoryManager.load_shared_context`."""
    return AgentMemoryManager().load_shared_context()


def send_message_to_agents(
    from_agent: str,
    message_type: str,
    content: str,
    target_agents: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> str:
    """Send a message to some agents, or to all: `AgentMemoryManager.add_inter_agent_message`."""
    return AgentMemoryManager().add_inter_agent_message(from_agent, message_type, content, target_agents, metadata)


def _loaded(data: Mapping[str, Any]) -> dict[str, Any] | None:
    return data.loaded if isinstance(data, Loaded) else None


def _home(folder: Path) -> Home:
    if folder == USUAL:
        return home_of()
    place = folder.resolve()
    if place.parts[-2:] == USUAL.parts:
        return home_of(place.parents[1])
    return Home(place, place / FILE)


def _opened(home: Home) -> MemoryStore:
    """Return the store of a home, opened once in a process: not again after a fork, where the child opens its own."""
    with _LOCK:
        store = _OPEN.get((os.getpid(), home.path))
        if store is None:
            store = MemoryStore.open(home.path, home.project.name, anywhere=home.anywhere)
            _OPEN[os.getpid(), home.path] = store
        return store


@atexit.register
def close() -> None:
    """Close what this process has opened."""
    with _LOCK:
        for process, path in [key for key in _OPEN if key[0] == os.getpid()]:
            _OPEN.pop((process, path)).close()
