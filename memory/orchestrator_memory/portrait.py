"""What the memory has of an agent, and of what all share, as the dictionaries of the mission's memory manager."""

from __future__ import annotations

import hashlib
from typing import Any, cast

from sqlalchemy import func, literal_column, or_, select

from orchestrator_memory import shapes
from orchestrator_memory.compiled import Statement, of, p
from orchestrator_memory.errors import NotFound
from orchestrator_memory.letters import ABOUT_MESSAGE, JOINED, letters
from orchestrator_memory.merging import identity, overlaid
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.tables import Collaboration, Delivery, Memory, Message
from orchestrator_memory.taskrows import ROWS, T, tasks_of

__all__ = ["INSIGHTS", "KEYS", "MESSAGES", "TASKS", "agent", "knowledge", "messages", "shared", "statistics", "unread"]

TASKS, INSIGHTS, MESSAGES, PATTERNS = 50, 20, 100, 200
"""How many of each a dictionary shows; there may be more."""
LONGEST = 64
"""Characters of a key of the shared context."""
KEYS = {
    ("project_context", "current_phase"): "phase",
    ("project_context", "active_objectives"): "objectives",
    ("project_context", "system_health"): "health",
    ("global_insights",): "insights",
    ("architectural_decisions",): "decisions",
    ("performance_baselines",): "baselines",
    ("project_context",): "project",
}
"""Where the keys of the shared context stand in the dictionary; others stand in it under their own names."""
D, M, C, MEMORY = of(Delivery).c, of(Message).c, of(Collaboration).c, of(Memory).c
MINE = (T.project_id == p("project"), T.agent_id == p("agent"))
ENDED = Statement(ROWS.where(*MINE, T.outcome != "running").order_by(T.started_at.desc(), T.id.desc()).limit(p("most")))
OUTCOMES = Statement(select(T.outcome, func.count()).where(*MINE, T.outcome != "running").group_by(T.outcome))
LEARNED = (MEMORY.project_id == p("project"), MEMORY.agent_id == p("agent"), MEMORY.valid_to.is_(None))
AREAS = Statement(
    select(MEMORY.area, func.count().label("times"), func.count(MEMORY.confidence), func.sum(MEMORY.confidence))
    .where(*LEARNED, MEMORY.kind == "insight")
    .group_by(MEMORY.area)
    .order_by(func.count().desc(), MEMORY.area)
)
LAST = Statement(
    select(
        select(func.max(T.updated_at)).where(*MINE).scalar_subquery(),
        select(func.max(MEMORY.updated_at)).where(*LEARNED).scalar_subquery(),
        select(func.max(C.last_at)).where(C.agent_id == p("agent")).scalar_subquery(),
    )
)
LATEST = Statement(
    select(*ABOUT_MESSAGE)
    .select_from(JOINED)
    .where(M.project_id == p("project"))
    .order_by(M.id.desc())
    .limit(p("most"))
)
OPEN: Any = literal_column("delivery.state IN ('unread', 'claimed')")
"""Written as in the index, which is used only then."""
WAITING = Statement(
    select(*ABOUT_MESSAGE)
    .select_from(JOINED.join(of(Delivery), D.message_id == M.id))
    .where(D.agent_id == p("agent"), OPEN, or_(D.expires_at.is_(None), D.expires_at > p("at")))
    .order_by(M.id.desc())
)


def knowledge(name: str) -> str:
    """Return the key of the shared context under which an agent's knowledge is kept."""
    key = f"knowledge.{name}"
    return key if len(key) <= LONGEST else f"{key[:47]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def agent(store: MemoryStore, name: str) -> dict[str, Any]:
    """Return the memory of an agent who is known.

    Raises:
        NotFound: there is none of that name.

    """
    known, db = store.agents.get(name), store.ground.read()
    number = store.ground.agent(db, name)
    rows = ENDED(db, project=store.ground.project, agent=number, most=TASKS).fetchall()
    kept = store.context.get(knowledge(known.name))
    own = shapes.empty_agent(known.name, known.created)
    own["task_history"] = [shapes.task(one) for one in tasks_of(db, rows)]
    learned = store.memories.list(kinds=("insight",), agent=name, most=INSIGHTS)
    own["optimization_insights"] = [shapes.insight(one) for one in reversed(learned)]
    together = own["collaboration_patterns"]
    together["frequent_collaborators"] = shapes.together(store.collaboration.of(name))
    found = cast("dict[str, Any]", overlaid(own, kept.value if isinstance(kept.value, dict) else {}))
    found["collaboration_patterns"]["delegation_effectiveness"] |= store.collaboration.effectiveness(name)
    found["domain_knowledge"]["common_patterns"] = _patterns(store, name, found["domain_knowledge"]["common_patterns"])
    last = LAST(db, project=store.ground.project, agent=number).fetchone()
    return found | {"last_updated": shapes.stamp(max(known.created, kept.updated, *(one or 0 for one in last)))}


