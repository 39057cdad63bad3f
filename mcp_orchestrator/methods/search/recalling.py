"""What a search starts from: the best configurations of trainings on similar data, and why these.

Only configurations are taken over, never a score: what they are worth here, this table's folds say. So a start that
does not fit costs a trial or two and decides nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput, StateUnavailable, UnknownName
from mcp_orchestrator.methods.search.fingerprint import Fingerprint, fingerprint
from mcp_orchestrator.methods.search.question import Question
from mcp_orchestrator.methods.search.rounds import Extent
from mcp_orchestrator.methods.search.starts import (
    MOST_TRIALS,
    Earlier,
    Past,
    Start,
    Warm,
    cold_because,
    completed,
    why_not,
)
from mcp_orchestrator.methods.search.trainings import named, similar
from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import FAMILIES, Family, chosen
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_memory.related import RelatedRun

__all__ = ["LIKE", "Recalled", "Source", "recalled"]

LIKE = 0.65
"""How alike data must be to be learned from."""
BEHIND = 0.1
"""How much less alike than the first one the others may be: what was on data like these comes without strangers."""
RUNS = 3
STARTS = 4
SHARE = 6
"""At most one in so many trials is for what worked elsewhere, but always one; steps from it take two more."""
OF_A_FAMILY = 1
"""So many of a family are tried first; the trials that follow learn about its parameters from all that is known."""
KNOWN = 200
SAID = 10


class Source(Value):
    """A training that is started from: how alike its data are, in all and by parts; what it was, and when it was."""

    run: str
    similarity: float
    parts: dict[str, float]
    metric: str
    score: float | None
    configurations: int
    created: int


class Recalled(Value):
    """What a search starts from, and why; ``identity`` is the same for a training that is asked for once more.

    ``earlier`` are the trials of the sources: which configurations did well there, and which did not.
    """

    fingerprint: Fingerprint
    identity: str
    starts: list[Start] = Field(default_factory=list[Start])
    earlier: list[Earlier] = Field(default_factory=list[Earlier])
    sources: list[Source] = Field(default_factory=list[Source])
    left_out: list[str] = Field(default_factory=list[str])
    says: str


def recalled(
    ctx: Context,
    frame: pd.DataFrame,
    data: str,
    question: Question,
    *,
    warm: Warm = "auto",
    runs: Sequence[str] = (),
    extent: Extent = Extent(),  # noqa: B008 - frozen
) -> Recalled:
    """Return the fingerprint of a table and what a search on it starts from: of ``runs``, or of what is most alike.

    A training that was done before, with the same rows, question and limits, starts from what it started from then: it
    gives the same figures, whatever was learned since.

    Raises:
        InvalidInput: a column does not exist or does not fit, or ``runs`` are named and the search could not use them.
        DataRejected: there is nothing to learn from.
        UnknownName: the memory knows nothing of one of ``runs``.
        StateUnavailable: ``runs`` are named, and the memory cannot be read.

    """
    problem = question.pose(frame)
    mark = fingerprint(problem)
    asked = {
        "asked": question.asked(data),
        "trials": extent.trials,
        "seconds": extent.seconds,
        "warm": warm,
        "runs": list(runs),
    }
    identity = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]
    cold = cold_because(question.method, question.validation, warm)
    if cold and runs:
        raise InvalidInput("start_from", f"nothing can be started from: {cold}.")
    found: list[RelatedRun] = []
    if not cold:
        found, cold = (named(ctx, mark, runs), "") if runs else _known(ctx, mark, identity)
    if cold:
        return Recalled(fingerprint=mark, identity=identity, says=f"cold: {cold}")
    starts, left_out = _chosen(found, chosen(question.families, problem.shape), problem.shape, extent.trials)
    taken = Counter(one.run for one in starts)
    return Recalled(
        fingerprint=mark,
        identity=identity,
        starts=starts,
        earlier=[_earlier(one) for one in found if taken[one.run]],
        sources=[_source(one, taken[one.run]) for one in found if taken[one.run]],
        left_out=left_out[:SAID],
        says=_said(found, taken),
    )


def _known(ctx: Context, mark: Fingerprint, identity: str) -> tuple[list[RelatedRun], str]:
    """Return the trainings to learn from, or why there are none."""
    try:
        near = similar(ctx, mark, KNOWN)
        same = next((one for one in near if one.facts.get("identity") == identity), None)
        if same is not None:
            began = [str(run) for run in same.facts.get("began", [])]
            then = "" if began else f"so was run {same.run}, of which this is a repetition"
            return named(ctx, mark, began), then
    except (StateUnavailable, UnknownName) as error:
        return [], str(error)
    least = max([LIKE, *(one.similarity.score - BEHIND for one in near[:1])])
    alike = [one for one in near if one.similarity.score >= least][:RUNS]
    if alike:
        return alike, ""
    if not near:
        return [], "no training of this kind is remembered yet"
    first = near[0]
    return [], f"no remembered training is alike enough; the nearest, run {first.run}, is {first.similarity.score:.2f}"


def _in_turn(found: Sequence[RelatedRun]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the best of each training, then the second of each, and so on."""
    for place in range(max((len(one.configurations) for one in found), default=0)):
        for one in found:
            if place < len(one.configurations):
                yield one.run, one.configurations[place]


def _chosen(
    found: Sequence[RelatedRun], families: Sequence[Family], shape: Shape, trials: int
) -> tuple[list[Start], list[str]]:
    """Return what is tried first, and what is left out and why."""
    most = max(1, min(STARTS, trials // SHARE))
    starts: list[Start] = []
    left_out: list[str] = []
    for run, kept in _in_turn(found):
        try:
            one = Start.model_validate({"family": kept.get("family"), "params": kept.get("params"), "run": run})
        except ValidationError:
            left_out.append(f"a configuration of run {run} cannot be read")
            continue
        problem = why_not(one, families, shape)
        if problem:
            left_out.append(f"of run {run}: {problem}")
            continue
        one = one.model_copy(update={"params": completed(one, FAMILIES[one.family], shape)})
        known = any((one.family, one.params) == (other.family, other.params) for other in starts)
        often = sum(other.family == one.family for other in starts) >= OF_A_FAMILY
        if not known and not often and len(starts) < most:
            starts.append(one)
    return starts, left_out


def _earlier(one: RelatedRun) -> Earlier:
    """Return what a training tried; of one that is remembered without it, its best configurations."""
    trials = list[Past]()
    for kept in one.facts.get("tried") or one.configurations:
        with suppress(ValidationError):
            trials.append(Past.model_validate({name: kept.get(name) for name in Past.model_fields}))
    better = one.facts.get("greater_is_better")
    return Earlier(run=one.run, greater_is_better=better is not False, trials=trials[:MOST_TRIALS])


def _source(one: RelatedRun, configurations: int) -> Source:
    return Source(
        run=one.run,
        similarity=round(one.similarity.score, 4),
        parts=one.similarity.parts,
        metric=one.metric,
        score=one.score,
        configurations=configurations,
        created=one.created,
    )


def _said(found: Sequence[RelatedRun], taken: Counter[str]) -> str:
    if not taken:
        return "cold: nothing of what worked on similar data can be tried here"
    runs = [f"run {one.run} ({one.similarity.score:.2f} alike)" for one in found if taken[one.run]]
    count = taken.total()
    return f"warm: {count} configuration{'s' if count > 1 else ''} of {', '.join(runs)} first"
