"""Whether probabilities mean what they say: reliability by bin, calibration error, and the parts of the Brier score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.statistics.intervals import wilson
from mcp_orchestrator.values import Estimate, Value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = ["Bin", "Reliability", "reliability", "reliability_of_labels"]


class Bin(Value):
    """Rows with about the same probability: what was said, and how often it happened."""

    low: float
    high: float
    rows: int
    said: float
    happened: Estimate


class Reliability(Value):
    """How far probabilities are from frequencies.

    ``brier`` = ``unreliability`` - ``resolution`` + ``uncertainty`` (Murphy 1973), up to the spread within the bins.
    ``recalibrated`` is the Brier score that isotonic regression, fitted on other rows, would bring; None for few rows.
    """

    rows: int
    calibration_error: float
    largest_error: float
    brier: float
    unreliability: float
    resolution: float
    uncertainty: float
    recalibrated: float | None = None
    bins: list[Bin]


def reliability(happened: ArrayLike, said: ArrayLike, *, bins: int = 10, seed: int = 0) -> Reliability:
    """Compare probabilities of an event with how often it happened, in bins of equal width.

    Raises:
        InvalidInput: there is no row, the lengths differ, or a probability is not one.

    """
    import numpy as np

    truth, shares = np.asarray(happened, dtype=float).reshape(-1), np.asarray(said, dtype=float).reshape(-1)
    if not len(truth) or len(truth) != len(shares):
        raise InvalidInput("probabilities", f"has {len(shares)} value(s) for {len(truth)} row(s).")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise InvalidInput("probabilities", "each must be between 0 and 1.")
    place = np.minimum((shares * bins).astype(int), bins - 1)
    rows = np.bincount(place, minlength=bins)
    full = np.flatnonzero(rows)
    counts = rows[full]
    meant = np.bincount(place, shares, bins)[full] / counts
    hits = np.bincount(place, truth, bins)[full]
    came = hits / counts
    gaps, weights, overall = abs(meant - came), counts / len(truth), float(truth.mean())
    return Reliability(
        rows=len(truth),
        calibration_error=float(weights @ gaps),
        largest_error=float(gaps.max()),
        brier=float(((shares - truth) ** 2).mean()),
        unreliability=float(weights @ gaps**2),
        resolution=float(weights @ (came - overall) ** 2),
        uncertainty=overall * (1 - overall),
        recalibrated=_recalibrated(truth, shares, seed),
        bins=[
            Bin(
                low=int(number) / bins,
                high=(int(number) + 1) / bins,
                rows=int(count),
                said=float(mean),
                happened=_share(int(hit), int(count)),
            )
            for number, count, mean, hit in zip(full, counts, meant, hits, strict=True)
        ],
    )


def reliability_of_labels(codes: ArrayLike, probabilities: ArrayLike, *, bins: int = 10, seed: int = 0) -> Reliability:
    """Compare a classifier's probabilities with the truth: of the second of two classes, or of the likeliest class."""
    import numpy as np

    shares, truth = np.asarray(probabilities, dtype=float), np.asarray(codes)
    if shares.shape[1] == 2:
        return reliability(truth == 1, shares[:, 1].clip(0, 1), bins=bins, seed=seed)
    return reliability(shares.argmax(axis=1) == truth, shares.max(axis=1).clip(0, 1), bins=bins, seed=seed)


def _share(hits: int, rows: int) -> Estimate:
    interval = wilson(hits, rows)
    return Estimate(value=interval.value, low=interval.low, high=interval.high)


def _recalibrated(truth: Array, shares: Array, seed: int) -> float | None:
    """The Brier score after isotonic regression, each row's by a curve that was fitted without it."""
    import numpy as np
    from sklearn.isotonic import IsotonicRegression

    if len(truth) < 200 or not 0 < truth.mean() < 1:
        return None
    fold = np.random.default_rng(seed).permutation(len(truth)) % 5
    mended = np.empty(len(truth))
    for number in range(5):
        out = fold == number
        curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(shares[~out], truth[~out])
        mended[out] = curve.predict(shares[out])
    return float(((mended - truth) ** 2).mean())
