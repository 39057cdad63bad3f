"""What is known of each candidate, and what a search found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mcp_orchestrator.methods.search.ensemble import mean_of
from mcp_orchestrator.methods.training.families import FAMILIES, Params

if TYPE_CHECKING:
    import numpy as np

    from mcp_orchestrator.methods.search.problem import Attempt, Outcome

__all__ = ["Candidate", "Found", "State", "Stop"]

State = Literal["running", "complete", "screened", "pruned", "failed", "cut"]
Stop = Literal["trials", "seconds", "patience", "request", "callback", "grid", "none"]


@dataclass(eq=False, kw_only=True)
class Candidate:
    """A family with parameters, and how it did on each fold so far.

    ``stored`` is the reference of its predictions on the folds that have a score, where these were stored.
    """

    number: int
    family: str
    params: Params
    scores: dict[int, float] = field(default_factory=dict[int, float])
    predictions: dict[int, np.ndarray] = field(default_factory=dict[int, "np.ndarray"], repr=False)
    responses: dict[int, np.ndarray] = field(default_factory=dict[int, "np.ndarray"], repr=False)
    seconds: float = 0.0
    state: State = "running"
    reason: str = ""
    stored: str = ""

    @property
    def predicted(self) -> set[int]:
        """The folds whose predictions are at hand."""
        return set(self.scores if self.stored else self.predictions)

    @property
    def score(self) -> float:
        """The mean over the folds that are done; NaN where none is."""
        return mean_of([self.scores[fold] for fold in sorted(self.scores)])  # folds end in any order

    @property
    def linear(self) -> bool:
        """Whether it is a plain linear model."""
        return FAMILIES[self.family].linear

    def attempt(self, fold: int) -> Attempt:
        """Return the task of trying it on a fold."""
        from mcp_orchestrator.methods.search.problem import Attempt

        return Attempt(self.family, self.params, fold)

    def add(self, fold: int, outcome: Outcome) -> None:
        """Take in what came out on a fold."""
        self.seconds += outcome.seconds
        if outcome.predictions is None:
            self.state, self.reason = "failed", outcome.reason
            return
        self.scores[fold] = outcome.score
        self.predictions[fold] = outcome.predictions
        if outcome.response is not None:
            self.responses[fold] = outcome.response

    def on(self, folds: list[int]) -> list[float]:
        """Return its scores on some folds."""
        return [self.scores[fold] for fold in folds]

    def keep(self, folds: set[int]) -> None:
        """Drop what is known of other folds, so that candidates can be compared on the same ones."""
        for known in (self.scores, self.predictions, self.responses):
            for fold in set(known) - folds:
                del known[fold]

    def forget(self) -> None:
        """Drop the predictions, which can be made again."""
        self.predictions.clear()
        self.responses.clear()


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """The outcome of a search: members with their weights, and how they did together.

    ``out_of_fold`` holds predictions, decision values (one member only), and a mask of the rows that have them.
    """

    members: list[tuple[Candidate, float]]
    fold_scores: list[float]
    candidates: list[Candidate]
    stopped_by: Stop
    choice: str
    ensemble: str
    notes: list[str]
    out_of_fold: tuple[np.ndarray, np.ndarray | None, np.ndarray] | None = None

    @property
    def score(self) -> float:
        """The mean over the folds."""
        return mean_of(self.fold_scores)