def shared(store: MemoryStore) -> dict[str, Any]:
    """Return what the agents of a project share, and their latest messages."""
    entries = {one.key: one for one in store.context.all() if not one.key.startswith(knowledge(""))}
    found = shapes.empty_shared(
        store.project, max((one.updated for one in entries.values()), default=store.ground.clock())
    )
    placed = {key: path for path, key in KEYS.items()}
    for key, entry in entries.items():
        *above, name = placed.get(key, (key,))
        place = found
        for one in above:
            place = place[one]
        place[name] = overlaid(place.get(name), entry.value)
    latest = messages(store)
    if latest:
        found["last_updated"] = max(found["last_updated"], latest[0]["timestamp"])
    return found | {"inter_agent_messages": latest}


def messages(store: MemoryStore, most: int = MESSAGES) -> list[dict[str, Any]]:
    """Return the latest messages of a project, the newest first, with who has acknowledged them."""
    db = store.ground.read()
    rows = LATEST(db, project=store.ground.project, most=most).fetchall()
    return [shapes.message(one) for one in letters(db, rows, each=True)]


def unread(store: MemoryStore, name: str) -> list[dict[str, Any]]:
    """Return all that an agent has not acknowledged, however much it is, the newest first; it stays unread.

    Raises:
        NotFound: there is no such agent.

    """
    store.messages.unread(name)  # brings what was sent to all before the agent was known
    db = store.ground.read()
    rows = WAITING(db, agent=store.ground.agent(db, name), at=store.ground.clock()).fetchall()
    return [shapes.message(one) for one in letters(db, rows, each=True)]


def statistics(store: MemoryStore, name: str) -> dict[str, Any]:
    """Return figures of all that an agent did, also of what its dictionary no longer shows."""
    try:
        own = agent(store, name)
    except NotFound:
        return {"error": f"No memory found for agent: {name}"}
    db = store.ground.read()
    mine = {"project": store.ground.project, "agent": store.ground.agent(db, name)}
    outcomes = {str(row[0]): int(row[1]) for row in OUTCOMES(db, **mine)}
    areas = [(str(row[0]), int(row[1]), int(row[2]), float(row[3] or 0)) for row in AREAS(db, **mine)]
    rated, confidence = sum(row[2] for row in areas), sum(row[3] for row in areas)
    last = own["task_history"][0]["timestamp"] if own["task_history"] else None
    since = 0 if last is None else store.ground.clock() - shapes.moment(last, "timestamp")
    partners = own["collaboration_patterns"]["frequent_collaborators"]
    return {
        "agent_name": own["agent_name"],
        "last_updated": own["last_updated"],
        "total_tasks": sum(outcomes.values()),
        "total_insights": sum(row[1] for row in areas),
        "collaboration_count": len(partners),
        "task_outcomes": outcomes,
        "recent_activity_days": max(0, since) // 86_400_000_000,
        "insight_confidence_avg": confidence / rated if rated else 0.0,
        "most_active_areas": [(area, times) for area, times, _, _ in areas[:3]],
        "collaboration_success_rates": {
            one["agent_name"]: {"success_rate": one["success_rate"], "frequency": one["collaboration_frequency"]}
            for one in partners
        },
    }


def _patterns(store: MemoryStore, name: str, kept: list[Any]) -> list[Any]:
    known = {identity(one) for one in kept}
    said = [shapes.pattern(one) for one in store.memories.list(kinds=("pattern",), agent=name, most=PATTERNS)]
    return [*kept, *(one for one in reversed(said) if identity(one) not in known)]
