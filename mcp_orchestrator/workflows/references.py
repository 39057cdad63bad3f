"""References inside the parameters of a graph: to the answer of a step, an input, an item of a list, the run.

A reference is an object with one key that begins with ``$``: ``{"$from": "split.train.uri"}``,
``{"$input": "data"}``, ``{"$item": "name"}`` (of the list that a step goes through; ``""`` is the whole item),
``{"$done": "explain"}`` (whether a step was done) and ``{"$run": "id"}``. With ``"else"`` beside it there is another
value for when the step was not done or has no such field. ``{"$literal": ...}`` is what stands in it, untouched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from mcp_orchestrator.errors import nearest

__all__ = [
    "KINDS",
    "LITERAL",
    "Bad",
    "Missing",
    "Reference",
    "follow",
    "found",
    "parse",
    "referring",
    "resolve",
    "shown",
]

KINDS = ("$from", "$input", "$item", "$done", "$run")
LITERAL = "$literal"
PART = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_-]*)|\[(-?[0-9]{1,9})\]|\[\"([^\"\\]*)\"\]")
FORM = 'such as "step.field[0].name" or "step.field["any text"]"'


class Bad(ValueError):
    """A reference that cannot be read."""


class Missing(LookupError):
    """A value that a reference means and that there is not; the text says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What is referred to: its kind, the name of a step or an input, and the path below it."""

    kind: str
    name: str
    path: tuple[str | int, ...] = ()
    otherwise: Any = None
    has_otherwise: bool = False


def referring(value: object) -> bool:
    """Whether a value is a reference (or a ``$literal``), and not data."""
    return isinstance(value, dict) and any(key[:1] == "$" for key in cast("dict[str, Any]", value))


def parse(value: dict[str, Any]) -> Reference:
    """Read a reference.

    Raises:
        Bad: it has an unknown form; the message says which there are.

    """
    kind = next(key for key in value if key[:1] == "$")
    if kind not in KINDS:
        raise Bad(f"there is no reference {kind!r}. {nearest(kind, [*KINDS, LITERAL])}")
    others = value.keys() - {kind, "else"}
    if others:
        raise Bad(f"a reference holds {kind!r} and perhaps 'else', and nothing else; take away {', '.join(others)}.")
    text = value[kind]
    if not isinstance(text, str):
        raise Bad(f"{kind} takes a text {FORM}.")
    parts = path_of(text)
    if kind == "$run" and parts != ("id",):
        raise Bad('of the run there is only {"$run": "id"}.')
    name, below = "", parts
    if kind != "$item":
        match parts:
            case (str() as name, *rest):
                below = tuple(rest)
            case _:
                raise Bad(f"{kind} must begin with a name, {FORM}.")
    if kind == "$done" and below:
        raise Bad("$done takes the name of a step alone.")
    return Reference(kind, name, below, value.get("else"), "else" in value)


def path_of(text: str) -> tuple[str | int, ...]:
    """Return the parts of ``a.b[0]["c d"]``."""
    parts: list[str | int] = []
    place = 0
    while place < len(text):
        part = PART.match(text, place)
        if part is None or (place == 0 and text[0] == "."):
            raise Bad(f"{text!r} cannot be read from {text[place:]!r} on; write it {FORM}.")
        if part[1] is not None and place > 0 and text[place] != ".":
            raise Bad(f"{text!r}: a dot is missing before {part[1]!r}.")
        parts.append(int(part[2]) if part[2] is not None else cast("str", part[1] if part[1] is not None else part[3]))
        place = part.end()
    return tuple(parts)


def shown(path: tuple[str | int, ...]) -> str:
    """Return a path as it is written."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def found(value: object, place: str = "") -> Iterator[tuple[str, Reference | Bad]]:
    """Yield the references inside a value, each with its place, those inside an ``else`` included."""
    if referring(value):
        inner = cast("dict[str, Any]", value)
        if LITERAL in inner:
            return
        try:
            reference = parse(inner)
        except Bad as error:
            yield place, error
            return
        yield place, reference
        if reference.has_otherwise:
            yield from found(reference.otherwise, f"{place}.else")
    elif isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            yield from found(part, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for number, part in enumerate(cast("list[Any]", value)):
            yield from found(part, f"{place}[{number}]")


def follow(value: object, path: tuple[str | int, ...], what: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return what stands at ``path`` in a value.

    Raises:
        Missing: nothing stands there.

    """
    for part in path:
        if isinstance(part, str) and isinstance(value, dict) and part in value:
            value = cast("dict[str, Any]", value)[part]
        elif isinstance(part, int) and isinstance(value, list):
            items = cast("list[Any]", value)
            if not -len(items) <= part < len(items):
                raise Missing(f"{what} has {len(items)} items, and no item {part}")
            value = items[part]
        else:
            raise Missing(f"{what} has no {shown((part,))!r}")
        what += f"[{part}]" if isinstance(part, int) else f".{part}"
    return value


def resolve(value: object, look: Callable[[Reference], Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with each reference replaced by what ``look`` finds for it, or by its ``else``.

    Raises:
        Missing: a reference without ``else`` leads nowhere.

    """
    if referring(value):
        inner = cast("dict[str, Any]", value)
        if LITERAL in inner:
            return inner[LITERAL]
        reference = parse(inner)
        try:
            return look(reference)
        except Missing:
            if not reference.has_otherwise:
                raise
            return resolve(reference.otherwise, look)
    if isinstance(value, dict):
        return {key: resolve(part, look) for key, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [resolve(part, look) for part in cast("list[Any]", value)]
    return value
