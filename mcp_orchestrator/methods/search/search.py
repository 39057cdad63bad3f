"""The search for the best pipeline, or blend of pipelines, on a training part.

Every candidate is compared on the same folds. Tables above 8,000 rows are screened: each candidate is tried on one
fold, and only the best few on the others. The deadline is kept here, in the parent: what is running then is ended, what
has finished counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mcp_orchestrator.methods.search.candidates import Candidate, Found, Stop
from mcp_orchestrator.methods.search.choice import choose
from mcp_orchestrator.methods.search.course import ALL, MOST, SCREENED, Course, Limits
from mcp_orchestrator.methods.search.pool import Pool
from mcp_orchestrator.methods.search.problem import Problem, outcome_of
from mcp_orchestrator.methods.search.proposals import Proposal
from mcp_orchestrator.methods.search.trying import Trying, Workers
from mcp_orchestrator.methods.training.families import Family

if TYPE_CHECKING:
    from optuna.study import Study

__all__ = ["SCREENING", "Search", "even", "stopped_by_a_callback"]

SCREENING = f"Above {SCREENED} rows every candidate is tried on one fold, and only the best on all."

Watch = Callable[[Candidate], str]
Tell = Callable[[float | None, str], None]


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
        self.problem, self.limits = problem, limits
        self.course = Course(study, families, problem.shape, limits, folds=len(problem.folds))
        self._watch, self._report, self._stop = watch, report, stop
        self.notes: list[str] = []
        self._started = time.monotonic()

    @property
    def candidates(self) -> list[Candidate]:
        """The candidates that have ended."""
        return self.course.candidates

    def run(self) -> Found:
        """Search until a limit is met, and return the winner.

        Raises:
            DataRejected: every candidate failed.

        """
        if not self.problem.folds:
            return choose(self.problem, [self._first()], "none", "none", [])
        with Pool(self.problem.attempt, self.limits.cpus, deadline=self._at(MOST)) as workers:
            stopped_by = self._explore(workers)
            workers.until(self._at(ALL))
            self._finish(workers)
        if not self.candidates:
            self.candidates.append(self._first())
        if self.course.screening:
            self.notes.append(SCREENING)
        return choose(self.problem, self.candidates, self.limits.ensemble, stopped_by, self.notes)

    def _first(self) -> Candidate:
        family, params = next(one for one in self.course.proposals.plan if one is not None)
        return Candidate(number=0, family=family, params=params, state="cut", reason="not tried")

    def _at(self, share: float) -> float | None:
        return None if self.limits.seconds is None else self._started + share * self.limits.seconds

    # Trying candidates

    def _explore(self, workers: Workers) -> Stop:
        course = self.course
        waiting = course.proposals.unfinished()
        while True:
            exploring = course.exploring()
            workers.until(None if exploring is None else self._started + exploring)
            asked = len(self.candidates) + len(waiting)
            why = course.why_stop(asked, expired=workers.expired, stop=self._stop())
            if why is not None and not waiting:
                return why
            batch, waiting = course.next(waiting), []
            tried = [Candidate(number=one.trial.number, family=one.family, params=one.params) for one in batch]
            trying = Trying(
                folds=course.folds,
                screening=course.screening,
                incumbent=course.incumbent(tried[0].number),
                greater=course.greater,
            )
            trying.run(workers, tried, self._say)
            ended = [self._answer(one, candidate) for one, candidate in zip(batch, tried, strict=True)]
            self._drop_predictions()
            if any(ended):
                self.notes.append(stopped_by_a_callback(ended))
                return "callback"

    def _answer(self, proposal: Proposal, candidate: Candidate) -> str:
        self.course.answer(proposal.trial, candidate)
        return "" if candidate.state == "cut" else self._watch(candidate)

    def _say(self, one: Candidate) -> None:
        best = next(iter(self.course.ranked([*self.candidates, one])), one)
        done, most = len(self.candidates), self.limits.trials
        spent = (time.monotonic() - self._started) / self.limits.seconds if self.limits.seconds else 0.0
        text = f"trial {one.number + 1} of {most}: {one.family} {one.score:.4g} (best {best.score:.4g})"
        self._report(min(0.95, max(done / most, spent)), text)

    # Finalists

    def _finish(self, workers: Workers) -> None:
        """Try the finalists on the folds that are missing."""
        by_number = {one.number: one for one in self.course.finalists()}
        for one, fold in self.course.missing():
            workers.put((one.number, fold), one.attempt(fold))
        for (number, fold), result in workers.results():
            by_number[number].add(fold, outcome_of(result))
        if self.course.screening:
            even(list(by_number.values()), len(self.problem.folds))

    def _drop_predictions(self) -> None:
        kept = self.course.finalists()
        for one in self.candidates:
            if one not in kept:
                one.forget()


def even(finalists: list[Candidate], folds: int) -> None:
    """Have the finalists of a screening compared on the folds that all of them were tried on."""
    tried = [set(one.scores) for one in finalists if one.state != "failed"]
    common = set.intersection(*tried) if tried else set[int]()
    for one in finalists:
        one.keep(common)
        if one.state == "screened" and len(common) == folds:
            one.state = "complete"


def stopped_by_a_callback(reasons: Sequence[str]) -> str:
    """Return the note of a search that its callbacks ended."""
    return f"Stopped by a callback: {next(filter(None, reasons))}."
