"""What every text passes on its way in: what deceives and what is secret is taken out, and what is odd is noted."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from orchestrator_memory.cleaning import cleaned
from orchestrator_memory.errors import Refused
from orchestrator_memory.marking import suspicions
from orchestrator_memory.redaction import redacted, redacted_value

__all__ = ["Text", "number", "taken", "values"]


class Text(NamedTuple):
    """A text as it is kept, how many secrets were taken out of it, and what is suspicious about it."""

    text: str
    secrets: int = 0
    flags: tuple[str, ...] = ()


def taken(field: str, text: str, most: int, *, empty: bool = False) -> Text:
    """Return a text as it is kept, at most ``most`` bytes of it.

    Raises:
        Refused: it is empty, or too long.

    """
    kept, secrets = redacted(cleaned(text))
    if not kept and not empty:
        raise Refused(field, "is empty.")
    if len(kept.encode()) > most:
        raise Refused(field, f"has {len(kept.encode())} bytes, {most} are kept.", then="Say it shorter, or in parts.")
    return Text(kept, secrets, suspicions(kept))


def values(field: str, value: Any, most: int = 65_536) -> tuple[str, int]:  # noqa: ANN401 - any JSON value
    """Return a JSON value as text, its strings cleaned and without secrets, and how many secrets there were.

    Raises:
        Refused: it is no JSON value, or too long.

    """
    found = 0

    def walk(one: Any, name: str = "") -> Any:  # noqa: ANN401
        nonlocal found
        match one:
            case str():
                kept, secrets = redacted_value(name, cleaned(one))
                found += secrets
                return kept
            case dict():
                return {str(walk(str(key))): walk(inner, str(key)) for key, inner in one.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            case list() | tuple():
                return [walk(inner, name) for inner in one]  # pyright: ignore[reportUnknownVariableType]
            case _:
                return one

    try:
        text = json.dumps(walk(value), ensure_ascii=False, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(field, f"is no JSON value: {error}.") from error
    if len(text.encode()) > most:
        raise Refused(field, f"has {len(text.encode())} bytes, {most} are kept.")
    return text, found


def number(field: str, value: float | None, low: float = 0.0, high: float = 1.0) -> float | None:
    """Return a number that lies in its range.

    Raises:
        Refused: it does not.

    """
    if value is not None and not low <= value <= high:
        raise Refused(field, f"{value:g} is outside {low:g} to {high:g}.")
    return value
