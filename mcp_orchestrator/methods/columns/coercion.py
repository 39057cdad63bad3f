"""Values of a column as numbers, dates or texts, from whatever form they arrive in.

A table says 3.5, a form "3.5", JSON null; all mean the same. What cannot be meant is refused by column and row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["FALSE", "MISSING", "TRUE", "dates", "label_text", "numbers", "parse_dates", "texts", "truths"]

MISSING = frozenset({"", "na", "n/a", "nan", "nat", "null", "none", "?", "-", "<na>"})
TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0", "on"})
FALSE = frozenset({"false", "f", "no", "n", "0", "0.0", "off"})


def numbers(values: pd.Series) -> np.ndarray:
    """Return the values as floats; missing and infinite ones as NaN.

    Raises:
        InvalidInput: a value is not a number.

    """
    import numpy as np
    import pandas as pd

    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return values.dt.total_seconds().to_numpy(dtype=float)
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        found = values.to_numpy(dtype=float, na_value=np.nan)
    else:
        plain = values.astype(object)
        found = np.array(pd.to_numeric(plain, errors="coerce"), dtype=float)
        _refuse(values, np.isnan(found), "number")
    return np.where(np.isfinite(found), found, np.nan)


def truths(values: pd.Series) -> np.ndarray:
    """Return 1.0 for true, 0.0 for false and NaN for missing.

    Raises:
        InvalidInput: a value is neither.

    """
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        found = values.to_numpy(dtype=float, na_value=np.nan)
        return np.where(np.isnan(found), np.nan, found != 0)
    codes, levels = pd.factorize(values.astype(object))
    table = np.full(len(levels) + 1, np.nan)
    for place, level in enumerate(levels):
        word = str(level).strip().lower()
        table[place] = 1.0 if word in TRUE else 0.0 if word in FALSE else np.nan
    found = table[codes]
    _refuse(values, np.isnan(found), "yes or a no")
    return found


def dates(values: pd.Series) -> pd.Series:
    """Return the values as times without a zone (UTC where they had one); missing ones as NaT.

    Raises:
        InvalidInput: a value is not a date.

    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values.dt.tz_convert(None) if values.dt.tz is not None else values
    if pd.api.types.is_numeric_dtype(values.dtype) and bool(values.notna().any()):
        raise InvalidInput(
            str(values.name), "holds numbers, and dates are expected.", then='Write dates as "2026-01-31".'
        )
    found = parse_dates(values)
    _refuse(values, found.isna().to_numpy(), 'date such as "2026-01-31"')
    return found


def parse_dates(values: pd.Series) -> pd.Series:
    """Return what can be read as a date, and NaT for what cannot."""
    import pandas as pd

    found = pd.to_datetime(values.astype(object), errors="coerce", format="mixed", utc=True)
    return found.dt.tz_localize(None)


def texts(values: pd.Series) -> list[str]:
    """Return the values as texts, empty where they are missing."""
    return ["" if _missing(value) else str(value) for value in values.tolist()]


def label_text(value: Any) -> str:  # noqa: ANN401 - a value of a table
    """Return the name of a category, the same for 3, 3.0 and "3"; empty where it is missing."""
    if _missing(value):
        return ""
    plain = value.item() if hasattr(value, "item") else value
    return str(int(plain)) if isinstance(plain, float) and plain.is_integer() else str(plain).strip()


def _missing(value: Any) -> bool:  # noqa: ANN401 - a value of a table
    import pandas as pd

    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN


def _refuse(values: pd.Series, unread: np.ndarray, what: str) -> None:
    """Raise for the first unread value that does not stand for a missing one."""
    if not unread.any():
        return
    for value in values[unread].dropna().unique():
        if str(value).strip().lower() not in MISSING:
            row = int((values == value).to_numpy().nonzero()[0][0]) + 1
            raise InvalidInput(
                str(values.name),
                f"{value!r} in row {row} is not a {what}.",
                then="Correct it, or give null where the value is missing.",
            )
