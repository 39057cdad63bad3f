"""What somebody changed in an agent's dictionary, brought into the memory: all of it or nothing.

What was changed is the difference to what had been loaded. Where that is not known (the dictionary came through a
file, or was made by hand), single values are set, and of lists only what is not there yet is added.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import update

from orchestrator_memory import portrait
from orchestrator_memory.assignment import DESCRIPTION, ENDS, insights_of
from orchestrator_memory.changing import SAME
from orchestrator_memory.compiled import Statement, of, p
from orchestrator_memory.errors import NotFound, Refused
from orchestrator_memory.intake import taken
from orchestrator_memory.merging import identity, merged
from orchestrator_memory.names import agent_name
from orchestrator_memory.shapes import listed, moment, one_of, required
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.tables import Memory
from orchestrator_memory.taskrows import OF_KEY, change, row_of, single
from orchestrator_memory.values import Origin, Task
from orchestrator_memory.writing import LABEL, digest

__all__ = ["Saving", "changed", "word_of"]

IMPACTS = ("low", "medium", "high", "critical")
DATED = Statement(update(of(Memory)).where(of(Memory).c.uid == p("uid")).values(created_at=p("at"), updated_at=p("at")))
KEPT_ELSEWHERE = ("agent_name", "last_updated", "task_history", "optimization_insights")


def word_of(text: str) -> str:
    """Return the word that a kind of task is counted under: ``Feature engineering`` is ``feature_engineering``."""
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40].rstrip("_")
    return word if not word[:1].isdigit() else f"n{word}"[:40]


def changed(said: Iterable[Any], loaded: Iterable[Any]) -> list[Any]:
    """Return the items of a list that are new, or not what they were."""
    before = {identity(one): one for one in loaded}
    return [one for one in said if before.get(identity(one)) != one]


class Saving:
    """Writes what agents say of themselves, in their name or as an import."""

    def __init__(self, store: MemoryStore, *, origin: Origin = "agent", source: str = "") -> None:
        """Write into ``store``; memories get the ``origin``, and name the ``source``."""
        self._store, self._ground = store, store.ground
        self._origin: Origin = origin
        self._source = source

    def agent(self, name: str, said: Mapping[str, Any], loaded: Mapping[str, Any] | None) -> dict[str, int]:
        """Bring in what was changed of a dictionary since it was ``loaded``, and return how many of each are new.

        Raises:
            Refused: something of it is not acceptable; nothing of it was written then.

        """
        own, before = required(said, "memory_data"), dict(loaded or {})
        if agent_name(str(own.get("agent_name", name))) != agent_name(name):
            raise Refused("agent_name", f"{own['agent_name']!r} is not {name!r}.", then="Save it under its own name.")
        tasks = changed(listed(own, "task_history"), listed(before, "task_history"))
        insights = changed(listed(own, "optimization_insights"), listed(before, "optimization_insights"))
        with self._ground.together():
            self._store.agents.register(name)
            new = {"tasks": sum(self.task(name, one, once=True) for one in reversed(tasks))}  # the newest comes first
            new["insights"] = sum(self.insight(name, one, again=loaded is not None) for one in insights)
            new["patterns"] = self.patterns(name, own, before)
            new["collaborations"] = self.partners(name, own, loaded)
            self.rest(name, own, before)
        return new

    def task(self, name: str, info: Any, *, once: bool = False) -> bool:  # noqa: ANN401 - whatever was given
        """Record a task, and return whether it is new; one of an id that is known gets the insights that it lacks.

        One that is running ends by it. ``once``: one without an id is known by all that it says.

        Raises:
            Refused: a key is missing, something is not acceptable, or the task is known as another one.

        """
        told = required(info, "task", "task_description", "outcome")
        outcome = one_of("outcome", told["outcome"], ENDS, "partial")
        given = str(told.get("task_id") or "")
        key = f"history:{given or _digest(told)}" if given or once else None
        insights = [str(one) for one in listed(told, "key_insights")]
        known = None if key is None else self._known(name, given, key)
        parts = [_part(one) for one in listed(told, "delegations")]
        if known is not None and known.outcome == "running":
            self._finish(known, outcome, insights, parts)
            return False
        if known is not None:
            self._amend(known, str(told["task_description"]), outcome, insights)
            return False
        at = moment(told["timestamp"], "timestamp") if told.get("timestamp") else None
        self._store.tasks.record(
            name,
            str(told["task_description"]),
            outcome,
            insights=insights,
            given=parts,
            started=at,
            ended=at,
            key=key,
            data={"task_id": given} if given else {},
        )
        return True

    def insight(self, name: str, info: Any, *, again: bool = True) -> bool:  # noqa: ANN401 - whatever was given
        """Remember what an agent learned, and return whether it is new; what is known is counted ``again``, or not.

        Raises:
            Refused: a key is missing, or something is not acceptable.

        """
        told = required(info, "insight", "area", "insight", "impact", "confidence")
        if not again and self._there(name, "insight", "", str(told["insight"])):
            return False
        area, grade, sure = str(told["area"]), told["impact"], told["confidence"]
        at = moment(told["discovered_at"], "discovered_at") if told.get("discovered_at") else None
        written = self._store.memories.remember(
            str(told["insight"]),
            agent=name,
            kind="insight",
            area=area.encode()[:LABEL].decode(errors="ignore"),
            data={"area": area} if area != area.encode()[:LABEL].decode(errors="ignore").casefold() else {},
            impact=None if grade is None else cast("Any", one_of("impact", grade, IMPACTS, "medium")),
            confidence=None if sure is None else figure("confidence", sure),
            valid_from=None if at is None else min(at, self._ground.clock()),
            origin=self._origin,
            source=self._source,
        )
        if written.new and at is not None and self._origin == "import":
            with self._ground.write() as db:
                DATED(db, uid=written.memory.uid, at=at)
        return written.new

    def patterns(self, name: str, own: Mapping[str, Any], before: Mapping[str, Any]) -> int:
        """Remember patterns that are new, so that they are found, and return how many; their figures are knowledge."""
        new = 0
        for one in changed(_common(own), _common(before)):
            title, body = (str(one.get(key) or "") for key in ("pattern_name", "description"))
            if title and body and not self._there(name, "pattern", title, body):
                how: dict[str, Any] = {"origin": self._origin, "source": self._source}
                new += self._store.memories.remember(body, agent=name, kind="pattern", title=title, **how).new
        return new

    def partners(self, name: str, own: Mapping[str, Any], before: Mapping[str, Any] | None) -> int:
        """Count what was counted in a dictionary since it was as ``before``, and return how many attempts that is.

        Raises:
            Refused: an entry is not acceptable, or a rate was changed that follows from counts.

        """
        known = before if before is not None else portrait.agent(self._store, name)
        counted = {one["agent_name"]: one for one in _collaborators(known)}
        new = 0
        for one in _collaborators(own):
            entry = required(one, "frequent_collaborators", "agent_name", "collaboration_frequency", "success_rate")
            was = counted.get(entry["agent_name"], {})
            if entry == was:
                continue
            attempts, successes = _counts(entry, was)
            if attempts <= 0 and before is not None:
                told = f"of {entry['agent_name']!r} follows from what is counted."
                raise Refused("success_rate", told, then="Use update_collaboration_pattern.")
            kinds = [str(kind) for kind in listed(entry, "common_tasks")]
            fresh = [kind for kind in kinds if kind not in listed(was, "common_tasks")] or kinds[-1:] or [""]
            for number, kind in enumerate(fresh):
                share = attempts * (number + 1) // len(fresh) - attempts * number // len(fresh)
                won = min(share, successes)
                successes -= won
                if share > 0:
                    how: dict[str, Any] = {"attempts": share, "successes": won, "type": word_of(kind)}
                    self._store.collaboration.add(name, entry["agent_name"], **how)
            new += max(0, attempts)
        return new

    def rest(self, name: str, own: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
        """Keep what else was changed of a dictionary, with the agent's knowledge; return whether there was anything."""
        together = dict(required(own.get("collaboration_patterns", {}), "collaboration_patterns"))
        together.pop("frequent_collaborators", None)
        said = {key: one for key, one in own.items() if key not in KEPT_ELSEWHERE}
        said["collaboration_patterns"] = together
        if not _filled(merged(before, said, {})):
            return False
        key, adding = portrait.knowledge(agent_name(name)), self._origin == "import"

        def change(now: Any) -> Any:  # noqa: ANN401 - JSON values
            return merged(before, said, now or {}, adding=adding)

        now = self._store.context.get(key).value
        if change(now) == now:
            return False
        self._store.context.merge(key, change, agent=name)
        return True

    # Inside ----------------------------------------------------------------------------------------------------------

    def _known(self, name: str, given: str, key: str) -> Task | None:
        db = self._ground.read()
        try:
            agent = self._ground.agent(db, name)
            row = OF_KEY(db, project=self._ground.project, agent=agent, key=key).fetchone()
            task = single(db, row[0]) if row else self._store.tasks.get(given)
        except NotFound:
            return None
        return task if task.agent == agent_name(name) else None

    def _finish(self, known: Task, outcome: str, insights: list[str], parts: list[dict[str, Any]]) -> None:
        there = {(one.to, one.reason) for one in known.delegations}
        with self._ground.together():
            for part in parts:
                if (agent_name(part["to"], "to_agent"), part["reason"]) not in there:
                    tasks, end = self._store.tasks, part["outcome"]
                    given = tasks.delegate(known.uid, part["to"], part["reason"], agent=known.agent)
                    if end != "open":
                        tasks.settle(known.uid, given.number, end, agent=known.agent)
            self._store.tasks.finish(known.uid, outcome, agent=known.agent, insights=insights)

    def _amend(self, known: Task, description: str, outcome: str, insights: list[str]) -> None:
        if (known.outcome, known.description) != (outcome, taken("task_description", description, DESCRIPTION).text):
            told = f"{known.uid} was recorded as {known.outcome}: {known.description[:80]!r}, which is final."
            raise Refused("task_id", told, then="Leave the id out to record another task.")
        cleaned = [taken("key_insights", one, DESCRIPTION).text for one in insights]
        if set(cleaned) - set(known.insights):
            with self._ground.write() as db:
                row = row_of(db, self._ground, known.uid)
                there = json.loads(row["insights"])
                both = insights_of([*there, *(one for one in cleaned if one not in there)])
                change(db, row["id"], at=self._ground.clock(), insights=both)

    def _there(self, name: str, kind: str, title: str, body: str) -> bool:
        with self._ground.write() as db:
            same = digest(kind, taken("title", title, 200, empty=True).text, taken("body", body, 16_384).text)
            agent = self._ground.met(db, name)
            return SAME(db, project=self._ground.project, agent=agent, kind=kind, digest=same).fetchone() is not None


