"""How many rows a comparison needs, or what it can find with the rows there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mcp_orchestrator.errors import InvalidInput

__all__ = ["Design", "Power", "cohen_h", "solve_power"]

Design = Literal["two_sample", "paired", "proportions"]


@dataclass(frozen=True, slots=True)
class Power:
    """A design: the effect (Cohen's d, or h for proportions), the rows of each group, and the error rates."""

    design: str
    effect: float
    rows: float
    alpha: float
    power: float


def cohen_h(first: float, second: float) -> float:
    """Return the effect size of a difference of two shares."""
    return 2 * math.asin(math.sqrt(first)) - 2 * math.asin(math.sqrt(second))


def solve_power(
    design: Design = "two_sample",
    *,
    effect: float | None = None,
    rows: float | None = None,
    power: float | None = None,
    alpha: float = 0.05,
) -> Power:
    """Return the one of effect, rows of each group, and power that is left out; two-sided.

    Raises:
        InvalidInput: not exactly one is left out, or there is no solution.

    """
    from statsmodels.stats.power import NormalIndPower, TTestIndPower, TTestPower

    if [effect, rows, power].count(None) != 1:
        raise InvalidInput("power", "give exactly two of effect, rows and power; the third is found.")
    if effect == 0:
        raise InvalidInput("effect", "must not be 0: no number of rows finds what is not there.")
    if power is not None and not alpha < power < 1:
        raise InvalidInput("power", f"must lie between alpha ({alpha}) and 1.")
    if rows is not None and rows < 2:
        raise InvalidInput("rows", "must be at least 2 in each group.")
    size = None if effect is None else abs(effect)
    if design == "paired":
        found = TTestPower().solve_power(effect_size=size, nobs=rows, alpha=alpha, power=power)
    else:
        solver = TTestIndPower() if design == "two_sample" else NormalIndPower()
        found = solver.solve_power(effect_size=size, nobs1=rows, alpha=alpha, power=power)
    answer = float(found)
    return Power(
        design,
        answer if size is None else size,
        answer if rows is None else rows,
        alpha,
        answer if power is None else power,
    )
