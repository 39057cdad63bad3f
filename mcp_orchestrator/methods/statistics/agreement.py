"""How far two raters agree beyond chance: Cohen's kappa, plain or weighted, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["Kappa", "Weights", "cohen_kappa"]

Weights = Literal["none", "linear", "quadratic"]


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa with its bootstrap interval; NaN where chance alone explains full agreement."""

    value: float
    low: float
    high: float
    observed: float
    expected: float
    categories: tuple[Any, ...]


def cohen_kappa(first: Sequence[Any], second: Sequence[Any], *, weights: Weights = "none", seed: int = 0) -> Kappa:
    """Compare the ratings that two raters gave to the same items; weights follow the order of the categories.

    Raises:
        InvalidInput: the lengths differ, or there is no item.

    """
    import numpy as np

    from mcp_orchestrator.methods.metrics import classes_of

    if len(first) != len(second) or not len(first):
        raise InvalidInput("b", f"has {len(second)} rating(s), a has {len(first)}; rate the same items, at least one.")
    categories = classes_of(first, second)
    place = {category: number for number, category in enumerate(categories)}
    size = len(categories)
    table = np.zeros((size, size))
    for one, other in zip(first, second, strict=True):
        table[place[one], place[other]] += 1
    apart = abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(float)
    cost = apart**2 if weights == "quadratic" else apart if weights == "linear" else (apart > 0).astype(float)
    kappas, observed, expected = _kappas(table[None], cost)
    drawn = np.random.default_rng(seed).multinomial(len(first), table.ravel() / len(first), 2000)
    spread = _kappas(drawn.reshape(-1, size, size).astype(float), cost)[0]
    known = spread[~np.isnan(spread)]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) > 1000 else (np.nan, np.nan)
    most = max(float(cost.max()), 1.0)
    return Kappa(
        float(kappas[0]),
        float(low),
        float(high),
        1 - float(observed[0]) / most,
        1 - float(expected[0]) / most,
        tuple(categories),
    )


def _kappas(tables: Array, cost: Array) -> tuple[Array, Array, Array]:
    """Kappa of each table, and the mean cost of disagreement as observed and as expected by chance."""
    import numpy as np

    shares = tables / tables.sum(axis=(1, 2), keepdims=True)
    rows, columns = shares.sum(axis=2), shares.sum(axis=1)
    observed = (shares * cost).sum(axis=(1, 2))
    expected = np.einsum("ni,nj,ij->n", rows, columns, cost)
    gone = np.full(len(tables), np.nan)
    return 1 - np.divide(observed, expected, out=gone, where=expected > 0), observed, expected
