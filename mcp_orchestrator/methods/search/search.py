"""The search for the best pipeline, or blend of pipelines, on a training part.

Every candidate is compared on the same folds. Tables above 8,000 rows are screened: each candidate is tried on one
fold, and only the best few on the others. The deadline is kept here, in the parent: what is running then is ended, what
has finished counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_orchestrator.methods.search.callbacks import stale
from mcp_orchestrator.methods.search.candidates import Candidate, Found, Stop
from mcp_orchestrator.methods.search.choice import Ensemble, choose, ranked
from mcp_orchestrator.methods.search.ensemble import mean_of
from mcp_orchestrator.methods.search.pool import Pool
from mcp_orchestrator.methods.search.problem import Attempt, Outcome, Problem, outcome_of
from mcp_orchestrator.methods.search.proposals import Method, Proposal, Proposals, params_of
from mcp_orchestrator.methods.training.families import Family

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

__all__ = ["BATCH", "SCREENED", "Limits", "Search", "restored"]

BATCH = 4
SCREENED = 8000
FINALISTS = 4
BLENDED = 8
ATTRIBUTE = "outcome"
LEAST, MOST, ALL = 0.5, 0.92, 0.97
"""Shares of the time: for trying candidates at least and at most, and with the finalists; the rest is for the blend."""

Watch = Callable[[Candidate], str]
Tell = Callable[[float | None, str], None]
Workers = Pool[tuple[int, int], Attempt, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a search goes."""

    method: Method = "bayesian"
    trials: int = 24
    seconds: float | None = None
    patience: int | None = 12
    pruning: bool = True
    ensemble: Ensemble = "auto"
    cpus: int = 1
    seed: int = 0


