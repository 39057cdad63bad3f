"""What people were asked before an alias was moved or a version deleted, and what they answered, within a transaction.

A consent is for one change of one state: it names how often each alias had moved when the person was asked, and is void
when one has moved since. It is used once; whoever comes second finds it decided.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from mcp_orchestrator.tracking.aliases import holder
from mcp_orchestrator.values import Value
from orchestrator_memory.sqlite import sqlite3

__all__ = ["Asked", "Consent", "ask", "decide", "find", "key", "models", "of_model", "overdue"]

How = Literal["form", "confirmation"]
Status = Literal["asked", "approved", "refused", "closed", "expired", "overtaken"]
JSON = ("models", "generations")


class Asked(Value):
    """A question to a person about a change of the registry, and the answer; times in microseconds UTC.

    ``how`` it was asked: as a form of the client, or by a confirmation that the agent sends after asking. ``status``
    is asked, approved, refused, closed (the form, without an answer), expired, or overtaken (by a move meanwhile).
    """

    change: str
    how: How
    status: Status = "asked"
    client: str = ""
    by: str = ""
    note: str = ""
    asked: int
    decided: int | None = None


class Consent(Asked):
    """A question with what it is bound to.

    ``call`` is a digest of what was called, ``generations`` how often each alias had moved.
    """

    id: str
    tool: str
    call: str
    models: list[str]
    generations: dict[str, int]
    subject: str = ""
    session: str = ""
    request: str = ""
    expires: int


def ask(db: sqlite3.Connection, consent: Consent) -> None:
    """Write down what is asked."""
    fields = consent.model_dump(mode="json")
    fields |= {name: json.dumps(fields[name]) for name in JSON}
    names = ",".join(fields)
    marks = ",".join(f":{name}" for name in fields)
    db.execute(f"INSERT INTO consent({names}) VALUES({marks})", fields)


def find(db: sqlite3.Connection, consent: str) -> Consent | None:
    """Return a consent, if there is one of this id."""
    row = db.execute("SELECT * FROM consent WHERE id=?", (consent,)).fetchone()
    return None if row is None else _consent(row)


def overdue(db: sqlite3.Connection, at: int) -> list[Consent]:
    """Let go of what nobody answered in time, and return it."""
    rows = db.execute(
        "UPDATE consent SET status='expired', decided=expires WHERE status='asked' AND expires<=? RETURNING *", (at,)
    )
    return [_consent(row) for row in rows.fetchall()]


def decide(
    db: sqlite3.Connection, known: Consent, status: Status, *, by: str, note: str, request: str, at: int
) -> Consent:
    """Write down the answer to an open question, and return what has become of it.

    A yes that comes too late is kept as expired, one to a state that is no more as overtaken.
    """
    if at >= known.expires:
        status = "expired"
    elif status == "approved" and any(_moved(db, alias, then) for alias, then in known.generations.items()):
        status = "overtaken"
    row = db.execute(
        "UPDATE consent SET status=?, by=?, note=?, request=?, decided=? WHERE id=? AND status='asked' RETURNING *",
        (status, by, note, request, at, known.id),
    ).fetchone()
    return _consent(row)


def of_model(db: sqlite3.Connection, name: str) -> list[Asked]:
    """Return what was asked about a model, the oldest first."""
    text = "SELECT * FROM consent WHERE ? IN (SELECT value FROM json_each(models)) ORDER BY asked"
    return [Asked(**_consent(row).model_dump(include=set(Asked.model_fields))) for row in db.execute(text, (name,))]


def key(name: str, alias: str) -> str:
    """Return an alias of a model as it stands among ``generations``."""
    return f"{name}@{alias}"


def models(aliases: Iterable[str]) -> list[str]:
    """Return the models whose aliases these are."""
    return list(dict.fromkeys(one.rpartition("@")[0] for one in aliases))


def _moved(db: sqlite3.Connection, alias: str, then: int) -> bool:
    name, _, which = alias.rpartition("@")
    return holder(db, name, which)[1] != then


def _consent(row: sqlite3.Row) -> Consent:
    facts = dict(zip(row.keys(), row, strict=True))
    return Consent(**{**facts, **{name: json.loads(facts[name]) for name in JSON}})
