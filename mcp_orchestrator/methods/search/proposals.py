"""What to try next: what worked elsewhere and what that promises, a fixed portfolio, then TPE, chance or a grid.

Trials are asked and answered in batches of a fixed size and in order, and the sampler is seeded by the trial's number:
the same study follows whatever the number of processors, and whether or not it was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple
from zlib import crc32

from mcp_orchestrator.methods.search.kriging import Configuration
from mcp_orchestrator.methods.search.promising import params_of, promising
from mcp_orchestrator.methods.search.starts import Earlier, Start, begun, checked
from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import FAMILIES, Family, Params

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import Trial

__all__ = ["Method", "Proposal", "Proposals", "planned", "sampler"]

Method = Literal["none", "grid", "random", "bayesian"]
STARTUP = 10
STEPS = 2
PORTFOLIO = (
    ("linear", 0),
    ("boosting", 0),
    ("splines", 0),
    ("boosting", 1),
    ("svm", 0),
    ("extra_trees", 0),
    ("lightgbm", 0),
    ("network", 0),
    ("elastic_net", 0),
    ("random_forest", 0),
    ("linear", 1),
    ("neighbors", 0),
)
"""The settings that are tried first, by family and place among its defaults: quick and strong ones ahead."""


class Proposal(NamedTuple):
    """A candidate to try, with the trial that asked for it."""

    trial: Trial
    family: str
    params: Params


def sampler(method: Method, seed: int) -> BaseSampler:
    """Return what proposes the next parameters."""
    from optuna.samplers import RandomSampler, TPESampler

    if method == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=STARTUP)


def planned(
    families: Sequence[Family], method: Method, shape: Shape, first: Sequence[Start] = ()
) -> list[Configuration | None]:
    """Return what is tried before TPE or chance: all of it for ``none`` and ``grid``, else ``first`` ahead.

    The starts are followed by twice as many trials of what promises most by then, and from then on every other trial is
    of that kind; they are None here.

    Families take turns in a grid, so that a short search has seen each of them.
    """
    if method == "none":
        return [(family.name, family.defaults(shape)[0]) for family in families]
    if method == "grid":
        turns = zip_longest(*([(family.name, one) for one in family.grid(shape)] for family in families))
        return [one for turn in turns for one in turn if one is not None]
    known = {(family.name, place): one for family in families for place, one in enumerate(family.defaults(shape))}
    ready = begun(first, families, shape)
    usual = [(name, known[name, place]) for name, place in PORTFOLIO if (name, place) in known]
    rest = [one for one in usual if one not in ready]
    if not ready or method != "bayesian":
        return [*ready, *rest]
    return [*ready, *[None] * (STEPS * len(ready)), *(one for usual in rest for one in (usual, None))]


class Proposals:
    """The trials of a study, asked for one by one."""

    def __init__(  # noqa: PLR0917 - all of them decide what is tried
        self,
        study: Study,
        families: Sequence[Family],
        shape: Shape,
        method: Method,
        seed: int,
        first: Sequence[Start] = (),
        earlier: Sequence[Earlier] = (),
    ) -> None:
        """Continue ``study``, or begin it with what is planned.

        Raises:
            InvalidInput: one of ``first`` cannot be tried.

        """
        self._study = study
        self._families = families
        self._method: Method = method
        self._shape = shape
        self._seed = seed
        self._earlier = checked(earlier, families, shape)
        self._salt = crc32(json.dumps([[one.family, one.params] for one in first]).encode()) if first else 0
        self.plan = planned(families, method, shape, first)
        self.last = len(self.plan) if method in {"none", "grid"} else None

    def unfinished(self) -> list[Proposal]:
        """Return the trials that an interrupted search asked for and never answered."""
        from optuna.trial import Trial, TrialState

        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [self._proposal(Trial(self._study, one._trial_id), one.number) for one in waiting]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def ask(self) -> Proposal:
        """Return the next candidate."""
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = sampler(self._method, self._salted(number))
        ready = self._planned(number)
        if ready is not None:
            family, params = ready
            self._study.enqueue_trial({"family": family, **{f"{family}.{name}": one for name, one in params.items()}})
        trial = self._study.ask()
        return self._proposal(trial, trial.number)

    def _planned(self, number: int) -> tuple[str, Params] | None:
        """Return what is to be tried next without asking the sampler, if anything."""
        if number >= len(self.plan):
            return None
        planned = self.plan[number]
        trials = self._study.get_trials(deepcopy=False)
        if planned is not None and planned not in [params_of(one.params) for one in trials if one.params]:
            return planned
        usual = [one for one in self.plan if one is not None]
        spaces = {one.name: one.space(self._shape) for one in self._families}
        return promising(self._study, spaces, usual, self._earlier, self._salted(number))

    def _salted(self, number: int) -> int:
        """Return the seed of a trial, another one with other starts: else the draws that found them come again."""
        return (self._seed + number + self._salt) % 2**32

    def _proposal(self, trial: Trial, number: int) -> Proposal:
        self._study.sampler = sampler(self._method, self._salted(number))
        family = FAMILIES[trial.suggest_categorical("family", [family.name for family in self._families])]
        return Proposal(trial, family.name, family.suggest(trial, self._shape))
