"""What people are asked about the registry of models and what they answer, each written down with an event of it."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from anyio import to_thread

from mcp_orchestrator.core.journal.events import emit
from mcp_orchestrator.core.rows import Decision
from mcp_orchestrator.errors import NotApproved
from mcp_orchestrator.server.moves import Plan
from mcp_orchestrator.server.session import Session, client, once, orchestrator, sent_again
from mcp_orchestrator.server.speaker import voice
from mcp_orchestrator.server.subject import subject
from mcp_orchestrator.tracking import consents
from mcp_orchestrator.tracking.consents import Consent, How, Status
from orchestrator_memory.door import now

if TYPE_CHECKING:
    from orchestrator_memory.sqlite import sqlite3

__all__ = ["AGAIN", "VALID", "Call", "asked", "known", "settled"]

VALID = 600
"""Seconds for which a question can be answered."""
AGAIN = "Call again without confirm to ask anew."
BEFORE = {
    "approved": "A person's yes holds once, and this one was used already",
    "refused": "A person has said no to this already",
    "closed": "This question was closed without an answer",
}


class Call(NamedTuple):
    """A call that needs a yes: its arguments, a digest of them, and what it would change."""

    tool: str
    arguments: dict[str, Any]
    digest: str
    plan: Plan


async def asked(ctx: Session, call: Call, how: How) -> Consent:
    """Write down that a person is asked."""
    consent = Consent(
        id=secrets.token_hex(8),
        tool=call.tool,
        call=call.digest,
        models=consents.models(call.plan.generations),
        change=call.plan.text,
        generations=call.plan.generations,
        how=how,
        subject=subject() or "",
        session=voice(ctx).short,
        client=client(ctx),
        asked=now(),
        expires=now() + VALID * 10**6,
    )
    await to_thread.run_sync(orchestrator(ctx).journal.at_once, _ask, "", consent)
    return consent


async def known(ctx: Session, consent: str) -> Consent | None:
    """Return what was asked under an id, if anything was."""
    door = orchestrator(ctx).versions.door
    return await to_thread.run_sync(lambda: consents.find(door.read(), consent))


async def settled(ctx: Session, open_one: Consent, said: Decision | None) -> Consent:
    """Write down what was said (None: nothing), and return what it comes to.

    The same request finds its own yes again when it is sent again.

    Raises:
        NotApproved: it was answered before.

    """
    status: Status = "closed" if said is None else "approved" if said.approved else "refused"
    given, request = said or Decision(approved=False), once(ctx) or ""
    work = partial(_decide, status=status, said=given, request=request)
    first, now_is = await to_thread.run_sync(orchestrator(ctx).journal.at_once, work, "", open_one)
    mine = sent_again(ctx) and (now_is.request, now_is.status) == (request, "approved")
    again = bool(request) and mine and now() < now_is.expires
    if not first and not again and now_is.status in BEFORE:
        message = f"{BEFORE[now_is.status]}{f' ({now_is.by})' if now_is.by else ''}. Nothing was changed now. {AGAIN}"
        raise NotApproved(message)
    return now_is


def _ask(db: sqlite3.Connection, run: str, consent: Consent) -> None:
    _let_go(db, run)
    consents.ask(db, consent)
    _tell(db, run, consent)


def _decide(
    db: sqlite3.Connection, run: str, open_one: Consent, *, status: Status, said: Decision, request: str
) -> tuple[bool, Consent]:
    """Decide on a question, and say whether this was the first answer."""
    _let_go(db, run)
    before = consents.find(db, open_one.id) or open_one
    if before.status != "asked":
        return False, before
    after = consents.decide(db, before, status, by=said.by, note=said.note, request=request, at=now())
    _tell(db, run, after)
    return True, after


def _let_go(db: sqlite3.Connection, run: str) -> None:
    for one in consents.overdue(db, now()):
        _tell(db, run, one)


def _tell(db: sqlite3.Connection, run: str, consent: Consent) -> None:
    facts = consent.model_dump(include={"id", "tool", "change", "how", "subject", "session", "client", "by", "note"})
    emit(db, run, "", f"consent_{consent.status}", {name: value for name, value in facts.items() if value})
