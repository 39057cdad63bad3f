"""What all agents of a project share: keys with versions, changed only by who knows the present one.

A key is a short name; the usual ones are ``phase`` (what the project is at), ``objectives``, ``baselines`` (what has to
be beaten), ``decisions`` (architecture, with reasons), ``insights`` (of use to everybody) and ``health`` (of systems).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, insert, select, update

from orchestrator_memory.compiled import Statement, of, p
from orchestrator_memory.errors import Conflict, Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import number, values
from orchestrator_memory.patching import difference, patched, same
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Context, Event
from orchestrator_memory.values import Change, Entry

__all__ = ["KEY", "USUAL", "SharedContext"]

USUAL = ("phase", "objectives", "baselines", "decisions", "insights", "health")
"""The keys that a project usually has."""
KEY = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
"""How a key is written."""
VALUE, TOGETHER, KEYS = 65_536, 2**20, 500
"""Bytes of a value, characters of all values of a project, and how many keys there may be."""
TRIES = 3
"""How often a change is tried while others may be faster; then they wait for it."""
A, C, E = of(Agent).c, of(Context).c, of(Event).c

ENTRIES = (
    select(C.key, C.value, C.version, C.updated_at, A.name.label("by"))
    .select_from(of(Context).outerjoin(of(Agent), A.id == C.agent_id))
    .where(C.project_id == p("project"))
)
ONE = Statement(ENTRIES.where(C.key == p("key")))
ALL = Statement(ENTRIES.where(C.value != "null").order_by(C.key))
PUT = Statement(
    insert(of(Context)).values(
        project_id=p("project"), key=p("key"), value=p("value"), version=1, agent_id=p("agent"), updated_at=p("at")
    )
)
SET = Statement(
    update(of(Context))
    .where(C.project_id == p("project"), C.key == p("key"), C.version == p("expected"))
    .values(value=p("value"), version=C.version + 1, agent_id=p("agent"), updated_at=p("at"))
)
SIZE = Statement(
    select(func.count(), func.coalesce(func.sum(func.length(C.value)), 0)).where(
        C.project_id == p("project"), C.value != "null"
    )
)
PAST = Statement(
    select(E.operation, E.version, E.change, E.at, A.name.label("by"))
    .select_from(of(Event).outerjoin(of(Agent), A.id == E.agent_id))
    .where(E.project_id == p("project"), E.subject == p("subject"))
    .order_by(E.id.desc())
    .limit(p("most"))
)


class SharedContext:
    """The shared context of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep it in a database."""
        self._ground = ground

    def get(self, key: str) -> Entry:
        """Return what stands under a key; version 0: nothing ever did.

        Raises:
            Refused: the key is none.

        """
        return self._entry(self._ground.read(), _key(key))

    def all(self) -> list[Entry]:
        """Return what there is, by key."""
        return [_value(row) for row in ALL(self._ground.read(), project=self._ground.project)]

    def patch(
        self,
        key: str,
        value: Any,  # noqa: ANN401 - any JSON value
        *,
        expected: int,
        agent: str | None = None,
        session: str | None = None,
        replace: bool = False,
    ) -> Entry:
        """Change what stands under a key by a JSON merge patch (RFC 7396), or ``replace`` it, and return it.

        ``expected`` is the version that the caller has seen, 0 for none. Null as the whole patch takes the key away;
        its versions go on where they were if it comes again, so that no version is ever two things.

        Raises:
            Conflict: another version stands there; it is in the error as ``current``, an `Entry`.
            Refused: the key or the value is not acceptable, or there is no room.

        """
        wanted, kept = _key(key), json.loads(values("value", value, VALUE)[0])
        with self._ground.write() as db:
            before = self._entry(db, wanted)
            if before.version != expected:
                raise _lost(before, expected)
            after = kept if replace else patched(before.value, kept)
            how = "replace" if replace else "patch"
            return self._set(db, before, after, (how, kept), agent=agent, session=session)

    def merge(self, key: str, change: Callable[[Any], Any], *, agent: str | None = None) -> Entry:
        """Change what stands under a key by a function of it, and return it; nothing that others write is lost.

        ``change`` gets the present value (None when there is none) and returns the new one. It must be quick, may be
        called several times, and must not use this memory: after a few tries others wait while it runs.

        Raises:
            Refused: the key or the new value is not acceptable, or there is no room.

        """
        wanted = _key(key)
        for _ in range(TRIES):
            before = self.get(wanted)
            after = change(_copied(before.value))
            with self._ground.write() as db:
                if self._entry(db, wanted).version == before.version:
                    return self._merged(db, before, after, agent)
        with self._ground.write() as db:
            before = self._entry(db, wanted)
            return self._merged(db, before, change(_copied(before.value)), agent)

    def history(self, key: str, most: int = 20) -> list[Change]:
        """Return the changes of a key, the newest first: the patch of each, or the whole value that replaced another.

        Raises:
            Refused: the key is none.

        """
        number("most", most, 1, 200)
        rows = PAST(self._ground.read(), project=self._ground.project, subject=f"context:{_key(key)}", most=most)
        return [
            Change(
                operation=row["operation"],
                by=row["by"],
                version=row["version"],
                change=json.loads(row["change"]),
                at=row["at"],
            )
            for row in rows
        ]

    # Inside ----------------------------------------------------------------------------------------------------------

    def _entry(self, db: sqlite3.Connection, key: str) -> Entry:
        row = ONE(db, project=self._ground.project, key=key).fetchone()
        return Entry(key=key) if row is None else _value(row)

    def _merged(self, db: sqlite3.Connection, before: Entry, after: Any, agent: str | None) -> Entry:  # noqa: ANN401
        kept = json.loads(values("value", after, VALUE)[0])
        patch = difference(before.value, kept)
        said = ("patch", patch) if same(patched(before.value, patch), kept) else ("replace", kept)
        return self._set(db, before, kept, said, agent=agent, session=None)

    def _set(
        self,
        db: sqlite3.Connection,
        before: Entry,
        after: Any,  # noqa: ANN401
        said: tuple[str, Any],
        *,
        agent: str | None,
        session: str | None,
    ) -> Entry:
        ground, version = self._ground, before.version + 1
        text = values("value", after, VALUE)[0]
        by = None if agent is None else ground.met(db, agent)
        about: dict[str, Any] = {"project": ground.project, "key": before.key, "agent": by, "at": ground.clock()}
        if before.version:
            SET(db, value=text, expected=before.version, **about)
        else:
            PUT(db, value=text, **about)
        if len(text) > len(values("value", before.value)[0]) or not before.version:
            self._room(db)
        change, subject = json.dumps(said[1], ensure_ascii=False), f"context:{before.key}"
        whose = ground.session(db, session)
        ground.note(db, subject, said[0], agent=by, session=whose, version=version, change=change)
        return self._entry(db, before.key)

    def _room(self, db: sqlite3.Connection) -> None:
        keys, size = SIZE(db, project=self._ground.project).fetchone()
        if keys > KEYS or size > TOGETHER:
            problem = f"the shared context would have {keys} keys of {size} characters; {KEYS} and {TOGETHER} are kept."
            raise Refused("value", problem, then="Take away what is over (patch it with null), or say it shorter.")


def _key(key: str) -> str:
    if not KEY.fullmatch(key):
        then = f"Use small letters, digits, dots, dashes and underscores, at most 64; usual: {', '.join(USUAL)}."
        raise Refused("key", f"{key[:80]!r} is no key of the shared context.", then=then)
    return key


def _value(row: sqlite3.Row) -> Entry:
    value, by = json.loads(row["value"]), row["by"]
    return Entry(key=row["key"], value=value, version=row["version"], by=by, updated=row["updated_at"])


def _copied(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a copy that a caller may change."""
    return json.loads(json.dumps(value))


def _lost(current: Entry, expected: int) -> Conflict:
    """Return the error of who has seen another version than the present one."""
    whose = f"version {current.version} by {current.by or 'nobody known'}" if current.version else "nothing"
    then = "Look at what stands there now and patch that version."
    return Conflict(f"Version {expected} of {current.key!r} was expected, and there is {whose}. {then}", current)
