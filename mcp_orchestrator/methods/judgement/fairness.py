"""Groups of people that a classifier treats differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.statistics.intervals import wilson
from mcp_orchestrator.values import Estimate, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["Fairness", "Group", "fairness"]

LEAST_ROWS = 20


class Group(Value):
    """What a classifier does to the rows of one group."""

    value: str
    rows: int
    selected: Estimate
    found: Estimate | None
    false_alarms: Estimate | None


class Fairness(Value):
    """The largest differences between groups; ``ratio`` is the smallest selection rate over the largest."""

    column: str
    positive: str
    groups: list[Group]
    selection_difference: float
    ratio: float | None
    found_difference: float | None
    false_alarm_difference: float | None
    left_out: list[str]


def fairness(
    groups: Sequence[Any],
    y: Sequence[Any] | None,
    predicted: Sequence[Any],
    positive: object,
    *,
    column: str = "group",
    least_rows: int = LEAST_ROWS,
) -> Fairness:
    """Compare, between groups, how often rows are selected, and how often rightly and wrongly so.

    Args:
        groups: The group of each row.
        y: The true labels; None when they are not known, and then only selection is compared.
        predicted: The predicted labels.
        positive: The label that means being selected.
        column: What the groups are called.
        least_rows: Smaller groups are left out, by name.

    Raises:
        InvalidInput: fewer than two groups are large enough, or the lengths differ.

    """
    import numpy as np

    from mcp_orchestrator.methods.columns.coercion import label_text

    names = np.array([label_text(value) or "missing" for value in groups], dtype=object)
    chosen = np.array([one == positive for one in predicted], dtype=bool)
    true = None if y is None else np.array([one == positive for one in y], dtype=bool)
    if len(names) != len(chosen) or (true is not None and len(true) != len(chosen)):
        raise InvalidInput("groups", "groups, y and predicted must have the same length.")
    sizes = {str(name): int((names == name).sum()) for name in sorted(set(names.tolist()))}
    kept = [name for name, size in sizes.items() if size >= least_rows]
    if len(kept) < 2:
        raise InvalidInput("groups", f"fewer than two groups have {least_rows} rows (sizes: {sizes}).")
    found = [_group(name, names == name, chosen, true) for name in kept]
    rates = [group.selected.value for group in found]
    return Fairness(
        column=column,
        positive=str(positive),
        groups=found,
        selection_difference=max(rates) - min(rates),
        ratio=min(rates) / max(rates) if max(rates) else None,
        found_difference=_range([group.found for group in found]),
        false_alarm_difference=_range([group.false_alarms for group in found]),
        left_out=[name for name in sizes if name not in kept],
    )


def _group(name: str, inside: Array, chosen: Array, true: Array | None) -> Group:
    return Group(
        value=name,
        rows=int(inside.sum()),
        selected=_rate(chosen[inside]) or Estimate(value=0, low=0, high=1),
        found=None if true is None else _rate(chosen[inside & true]),
        false_alarms=None if true is None else _rate(chosen[inside & ~true]),
    )


def _rate(chosen: Array) -> Estimate | None:
    if not len(chosen):
        return None
    share = wilson(int(chosen.sum()), len(chosen))
    return Estimate(value=share.value, low=share.low, high=share.high)


def _range(rates: list[Estimate | None]) -> float | None:
    known = [rate.value for rate in rates if rate is not None]
    return max(known) - min(known) if len(known) > 1 else None
