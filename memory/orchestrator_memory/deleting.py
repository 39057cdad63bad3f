"""An agent who goes, and one who is back."""

from __future__ import annotations

from sqlalchemy import delete as gone
from sqlalchemy import select

from orchestrator_memory.compiled import Statement, of, p
from orchestrator_memory.messages import BACK
from orchestrator_memory.portrait import knowledge
from orchestrator_memory.retention import removed
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.tables import Collaboration, Memory, Task

__all__ = ["back", "delete"]

THEIRS = {
    table.__tablename__: Statement(select(of(table).c.id).where(of(table).c.agent_id == p("agent")))
    for table in (Memory, Task)
}
COUNTED = Statement(gone(of(Collaboration)).where(of(Collaboration).c.agent_id == p("agent")))


def delete(store: MemoryStore, name: str) -> bool:
    """Delete what an agent kept for itself, and retire it; return True.

    Raises:
        NotFound: there is no such agent.

    """
    ground, agent = store.ground, store.agents.get(name)
    key = knowledge(agent.name)
    with ground.together():
        with ground.write() as db:
            number = ground.agent(db, name)
            for table, statement in THEIRS.items():
                removed(db, table, [int(row[0]) for row in statement(db, agent=number)])
            COUNTED(db, agent=number)
        if store.context.get(key).value is not None:
            store.context.merge(key, lambda _: None)
        store.agents.retire(name)
    return True


def back(store: MemoryStore, name: str) -> None:
    """Make an agent known, or let it be back after it had retired."""
    with store.ground.together():
        store.agents.register(name)
        with store.ground.write() as db:
            BACK(db, agent=store.ground.agent(db, name))
