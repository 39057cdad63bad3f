"""What others wrote, in frames that mark it as data; the patterns that look for orders in it are loaded when needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator_memory.marking import Marked
    from orchestrator_memory.values import Hit, Memory, Message

__all__ = ["framed", "marked"]


def framed(things: Sequence[Hit | Memory | Message] = (), nonce: str | None = None) -> Marked:
    """Return texts in frames, all with one number: ``nonce``, or one that is drawn now; and the sentence about it."""
    from orchestrator_memory.marking import delimited

    return delimited(things, nonce=nonce)


def marked(text: str, nonce: str, agent: str | None = None, at: int | None = None) -> str:
    """Return any other text in a frame of this number; ``at`` is in microseconds UTC."""
    from orchestrator_memory.marking import marked as mark

    return mark(text, agent=agent, at=at, nonce=nonce)
