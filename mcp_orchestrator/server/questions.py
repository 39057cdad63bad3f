"""What a run asks a person, as a form that a client shows, and what the person answered."""

from __future__ import annotations

from typing import Any

from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult
from pydantic import ValidationError

from mcp_orchestrator.core.rows import Approval, Decision
from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.server.results import compact, finite
from mcp_orchestrator.server.session import Session, client
from mcp_orchestrator.server.subject import subject
from mcp_orchestrator.values import without_secrets

__all__ = ["SCHEMA", "decision", "form", "person", "question"]

SHOWN = 2000
"""Characters of the details that are shown, and that a note may have."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "confirm": {"type": "boolean", "title": "Approve", "description": "Yes approves, no refuses."},
        "note": {
            "type": "string",
            "maxLength": SHOWN,
            "title": "Note",
            "description": "The history of the run keeps it.",
        },
    },
    "required": ["confirm"],
}


def form(asked: Approval) -> ElicitRequest:
    """Return the question with its details and what may be answered: ``confirm``, and a ``note``."""
    details = compact(finite(without_secrets(asked.details))) if asked.details else ""
    shown = details if len(details) <= SHOWN else f"{details[:SHOWN]}... (run://{asked.run}/steps/{asked.name} has all)"
    return question(f"{asked.question}\n{shown}" if shown else asked.question)


def question(message: str) -> ElicitRequest:
    """Return a question that is answered by ``confirm``, and a ``note``."""
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=SCHEMA))


def decision(answer: object, by: str) -> Decision | None:
    """Read the answer of a form; None when the person closed it and decided nothing.

    Raises:
        InvalidInput: it is no answer to the form.

    """
    then = 'Answer {"action": "accept", "content": {"confirm": true}}, or the action decline or cancel.'
    try:
        said = ElicitResult.model_validate(answer, by_name=False)
    except ValidationError as error:
        raise InvalidInput("inputResponses", "is no answer to a form.", then=then) from error
    if said.action == "cancel":
        return None
    content = said.content or {}
    confirm, note = said.action == "accept" and content.get("confirm"), content.get("note") or ""
    if not isinstance(confirm, bool):
        raise InvalidInput("inputResponses.content.confirm", "must be true or false.", then=then)
    if not isinstance(note, str) or len(note) > SHOWN:
        raise InvalidInput("inputResponses.content.note", f"must be a text of at most {SHOWN} characters.", then=then)
    return Decision(approved=confirm, by=by, note=note)


def person(ctx: Session) -> str:
    """Return whose an answer is: whose token it came with, or else whoever sits at the client."""
    return subject() or f"the person at {client(ctx) or 'the client'}"
