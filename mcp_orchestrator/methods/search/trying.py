"""Trying candidates on the folds of a problem, and giving up those that are clearly worse after the first ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcp_orchestrator.methods.search.candidates import Candidate
from mcp_orchestrator.methods.search.ensemble import mean_of
from mcp_orchestrator.methods.search.pool import Pool
from mcp_orchestrator.methods.search.problem import Attempt, Outcome, outcome_of

__all__ = ["Trying", "Workers"]

Workers = Pool[tuple[int, int], Attempt, Outcome]


@dataclass(frozen=True, kw_only=True)
class Trying:
    """How candidates are tried: on one fold for ``screening``, else on all, unless far behind the ``incumbent``.

    What is given up depends on a candidate's own first folds and on the incumbent only.
    """

    folds: int
    screening: bool
    incumbent: Candidate | None
    greater: bool

    def run(
        self,
        workers: Workers,
        tried: Sequence[Candidate],
        ended: Callable[[Candidate], None],
        *,
        only: int | None = None,
    ) -> None:
        """Try candidates, on one fold ``only`` if so, and tell of each one that has ended.

        One that time did not suffice for is cut.
        """
        every = list(range(self.folds)) if only is None else [only]
        first = every if only is not None else every[:1] if self.screening else every[:2] if self.incumbent else every
        by_number = {one.number: one for one in tried}
        for fold in first:
            for one in tried:
                workers.put((one.number, fold), one.attempt(fold))
        for (number, fold), result in workers.results():
            one = by_number[number]
            one.add(fold, outcome_of(result))
            if only is None and len(one.scores) == len(first):
                self._after_first(one, first)
                for rest in every[len(first) :] if one.state == "running" else ():
                    workers.put((number, rest), one.attempt(rest))
            if len(one.scores) == len(every):
                one.state = "complete"
            if one.state != "running":
                ended(one)
        for one in tried:
            if one.state == "running":
                one.state, one.reason = "cut", "the time was up"

    def _after_first(self, one: Candidate, first: list[int]) -> None:
        if self.screening:
            one.state = "screened"
        elif self.incumbent is not None and self._hopeless(one, self.incumbent, first):
            one.state = "pruned"
            one.reason = f"clearly worse than trial {self.incumbent.number} on {len(first)} folds"

    def _hopeless(self, one: Candidate, incumbent: Candidate, folds: list[int]) -> bool:
        """Whether it is worse on each fold, and by more than the incumbent's folds differ; loose on purpose."""
        sign = 1 if self.greater else -1
        behind = [sign * (best - own) for best, own in zip(incumbent.on(folds), one.on(folds), strict=True)]
        known = list(incumbent.scores.values())
        return min(behind) > 0 and mean_of(behind) > max(known) - min(known)
