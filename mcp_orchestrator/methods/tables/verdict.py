"""Whether a table can be learned from: refused with the column and the fix, or accepted with what was noticed."""

from __future__ import annotations

from typing import Literal

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import DataRejected, InvalidInput
from mcp_orchestrator.methods.columns.targets import read_target
from mcp_orchestrator.methods.tables.datasets import freeze, reference
from mcp_orchestrator.methods.tables.frames import frame
from mcp_orchestrator.values import Column, Data, Profile, Value

__all__ = ["Verdict", "check"]

FEWEST = 10
MOST_CLASSES = 100
USELESS = {
    "empty": "every value is missing",
    "constant": "every value is the same",
    "identifier": "it only tells rows apart",
}


class Verdict(Value):
    """A table that can be learned from: the task, the features, and what was left out and why."""

    target: str
    task: Literal["classification", "regression"]
    rows: int
    without_target: int
    features: list[str]
    dropped: dict[str, str]
    classes: dict[str, int]
    warnings: list[str]
    profile: Profile


def check(
    ctx: Context,
    data: Data,
    target: str,
    task: Literal["auto", "classification", "regression"] = "auto",
) -> Verdict:
    """Check that ``target`` can be learned from the rest of the table.

    Raises:
        InvalidInput: there is no such column, or the task does not suit it.
        DataRejected: too few rows, one class, a class with one row, no target at all, or no feature that could help.

    """
    dataset = freeze(ctx, reference(ctx, data), target=target)
    profile = dataset.profile
    columns = {column.name: column for column in profile.columns}
    _refuse_target(columns[target], profile, task)
    values = frame(ctx, dataset.uri, [target])
    if task == "classification":
        _refuse_continuous(columns[target], profile)
    found = read_target(values, target, task)
    if len(found.rows) < FEWEST:
        raise DataRejected(
            f"{len(found.rows)} rows have a value of {target!r}, and at least {FEWEST} are needed.",
            then="Give more rows.",
        )
    dropped = {name: USELESS[one.kind] for name, one in columns.items() if one.kind in USELESS and name != target}
    features = [name for name in columns if name != target and name not in dropped]
    if not features:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(dropped.items())[:10])
        raise DataRejected(
            f"No column is left to learn {target!r} from ({reasons or 'there is no other column'}).",
            then="Add columns that are known before the answer is.",
        )
    return Verdict(
        target=target,
        task=found.task,
        rows=len(found.rows),
        without_target=found.without,
        features=features,
        dropped=dropped,
        classes=profile.classes if found.task == "classification" else {},
        warnings=profile.warnings,
        profile=profile,
    )


def _refuse_target(column: Column, profile: Profile, task: str) -> None:
    if profile.rows < FEWEST:
        rows = f"{profile.rows} row{'' if profile.rows == 1 else 's'}"
        raise DataRejected(
            f"The table has {rows}, and at least {FEWEST} are needed to learn and to check.", then="Give more rows."
        )
    if column.missing == profile.rows:
        raise DataRejected(
            "has no value at all, so there is nothing to learn.", column=column.name, then="Choose another target."
        )
    if column.dtype.startswith("timestamp"):
        raise InvalidInput(
            "target",
            f"{column.name!r} holds dates, which cannot be predicted as they are.",
            then="Make it a number, such as the days until then.",
        )
    if task == "regression" and column.dtype == "string":
        example = f" such as {column.sample[0]!r}" if column.sample else ""
        raise InvalidInput(
            "task",
            f"a regression needs numbers, and {column.name!r} holds text{example}.",
            allowed=["classification", "auto"],
        )


def _refuse_continuous(column: Column, profile: Profile) -> None:
    distinct = column.distinct or 0
    known = profile.rows - column.missing
    if distinct > MOST_CLASSES or (column.dtype == "double" and distinct > known / 2):
        raise InvalidInput(
            "task",
            f"{column.name!r} has {distinct:,} different values in {known:,} rows, too many for classes.",
            allowed=["regression", "auto"] if column.dtype in {"int64", "double"} else [],
            then="Join values into fewer classes, if classes are wanted.",
        )
