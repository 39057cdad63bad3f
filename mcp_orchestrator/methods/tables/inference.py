"""What a column of text is: decided from all of its values, in favor of text wherever two readings are possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mcp_orchestrator.methods.tables.shapes import Evidence

__all__ = ["Reading", "decide"]

Order = Literal["", "iso", "zoned", "dmy", "mdy"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the text of a column is turned into values, and what a person should know about it."""

    kind: Literal["int", "float", "bool", "date", "text", "empty"]
    remove: str = ""
    comma: bool = False
    unit: bool = False
    order: Order = ""
    note: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Style:
    """A way to write numbers: the shapes that occur in it, what groups the digits, and the sign of the fraction."""

    whole: frozenset[str]
    fraction: frozenset[str]
    remove: str = ""
    comma: bool = False

    def covers(self, shapes: Mapping[str, int]) -> bool:
        """Whether all values can be written in this style."""
        return set(shapes) <= self.whole | self.fraction | {"infinite"} and set(shapes) != {"infinite"}


def _style(whole: str, fraction: str, remove: str = "", *, comma: bool = False) -> Style:
    return Style(frozenset(whole.split()), frozenset(fraction.split()), remove, comma)


PLAIN = _style("int", "point3 float")
COMMA = _style("int", "comma3 comma", comma=True)
BY_COMMA = _style("int comma3 by_comma", "point3 float by_comma_point", ",")
BY_POINT = _style("int point3 by_point", "comma3 comma by_point_comma", r"\.", comma=True)
SPACES = r"[ '\x{00A0}\x{202F}\x{2019}]"
BY_SPACE = _style("int by_space", "point3 float by_space_fraction", SPACES)
BY_SPACE_COMMA = _style("int by_space", "comma3 comma by_space_fraction", SPACES, comma=True)
STYLES = (PLAIN, COMMA, BY_COMMA, BY_POINT, BY_SPACE, BY_SPACE_COMMA)
NUMBERS = frozenset[str]().union(*(style.whole | style.fraction for style in STYLES))

TRUTH = frozenset({"true_false"})
"""Yes and no, and letters for them, stay the words that they are: a target's classes are answered in its own words."""
DATES: dict[frozenset[str], Order] = {
    frozenset({"iso"}): "iso",
    frozenset({"zoned"}): "zoned",
    frozenset({"dmy"}): "dmy",
    frozenset({"dmy", "either"}): "dmy",
    frozenset({"mdy"}): "mdy",
    frozenset({"mdy", "either"}): "mdy",
    frozenset({"dotted"}): "dmy",
    frozenset({"named"}): "dmy",
}
DAYS = frozenset[str]().union(*DATES) | {"either", "short"}
MOSTLY = 0.8


def decide(columns: Mapping[str, Evidence]) -> dict[str, Reading]:
    """Return how each column is read; one column's decimal commas are evidence for the others of the file."""
    european = any(
        evidence.shapes["comma"] + evidence.shapes["by_point_comma"] > 0
        and (COMMA.covers(known) or BY_POINT.covers(known))
        for evidence in columns.values()
        for known in [_with_units(evidence)[0]]
    )
    return {name: _decide(name, evidence, european=european) for name, evidence in columns.items()}


def _decide(name: str, seen: Evidence, *, european: bool) -> Reading:
    note = ""
    if seen.markers:
        listed = ", ".join(f"{marker!r} ({count})" for marker, count in seen.markers.most_common(3))
        note = f"missing values written as {listed}"
    if not seen.total:
        return Reading(kind="empty", note=note)
    shapes, unit = _with_units(seen)
    kinds = frozenset(shapes)
    if kinds == TRUTH:
        return Reading(kind="bool", note=note)
    if kinds in DATES:
        return Reading(kind="date", order=DATES[kinds], note=note)
    style, warning = _number(name, seen, shapes, european=european)
    if style is not None:
        whole = shapes.keys() <= style.whole
        return Reading(
            kind="int" if whole else "float",
            remove=style.remove,
            comma=style.comma,
            unit=bool(unit),
            note=_join(note, f"{unit!r} taken off" if unit else ""),
            warning=warning,
        )
    if "padded" in kinds and kinds <= {"padded", "int", "long"}:
        note = _join(note, "numbers with leading zeros, kept as text")
    elif "long" in kinds and kinds <= {"int", "long"}:
        note = _join(note, "numbers of more than 18 digits, kept as text")
    return Reading(kind="text", note=note, warning=_doubt(name, seen, shapes))


def _number(name: str, seen: Evidence, shapes: Counter[str], *, european: bool) -> tuple[Style | None, str]:
    """Choose the style of a column of numbers, and say so where another one was possible."""
    fits = [style for style in STYLES if style.covers(shapes)]
    if not fits:
        return None, ""
    if fits[0] is PLAIN and european and shapes["point3"] and not shapes["float"]:
        example = _first(seen, "point3")
        return BY_POINT, (
            f"Column {name!r}: {example!r} was read as a whole number with a point between thousands, "
            "because other columns have decimal commas."
        )
    if fits[0] is COMMA and not shapes["comma"]:
        example = _first(seen, "comma3")
        chosen, told = (COMMA, "a decimal comma") if european else (BY_COMMA, "a comma between thousands")
        return chosen, f"Column {name!r}: {example!r} was read with {told}; the other reading was possible too."
    return fits[0], ""


def _doubt(name: str, seen: Evidence, shapes: Counter[str]) -> str:
    """Say why a column that is nearly something else was kept as text."""
    kinds = frozenset(shapes)
    if kinds == frozenset({"either"}):
        return (
            f"Column {name!r}: dates such as {_first(seen, 'either')!r} can be day/month or month/day; kept as text. "
            "Write them as YYYY-MM-DD."
        )
    if kinds.issuperset(("dmy", "mdy")) and kinds <= DAYS:
        (one, first), (two, second) = seen.first["dmy"], seen.first["mdy"]
        return (
            f"Column {name!r} has dates as day/month ({first!r}, row {one}) and as month/day ({second!r}, row {two}); "
            "kept as text. Write them as YYYY-MM-DD."
        )
    if "short" in kinds and kinds <= DAYS:
        return (
            f"Column {name!r}: the years of {_first(seen, 'short')!r} have two digits; kept as text. Write YYYY-MM-DD."
        )
    for known, what in ((NUMBERS, "numbers"), (DAYS, "dates")):
        count = sum(shapes[shape] for shape in known)
        if count >= MOSTLY * seen.total:
            others = [shape for shape in shapes if shape not in known] or [min(shapes, key=lambda one: shapes[one])]
            row, value = min(seen.first.get(shape, (0, "")) for shape in others)
            same = "in the same form" if count == seen.total else ""
            return (
                f"Column {name!r}: {count:,} of {seen.total:,} values are {what}, but row {row} holds {value!r}"
                f"{', which is not ' + same if same else ''}; kept as text. Mend or empty such cells."
            )
    return ""


def _with_units(seen: Evidence) -> tuple[Counter[str], str]:
    """Return the shapes with a unit taken off, and the unit, where all words are numbers with the same unit."""
    bare = seen.bare
    if bare is None or not bare.total or bare.total < seen.shapes["text"] or len(seen.units) != 1:
        return seen.shapes, ""
    merged = Counter(seen.shapes)
    del merged["text"]
    merged.update(bare.shapes)
    return (merged, next(iter(seen.units))) if any(style.covers(merged) for style in STYLES) else (seen.shapes, "")


def _first(seen: Evidence, shape: str) -> str:
    own = seen.first.get(shape) or (seen.bare.first.get(shape) if seen.bare else None)
    return own[1] if own else ""


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
