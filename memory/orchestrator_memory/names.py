"""How things are called: agents, projects, resources, and what gets a name by itself."""

from __future__ import annotations

import os
import re
import threading
import time

from orchestrator_memory.errors import Refused

__all__ = ["agent_name", "new_uid", "slug", "word"]

AGENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")


def agent_name(name: str, field: str = "agent") -> str:
    """Return the name of an agent in small letters.

    Raises:
        Refused: it is none.

    """
    small = name.strip().lower()
    if not AGENT.fullmatch(small) or ".." in small:
        then = "Use small letters, digits, dots, dashes and underscores, at most 64, the first a letter or a digit."
        raise Refused(field, f"{name[:80]!r} is no name of an agent.", then=then)
    return small


def word(value: str, field: str) -> str:
    """Return a word that names a kind of message or of task.

    Raises:
        Refused: it is none.

    """
    if not WORD.fullmatch(value):
        then = "Use small letters, digits and underscores, at most 40, the first a letter."
        raise Refused(field, f"{value[:80]!r} is no word.", then=then)
    return value


def slug(text: str) -> str:
    """Return a name for a project that fits into an address."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64] or "project"


def new_uid() -> str:
    """Return a UUID of version 7 (RFC 9562), whose order is that of time, and of the calls of this process."""
    global _last  # noqa: PLW0603 - the last one that was given
    drawn = (time.time_ns() // 1_000_000 << 74) | int.from_bytes(os.urandom(10), "big") >> 6
    with _turn:
        _last = value = max(drawn, _last + 1)
    high, low = value >> 62, value & (1 << 62) - 1
    number = (high >> 12) << 80 | 0x7 << 76 | (high & 0xFFF) << 64 | 0x2 << 62 | low
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_last = 0
_turn = threading.Lock()