def figure(field: str, value: Any) -> float:  # noqa: ANN401 - whatever was given
    """Return a number.

    Raises:
        Refused: it is none.

    """
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise Refused(field, f"{str(value)[:80]!r} is no number.") from error


def _part(info: Any) -> dict[str, Any]:  # noqa: ANN401
    told = required(info, "delegations", "to_agent", "reason")
    outcome = one_of("outcome", told.get("outcome", "open"), (*ENDS, "open"), "partial")
    return {"to": str(told["to_agent"]), "reason": str(told["reason"]), "outcome": outcome}


def _common(own: Mapping[str, Any]) -> list[Any]:
    known = required(own.get("domain_knowledge", {}), "domain_knowledge")
    return [required(one, "common_patterns") for one in listed(known, "common_patterns")]


def _collaborators(own: Mapping[str, Any]) -> list[Any]:
    return listed(required(own.get("collaboration_patterns", {}), "collaboration_patterns"), "frequent_collaborators")


def _counts(entry: Mapping[str, Any], was: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many attempts and successes an entry has more than it had."""
    sums = [
        (frequency, round(frequency * figure("success_rate", one.get("success_rate", 0))))
        for one in (entry, was)
        for frequency in [int(figure("collaboration_frequency", one.get("collaboration_frequency", 0)))]
    ]
    attempts = sums[0][0] - sums[1][0]
    return attempts, max(0, min(attempts, sums[0][1] - sums[1][1]))


def _filled(value: Any) -> bool:  # noqa: ANN401
    """Whether there is anything in a value but empty lists and objects."""
    return any(_filled(one) for one in value.values()) if isinstance(value, dict) else bool(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _digest(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]
