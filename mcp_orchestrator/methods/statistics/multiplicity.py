"""p-values adjusted for the number of tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.statistics.intervals import numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Adjusted", "Method", "adjust", "benjamini_hochberg", "bonferroni", "holm"]

Method = Literal["benjamini_hochberg", "benjamini_yekutieli", "bonferroni", "holm"]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """p-values adjusted for the number of tests, in the order in which they were given."""

    method: str
    alpha: float
    adjusted: tuple[float, ...]
    rejected: tuple[bool, ...]


def adjust(p_values: ArrayLike, method: Method = "benjamini_hochberg", alpha: float = 0.05) -> Adjusted:
    """Adjust p-values for the number of tests: false discoveries (Benjamini) or any error at all (Bonferroni, Holm).

    Raises:
        InvalidInput: there is none, or one is not between 0 and 1.

    """
    import numpy as np
    from scipy.stats import false_discovery_control

    p = numbers(p_values, "p_values")
    if ((p < 0) | (p > 1)).any():
        raise InvalidInput("p_values", "each must be between 0 and 1.")
    if method in {"benjamini_hochberg", "benjamini_yekutieli"}:
        new = false_discovery_control(p, method="bh" if method == "benjamini_hochberg" else "by")
    elif method == "bonferroni":
        new = np.minimum(p * len(p), 1)
    else:
        order = np.argsort(p, kind="stable")
        new = np.empty(len(p))
        new[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return Adjusted(method, alpha, tuple(new.tolist()), tuple((new <= alpha).tolist()))


def benjamini_hochberg(p_values: ArrayLike, alpha: float = 0.05) -> Adjusted:
    """Keep the share of false discoveries below ``alpha``."""
    return adjust(p_values, "benjamini_hochberg", alpha)


def bonferroni(p_values: ArrayLike, alpha: float = 0.05) -> Adjusted:
    """Keep the chance of any false discovery below ``alpha``, by division."""
    return adjust(p_values, "bonferroni", alpha)


def holm(p_values: ArrayLike, alpha: float = 0.05) -> Adjusted:
    """Keep the chance of any false discovery below ``alpha``, step by step; never weaker than Bonferroni."""
    return adjust(p_values, "holm", alpha)
