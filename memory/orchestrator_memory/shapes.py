"""The dictionaries that the mission's memory manager speaks in, made of what the memory returns, and read."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from orchestrator_memory.errors import Refused
from orchestrator_memory.values import Collaborator, Memory, Message, Task

__all__ = [
    "Loaded",
    "empty_agent",
    "empty_shared",
    "insight",
    "listed",
    "message",
    "moment",
    "one_of",
    "pattern",
    "required",
    "stamp",
    "task",
    "together",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IMPACTS = {"critical": "high"}
PRIORITY = {"normal": "medium"}


class Loaded(dict[str, Any]):
    """A dictionary that knows what it was when it was loaded, so that saving it tells what was changed."""

    def __init__(self, values: Mapping[str, Any], loaded: Mapping[str, Any]) -> None:
        """Hold values, and the same values again, which stay as they are."""
        super().__init__(values)
        self.loaded = dict(loaded)


def stamp(at: int) -> str:
    """Return microseconds UTC as RFC 3339."""
    return (EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(text: Any, field: str) -> int:  # noqa: ANN401 - whatever the dictionary holds
    """Return microseconds UTC of a time in ISO 8601, also of one that names its zone twice (``+00:00Z``).

    Raises:
        Refused: it is none.

    """
    try:
        said = re.sub(r"(?<=[+-]\d\d:\d\d)Z$", "", str(text).strip())
        at = datetime.fromisoformat(said)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return (at - EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise Refused(field, f"{str(text)[:80]!r} is no time.", then="Write it like 2026-01-31T09:30:00Z.") from error


def required(values: Any, field: str, *names: str) -> dict[str, Any]:  # noqa: ANN401 - whatever was given
    """Return a dictionary that has some keys.

    Raises:
        Refused: it is no dictionary, or a key is missing.

    """
    if not isinstance(values, Mapping):
        raise Refused(field, f"is a {type(values).__name__}, not a dictionary.")
    found = dict(cast("Mapping[str, Any]", values))
    missing = [name for name in names if name not in found]
    if missing:
        raise Refused(field, f"has no {', '.join(missing)}.", then=f"It needs {', '.join(names)}.")
    return found


def listed(values: Mapping[str, Any], field: str) -> list[Any]:
    """Return the list under a key, empty where there is none.

    Raises:
        Refused: it is no list.

    """
    found = values.get(field)
    if not isinstance(found, list | tuple | None):
        raise Refused(field, f"is a {type(found).__name__}, not a list.")
    return list(cast("Any", found or ()))


def one_of(field: str, said: Any, allowed: tuple[str, ...], undecided: str) -> str:  # noqa: ANN401 - whatever was given
    """Return a value that is allowed; of a template that nobody filled in (``low|medium|high``), ``undecided``.

    Raises:
        Refused: it is none of those.

    """
    named = [part.strip() for part in str(said).split("|")]
    if any(part not in allowed for part in named):
        raise Refused(field, f"{str(said)[:80]!r} is none.", allowed=allowed)
    if len(named) == 1:
        return named[0]
    warnings.warn(f"{field} {said!r} names several; {undecided!r} is recorded. Say one of them.", stacklevel=4)
    return undecided


def empty_agent(name: str, at: int) -> dict[str, Any]:
    """Return the memory of an agent who has done nothing."""
    specific: dict[str, Any] = {"architecture_patterns": [], "performance_baselines": {}, "configuration_insights": []}
    return {
        "agent_name": name,
        "last_updated": stamp(at),
        "task_history": [],
        "domain_knowledge": {"common_patterns": [], "project_specific_context": specific},
        "optimization_insights": [],
        "collaboration_patterns": {"frequent_collaborators": [], "delegation_effectiveness": {}},
    }


def empty_shared(project: str, at: int) -> dict[str, Any]:
    """Return the shared context of a project in which nothing was shared."""
    return {
        "last_updated": stamp(at),
        "project_context": {
            "project_name": project,
            "current_phase": "development",
            "active_objectives": [],
            "system_health": {"overall_status": "unknown", "performance_metrics": {}},
        },
        "inter_agent_messages": [],
        "global_insights": [],
        "architectural_decisions": [],
        "performance_baselines": {},
    }


def task(one: Task) -> dict[str, Any]:
    """Return an entry of ``task_history``."""
    parts = [{"to_agent": part.to, "reason": part.reason, "outcome": part.outcome} for part in one.delegations]
    return {
        "task_id": one.data.get("task_id", one.uid),
        "timestamp": stamp(one.ended or one.updated),
        "task_description": one.description,
        "outcome": one.outcome,
        "key_insights": list(one.insights),
        "delegations": parts,
    }


def insight(one: Memory) -> dict[str, Any]:
    """Return an entry of ``optimization_insights``; what was not said is None, and ``flags`` say what is suspicious."""
    return {
        "area": one.data.get("area", one.area),
        "insight": one.body,
        "impact": IMPACTS.get(one.impact or "", one.impact),
        "confidence": one.confidence,
        "discovered_at": stamp(one.valid_from),
        **({"flags": list(one.flags)} if one.flags else {}),
    }


def pattern(one: Memory) -> dict[str, Any]:
    """Return an entry of ``common_patterns``; the rate is that of those who said that it helped."""
    judged = one.helpful + one.harmful
    return {
        "pattern_name": one.title or one.body.split("\n")[0][:80],
        "description": one.body,
        "frequency": one.times,
        "success_rate": one.helpful / judged if judged else None,
        "last_used": stamp(one.updated),
    }


def together(rows: Iterable[Collaborator]) -> list[dict[str, Any]]:
    """Return the entries of ``frequent_collaborators``: all kinds of task of an agent together, most frequent first."""
    found: dict[str, list[Collaborator]] = {}
    for one in rows:
        found.setdefault(one.other, []).append(one)
    entries: list[dict[str, Any]] = []
    for name, parts in found.items():
        attempts = sum(one.attempts for one in parts)
        won = sum(one.successes for one in parts)
        kinds = sorted({one.type for one in parts if one.type})
        entries.append(
            {
                "agent_name": name,
                "collaboration_frequency": attempts,
                "success_rate": won / attempts if attempts else 0.0,
                "common_tasks": kinds,
            }
        )
    return sorted(entries, key=lambda one: (-one["collaboration_frequency"], one["agent_name"]))


def message(one: Message) -> dict[str, Any]:
    """Return a message; receipts say who has acknowledged it, ``flags`` in its metadata what is suspicious about it."""
    told = {"task_id": one.task, "priority": PRIORITY.get(one.priority, one.priority)}
    told |= {"expiry": None if one.expires is None else stamp(one.expires)}
    said = {key: value for key, value in told.items() if value is not None and (key, value) != ("priority", "medium")}
    acked = [{"agent": by.agent, "timestamp": stamp(by.acked)} for by in one.receipts if by.acked is not None]
    return {
        "message_id": one.uid,
        "from_agent": one.sender,
        "target_agents": list(one.to),
        "message_type": one.type,
        "content": one.body,
        "metadata": said | one.details | ({"flags": list(one.flags)} if one.flags else {}),
        "timestamp": stamp(one.created),
        "acknowledged_by": acked,
    }
