"""When to stop: rules on one learning curve, the brackets of Hyperband, and the pruners of Optuna by name.

A rule takes errors (smaller is better), one a step, and returns the criterion at each step; it fires where the
criterion exceeds the limit. GL, PQ and UP are those of Prechelt, "Early Stopping - But When?" (1998).
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.errors import InvalidInput, reject_unknown

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

__all__ = [
    "PRUNERS",
    "Pruner",
    "generalization_loss",
    "hyperband",
    "make_pruner",
    "median_gap",
    "progress_quotient",
    "stale_steps",
    "successive_rises",
]


def stale_steps(errors: Sequence[float], least: float = 0.0) -> list[float]:
    """Count the steps since the error last fell by more than ``least``."""
    best, since, counts = math.inf, 0, list[float]()
    for error in errors:
        if error < best - least:
            best, since = error, 0
        else:
            since += 1
        counts.append(since)
    return counts


def generalization_loss(errors: Sequence[float]) -> list[float]:
    """Return GL: by how many percent the error exceeds the least one so far."""
    best, losses = math.inf, list[float]()
    for error in errors:
        best = min(best, error)
        losses.append(100 * (error / best - 1) if best else (math.inf if error else 0.0))
    return losses


def progress_quotient(errors: Sequence[float], training: Sequence[float], strip: int) -> list[float]:
    """Return PQ at the end of each strip of steps: GL over the training progress in per thousand; 0 in between."""
    quotients = [0.0] * len(errors)
    losses = generalization_loss(errors)
    for end in range(strip, len(errors) + 1, strip):
        part = training[end - strip : end]
        progress = 1000 * (statistics.fmean(part) / min(part) - 1) if min(part) else math.inf
        loss = losses[end - 1]
        quotients[end - 1] = loss / progress if progress else (math.inf if loss else 0.0)
    return quotients


def successive_rises(errors: Sequence[float], strip: int) -> list[float]:
    """Count, at the end of each strip, over how many strips in a row the error has risen (UP stops at a number)."""
    counts, rises, before = [0.0] * len(errors), 0, math.inf
    for end in range(strip, len(errors) + 1, strip):
        rises = rises + 1 if errors[end - 1] > before else 0
        before = errors[end - 1]
        counts[end - 1] = rises
    return counts


def median_gap(errors: Sequence[float], others: Sequence[Sequence[float]], warmup: int) -> list[float]:
    """Return how far the best error so far lies above the median of the others' mean errors up to the same step.

    The rule of Vizier (Golovin et al. 2017). No gap during ``warmup`` and where no other curve is as long.
    """
    best, gaps = math.inf, list[float]()
    for step, error in enumerate(errors, 1):
        best = min(best, error)
        means = [statistics.fmean(other[:step]) for other in others if len(other) >= step]
        gaps.append(best - statistics.median(means) if means and step > warmup else 0.0)
    return gaps


def hyperband(most: int, eta: int) -> list[list[tuple[int, int]]]:
    """Return Hyperband's brackets: each a list of (configurations, resource of each), the widest first.

    Li et al. (2018): ``most`` is the resource that one configuration gets at most, ``eta`` the share that is dropped.
    """
    depth = 0
    while eta ** (depth + 1) <= most:
        depth += 1
    brackets: list[list[tuple[int, int]]] = []
    for s in range(depth, -1, -1):
        many = math.ceil((depth + 1) * eta**s / (s + 1))
        brackets.append([(many // eta**rung, most // eta ** (s - rung)) for rung in range(s + 1)])
    return brackets


@dataclass(frozen=True, slots=True)
class Pruner:
    """A pruner of Optuna: its class, our defaults for it, and what it does in a sentence."""

    optuna: str
    summary: str
    defaults: Mapping[str, float | int | str]


PRUNERS: dict[str, Pruner] = {
    "median": Pruner(
        "MedianPruner",
        "Stops a trial whose best value so far is worse than the median of the others at the same step.",
        {"n_startup_trials": 5, "n_warmup_steps": 0, "interval_steps": 1, "n_min_trials": 1},
    ),
    "percentile": Pruner(
        "PercentilePruner",
        "Stops a trial outside the best given percentage at the same step.",
        {"percentile": 25.0, "n_startup_trials": 5, "n_warmup_steps": 0, "interval_steps": 1, "n_min_trials": 1},
    ),
    "successive_halving": Pruner(
        "SuccessiveHalvingPruner",
        "Lets the best share of the trials go on at each rung, asynchronously.",
        {"min_resource": 1, "reduction_factor": 3, "min_early_stopping_rate": 0, "bootstrap_count": 0},
    ),
    "hyperband": Pruner(
        "HyperbandPruner",
        "Spreads the trials over several brackets of successive halving.",
        {"min_resource": 1, "max_resource": "auto", "reduction_factor": 3, "bootstrap_count": 0},
    ),
    "patient": Pruner(
        "PatientPruner",
        "Stops a trial that has not improved for a number of steps.",
        {"patience": 5, "min_delta": 0.0},
    ),
    "threshold": Pruner(
        "ThresholdPruner",
        "Stops a trial whose value leaves the given limits.",
        {"upper": 1e9, "n_warmup_steps": 0, "interval_steps": 1},
    ),
    "wilcoxon": Pruner(
        "WilcoxonPruner",
        "Stops a trial that does significantly worse than the best one on the same folds.",
        {"p_threshold": 0.1, "n_startup_steps": 2},
    ),
    "none": Pruner("NopPruner", "Stops nothing.", {}),
}
EXTRA: dict[str, tuple[str, ...]] = {"threshold": ("lower",)}

PrunerName = Literal[
    "median",
    "percentile",
    "successive_halving",
    "hyperband",
    "patient",
    "threshold",
    "wilcoxon",
    "none",
]


def make_pruner(
    name: PrunerName,
    settings: Mapping[str, Any] | None = None,
) -> tuple[BasePruner, dict[str, Any]]:
    """Make a pruner of Optuna by our name for it, and return it with all its settings.

    Raises:
        InvalidInput: there is no such pruner, it has no such setting, or a setting's value is not acceptable.

    """
    import optuna

    if name not in PRUNERS:
        raise InvalidInput("name", f"there is no pruner {name!r}.", allowed=PRUNERS)
    spec = PRUNERS[name]
    given = dict(settings or {})
    reject_unknown(given, [*spec.defaults, *EXTRA.get(name, ())], what=f"the pruner {name!r}")
    complete = {**spec.defaults, **given}
    arguments = {"wrapped_pruner": None, **complete} if name == "patient" else complete
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # says so of two of them, each time
        try:
            return getattr(optuna.pruners, spec.optuna)(**arguments), complete
        except (ValueError, TypeError) as error:
            raise InvalidInput("settings", f"the pruner {name!r} refuses them: {error}") from error
