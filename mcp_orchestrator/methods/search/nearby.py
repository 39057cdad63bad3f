"""A step from the best of a search: its configuration with every parameter moved a little.

A search that starts from what worked elsewhere is near a good place from its first trials on; what there is to gain, a
few steps at random find sooner than a model of all that can be tried (randomized local search, as in FLAML's CFO).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import Choice, Family, Params, Range

if TYPE_CHECKING:
    import numpy as np
    from optuna.study import Study

__all__ = ["nearby"]

STEP = 0.12
"""The deviation of a step, in parts of the range of a parameter."""
OTHER = 0.3
"""How often a step is made from the best of another family than the best one's."""
CHANGE = 0.2
"""How often another option of a choice is taken."""
DRAWS = 20


def nearby(study: Study, families: Sequence[Family], shape: Shape, seed: int) -> tuple[str, Params] | None:
    """Return a configuration near the best one so far that was not tried yet; None where nothing has a score."""
    import numpy as np
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    scored = [one for one in trials if one.state == TrialState.COMPLETE and one.value is not None]
    order = sorted(scored, key=lambda one: (sign * (one.value or 0.0), one.number))
    if not order:
        return None
    best = order[0].params
    others = [one.params for one in order if one.params["family"] != best["family"]]
    known = [one.params for one in trials]
    chance = np.random.default_rng(seed)
    for _ in range(DRAWS):
        base = others[0] if others and chance.random() < OTHER else best
        family = next(one for one in families if one.name == base["family"])
        moved = {
            name: _moved(part, base[f"{family.name}.{name}"], chance) for name, part in family.space(shape).items()
        }
        whole = {"family": family.name, **{f"{family.name}.{name}": value for name, value in moved.items()}}
        if whole not in known:
            return family.name, moved
    return None


def _moved(part: Range | Choice, value: Any, chance: np.random.Generator) -> Any:  # noqa: ANN401 - of either kind
    if isinstance(part, Choice):
        return value if chance.random() >= CHANGE else part.options[int(chance.integers(len(part.options)))]
    low, high, at = (math.log(one) if part.log else float(one) for one in (part.low, part.high, value))
    step = min(high, max(low, at + STEP * (high - low) * float(chance.normal())))
    found = math.exp(step) if part.log else step
    if isinstance(part.low, int) and isinstance(part.high, int):
        return min(part.high, max(part.low, round(found)))
    return min(float(part.high), max(float(part.low), found))
