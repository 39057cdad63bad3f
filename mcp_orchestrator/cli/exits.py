"""Exit codes: one for each kind of error, so that a script can tell them apart without reading text."""

from __future__ import annotations

from enum import IntEnum
from typing import Self, cast

__all__ = ["Exit", "cause", "exit_of"]


class Exit(IntEnum):
    """What the command ended with; the docstring of each member is its line in the help."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a member of its code and its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    OK = 0, "done"
    UNEXPECTED = 1, "something unexpected (--debug shows where), or doctor found a problem"
    INPUT = 2, "the command line, a parameter or the data is not acceptable"
    UNKNOWN = 3, "there is nothing of that name"
    REFUSED = 4, "not allowed, or not in the present state"
    FAILED = 5, "the run, or the work asked for, failed"
    CANCELLED = 6, "cancelled"
    MISSING = 7, "a library is missing; the message has the line that installs it"
    STATE = 8, "the state home cannot be read or written"


KINDS = {
    "invalid_input": Exit.INPUT,
    "data_rejected": Exit.INPUT,
    "unknown_name": Exit.UNKNOWN,
    "deleted": Exit.UNKNOWN,
    "not_allowed": Exit.REFUSED,
    "not_approved": Exit.REFUSED,
    "not_ready": Exit.REFUSED,
    "tampered": Exit.REFUSED,
    "conflict": Exit.REFUSED,
    "held": Exit.REFUSED,
    "stale": Exit.REFUSED,
    "step_failed": Exit.FAILED,
    "worker_lost": Exit.FAILED,
    "out_of_time": Exit.FAILED,
    "cancelled": Exit.CANCELLED,
    "missing_library": Exit.MISSING,
    "state_unavailable": Exit.STATE,
}


def exit_of(code: str | None) -> Exit:
    """Return the exit code for the ``code`` of an error; a run that failed in an unforeseen way is one that failed."""
    return KINDS.get(code or "", Exit.FAILED)


def cause(error: BaseException) -> BaseException:
    """Return the one error inside a group of one, which is how a task group hands on what happened in it."""
    inner = cast("tuple[BaseException, ...]", getattr(error, "exceptions", ()))
    return cause(inner[0]) if len(inner) == 1 else error
