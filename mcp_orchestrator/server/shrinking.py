"""How what is too large for a model to read at once is made smaller: the first of it, or a part after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import BaseModel, Field, WithJsonSchema

__all__ = ["BUDGET", "Json", "LeftOut", "Part", "fitting", "lightened", "page", "shrunk", "weight"]

BUDGET = 16_000
"""Bytes of compact JSON that an answer may have: about 4,000 tokens."""
LIMITS = ((50, 2000, 12), (20, 800, 10), (10, 400, 8), (5, 200, 6), (3, 120, 4), (2, 80, 3), (1, 40, 2))
"""How many entries of a list, characters of a text and levels are shown, until it fits."""
LONGEST_KEY = 100
ATOM = 2000
"""Bytes, or characters of a text, that are not divided between parts."""
FEW = 20
Kind = Literal["list", "object", "text"]
TYPES = ("object", "array", "string", "number", "boolean", "null")
Json = Annotated[Any, WithJsonSchema({"anyOf": [{"type": one} for one in TYPES]})]
"""Any JSON value, in words of a schema that every client takes."""


class LeftOut(BaseModel):
    """What was left out at a place, a JSON pointer in which ``*`` stands for each entry of a list."""

    at: str
    kind: Kind
    total: int
    shown: int


class Part(BaseModel):
    """A part of what lies at a place (a JSON pointer): entries of an object or of a list, or a piece of a text."""

    at: str
    begin: int | None = Field(default=None, description="Where items or text begin in the whole.")
    entries: dict[str, Json] | None = None
    items: list[Json] | None = None
    text: str | None = None


class Atom(NamedTuple):
    """What is not divided: an entry of what lies ``at`` a place, or some characters of it."""

    at: str
    kind: Kind
    key: Any
    value: Any


def weight(value: object) -> int:
    """Return how many bytes JSON values take as compact JSON."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))


def shrunk(value: Any, budget: int = BUDGET) -> tuple[Any, list[LeftOut]]:  # noqa: ANN401 - any JSON value
    """Return JSON values with the first of each long list, object and text, and what was left out for it to fit."""
    if weight(value) <= budget:
        return value, []
    shown, scissors = value, _Scissors(0, 0)
    for items, chars, depth in LIMITS:
        scissors = _Scissors(items, chars)
        shown = scissors.cut(value, depth)
        if weight(shown) <= budget:
            break
    return shown, scissors.left()


