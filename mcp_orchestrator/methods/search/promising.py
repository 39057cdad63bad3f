"""The next trial of a search that knows of trials on related data: the configuration that promises most.

Asked about are what was tried elsewhere, the usual settings, steps of some widths from the best ones here and there,
and others at random. What was tried here is not tried again, nor what is next to it; and the trials of a batch, which
do not learn from each other, are of several families: what was tried elsewhere may mislead.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.methods.search.kriging import Configuration, Outcome, distances, places, promises, worths
from mcp_orchestrator.methods.search.starts import Earlier
from mcp_orchestrator.methods.training.families import Choice, Params, Range, Space

if TYPE_CHECKING:
    import numpy as np
    from optuna.study import Study
    from optuna.trial import FrozenTrial

__all__ = ["moved", "params_of", "promising"]

STEPS = (0.06, 0.12, 0.25)
"""The deviations of a step, in parts of the range of a parameter."""
CHANGE = 0.2
"""How often another option of a choice is taken."""
FROM, DRAWS, RANDOM = 4, 24, 10
"""From how many of the best of each table steps are made, how many from each, and what is drawn at random by family."""
NEXT = 0.05
"""How far from all that was tried a trial must be, in parts of the range of a parameter, in the mean of them."""
OF_A_FAMILY = 2
"""Trials of a family in one batch."""


def promising(
    study: Study,
    spaces: Mapping[str, Space],
    usual: Sequence[Configuration],
    earlier: Sequence[Earlier],
    seed: int,
) -> Configuration | None:
    """Return the configuration of these families that promises most; None where nothing has a score yet."""
    import numpy as np
    from optuna.trial import TrialState

    trials = [one for one in study.get_trials(deepcopy=False) if "family" in one.params]
    here = _outcomes(trials, best=float(study.direction.name == "MAXIMIZE"))
    if not here:
        return None
    elsewhere = [_there(one) for one in earlier if one.trials]
    tried = [params_of(one.params) for one in trials]
    waiting = [params_of(one.params) for one in trials if one.state == TrialState.RUNNING]
    chance = np.random.default_rng(seed)
    drawn = _drawn([here, *elsewhere], spaces, chance)
    asked = _apart([*usual, *(one.tried for group in elsewhere for one in group), *drawn], tried, spaces)
    often = Counter(family for family, _ in waiting)
    asked = [one for one in asked if often[one[0]] < OF_A_FAMILY] or asked
    if not asked:
        return None
    return asked[int(promises(here, elsewhere, waiting, asked, spaces).argmax())]


def params_of(stored: dict[str, Any]) -> Configuration:
    """Return family and parameters of a stored trial."""
    family = stored["family"]
    prefix = f"{family}."
    return family, {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}


def moved(params: Params, space: Space, step: float, chance: np.random.Generator) -> Params:
    """Return parameters that are moved at random, each by a deviation of ``step`` in parts of its range."""
    return {name: _moved(part, params[name], step, chance) for name, part in space.items()}


def _outcomes(trials: Sequence[FrozenTrial], best: float) -> list[Outcome]:
    """Return the trials that have a score; of those that were given up, that of the folds that they were tried on."""
    from optuna.trial import TrialState

    found: list[tuple[Configuration, float]] = []
    for one in trials:
        seen = list(one.intermediate_values.values()) if one.state == TrialState.PRUNED else [one.value]
        known = [value for value in seen if value is not None]
        if known and one.state in {TrialState.PRUNED, TrialState.COMPLETE}:
            found.append((params_of(one.params), math.fsum(known) / len(known)))
    return _worth(found, best)


def _there(one: Earlier) -> list[Outcome]:
    return _worth([((past.family, past.params), past.score) for past in one.trials], float(one.greater_is_better))


def _worth(found: Sequence[tuple[Configuration, float]], best: float) -> list[Outcome]:
    values = worths([score for _, score in found], best)
    return [Outcome(tried, worth) for (tried, _), worth in zip(found, values, strict=True)]


def _drawn(
    groups: Sequence[Sequence[Outcome]], spaces: Mapping[str, Space], chance: np.random.Generator
) -> Iterator[Configuration]:
    """Yield steps from the best of each table, and configurations at random."""
    for group in groups:
        for one in sorted(group, key=lambda one: -one.worth)[:FROM]:
            family, params = one.tried
            for number in range(DRAWS):
                yield family, moved(params, spaces[family], STEPS[number % len(STEPS)], chance)
    for family, space in spaces.items():
        for _ in range(RANDOM):
            yield family, {name: _at(part, float(chance.random()), chance) for name, part in space.items()}


def _apart(
    asked: Sequence[Configuration], tried: Sequence[Configuration], spaces: Mapping[str, Space]
) -> list[Configuration]:
    """Leave out what is next to what was tried; where that is all, what was tried itself."""
    known, wanted = places(tried, spaces), places(asked, spaces)
    nearest = distances(wanted, known).min(axis=1) / wanted.parameters
    far = [one for one, apart in zip(asked, nearest, strict=True) if apart >= NEXT**2]
    return far or [one for one in asked if one not in tried]


def _moved(part: Range | Choice, value: Any, step: float, chance: np.random.Generator) -> Any:  # noqa: ANN401 - of either kind
    if isinstance(part, Choice):
        return value if chance.random() >= CHANGE else _at(part, 0.0, chance)
    low, high, at = (math.log(one) if part.log else float(one) for one in (part.low, part.high, value))
    return _at(part, (at - low) / (high - low) + step * float(chance.normal()), chance)


def _at(part: Range | Choice, share: float, chance: np.random.Generator) -> Any:  # noqa: ANN401 - of either kind
    """Return the value at a share of the range, or any option of a choice."""
    if isinstance(part, Choice):
        return part.options[int(chance.integers(len(part.options)))]
    low, high = (math.log(one) if part.log else float(one) for one in (part.low, part.high))
    at = low + min(1.0, max(0.0, share)) * (high - low)
    found = math.exp(at) if part.log else at
    if isinstance(part.low, int) and isinstance(part.high, int):
        return min(part.high, max(part.low, round(found)))
    return min(float(part.high), max(float(part.low), found))
