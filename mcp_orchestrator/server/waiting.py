"""Waiting for a run in a call; what the run asks meanwhile is put before the person at the client that waits.

Only where that client can show a form, and where the request may decide: without a token, or with one that has the
scope for it and is the run's own. Otherwise the call answers that the run waits, as it is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from anyio import to_thread
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequestFormParams, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_orchestrator.core.rows import Approval, Decision, Status
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.server.persona import decides
from mcp_orchestrator.server.session import RUN_STATE, Session, follow, orchestrator
from mcp_orchestrator.server.subject import subject
from mcp_orchestrator.server.tasks import asks

if TYPE_CHECKING:
    from mcp_orchestrator.view import RunView

__all__ = ["begun", "waited"]


def begun(ctx: Session) -> str | None:
    """Return the run that an earlier part of this call started or waited for, if this is a later part."""
    state = ctx.request_state or ""
    return state.removeprefix(RUN_STATE) if state.startswith(RUN_STATE) else None


async def waited(ctx: Session, run: str, seconds: float) -> RunView | InputRequiredResult:
    """Wait up to ``seconds`` for a run, and again after each answer to what it asks.

    Returns what the client has to put before the person where its era has it so; a form that is closed, and a client
    that cannot ask, leave the run waiting.
    """
    passed = await _answered(ctx, run)
    while True:
        view = await follow(ctx, run, seconds)
        if seconds <= 0 or view.status is not Status.WAITING or not asks(ctx.request_context) or not decides.get():
            return view
        open_ones = {key: one for key, one in (await _open(ctx, view.run_id)).items() if key not in passed}
        if not open_ones:
            return view
        from mcp_orchestrator.server.questions import form

        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            forms = {key: form(one) for key, one in open_ones.items()}
            return InputRequiredResult(input_requests=cast("Any", forms), request_state=RUN_STATE + view.run_id)
        key, one = next(iter(open_ones.items()))
        if not await _pushed(ctx, one):
            passed.add(key)


async def _open(ctx: Session, run: str) -> dict[str, Approval]:
    """Return what a run asks now, if whoever asks may answer it."""
    from mcp_orchestrator.server.tasks.state import questions

    held, asker = orchestrator(ctx), subject()
    row = await to_thread.run_sync(held.journal.run, run)
    return await to_thread.run_sync(questions, held, row.id) if asker is None or row.subject in {"", asker} else {}


async def _answered(ctx: Session, run: str) -> set[str]:
    """Take the answers that came with this part of the call; return the questions whose form was closed."""
    answers = ctx.input_responses or {}
    if begun(ctx) is None or not answers or not decides.get():
        return set()
    from mcp_orchestrator.server.questions import decision, person

    closed: set[str] = set()
    for key, one in (await _open(ctx, run)).items():
        if key in answers:
            said = decision(answers[key], person(ctx))
            if said is None:
                closed.add(key)
            else:
                await _decided(ctx, one, said)
    return closed


async def _pushed(ctx: Session, one: Approval) -> bool:
    """Ask by a request to the client, as the older era does; say whether the person decided."""
    from mcp_orchestrator.server.questions import decision, form, person

    asked = cast("ElicitRequestFormParams", form(one).params)
    try:
        answer = await ctx.session.elicit_form(asked.message, asked.requested_schema, related_request_id=ctx.request_id)
    except MCPError:  # the client says that it cannot; the run waits on
        return False
    said = decision(answer, person(ctx))
    if said is not None:
        await _decided(ctx, one, said)
    return said is not None


async def _decided(ctx: Session, one: Approval, said: Decision) -> None:
    with suppress(NotReady):  # somebody else answered, or the run ended, a moment ago
        await orchestrator(ctx).decide(one.run, one.name, approved=said.approved, by=said.by, note=said.note)
