"""What agents do and did: tasks, their progress and outcome, and what was given to others.

A task is ``running`` until it ends as ``success``, ``partial``, ``failure`` or ``cancelled``, which is final. It is
changed by the agent whose it is, or by the one whose task it is a part of. What is open of it when it ends stays open
and is listed with it: somebody else is at work on that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator_memory import delegations
from orchestrator_memory.assignment import ENDS, NAME, NOTE, columns_of, end, insights_of, one_of, part_of, tokens_of
from orchestrator_memory.collaboration import count
from orchestrator_memory.compiled import add
from orchestrator_memory.errors import NotYours, Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import number, taken
from orchestrator_memory.names import agent_name, new_uid
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Task
from orchestrator_memory.taskrows import OF_KEY, change, listed, row_of, running, same_version, single, tasks_of
from orchestrator_memory.values import Delegation
from orchestrator_memory.values import Task as Known

__all__ = ["Tasks"]

MOST = 200


class Tasks:
    """The tasks of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground

    def start(
        self,
        agent: str,
        description: str,
        *,
        parent: str | None = None,
        type: str = "",  # noqa: A002
        workflow: str = "",
        phase: str = "",
        run: str | None = None,
        key: str | None = None,
        session: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Known:
        """Start a task; with a ``key`` that the agent has used before, return the task of then.

        Started below a ``parent`` of which a part was delegated to this agent, it is the task of that delegation.

        Raises:
            Refused: an input is not acceptable.
            NotFound: there is no such parent.

        """
        ground = self._ground
        columns = columns_of(description, type=type, workflow=workflow, phase=phase, run=run, key=key, data=data)
        with ground.write() as db:
            mine = ground.met(db, agent)
            above = None if parent is None else int(row_of(db, ground, parent, "parent")["id"])
            before = (
                None if key is None else OF_KEY(db, project=ground.project, agent=mine, key=columns["key"]).fetchone()
            )
            if before is not None:
                return single(db, before[0])
            task = self._add(db, mine, parent_id=above, session_id=ground.session(db, session), **columns)
            if above is not None:
                delegations.adopt(db, above, to=mine, child=task)
            return single(db, task)

    def record(
        self,
        agent: str,
        description: str,
        outcome: str,
        *,
        insights: Iterable[str] = (),
        given: Iterable[Mapping[str, Any]] = (),
        started: int | None = None,
        ended: int | None = None,
        tokens_in: int = 0,
        tokens_out: int = 0,
        session: str | None = None,
        **how: Any,  # noqa: ANN401 - type, workflow, phase, run, key and data, as for `start`
    ) -> Known:
        """Write down a task that is over, with what was ``given`` (to, reason, outcome, type, note) to others.

        Collaboration is not counted by it: use `Collaborations.record` for that.

        Raises:
            Refused: an input is not acceptable.

        """
        ground, columns = self._ground, columns_of(description, **how)
        columns |= {"outcome": end(outcome), "insights": insights_of(insights), "progress": float(outcome == "success")}
        columns["tokens_in"], columns["tokens_out"] = tokens_of(tokens_in, tokens_out)
        parts = [part_of(**one) for one in given]
        with ground.write() as db:
            mine = ground.met(db, agent)
            before = OF_KEY(db, project=ground.project, agent=mine, key=columns["key"]).fetchone()
            if before is not None:
                return single(db, before[0])
            over = ended or ground.clock()
            about = {"started_at": min(started or over, over), "ended_at": over}
            task = self._add(db, mine, session_id=ground.session(db, session), **columns, **about)
            for part in parts:
                to = ground.met(db, part["to"], "to")
                settled = None if part["outcome"] == "open" else over
                delegations.give(db, task, **(part | {"to": to}), created_at=about["started_at"], settled_at=settled)
            return single(db, task)

    def progress(
        self,
        uid: str,
        fraction: float | None = None,
        *,
        agent: str,
        phase: str | None = None,
        note: str | None = None,
        tokens_in: int = 0,
        tokens_out: int = 0,
        expected: int | None = None,
    ) -> Known:
        """Note how far a task is (0 to 1), in which phase, and what it has spent since it was last said.

        Progress only grows: a smaller fraction, which came late, leaves what was reached. With ``expected``, the task
        must have that version.

        Raises:
            Refused: an input is not acceptable.
            NotFound: there is no such task, or agent.
            NotYours: it is another agent's.
            Conflict: the task has ended, or has another version.

        """
        columns: dict[str, Any] = {"progress": number("progress", fraction) or 0.0}
        columns["note"] = None if note is None else taken("note", note, NOTE, empty=True).text
        columns["phase"] = None if phase is None else taken("phase", phase, NAME, empty=True).text
        tokens = tokens_of(tokens_in, tokens_out)
        with self._ground.write() as db:
            row = self._mine(db, uid, agent, expected)
            running(db, row)
            change(db, row["id"], at=self._ground.clock(), tokens=tokens, **columns)
            return single(db, row["id"])

    def finish(
        self,
        uid: str,
        outcome: str,
        *,
        agent: str,
        insights: Iterable[str] = (),
        note: str = "",
        run: str | None = None,
        tokens_in: int = 0,
        tokens_out: int = 0,
        expected: int | None = None,
    ) -> Known:
        """End a task, and say which ``run`` it was about; ending it again with the same outcome changes nothing.

        Raises:
            Refused: an input is not acceptable.
            NotFound: there is no such task, or agent.
            NotYours: it is another agent's.
            Conflict: it has ended with another outcome, or has another version.

        """
        columns: dict[str, Any] = {"outcome": end(outcome), "insights": insights_of(insights)}
        columns["note"] = taken("note", note, NOTE, empty=True).text or None
        columns["run"] = None if run is None else taken("run", run, 200).text
        tokens, at = tokens_of(tokens_in, tokens_out), self._ground.clock()
        with self._ground.write() as db:
            row = self._mine(db, uid, agent, None)
            if row["outcome"] == outcome:
                return single(db, row["id"])
            same_version(db, row, expected)
            running(db, row)
            columns["progress"] = 1.0 if outcome == "success" else 0.0
            change(db, row["id"], at=at, tokens=tokens, ended=at, **columns)
            return single(db, row["id"])

    def delegate(
        self,
        uid: str,
        to: str,
        reason: str,
        *,
        agent: str,
        type: str = "",  # noqa: A002
        child: str | None = None,
    ) -> Delegation:
        """Give a part of a task to another agent; one that is open and says the same is returned as it is.

        ``child`` is the task that the other one has made of it; one that it starts below this task is found by itself.

        Raises:
            Refused: an input is not acceptable, or the other agent is the same one.
            NotFound: there is no such task, or agent.
            NotYours: it is another agent's.
            Conflict: the task has ended.

        """
        part = part_of(to=to, reason=reason, type=type)
        with self._ground.write() as db:
            row = self._mine(db, uid, agent, None)
            running(db, row)
            other = self._ground.met(db, part["to"], "to")
            if other == row["agent_id"]:
                raise Refused(
                    "to", f"{row['agent_name']!r} has the task itself.", then="Start a task below it instead."
                )
            there = delegations.open_one(db, row["id"], to=other, kind=part["type"], reason=part["reason"])
            if there is not None:
                return delegations.value(db, row["id"], there)
            below = None if child is None else row_of(db, self._ground, child, "child")["id"]
            at = self._ground.clock()
            made = delegations.give(db, row["id"], **(part | {"to": other}), child_task_id=below, created_at=at)
            change(db, row["id"], at=at)
            return delegations.value(db, row["id"], made)

    def settle(self, uid: str, number: int, outcome: str, *, agent: str, note: str = "") -> Delegation:
        """Say what became of a delegation, also after the task has ended; this counts the collaboration, with its time.

        What was ``cancelled`` counts for nothing. Settling again with the same outcome changes nothing.

        Raises:
            Refused: an input is not acceptable.
            NotFound: there is no such task, delegation or agent.
            NotYours: the task is another agent's.
            Conflict: it was settled with another outcome.

        """
        end(outcome)
        said, at = taken("note", note, NOTE, empty=True).text, self._ground.clock()
        with self._ground.write() as db:
            row = self._mine(db, uid, agent, None)
            part, now = delegations.close(db, row["id"], number, outcome=outcome, note=said, at=at)
            if now:
                change(db, row["id"], at=at)
            if now and outcome != "cancelled":
                other, kind = self._ground.agent(db, part.to), part.type or row["type"]
                micros = at - part.created
                count(db, row["agent_id"], other, won=outcome == "success", kind=kind, micros=micros, at=at)
            return part

    def get(self, uid: str) -> Known:
        """Return a task.

        Raises:
            NotFound: there is none of that id in this project.

        """
        db = self._ground.read()
        return tasks_of(db, [row_of(db, self._ground, uid)])[0]

    def list(
        self,
        *,
        agent: str | None = None,
        outcome: str | None = None,
        run: str | None = None,
        parent: str | None = None,
        since: int | None = None,
        most: int = 20,
        before: str | None = None,
    ) -> list[Known]:
        """Return tasks, the latest start first; the next page begins ``before`` the last one of this page.

        Raises:
            Refused: an outcome is none.
            NotFound: there is no such agent, or task.

        """
        db, wanted = self._ground.read(), {"run": run, "since": since, "before": before}
        wanted["agent"] = None if agent is None else self._ground.agent(db, agent)
        wanted["outcome"] = None if outcome is None else one_of(outcome, ("running", *ENDS))
        wanted["parent"] = None if parent is None else row_of(db, self._ground, parent, "parent")["id"]
        return tasks_of(db, listed(db, self._ground, max(0, min(most, MOST)), **wanted))

    # Inside ----------------------------------------------------------------------------------------------------------

    def _add(self, db: sqlite3.Connection, agent: int, **columns: Any) -> int:  # noqa: ANN401 - SQLite's values
        at = self._ground.clock()
        usual = {"uid": new_uid(), "project_id": self._ground.project, "started_at": at, "updated_at": at}
        return add(db, Task, agent_id=agent, **(usual | columns))

    def _mine(self, db: sqlite3.Connection, uid: str, agent: str, expected: int | None) -> sqlite3.Row:
        row = row_of(db, self._ground, uid)
        if self._ground.agent(db, agent) not in {row["agent_id"], row["above"]}:
            message = f"Task {row['uid']} is a task of {row['agent_name']!r}, not of {agent_name(agent)!r}."
            raise NotYours(f"{message} Ask that agent by a message, or start a task of your own.")
        same_version(db, row, expected)
        return row
