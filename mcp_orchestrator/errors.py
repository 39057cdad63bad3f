"""Every error a caller can meet, one class each.

An error carries a stable ``code`` for programs and a message for people that says what happened, to which
thing, and what to do next. Each class also derives from the builtin that fits, so ordinary ``except`` clauses
work. The message is built here, from what was asked, so that the same mistake reads the same on every surface.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import ClassVar

__all__ = [
    "Cancelled",
    "DataRejected",
    "Deleted",
    "InvalidInput",
    "MissingLibrary",
    "NotAllowed",
    "NotApproved",
    "NotReady",
    "OrchestratorError",
    "OutOfTime",
    "StateUnavailable",
    "StepFailed",
    "Tampered",
    "UnknownName",
    "WorkerLost",
]


class OrchestratorError(Exception):
    """Base of all errors raised on purpose by this package."""

    code: ClassVar[str] = "error"


class UnknownName(OrchestratorError, LookupError):
    """A name that nothing is registered under."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), *, then: str = "") -> None:
        """Build the message from the ``kind`` of thing, the ``name`` asked for and the ``known`` names."""
        names = sorted(known)
        super().__init__(
            _join(f"There is no {kind} {name!r}.", suggestion(name, names) or _listing(names), then),
        )


class Deleted(UnknownName):
    """Something that was there and was deleted: when, by whom and why."""

    code = "deleted"

    def __init__(self, what: str, when: str, by: str, why: str, then: str) -> None:
        """Build the message from ``what`` was deleted ``when``, ``by`` whom and ``why``, and the next step."""
        reason = f', because: "{why}"' if why else ""
        Exception.__init__(self, _join(f"{what} was deleted on {when} by {by or 'a script'}{reason}.", then))


class InvalidInput(OrchestratorError, ValueError):
    """A value that cannot be accepted; ``field`` says where."""

    code = "invalid_input"

    def __init__(self, field: str, problem: str, *, allowed: Iterable[object] = (), then: str = "") -> None:
        """Build the message from the ``field``, the ``problem``, the ``allowed`` values and the next step."""
        self.field = field
        values = ", ".join(str(value) for value in allowed)
        super().__init__(_join(f"{field}: {problem}", f"Allowed: {values}." if values else "", then))


class DataRejected(OrchestratorError, ValueError):
    """A table that cannot be used as it is; names the column and the row where they are known."""

    code = "data_rejected"

    def __init__(
        self,
        problem: str,
        *,
        column: str | None = None,
        row: int | None = None,
        then: str = "",
    ) -> None:
        """Build the message from the ``problem`` and its place (``row`` counts data rows from 1)."""
        self.column, self.row = column, row
        place = ", ".join(
            part
            for part in (
                f"column {column!r}" if column is not None else "",
                f"row {row}" if row is not None else "",
            )
            if part
        )
        super().__init__(_join(f"{place}: {problem}" if place else problem, then))


class NotAllowed(OrchestratorError, PermissionError):
    """Something outside what the settings permit, such as a file outside the allowed roots."""

    code = "not_allowed"


class NotApproved(OrchestratorError, PermissionError):
    """A change that a person has to approve, and has not."""

    code = "not_approved"


class NotReady(OrchestratorError, RuntimeError):
    """A request that makes sense, but not in the present state."""

    code = "not_ready"


class MissingLibrary(OrchestratorError, ImportError):
    """An optional library that is not installed."""

    code = "missing_library"

    def __init__(self, what: str, library: str, extra: str | None) -> None:
        """Build the message from ``what`` needs the ``library`` and the ``extra`` that brings it."""
        line = f'pip install "mcp-ml-orchestrator[{extra}]"' if extra else f"pip install {library}"
        super().__init__(f"{what} needs the library {library!r}, which is not installed. Install it with: {line}")


class Tampered(OrchestratorError, ValueError):
    """A stored model or artifact whose bytes are not the ones that were recorded."""

    code = "tampered"


class StepFailed(OrchestratorError, RuntimeError):
    """A required step of a run failed, and with it the run."""

    code = "step_failed"


class WorkerLost(OrchestratorError, RuntimeError):
    """The worker process ended before it answered."""

    code = "worker_lost"


class OutOfTime(OrchestratorError, TimeoutError):
    """A step that took longer than its limit; its processes were ended."""

    code = "out_of_time"


class Cancelled(OrchestratorError, RuntimeError):
    """Work that was stopped because somebody asked for it."""

    code = "cancelled"


class StateUnavailable(OrchestratorError, OSError):
    """The state home cannot be read or written."""

    code = "state_unavailable"


def revive(code: str, message: str) -> OrchestratorError:
    """Make again, in this process, an error that was raised in another one."""
    kind = next((one for one in _kinds(OrchestratorError) if one.code == code), StepFailed)
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def _kinds(base: type[OrchestratorError]) -> list[type[OrchestratorError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _kinds(child))]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a sentence naming the known names nearest to ``name``, or an empty string."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.55)
    return f"Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence naming the known names nearest to ``name``, or, when none is near, the first of them all."""
    names = sorted(known)
    return suggestion(name, names) or _listing(names)


def reject_unknown(given: Mapping[str, object], known: Iterable[str], *, what: str) -> None:
    """Raise `InvalidInput` for the first key of ``given`` that is not ``known``."""
    names = list(known)
    for key in given:
        if key not in names:
            raise InvalidInput(
                key,
                f"{what} has no such parameter.",
                then=suggestion(key, names) or _listing(names),
            )


def _listing(names: list[str], most: int = 20) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:most])
    return f"Known: {shown}{', ...' if len(names) > most else ''}."


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
