"""What each column of a table is used as: number, category, text, date, boolean, or not at all and why."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mcp_orchestrator.errors import DataRejected, InvalidInput, suggestion
from mcp_orchestrator.methods.columns.coercion import FALSE, MISSING, TRUE
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "FeatureSpec", "infer_features", "used"]

Kind = Literal["numeric", "categorical", "text", "date", "boolean", "drop"]
KINDS: tuple[Kind, ...] = ("numeric", "categorical", "text", "date", "boolean", "drop")

ENOUGH = 20
"""Rows below which nothing is called an identifier: everything is distinct in a small table."""
IDENTIFIER = re.compile(r"(^|[_\W])(id|ids|uuid|guid|key|index|row_?num(ber)?|nr)$", re.IGNORECASE)
CAMEL = re.compile(r"(?<=[a-z])(Id|ID|Key|Uuid)$")
DATE = re.compile(
    r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}[ -][A-Za-z]{3,9}[ ,-]+\d{4})",
)


class FeatureSpec(Value):
    """What one column is used as."""

    name: Annotated[str, Field(min_length=1, description="The column.")]
    kind: Annotated[Kind, Field(description="What the column is used as; drop leaves it out.")]
    reason: Annotated[str, Field(description="Why, where it was inferred.")] = ""
    levels: Annotated[int | None, Field(ge=0, description="How many distinct values it has.")] = None


def used(features: Iterable[FeatureSpec]) -> list[FeatureSpec]:
    """Return the features that are not dropped."""
    return [feature for feature in features if feature.kind != "drop"]


def infer_features(
    frame: pd.DataFrame,
    target: str,
    given: Iterable[FeatureSpec] = (),
    *,
    apart: Iterable[str] = (),
) -> list[FeatureSpec]:
    """Say what each column but the target is used as; what is ``given`` stands, and columns kept ``apart`` are dropped.

    Raises:
        InvalidInput: a given feature or the target is not a column.
        DataRejected: no column is left to learn from.

    """
    names = [str(name) for name in frame.columns]
    asked = {feature.name: feature for feature in given}
    for name in (target, *asked):
        if name not in names:
            raise InvalidInput(
                "target" if name == target else "features",
                f"there is no column {name!r}.",
                allowed=names[:50],
                then=suggestion(name, names),
            )
    if target in asked:
        raise InvalidInput("features", f"{target!r} is the target; it cannot be a feature as well.")
    specs = [
        FeatureSpec(name=name, kind="drop", reason="kept apart for the split")
        if name in set(apart)
        else _spec(frame[name], asked.get(name))
        for name in names
        if name != target
    ]
    if not used(specs):
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in specs[:5])
        raise DataRejected(
            f"No column is left to learn {target!r} from ({reasons or 'there is no other column'}).",
            then="Name the columns to use, and what they are, as features.",
        )
    return specs


def _spec(values: pd.Series, asked: FeatureSpec | None) -> FeatureSpec:
    name = str(values.name)
    present = values.dropna()
    try:
        distinct = int(present.nunique())
    except TypeError:
        kind, reason, distinct = "drop", "it holds lists or objects", 0
    else:
        kind, reason = _empty_or_constant(values, present, distinct) or _kind(present, name, distinct)
    if asked is not None:
        return asked.model_copy(update={"levels": distinct})
    return FeatureSpec(name=name, kind=kind, reason=reason, levels=distinct)


def _empty_or_constant(values: pd.Series, present: pd.Series, distinct: int) -> tuple[Kind, str] | None:
    if not len(present):
        return "drop", "every value is missing"
    if distinct == 1 and len(present) == len(values):
        return "drop", "every value is the same"
    return None


def _kind(present: pd.Series, name: str, distinct: int) -> tuple[Kind, str]:
    """Return the kind of a column by its type, and the reason where it is worth a word."""
    from pandas.api import types

    kind: Kind
    if types.is_bool_dtype(present.dtype):
        kind = "boolean"
    elif types.is_datetime64_any_dtype(present.dtype):
        kind = "date"
    elif types.is_timedelta64_dtype(present.dtype):
        return "numeric", "a duration, in seconds"
    elif types.is_numeric_dtype(present.dtype):
        return _kind_of_numbers(present, name, distinct, "")
    else:
        return _kind_of_text(present, name, distinct)
    return kind, ""


def _kind_of_numbers(numbers: pd.Series, name: str, distinct: int, reason: str) -> tuple[Kind, str]:
    """Tell numbers from identifiers: whole, all different, and either so called or counting the rows."""
    rows = len(numbers)
    if rows >= ENOUGH and distinct == rows and not bool((numbers % 1 != 0).any()):
        low, high = float(numbers.min()), float(numbers.max())
        counts = bool(numbers.is_monotonic_increasing) and high - low == rows - 1 and low in {0.0, 1.0}
        if counts or IDENTIFIER.search(name) or CAMEL.search(name):
            return "drop", "an identifier: it numbers the rows"
    return "numeric", reason


def _kind_of_text(present: pd.Series, name: str, distinct: int) -> tuple[Kind, str]:
    """Return the kind of a column of strings (or of a mix of things)."""
    import pandas as pd

    texts = pd.Series(present.unique(), dtype=object).map(lambda value: str(value).strip())
    texts = texts[~texts.str.lower().isin(MISSING)]
    if not len(texts):
        return "drop", "every value is missing"
    if len(texts) <= 2 and set(texts.str.lower()) <= TRUE | FALSE:
        return "boolean", ""
    if isinstance(present.dtype, pd.CategoricalDtype):
        return "categorical", ""
    if bool(pd.to_numeric(texts, errors="coerce").notna().all()):
        numbers = pd.to_numeric(present.astype(object), errors="coerce").dropna()
        return _kind_of_numbers(numbers, name, distinct, "numbers written as text")
    return ("date", "dates written as text") if _all_dates(texts) else _words_or_levels(texts, len(present), distinct)


def _words_or_levels(texts: pd.Series, rows: int, distinct: int) -> tuple[Kind, str]:
    """Tell prose from categories, and both from names of the rows."""
    words = float(texts.head(5000).str.count(r"\S+").mean())
    nearly_all = rows >= ENOUGH and distinct > 0.9 * rows
    if (words >= 4 and distinct > max(ENOUGH, rows // 20)) or (nearly_all and words >= 2.5):
        return "text", ""
    if nearly_all:
        return "drop", f"an identifier: {distinct} different values in {rows} rows"
    return "categorical", ""


def _all_dates(texts: pd.Series) -> bool:
    from mcp_orchestrator.methods.columns.coercion import parse_dates

    if not bool(texts.head(200).str.match(DATE).all()):
        return False
    return bool(parse_dates(texts).notna().all())
