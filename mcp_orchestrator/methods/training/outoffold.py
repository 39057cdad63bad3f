"""Predictions for rows by models that did not see them: made by a search, or here, and kept as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import DataRejected, InvalidInput
from mcp_orchestrator.methods.search.candidates import Candidate
from mcp_orchestrator.methods.search.choice import out_of_fold
from mcp_orchestrator.methods.search.pool import Pool
from mcp_orchestrator.methods.search.problem import Attempt, Outcome, Problem, outcome_of
from mcp_orchestrator.methods.training.pipelines import Member

if TYPE_CHECKING:
    import numpy as np

__all__ = ["OutOfFold", "cross_validate", "keep", "recall"]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions (probabilities by class, or values) and decision values where there are any, for some ``rows``."""

    rows: np.ndarray
    predictions: np.ndarray
    response: np.ndarray | None


def cross_validate(ctx: Context, problem: Problem, members: Sequence[Member]) -> tuple[OutOfFold, list[float]]:
    """Fit members on each fold and return their joint predictions for the others, with the score of each fold.

    Raises:
        DataRejected: a member cannot be trained on a fold.

    """
    tried = [Candidate(number=place, family=one.family, params=one.params) for place, one in enumerate(members)]
    with Pool[tuple[int, int], Attempt, Outcome](problem.attempt, ctx.cpus) as workers:
        for fold in range(len(problem.folds)):
            for one in tried:
                workers.put((one.number, fold), one.attempt(fold))
        for (number, fold), result in workers.results():
            tried[number].add(fold, outcome_of(result))
    for one in tried:
        if one.state == "failed":
            raise DataRejected(f"{one.family} cannot be trained on a part of the rows: {one.reason}")
    folds = list(range(len(problem.folds)))
    weighted = [(one, member.weight) for one, member in zip(tried, members, strict=True)]
    predictions, response, covered = out_of_fold(problem, weighted, folds)
    scores = [problem.score(fold, predictions[problem.folds[fold].test]) for fold in folds]
    found = OutOfFold(
        problem.target.rows[covered], predictions[covered], None if response is None else response[covered]
    )
    return found, scores


def keep(ctx: Context, found: OutOfFold) -> str:
    """Store predictions and return their reference."""
    import numpy as np

    buffer = BytesIO()
    parts = {"rows": found.rows, "predictions": found.predictions}
    if found.response is not None:
        parts["response"] = found.response
    np.savez(buffer, allow_pickle=False, **parts)
    return ctx.artifacts.put(buffer.getvalue(), name="out_of_fold.npz", media="application/zip").uri


def recall(ctx: Context, uri: str, rows: int) -> OutOfFold:
    """Return stored predictions for a table of so many rows.

    Raises:
        UnknownName: there is no such file.
        InvalidInput: it holds something else, or belongs to another table.

    """
    import numpy as np

    try:
        with np.load(ctx.artifacts.path(uri.removeprefix("artifact://")), allow_pickle=False) as file:
            parts = {name: file[name] for name in file.files}
        found = OutOfFold(parts["rows"], parts["predictions"], parts.get("response"))
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInput("oof", f"{uri} holds no out-of-fold predictions.", then="Take it from a study.") from error
    if len(found.rows) and int(found.rows.max()) >= rows:
        raise InvalidInput(
            "oof", f"{uri} belongs to another table: it speaks of row {int(found.rows.max()) + 1} of {rows}."
        )
    return found
