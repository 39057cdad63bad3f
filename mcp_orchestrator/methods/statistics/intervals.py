"""Estimates with their intervals: Wilson's for a share, the bootstrap for any other statistic."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Interval", "bootstrap_interval", "numbers", "wilson"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval."""

    value: float
    low: float
    high: float
    level: float = 0.95
    method: str = ""


def numbers(values: ArrayLike, field: str, least: int = 1) -> NDArray[Any]:
    """Return finite numbers, at least so many.

    Raises:
        InvalidInput: there are too few, or one is missing or infinite; names the place.

    """
    import numpy as np

    array = np.asarray(values, dtype=float).reshape(-1)
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise InvalidInput(field, f"value {int(wrong[0]) + 1} is missing or infinite.", then="Leave such values out.")
    if len(array) < least:
        raise InvalidInput(field, f"has {len(array)} value(s); at least {least} are needed.")
    return array


def wilson(successes: float, trials: int, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share.

    Raises:
        InvalidInput: there is no trial, or more successes than trials.

    """
    if trials < 1 or not 0 <= successes <= trials:
        raise InvalidInput("successes", f"{successes} of {trials} trials is not a share.")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / trials
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == trials else middle + half
    return Interval(share, low, high, level, "Wilson")


def bootstrap_interval(
    *samples: ArrayLike,
    statistic: Callable[..., Any],
    level: float = 0.95,
    method: Literal["percentile", "bca"] = "bca",
    resamples: int = 9999,
    paired: bool = False,
    seed: int = 0,
) -> Interval:
    """Return a bootstrap interval of a statistic; ``paired`` samples are resampled by row.

    ``statistic`` takes the samples and an ``axis``. Where BCa is undefined (resamples all alike, or all on one side of
    the estimate) the percentile interval stands, and ``method`` of the answer says so.

    Raises:
        InvalidInput: too few values, or samples of unequal length that are said to be paired.

    """
    import numpy as np
    from scipy.stats import DegenerateDataWarning, bootstrap

    arrays = [numbers(sample, f"sample {place}", 2) for place, sample in enumerate(samples, 1)]
    if paired and len({len(array) for array in arrays}) > 1:
        raise InvalidInput("paired", "paired samples must have the same length.")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        value = float(statistic(*arrays, axis=-1))
        result = bootstrap(
            arrays,
            statistic,
            n_resamples=resamples,
            batch=max(1, 1_000_000 // max(len(array) for array in arrays)),
            paired=paired,
            confidence_level=level,
            method="BCa" if method == "bca" else "percentile",
            rng=np.random.default_rng(seed),
        )
    low, high = float(result.confidence_interval.low), float(result.confidence_interval.high)
    if math.isnan(low) or math.isnan(high):
        method = "percentile"
        drawn = result.bootstrap_distribution
        edges = ((1 - level) / 2, (1 + level) / 2)
        low, high = (float(edge) for edge in np.quantile(drawn[np.isfinite(drawn)], edges))
    return Interval(value, low, high, level, method)
