"""Split conformal prediction: sets and intervals that hold the truth as often as they promise, whatever the model.

One part of the rows says how far off the model usually is; the promise is then checked on the other part. With n rows
in the first part the expected coverage is ceil((n + 1) level) / (n + 1), which is the level or a little more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.statistics.intervals import wilson
from mcp_orchestrator.values import Estimate, Value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = ["Conformal", "conformal_of_labels", "conformal_of_values", "expected_coverage", "threshold"]


class Conformal(Value):
    """What split conformal prediction promises and keeps."""

    level: float
    expected: float
    coverage: Estimate
    size: float
    threshold: float
    calibration_rows: int
    test_rows: int
    measure: str


def expected_coverage(rows: int, level: float) -> float:
    """Return the share of new rows that is covered on average when ``rows`` calibrate; 1 when they are too few."""
    return min(1.0, _rank(rows, level) / (rows + 1))


def _rank(rows: int, level: float) -> int:
    return math.ceil(round((rows + 1) * level, 9))


def threshold(scores: ArrayLike, level: float = 0.9) -> float:
    """Return the score that a share of ``level`` of new rows stays below; infinite when there are too few scores.

    Raises:
        InvalidInput: there is no score, or the level is not between 0 and 1.

    """
    import numpy as np

    ranked = np.sort(np.asarray(scores, dtype=float))
    if not len(ranked):
        raise InvalidInput("scores", "has no value.")
    if not 0 < level < 1:
        raise InvalidInput("level", "must lie between 0 and 1.")
    rank = _rank(len(ranked), level)
    return float(ranked[rank - 1]) if rank <= len(ranked) else math.inf


def conformal_of_labels(codes: ArrayLike, probabilities: ArrayLike, *, level: float = 0.9, seed: int = 0) -> Conformal:
    """Check prediction sets: all classes whose probability is large enough; ``size`` is how many on average."""
    import numpy as np

    shares, truth = np.asarray(probabilities, dtype=float), np.asarray(codes)
    first, second = _halves(len(truth), seed)
    strange = 1 - shares
    limit = threshold(strange[first, truth[first]], level)
    inside = strange[second] <= limit
    held = inside[np.arange(len(second)), truth[second]]
    return _answer(level, held, float(inside.sum(axis=1).mean()), (limit, len(first)), "classes in the set")


def conformal_of_values(y: ArrayLike, predicted: ArrayLike, *, level: float = 0.9, seed: int = 0) -> Conformal:
    """Check prediction intervals of one width around the prediction; ``size`` is that width."""
    import numpy as np

    errors = abs(np.asarray(y, dtype=float) - np.asarray(predicted, dtype=float))
    first, second = _halves(len(errors), seed)
    limit = threshold(errors[first], level)
    return _answer(level, errors[second] <= limit, 2 * limit, (limit, len(first)), "width of the interval")


def _halves(rows: int, seed: int) -> tuple[Array, Array]:
    import numpy as np

    if rows < 20:
        raise InvalidInput("data", f"has {rows} row(s); conformal prediction needs at least 20.")
    order = np.random.default_rng(seed).permutation(rows)
    return order[: rows // 2], order[rows // 2 :]


def _answer(level: float, held: Array, size: float, calibrated: tuple[float, int], measure: str) -> Conformal:
    limit, rows = calibrated
    share = wilson(int(held.sum()), len(held))
    return Conformal(
        level=level,
        expected=expected_coverage(rows, level),
        coverage=Estimate(value=share.value, low=share.low, high=share.high),
        size=size,
        threshold=limit,
        calibration_rows=rows,
        test_rows=len(held),
        measure=measure,
    )