def lightened(
    facts: dict[str, Any], kept: Iterable[str] = (), budget: int = BUDGET
) -> tuple[dict[str, Any], list[LeftOut]]:
    """Return facts whose heaviest places, but those ``kept``, are shrunk until all fit, and what was left out."""
    whole, left = dict(facts), list[LeftOut]()
    names = sorted(whole.keys() - set(kept), key=lambda name: weight(whole[name]), reverse=True)
    for name in names:
        over = weight(whole) - budget
        if over <= 0:
            break
        whole[name], cuts = shrunk(whole[name], max(budget // 8, weight(whole[name]) - over))
        left += [one.model_copy(update={"at": f"/{name}{one.at}"}) for one in cuts]
    return whole, left


def fitting(values: Iterable[Any], budget: int = BUDGET) -> int:
    """Return how many of the values, from the first on, fit together; the first one always does."""
    taken = count = 0
    for value in values:
        taken += weight(value) + 1
        if count and taken > budget:
            break
        count += 1
    return count


def page(value: Any, begin: int = 0, budget: int = BUDGET) -> tuple[list[Part], int | None]:  # noqa: ANN401 - any JSON value
    """Return the parts of JSON values after the first ``begin`` atoms that fit, and where the next page begins.

    The pages together hold everything, each atom once and in order.
    """
    parts: list[Part] = []
    taken = 0
    for number, atom in enumerate(islice(_atoms(value, ""), begin, None), begin):
        taken += weight(atom.value) + (weight(atom.key) if atom.kind == "object" else 0) + 2
        if not _joined(parts, atom):
            taken += len(atom.at) + 40
            parts.append(_part(atom))
        if taken > budget and number > begin:
            _without_last(parts, atom)
            return parts, number
    return parts, None


class _Scissors:
    """Cuts what is longer or deeper than a limit, and notes where; the places of the entries of a list count as one."""

    def __init__(self, items: int, chars: int) -> None:
        self._items, self._chars = items, chars
        self._places: dict[tuple[str, Kind], list[int]] = {}

    def cut(self, value: Any, depth: int, at: str = "") -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, str) and len(value) > self._chars:
            self._note(at, "text", len(value), self._chars)
            return f"{value[: self._chars]}…"
        if isinstance(value, dict):
            known = cast("dict[str, Any]", value)
            names = list(islice((one for one in known if len(one) <= LONGEST_KEY), 2 * self._items + 4 if depth else 0))
            self._note(at, "object", len(known), len(names))
            return {name: self.cut(known[name], depth - 1, _below(at, name)) for name in names}
        if isinstance(value, list):
            parts = cast("list[Any]", value)
            shown = parts[: self._items if depth else 0]
            self._note(at, "list", len(parts), len(shown))
            return [self.cut(one, depth - 1, f"{at}/*") for one in shown]
        return value

    def left(self) -> list[LeftOut]:
        sums = [(place, found) for place, found in self._places.items() if found[0] > found[1]]
        told = [LeftOut(at=at, kind=kind, total=total, shown=shown) for (at, kind), (total, shown) in sums[:FEW]]
        if rest := [found for _, found in sums[FEW:]]:
            total, shown = (sum(found[which] for found in rest) for which in (0, 1))
            told.append(LeftOut(at=f"({len(rest)} further places)", kind="object", total=total, shown=shown))
        return told

    def _note(self, at: str, kind: Kind, total: int, shown: int) -> None:
        sums = self._places.setdefault((at, kind), [0, 0])
        sums[0] += total
        sums[1] += shown


def _atoms(value: Any, at: str) -> Iterator[Atom]:  # noqa: ANN401 - any JSON value
    """Yield all that there is, in order; what is small enough is left whole."""
    if isinstance(value, str):
        for begin in range(0, len(value), ATOM):
            yield Atom(at, "text", begin, value[begin : begin + ATOM])
        return
    if isinstance(value, dict):
        for name, one in cast("dict[str, Any]", value).items():
            if _whole(one):
                yield Atom(at, "object", name, one)
            else:
                yield from _atoms(one, _below(at, name))
    elif isinstance(value, list):
        for number, one in enumerate(cast("list[Any]", value)):
            if _whole(one):
                yield Atom(at, "list", number, one)
            else:
                yield from _atoms(one, f"{at}/{number}")


def _whole(value: object) -> bool:
    return not isinstance(value, str | dict | list) or weight(cast("Any", value)) <= ATOM


def _joined(parts: list[Part], atom: Atom) -> bool:
    """Put an atom into the last part, if it goes on there."""
    last = parts[-1] if parts else None
    if last is None or last.at != atom.at:
        return False
    if atom.kind == "object" and last.entries is not None:
        last.entries[atom.key] = atom.value
    elif atom.kind == "list" and last.items is not None and (last.begin or 0) + len(last.items) == atom.key:
        last.items.append(atom.value)
    elif atom.kind == "text" and last.text is not None:
        last.text += atom.value
    else:
        return False
    return True


def _part(atom: Atom) -> Part:
    if atom.kind == "object":
        return Part(at=atom.at, entries={atom.key: atom.value})
    if atom.kind == "list":
        return Part(at=atom.at, begin=atom.key, items=[atom.value])
    return Part(at=atom.at, begin=atom.key, text=atom.value)


def _without_last(parts: list[Part], atom: Atom) -> None:
    """Take an atom out again that was one too many."""
    last = parts[-1]
    if last.entries is not None:
        del last.entries[atom.key]
    elif last.items is not None:
        last.items.pop()
    elif last.text is not None:
        last.text = last.text[: len(last.text) - len(atom.value)]
    if not (last.entries or last.items or last.text):
        parts.pop()


def _below(at: str, name: str) -> str:
    return f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
