"""What a column is, judged by its values and its name; and which column is likely the one to be predicted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_orchestrator.values import Column, Kind

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["kind_of", "likely_target"]

ENOUGH = 20
"""Rows below which different values say nothing: in a small table everything is different."""
IDENTIFIER = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|index|row|row_?num(ber)?|nr|no|unnamed|column_1)$|(?<=[a-z])(Id|ID|Key|Uuid)$",
    re.IGNORECASE,
)
MIXED = 0.8
PERIOD = re.compile(r"year|month|week|day|hour|date|time|period|quarter|age", re.IGNORECASE)
TARGETS = (
    "target",
    "label",
    "labels",
    "class",
    "y",
    "outcome",
    "response",
    "churn",
    "churned",
    "survived",
    "species",
    "variety",
    "diagnosis",
    "default",
    "defaulted",
    "fraud",
    "is_fraud",
    "isfraud",
    "is_churn",
    "converted",
    "clicked",
    "purchased",
    "attrition",
    "income",
    "price",
    "saleprice",
    "sale_price",
    "medv",
    "sales",
    "revenue",
    "rating",
    "quality",
    "score",
    "exited",
    "loan_status",
    "status",
)
"""Names of targets, the surest first."""


def kind_of(values: pd.Series, present: pd.Series, distinct: int) -> tuple[Kind, str]:
    """Return the kind of a column and a word about it; ``present`` are its values without the missing ones."""
    from pandas.api import types

    name = str(values.name)
    if not len(present):
        return "empty", ""
    if distinct == 1 and len(present) == len(values):
        return "constant", ""
    if types.is_bool_dtype(values.dtype):
        return "boolean", ""
    if types.is_datetime64_any_dtype(values.dtype):
        return "date", ""
    if types.is_numeric_dtype(values.dtype):
        return _number(present, name, distinct)
    return _words(present, name, distinct)


def likely_target(columns: Sequence[Column]) -> str | None:
    """Return the column that is likely to be predicted: by its name, or a class behind nothing but numbers."""
    able = {column.name: column for column in columns if column.kind in {"numeric", "categorical", "boolean"}}
    names = {name.lower().strip(): name for name in able}
    for wanted in TARGETS:
        if wanted in names:
            return names[wanted]
    if len(columns) < 2 or columns[-1].name not in able:
        return None
    *others, last = columns
    few = last.kind in {"categorical", "boolean"} and (last.distinct or 99) <= 20
    return (
        last.name if few and all(one.kind in {"numeric", "identifier", "constant", "empty"} for one in others) else None
    )


def _number(present: pd.Series, name: str, distinct: int) -> tuple[Kind, str]:
    rows = len(present)
    if rows >= ENOUGH and distinct == rows and not bool((present % 1 != 0).any()):
        low, high = float(present.min()), float(present.max())
        if IDENTIFIER.search(name):
            return "identifier", "a different number in each row"
        if high - low == rows - 1 and low in {0.0, 1.0} and PERIOD.search(name) is None:
            return "identifier", "counts the rows"
    if rows >= ENOUGH and IDENTIFIER.search(name) and 1 < distinct < rows:
        return "numeric", "named like an identifier, but its values repeat: rows may belong together (group)"
    return "numeric", ""


def _words(present: pd.Series, name: str, distinct: int) -> tuple[Kind, str]:
    rows = len(present)
    some = present.head(2000).astype(str)
    words = float(some.str.count(r"\S+").mean())
    unlike = distinct > 0.9 * rows
    digits = float(some.str.fullmatch(r"[+-]?\d+(?:[.,]\d+)?").mean())
    if MIXED <= digits < 1:
        return "text", "mostly numbers, and some words"
    if rows >= ENOUGH and unlike and words < 2.5:
        return "identifier", "a different value in nearly each row"
    if (words >= 4 and distinct > max(ENOUGH, 0.05 * rows)) or (rows >= ENOUGH and unlike):
        return "text", ""
    if rows >= ENOUGH and IDENTIFIER.search(name):
        return "categorical", "named like an identifier, but its values repeat: rows may belong together (group)"
    if distinct > 100:
        return "categorical", "many different values"
    return "categorical", ""