class Search:
    """One search, or the continuation of one, on the trials of an Optuna study."""

    def __init__(
        self,
        problem: Problem,
        families: Sequence[Family],
        study: Study,
        limits: Limits,
        *,
        watch: Watch = lambda _: "",
        report: Tell = lambda _fraction, _message: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Search among ``families``.

        ``watch`` sees every finished candidate and may end the search by giving a reason; ``stop`` is asked whether
        somebody wants it to end; ``report`` takes the progress.
        """
        self.problem, self.study, self.limits = problem, study, limits
        self.screening = len(problem.target.y) > SCREENED and len(problem.folds) > 2
        self.proposals = Proposals(study, families, limits.method, problem.shape, limits.seed)
        self.candidates = [
            restored(trial, screening=self.screening)
            for trial in study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        ]
        self._watch, self._report, self._stop = watch, report, stop
        self.notes: list[str] = []
        self._started = time.monotonic()

    def run(self) -> Found:
        """Search until a limit is met, and return the winner.

        Raises:
            DataRejected: every candidate failed.

        """
        if not self.problem.folds:
            return choose(self.problem, [self._first()], "none", "none", [])
        with Pool(self.problem.attempt, self.limits.cpus, deadline=self._deadline(MOST)) as workers:
            stopped_by = self._explore(workers)
            workers.until(self._deadline(ALL))
            self._finish(workers)
        if not self.candidates:
            self.candidates.append(self._first())
        if self.screening:
            self.notes.append(f"Above {SCREENED} rows every candidate is tried on one fold, and only the best on all.")
        return choose(self.problem, self.candidates, self.limits.ensemble, stopped_by, self.notes)

    def _first(self) -> Candidate:
        family, params = self.proposals.plan[0]
        return Candidate(number=0, family=family, params=params, state="cut", reason="not tried")

    def _deadline(self, share: float, reserve: float = 0.0) -> float | None:
        seconds = self.limits.seconds
        return None if seconds is None else self._started + max(LEAST * seconds, share * seconds - reserve)

    def _reserve(self) -> float:
        """Return the seconds that the present finalists will need for the folds that they have not seen."""
        folds = len(self.problem.folds)
        cost = [one.seconds / len(one.scores) * (folds - len(one.predictions)) for one in self._finalists()]
        return 1.2 * sum(cost) / max(1, self.limits.cpus)

    # Trying candidates

    def _explore(self, workers: Workers) -> Stop:
        waiting = self.proposals.unfinished()
        while True:
            workers.until(self._deadline(MOST, self._reserve()))
            why = self._why_stop(workers, len(self.candidates) + len(waiting))
            if why is not None and not waiting:
                return why
            asked = len(self.candidates) + len(waiting)
            missing = -asked % BATCH or (0 if waiting else BATCH)  # a batch that was cut off is filled up, not joined
            batch = waiting + [self.proposals.ask() for _ in range(min(missing, self._room(asked)))]
            waiting = []
            tried = [Candidate(number=one.trial.number, family=one.family, params=one.params) for one in batch]
            self._try(workers, tried)
            ended = [self._answer(one, candidate) for one, candidate in zip(batch, tried, strict=True)]
            self._drop_predictions()
            if any(ended):
                self.notes.append(f"Stopped by a callback: {next(filter(None, ended))}.")
                return "callback"

    def _room(self, asked: int) -> int:
        most = self.limits.trials if self.proposals.last is None else min(self.limits.trials, self.proposals.last)
        return max(0, most - asked)

    def _why_stop(self, workers: Workers, asked: int) -> Stop | None:
        if workers.expired:
            return "seconds"
        if self._stop():
            return "request"
        if not self._room(asked):
            return "trials" if asked >= self.limits.trials else "grid" if self.limits.method == "grid" else "none"
        return "patience" if self._patience_is_over() else None

    def _patience_is_over(self) -> bool:
        patience, plan = self.limits.patience, len(self.proposals.plan)
        if not patience or self.proposals.last is not None or len(self.candidates) < plan + patience:
            return False
        learned = [one.score for one in self.candidates if one.state in {"complete", "screened", "pruned"}]
        return stale(learned, greater_is_better=self.problem.metric.greater_is_better) >= patience

    def _try(self, workers: Workers, tried: list[Candidate]) -> None:
        """Evaluate a batch; whether one is given up depends on its own first folds and on earlier batches only."""
        every = list(range(len(self.problem.folds)))
        incumbent = self._incumbent(tried[0].number) if self.limits.pruning and len(every) > 2 else None
        first = every[:1] if self.screening else every[:2] if incumbent else every
        by_number = {one.number: one for one in tried}
        for fold in first:
            for one in tried:
                workers.put((one.number, fold), one.attempt(fold))
        for (number, fold), result in workers.results():
            one = by_number[number]
            one.add(fold, outcome_of(result))
            if len(one.scores) == len(first):
                self._after_first(one, first, incumbent)
                for rest in every[len(first) :] if one.state == "running" else ():
                    workers.put((number, rest), one.attempt(rest))
            if len(one.scores) == len(every):
                one.state = "complete"
            if one.state != "running":
                self._say(one)
        for one in tried:
            if one.state == "running":
                one.state, one.reason = "cut", "the time was up"

    def _incumbent(self, number: int) -> Candidate | None:
        """Return the best candidate of the batches before that of a trial."""
        before = [one for one in self.candidates if one.state == "complete" and one.number < number - number % BATCH]
        return next(iter(ranked(self.problem, before)), None)

    def _after_first(self, one: Candidate, first: list[int], incumbent: Candidate | None) -> None:
        if self.screening:
            one.state = "screened"
        elif incumbent is not None and self._hopeless(one, incumbent, first):
            one.state, one.reason = "pruned", f"clearly worse than trial {incumbent.number} on {len(first)} folds"

    def _hopeless(self, one: Candidate, incumbent: Candidate, folds: list[int]) -> bool:
        """Whether it is worse on each fold, and by more than the incumbent's folds differ; loose on purpose."""
        sign = 1 if self.problem.metric.greater_is_better else -1
        behind = [sign * (best - own) for best, own in zip(incumbent.on(folds), one.on(folds), strict=True)]
        known = list(incumbent.scores.values())
        return min(behind) > 0 and mean_of(behind) > max(known) - min(known)

    def _answer(self, proposal: Proposal, candidate: Candidate) -> str:
        """Tell the study what came out; a candidate that was cut stays open, for when the search is continued."""
        from optuna.trial import TrialState

        if candidate.state == "cut":
            self.candidates.append(candidate)
            return ""
        outcome = {
            "scores": [[fold, score] for fold, score in sorted(candidate.scores.items())],
            "seconds": round(candidate.seconds, 3),
            "state": candidate.state,
            "reason": candidate.reason,
        }
        proposal.trial.set_user_attr(ATTRIBUTE, outcome)
        if candidate.state == "pruned":
            for fold, score in candidate.scores.items():
                proposal.trial.report(score, fold)
            self.study.tell(proposal.trial, state=TrialState.PRUNED)
        elif candidate.state == "failed" or math.isnan(candidate.score):
            self.study.tell(proposal.trial, state=TrialState.FAIL)
        else:
            self.study.tell(proposal.trial, candidate.score)
        self.candidates.append(candidate)
        return self._watch(candidate)

    def _say(self, one: Candidate) -> None:
        best = next(iter(ranked(self.problem, [*self.candidates, one])), one)
        done, most = len(self.candidates), self.limits.trials
        spent = (time.monotonic() - self._started) / self.limits.seconds if self.limits.seconds else 0.0
        text = f"trial {one.number + 1} of {most}: {one.family} {one.score:.4g} (best {best.score:.4g})"
        self._report(min(0.95, max(done / most, spent)), text)

    # Finalists

    def _finalists(self) -> list[Candidate]:
        """Return the candidates that need all their predictions: those that may be blended, and the best linear one."""
        order = [one for one in ranked(self.problem, self.candidates) if one.state != "cut"]
        best = order[: FINALISTS if self.screening else BLENDED]
        return best + [one for one in order[len(best) :] if one.linear][: 0 if any(one.linear for one in best) else 1]

    def _finish(self, workers: Workers) -> None:
        """Try the finalists on the folds that are missing, fold by fold, so that time cuts all of them alike."""
        finalists = self._finalists()
        by_number = {one.number: one for one in finalists}
        for fold in range(len(self.problem.folds)):
            for one in finalists:
                if fold not in one.predictions:
                    workers.put((one.number, fold), one.attempt(fold))
        for (number, fold), result in workers.results():
            by_number[number].add(fold, outcome_of(result))
        if self.screening and finalists:
            common = set.intersection(*(set(one.scores) for one in finalists if one.state != "failed"))
            for one in finalists:
                one.keep(common)
                if one.state == "screened" and len(common) == len(self.problem.folds):
                    one.state = "complete"

    def _drop_predictions(self) -> None:
        kept = self._finalists()
        for one in self.candidates:
            if one not in kept:
                one.forget()


def restored(trial: FrozenTrial, *, screening: bool = False) -> Candidate:
    """Return the candidate of a finished trial, without its predictions."""
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
    )
