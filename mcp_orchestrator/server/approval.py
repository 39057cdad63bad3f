"""A person's yes to what changes the registry of models, before it is done.

A client that can put a form before the person is asked by one, and nothing else counts from it. From another one comes
a confirmation, which it got with the change to show. Both are bound to the call, to the state it would change and to
the subject of the token, are used once, and end after ten minutes; each decision is an event and stays in the history.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import anyio
from anyio import to_thread
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.rows import Decision
from mcp_orchestrator.errors import InvalidInput, NotApproved
from mcp_orchestrator.server import confirmations
from mcp_orchestrator.server.decisions import AGAIN, VALID, Call, asked, known, settled
from mcp_orchestrator.server.moves import legible, plan
from mcp_orchestrator.server.questions import SCHEMA, decision, person, question
from mcp_orchestrator.server.session import Session, client, orchestrator
from mcp_orchestrator.server.speaker import voice
from mcp_orchestrator.server.subject import subject
from mcp_orchestrator.server.tasks import asks

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.tracking.consents import Consent

__all__ = ["Approved", "approve"]

KEY = "approve"
STATE = "consent "
NAMED = 80
MEANINGLESS = {"wait_seconds", "detail", "cursor"}
"""Arguments that have nothing to do with what is done."""


class Approved(NamedTuple):
    """A call that a person said yes to: its arguments, bound to the state that it was about, and by whom."""

    arguments: dict[str, Any]
    by: str


async def approve(
    ctx: Session, tool: str, arguments: dict[str, Any], confirm: str | None
) -> Approved | InputRequiredResult:
    """Return the call as it was approved, or the question that the client has to put before the person first.

    Raises:
        NotApproved: nobody said yes; the message tells what to do.
        InvalidInput: the call cannot be done anyway, or sends a confirmation although the person can be asked.

    """
    call = await to_thread.run_sync(_checked, orchestrator(ctx), tool, arguments)
    if not asks(ctx.request_context):
        return await (_confirmed(ctx, call, confirm) if confirm else _unconfirmed(ctx, call))
    if confirm:
        then = "Leave it out: the person is asked by a form of the client."
        raise InvalidInput("confirm", "is not taken from a client that can ask the person.", then=then)
    modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
    return await (_by_form(ctx, call) if modern else _pushed(ctx, call))


def _checked(held: Orchestrator, tool: str, arguments: dict[str, Any]) -> Call:
    """Return a call with what it would change; what cannot be done is refused before anybody is asked."""
    from mcp_orchestrator.workflows.custom import asked as spec_of

    given: dict[str, Any] = json.loads(json.dumps(plain(arguments)))  # its own, since it will be bound
    meant = {name: value for name, value in given.items() if name not in MEANINGLESS}
    digest = hashlib.sha256(json.dumps([tool, meant], sort_keys=True).encode()).hexdigest()
    if "component" in given:
        held.registry.get(given["component"]).capability(given["capability"]).validate(given["params"] or {})
    else:
        workflow, spec = spec_of(given["workflow"], given["graph"], given["inputs"] or {})
        held.engine.workflow(workflow).checked(spec)
    return Call(tool, given, digest, plan(held.versions, given))


# A client that can ask ----------------------------------------------------------------------------------------------


async def _by_form(ctx: Session, call: Call) -> Approved | InputRequiredResult:
    """Ask by the result of the call; the client calls again with the answer, and with the state that it was given."""
    state, answers = ctx.request_state or "", ctx.input_responses or {}
    open_one = await known(ctx, state.removeprefix(STATE)) if state.startswith(STATE) else None
    if open_one is not None and open_one.call == call.digest and KEY in answers:
        verdict = await settled(ctx, open_one, decision(answers[KEY], f"{person(ctx)} (form)"))
        if verdict.status != "overtaken":
            return _done(call, verdict)
    consent = await asked(ctx, call, "form")
    return InputRequiredResult(input_requests={KEY: question(_message(ctx, call))}, request_state=STATE + consent.id)


async def _pushed(ctx: Session, call: Call) -> Approved:
    """Ask by a request to the client, as the older era does; ask again when something moved meanwhile."""
    while True:
        consent = await asked(ctx, call, "form")
        answer = None
        with anyio.move_on_after(VALID):
            answer = await _elicited(ctx, call)
        said = None if answer is None else decision(answer, f"{person(ctx)} (form)")
        verdict = await settled(ctx, consent, said)
        if verdict.status != "overtaken":
            return _done(call, verdict)
        call = await to_thread.run_sync(_checked, orchestrator(ctx), call.tool, call.arguments)


async def _elicited(ctx: Session, call: Call) -> ElicitResult:
    try:
        return await ctx.session.elicit_form(_message(ctx, call), SCHEMA, related_request_id=ctx.request_id)
    except MCPError as error:
        message = f"The client could not ask the person ({error}). Nothing was changed."
        raise NotApproved(message) from error


def _message(ctx: Session, call: Call) -> str:
    return (
        f"{legible(client(ctx), NAMED) or 'An agent'} asks whether this shall be done ({call.tool}):\n{call.plan.text}"
    )


# A client that cannot -----------------------------------------------------------------------------------------------


async def _unconfirmed(ctx: Session, call: Call, first: str = "") -> NoReturn:
    """Refuse a call, and tell what to show to the person and what to send after their yes."""
    consent = await asked(ctx, call, "confirmation")
    text = await to_thread.run_sync(confirmations.text, orchestrator(ctx).settings.home, consent)
    message = (
        f"{first}A person has to say yes to this first; nothing was changed.\n{call.plan.text}\nShow them exactly that "
        f'and ask. Only after their yes, call {call.tool} again with the same arguments and confirm="{text}" (valid '
        f"once, for {VALID // 60} minutes). You cannot say yes for them; after a no, leave it."
    )
    raise NotApproved(message)


async def _confirmed(ctx: Session, call: Call, confirm: str) -> Approved:
    """Take the confirmation of a call; each that does not hold is refused with its own reason."""
    name, mark = confirmations.parts(confirm)
    consent, home = await known(ctx, name), orchestrator(ctx).settings.home
    if (
        consent is None
        or consent.how != "confirmation"
        or not await to_thread.run_sync(confirmations.genuine, home, consent, mark)
    ):
        message = f"This confirmation was not given here, or was altered. Nothing was changed. {AGAIN}"
        raise NotApproved(message)
    if consent.subject != (subject() or ""):
        message = f"This confirmation was given to somebody else. Nothing was changed. {AGAIN}"
        raise NotApproved(message)
    if (consent.tool, consent.call) != (call.tool, call.digest):
        message = f"This confirmation is for another call ({consent.change}). Nothing was changed. {AGAIN}"
        raise NotApproved(message)
    said = Decision(approved=True, by=f"{subject() or voice(ctx).short} (confirmation)")
    verdict = await settled(ctx, consent, said)
    if verdict.status == "overtaken":
        await _unconfirmed(ctx, call, "Something was moved since the person was asked. ")
    return _done(call, verdict)


def _done(call: Call, verdict: Consent) -> Approved:
    """Return a call that was approved, bound to the state that the person was asked about.

    Raises:
        NotApproved: it was not.

    """
    note = f' and says: "{verdict.note}"' if verdict.note else ""
    then = {
        "refused": f"The person said no{note}. Nothing was changed. Do not ask again unless they want it.",
        "closed": "The person closed the form and did not decide. Nothing was changed. Ask them what they want.",
        "expired": f"A yes counts for {VALID // 60} minutes after the question. Nothing was changed. {AGAIN}",
    }
    if verdict.status != "approved":
        raise NotApproved(then[verdict.status])
    call.plan.bind(verdict.generations)
    return Approved(call.arguments, verdict.by)
