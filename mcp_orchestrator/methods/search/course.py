"""The course of a search: what the trials of a study say about what comes next, and when it is enough.

Candidates are tried in batches of a fixed size. What is proposed, given up and stopped depends on whole batches only,
so it is the same however many processors there are, and whether or not the search was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.methods.search.callbacks import stale
from mcp_orchestrator.methods.search.candidates import Candidate, Stop
from mcp_orchestrator.methods.search.choice import Ensemble, ranked
from mcp_orchestrator.methods.search.promising import params_of
from mcp_orchestrator.methods.search.proposals import Method, Proposal, Proposals
from mcp_orchestrator.methods.search.starts import Earlier, Start
from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import Family

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

__all__ = ["ALL", "BATCH", "MOST", "SCREENED", "Course", "Limits", "finalists", "restored", "screens"]

BATCH = 4
SCREENED = 8000
FINALISTS = 4
BLENDED = 8
ATTRIBUTE = "outcome"
LEAST, MOST, ALL = 0.5, 0.92, 0.97
"""Shares of the time: for trying candidates at least and at most, and with the finalists; the rest is for the blend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a search goes, what it tries ``first``, and what it knows of ``earlier`` trials on related data."""

    method: Method = "bayesian"
    trials: int = 24
    seconds: float | None = None
    patience: int | None = 12
    pruning: bool = True
    ensemble: Ensemble = "auto"
    cpus: int = 1
    seed: int = 0
    first: tuple[Start, ...] = ()
    earlier: tuple[Earlier, ...] = ()


class Course:
    """Where a search stands: its study, and the candidates that have ended."""

    def __init__(
        self,
        study: Study,
        families: Sequence[Family],
        shape: Shape,
        limits: Limits,
        *,
        folds: int,
        batch: int = BATCH,
        kept: bool = False,
    ) -> None:
        """Continue ``study``, on a problem with so many folds; ``kept``: the predictions of its trials were stored."""
        self.study, self.limits, self.folds, self.batch = study, limits, folds, batch
        self.greater = study.direction.name == "MAXIMIZE"
        self.screening = screens(shape, folds)
        self.proposals = Proposals(study, families, shape, limits.method, limits.seed, limits.first, limits.earlier)
        self.candidates = [
            restored(trial, screening=self.screening, kept=kept)
            for trial in study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        ]

    # What comes next

    def next(self, waiting: list[Proposal]) -> list[Proposal]:
        """Return the next batch; one that was cut off is filled up, not joined."""
        asked = len(self.candidates) + len(waiting)
        missing = -asked % self.batch or (0 if waiting else self.batch)
        return waiting + [self.proposals.ask() for _ in range(min(missing, self._room(asked)))]

    def why_stop(self, asked: int, *, expired: bool, stop: bool) -> Stop | None:
        """Return why no further batch is tried, if so."""
        if expired:
            return "seconds"
        if stop:
            return "request"
        if not self._room(asked):
            return "trials" if asked >= self.limits.trials else "grid" if self.limits.method == "grid" else "none"
        return "patience" if self._patience_is_over() else None

    def incumbent(self, number: int) -> Candidate | None:
        """Return the candidate that those of the batch of a trial must not be far behind; None: none is given up."""
        if not self.limits.pruning or self.folds <= 2:
            return None
        first = number - number % self.batch
        before = [one for one in self.candidates if one.state == "complete" and one.number < first]
        return next(iter(self.ranked(before)), None)

    def answer(self, trial: Trial, candidate: Candidate) -> None:
        """Tell the study what came out; a candidate that was cut stays open, for when the search is continued."""
        from optuna.trial import TrialState

        self.candidates.append(candidate)
        if candidate.state == "cut":
            return
        trial.set_user_attr(ATTRIBUTE, outcome_kept(candidate))
        if candidate.state == "pruned":
            for fold, score in candidate.scores.items():
                trial.report(score, fold)
            self.study.tell(trial, state=TrialState.PRUNED)
        elif candidate.state == "failed" or math.isnan(candidate.score):
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, candidate.score)

    # Who is ahead

    def ranked(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return candidates in the order of their scores."""
        return ranked(candidates, greater_is_better=self.greater)

    def finalists(self) -> list[Candidate]:
        """Return the candidates that need all their predictions: those that may be blended, and the best linear one."""
        return finalists(self.ranked(self.candidates), screening=self.screening)

    def missing(self) -> list[tuple[Candidate, int]]:
        """Return the folds that finalists are still to be tried on, fold by fold: time cuts all of them alike."""
        finalists = self.finalists()
        return [(one, fold) for fold in range(self.folds) for one in finalists if fold not in one.predicted]

    # Time

    def exploring(self) -> float | None:
        """Return the seconds after which no further candidate is tried: the finalists need the rest."""
        seconds = self.limits.seconds
        return None if seconds is None else max(LEAST * seconds, MOST * seconds - self._reserve())

    def _reserve(self) -> float:
        """Return the seconds that the present finalists will need for the folds that they have not seen."""
        cost = [one.seconds / len(one.scores) for one, _ in self.missing()]
        return 1.2 * sum(cost) / max(1, self.limits.cpus)

    def _room(self, asked: int) -> int:
        most = self.limits.trials if self.proposals.last is None else min(self.limits.trials, self.proposals.last)
        return max(0, most - asked)

    def _patience_is_over(self) -> bool:
        patience, plan = self.limits.patience, len(self.proposals.plan)
        if not patience or self.proposals.last is not None or len(self.candidates) < plan + patience:
            return False
        learned = [one.score for one in self.candidates if one.state in {"complete", "screened", "pruned"}]
        return stale(learned, greater_is_better=self.greater) >= patience


def screens(shape: Shape, folds: int) -> bool:
    """Whether candidates are tried on one fold first, and only the best on the others."""
    return shape.rows > SCREENED and folds > 2


def finalists(order: list[Candidate], *, screening: bool) -> list[Candidate]:
    """Return those of candidates, best first, that may be blended, and the best linear one."""
    order = [one for one in order if one.state != "cut"]
    best = order[: FINALISTS if screening else BLENDED]
    return best + [one for one in order[len(best) :] if one.linear][: 0 if any(one.linear for one in best) else 1]


def outcome_kept(candidate: Candidate) -> dict[str, Any]:
    """Return what the study keeps of a candidate beside its parameters."""
    outcome: dict[str, Any] = {
        "scores": [[fold, score] for fold, score in sorted(candidate.scores.items())],
        "seconds": round(candidate.seconds, 3),
        "state": candidate.state,
        "reason": candidate.reason,
    }
    return outcome | ({"stored": candidate.stored} if candidate.stored else {})


def restored(trial: FrozenTrial, *, screening: bool = False, kept: bool = False) -> Candidate:
    """Return the candidate of a finished trial, without its predictions, but ``kept`` with where they are stored."""
    family, params = params_of(trial.params)
    known = trial.user_attrs.get(ATTRIBUTE, {"scores": [], "seconds": 0.0, "state": "failed", "reason": "interrupted"})
    state = "screened" if screening and known["state"] == "complete" else known["state"]
    return Candidate(
        number=trial.number,
        family=family,
        params=params,
        scores={int(fold): float(score) for fold, score in known["scores"]},
        seconds=known["seconds"],
        state=state,
        reason=known["reason"],
        stored=known.get("stored", "") if kept else "",
    )
