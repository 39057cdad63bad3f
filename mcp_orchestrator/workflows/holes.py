"""Checking parameters that are not all known yet: where a reference stands is a hole, and the rest must be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError

from mcp_orchestrator.errors import InvalidInput, nearest
from mcp_orchestrator.workflows.graph import Problem
from mcp_orchestrator.workflows.references import follow, shown

__all__ = ["HOLE", "holes", "problems"]


class Hole:
    """A value that is not known yet; nothing accepts it, and what says so is not a problem."""

    def __repr__(self) -> str:
        """Return a word for messages."""
        return "<not known yet>"


HOLE: Final = Hole()


def holes(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where the holes of a value are."""
    if value is HOLE:
        yield path
    elif isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            yield from holes(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(cast("list[Any]", value)):
            yield from holes(part, (*path, number))


def problems(model: type[BaseModel], given: Mapping[str, Any], place: str) -> Iterator[Problem]:
    """Yield what is wrong with values for ``model``, whatever comes into their holes."""
    unknown = given.keys() - model.model_fields.keys()
    for name in sorted(unknown):
        yield Problem(place=f"{place}.{name}", text=f"is unknown. {nearest(name, model.model_fields)}")
    known = {name: value for name, value in given.items() if name not in unknown}
    try:
        model.model_validate(known)
    except ValidationError as error:
        seen: set[str] = set()
        for one in error.errors(include_url=False):
            found = _problem(one, known, place)
            if found is not None and found.place not in seen:  # the alternatives of a type say the same thing each
                seen.add(found.place)
                yield found
    except (AttributeError, LookupError, TypeError):
        if not any(True for _ in holes(known)):  # a validator that looked into a hole has nothing to say
            raise


def _problem(error: Mapping[str, Any], given: Mapping[str, Any], place: str) -> Problem | None:
    value: object = given
    path: list[str | int] = []
    strayed = False
    for part in error["loc"]:
        if (isinstance(value, dict) and part in value) or (isinstance(part, int) and isinstance(value, list)):
            value = follow(value, (part,), "")  # pyright: ignore[reportUnknownArgumentType]  # any JSON value
            path.append(part)
        elif value is HOLE:
            return None
        elif error["type"] == "missing" and part == error["loc"][-1]:
            path.append(part)
        else:
            strayed = True  # the name of an alternative, not of a field
    raised = error.get("ctx", {}).get("error")
    firm = (error["type"] in {"missing", "extra_forbidden"} and not strayed) or isinstance(raised, InvalidInput)
    if value is HOLE or (not firm and any(True for _ in holes(cast("object", value)))):
        return None
    text = str(raised) if isinstance(raised, InvalidInput) else str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        text = "is required."
    elif error["type"] == "extra_forbidden":
        text = "is unknown here."
    elif not isinstance(raised, InvalidInput):
        text = f"{text} (given: {str(cast('object', value))[:80]!r})."
    below = shown(tuple(path))
    return Problem(place=f"{place}.{below}" if below[:1] not in {"", "["} else place + below, text=text)
