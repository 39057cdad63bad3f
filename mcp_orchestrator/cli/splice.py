"""One entry of a JSON text is put in or taken out; every other character stays as it is.

A file that belongs to somebody else is not read and written again: numbers, order and layout are its owner's. An entry
has a name and stands in a section, which is an object at the top of the file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["commented", "drop", "find", "put"]

SPACE = re.compile(r"[ \t\r\n]*")
# A string, which is kept; else a comment, or a comma before a closing bracket.
EXTRA = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])', re.DOTALL)
INDENT = "  "


@dataclass(frozen=True, slots=True)
class _Member:
    """A key and its value: the key begins at ``start``, the value at ``value``, and both are over at ``end``."""

    key: str
    start: int
    value: int
    end: int


def find(text: str, section: str, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Return an entry, or None where there is none.

    Raises:
        ValueError: the text is not JSON, or top or section are no objects; the message says what and where.

    """
    there = _section(text, section)
    found = _member(text, there.value, name) if there else None
    return json.loads(text[found.value : found.end]) if found else None


def put(text: str, section: str, name: str, value: object) -> str:
    """Return the text with an entry, in the place of the one that there is, or at the end of its section.

    Raises:
        ValueError: the text is not JSON, or top or section are no objects; the message says what and where.

    """
    text = text if text.strip() else "{}\n"
    there = _section(text, section)
    if there is None:
        return _add(text, 0, section, {name: value})
    found = _member(text, there.value, name)
    if found is None:
        return _add(text, there.value, name, value)
    flat = "\n" not in text[there.value : found.start]
    return text[: found.value] + _written(text, value, _indent(text, found.start), flat=flat) + text[found.end :]


def drop(text: str, section: str, name: str) -> str:
    """Return the text without an entry; its section stays, even when it is empty then.

    Raises:
        ValueError: the text is not JSON, or top or section are no objects; the message says what and where.

    """
    there = _section(text, section)
    found = _member(text, there.value, name) if there else None
    if there is None or found is None:
        return text
    members = _members(text, there.value)
    place = members.index(found)
    if place:  # with the comma before it
        return text[: members[place - 1].end] + text[found.end :]
    if len(members) > 1:  # with the comma after it
        return text[: found.start] + text[members[1].start :]
    return text[: there.value + 1] + text[_skip(text, found.end) :]


def commented(text: str) -> bool:
    """Whether a text would be JSON without its comments and its commas before closing brackets."""
    try:
        json.loads(EXTRA.sub(lambda found: found[1] or "", text))
    except (ValueError, RecursionError):
        return False
    return True


def _section(text: str, section: str) -> _Member | None:
    """Return the section, an object at the top of a text that is checked here."""
    try:
        top = json.loads(text)
    except RecursionError as error:
        message = "is nested too deeply to be read"
        raise ValueError(message) from error
    if not isinstance(top, dict):
        message = "holds no JSON object"
        raise ValueError(message)  # noqa: TRY004 - of the file, not of an argument
    found = _member(text, _skip(text, 0), section)
    if found is not None and text[found.value] != "{":
        message = f"holds under {section!r} something that is no JSON object"
        raise ValueError(message)
    return found


def _member(text: str, at: int, key: str) -> _Member | None:
    found = [one for one in _members(text, at) if one.key == key]
    if len(found) > 1:  # readers take one or the other
        message = f"holds {key!r} {len(found)} times"
        raise ValueError(message)
    return found[0] if found else None


def _members(text: str, at: int) -> list[_Member]:
    """Return the members of the object that begins at ``at``, in a text that is known to be JSON."""
    decoder = json.JSONDecoder()
    found: list[_Member] = []
    place = _skip(text, at + 1)
    while text[place] != "}":
        key, end = cast("tuple[str, int]", decoder.raw_decode(text, place))
        value = _skip(text, _skip(text, end) + 1)
        _, end = decoder.raw_decode(text, value)
        found.append(_Member(key, place, value, end))
        place = _skip(text, end)
        if text[place] == ",":
            place = _skip(text, place + 1)
    return found


def _add(text: str, at: int, key: str, value: object) -> str:
    """Add a member at the end of the object that begins at ``at``, laid out as those before it."""
    at = _skip(text, at)
    members = _members(text, at)
    if members:
        end, between = members[-1].end, text[at + 1 : members[0].start]
        flat = "\n" not in between
        said = _named(text, key, value, between.rpartition("\n")[2], flat=flat)
        return text[:end] + "," + (between or " ") + said + text[end:]
    flat, newline, outer = "\n" not in text[:at] and at > 0, _newline(text), _indent(text, at)
    inner = outer + _unit(text)
    said = _named(text, key, value, inner, flat=flat)
    whole = said if flat else f"{newline}{inner}{said}{newline}{outer}"
    return text[: at + 1] + whole + text[_skip(text, at + 1) :]


def _named(text: str, key: str, value: object, indent: str, *, flat: bool) -> str:
    return f"{json.dumps(key, ensure_ascii=False)}: {_written(text, value, indent, flat=flat)}"


def _written(text: str, value: object, indent: str, *, flat: bool) -> str:
    """Return a value as JSON on one line, or on lines after the first that begin with ``indent``."""
    lines = json.dumps(value, ensure_ascii=False, indent=None if flat else _unit(text)).split("\n")
    return (_newline(text) + indent).join(lines)


def _unit(text: str) -> str:
    """Return what one level of the file is indented by."""
    first = re.search(r"\{\r?\n([ \t]+)\"", text)
    return first[1] if first else INDENT


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _indent(text: str, at: int) -> str:
    """Return what the line begins with in which a character stands."""
    line = text.rfind("\n", 0, at) + 1
    return cast("re.Match[str]", re.compile(r"[ \t]*").match(text, line))[0]


def _skip(text: str, at: int) -> int:
    """Return where the next character stands that is no white space."""
    return cast("re.Match[str]", SPACE.match(text, at)).end()
