"""The shapes that a text can have (a number, a date, a word), and the count of them in a column."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MISSING", "Evidence", "present"]

MISSING = frozenset(
    {"", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "null", "(null)", "none", "-", "--", "?", "\\n"}
    | {"#null!", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "0000-00-00", "0000-00-00 00:00:00"},
)
"""What stands for a missing value, in lower case; the last ones are errors of spreadsheets and MySQL's empty date."""

DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
LATE = "(?:1[3-9]|2[0-9]|3[01])"
MONTH = "(?:0?[1-9]|1[0-2])"
NAME = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
TIME = "(?:[ T][0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?[ap]m)?)"
ISO = f"(?:[0-9]{{4}}-{MONTH}-{DAY}|[0-9]{{4}}/{MONTH}/{DAY})"
GROUPED = "[+-]?[1-9][0-9]{0,2}"


def _slashed(first: str, second: str) -> str:
    return f"(?:{first}/{second}/|{first}-{second}-)[0-9]{{4}}{TIME}?"


# A text has at most one of these shapes; where two would fit, the one that stands first. The doubtful ones (1.234 and
# 1,234: a fraction or a thousand?) have shapes of their own, and so have dates whose parts could be exchanged.
SHAPES = {
    "int": r"[+-]?(?:0|[1-9][0-9]{0,17})",
    "point3": r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}",
    "float": r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[0-9]+e[+-]?[0-9]+)",
    "padded": r"[+-]?0[0-9]+",
    "long": r"[+-]?[1-9][0-9]{18,}",
    "infinite": r"[+-]?inf(?:inity)?",
    "comma3": r"[+-]?[1-9][0-9]{0,2},[0-9]{3}",
    "comma": r"[+-]?[0-9]*,[0-9]+(?:e[+-]?[0-9]+)?",
    "by_comma": GROUPED + r"(?:,[0-9]{3}){2,5}",
    "by_comma_point": GROUPED + r"(?:,[0-9]{3})+\.[0-9]*",
    "by_point": GROUPED + r"(?:\.[0-9]{3}){2,5}",
    "by_point_comma": GROUPED + r"(?:\.[0-9]{3})+,[0-9]*",
    "by_space": GROUPED + r"(?:[ '\x{00A0}\x{202F}\x{2019}][0-9]{3}){1,5}",
    "by_space_fraction": GROUPED + r"(?:[ '\x{00A0}\x{202F}\x{2019}][0-9]{3})+[.,][0-9]+",
    "iso": f"{ISO}{TIME}?",
    "zoned": f"{ISO}{TIME} ?(?:z|utc|[+-][0-9]{{2}}:?[0-9]{{2}})",
    "true_false": "true|false",
    "dmy": _slashed(LATE, MONTH),
    "mdy": _slashed(MONTH, LATE),
    "either": _slashed(MONTH, MONTH),
    "dotted": rf"{DAY}\.{MONTH}\.[0-9]{{4}}{TIME}?",
    "named": f"{DAY}[ -]{NAME}[ ,-]+[0-9]{{4}}{TIME}?|{NAME}\\.? {DAY},? [0-9]{{4}}{TIME}?",
    "short": r"[0-9]{1,2}[/-][0-9]{1,2}[/-][0-9]{2}",
}
UNIT = r"^([+-]?)[$€£¥] ?([+-]?)|\s?[%$€£¥]$"
ENOUGH = 20_000
"""Values after which a column that is nearly all words is text, and is not looked at any more."""


def present(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the values without spaces around them, and which of them stand for a missing value."""
    import pyarrow as pa
    from pyarrow import compute

    trimmed = compute.utf8_trim_whitespace(values)
    short = compute.fill_null(
        compute.less_equal(compute.binary_length(trimmed), max(map(len, MISSING))), fill_value=True
    )
    if not compute.any(short).as_py():
        return trimmed, short
    gone = compute.is_in(compute.utf8_lower(trimmed), value_set=pa.array(sorted(MISSING)))
    return trimmed, compute.or_(gone, compute.is_null(trimmed))


class Evidence:
    """What was seen in one column: how many values of each shape, and where each shape came first."""

    def __init__(self, *, inner: bool = False) -> None:
        """Begin with nothing; ``inner`` looks at values whose unit was taken off."""
        self.total = 0
        self.shapes: Counter[str] = Counter()
        self.first: dict[str, tuple[int, str]] = {}
        self.markers: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        self.bare = None if inner else Evidence(inner=True)
        self._order = list(SHAPES)

    @property
    def words(self) -> int:
        """How many values have no known shape, not even without a unit."""
        known = self.bare.total - self.bare.shapes["text"] if self.bare is not None else 0
        return self.shapes["text"] - known

    def see(self, values: pa.Array, start: int) -> None:
        """Count the shapes of a block that begins after row ``start``."""
        from pyarrow import compute

        trimmed, gone = present(values)
        rest = trimmed.filter(compute.invert(gone))
        if len(rest) < len(trimmed):
            for pair in compute.value_counts(trimmed.filter(gone)).to_pylist():
                if pair["values"]:
                    self.markers[pair["values"]] += pair["counts"]
        self.total += len(rest)
        if self.total > ENOUGH and self.words > 0.9 * (self.total - len(rest)):
            self.shapes["text"] += len(rest)
            return
        for shape in list(self._order):
            if not len(rest):
                return
            fits = compute.match_substring_regex(rest, f"^(?:{SHAPES[shape]})$", ignore_case=True)
            count = compute.sum(fits).as_py() or 0
            if count:
                self._note(shape, count, trimmed, rest.filter(fits)[0], start)
                rest = rest.filter(compute.invert(fits))
        if len(rest):
            self._note("text", len(rest), trimmed, rest[0], start)
            if self.bare is not None:
                self._see_units(rest, start)

    def _note(self, shape: str, count: int, block: pa.Array, value: pa.Scalar, start: int) -> None:
        from pyarrow import compute

        if shape not in self.shapes:
            self.first[shape] = (start + compute.index(block, value).as_py() + 1, value.as_py())
            if shape in SHAPES and shape not in {"point3", "comma3"}:  # what was found is tried first from now on
                self._order.remove(shape)
                self._order.insert(0, shape)
        self.shapes[shape] += count

    def _see_units(self, rest: pa.Array, start: int) -> None:
        from pyarrow import compute

        carrying = rest.filter(compute.match_substring_regex(rest, "^[+-]?[$€£¥]|[%$€£¥]$"))
        if not len(carrying) or self.bare is None:
            return
        for pair in compute.value_counts(compute.replace_substring_regex(carrying, r"[^%$€£¥]", "")).to_pylist():
            self.units[pair["values"]] += pair["counts"]
        self.bare.see(compute.replace_substring_regex(carrying, UNIT, r"\1\2"), start)
