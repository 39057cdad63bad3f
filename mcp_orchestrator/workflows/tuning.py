"""The search of a training: one step, or its trials as steps of the run, which go to any executor.

With steps the study stays at home: a round is proposed there, its candidates are tried wherever there is a place, and
what came out is told to the study. A crash repeats no trial that has ended; one that fails ends nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from mcp_orchestrator.components.training import automl_orchestrator
from mcp_orchestrator.components.training.automl_orchestrator import Study
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.rows import StepRow
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.errors import Cancelled, OrchestratorError, OutOfTime
from mcp_orchestrator.methods.search.question import Question
from mcp_orchestrator.methods.search.recalling import Recalled
from mcp_orchestrator.methods.search.rounds import Extent, Told
from mcp_orchestrator.methods.search.tries import Left, Proposed, Scored
from mcp_orchestrator.workflows.spec import TrainingSpec

__all__ = ["recall", "tuned"]

STUDIED = ("propose[", "trial[", "tell[")
"""Steps whose answers the study has."""
LATE = "the time was up"
GRACE = 5.0
"""Seconds by which a trial may exceed its time, which it keeps itself, before it is ended."""


async def recall(run: Run, spec: TrainingSpec, task: str, data: str) -> Recalled | None:
    """Look for what worked on similar data; without that the search starts cold, unless it was asked for by name."""
    do = run.step if spec.tuning.start_from else run.attempt
    found: Recalled | None = await do(
        "recall",
        automl_orchestrator.related,
        data=data,
        question=_question(spec, task),
        warm=spec.tuning.warm,
        runs=spec.tuning.start_from,
        extent=Extent(trials=spec.tuning.trials, seconds=spec.tuning.seconds),
    )
    if found is not None:
        await run.explain("recall", "; ".join([found.says, *found.left_out]))
    return found


def _question(spec: TrainingSpec, task: str, known: Recalled | None = None) -> Question:
    tuning = spec.tuning
    return Question.model_validate(
        {
            "target": spec.target,
            "task": task,
            "metric": tuning.metric,
            "features": spec.features,
            "families": spec.families,
            "method": tuning.method,
            "validation": spec.validation.method,
            "folds": spec.validation.folds,
            "group": spec.validation.group,
            "time": spec.validation.time,
            "pruning": tuning.pruning,
            "ensemble": spec.ensemble,
            "seed": spec.seed,
            "first": [] if known is None else known.starts,
            "earlier": [] if known is None else known.earlier,
        }
    )


async def tuned(  # noqa: PLR0917 - the first two are those of every part of a workflow
    run: Run, spec: TrainingSpec, task: str, data: str, policy: Policy, known: Recalled | None = None
) -> Study:
    """Search for the best pipeline on the training part, beginning with what is ``known`` from similar data.

    All of it is done under ``policy`` where it is one step.
    """
    tuning, question = spec.tuning, _question(spec, task, known)
    away = run.dispatcher.executor.abilities.elsewhere
    as_steps = tuning.trials_as == "steps" or (tuning.trials_as == "auto" and away)
    if as_steps and question.validation != "none":
        places = tuning.at_once or (await run.dispatcher.executor.capacity()).cpus
        extent = Extent(trials=tuning.trials, seconds=tuning.seconds, at_once=max(1, min(places, tuning.trials)))
        return await Tuning(run, question, data, extent).study()
    fields = {name: value for name, value in question if name != "patience"}
    return await run.step(
        "tune", automl_orchestrator.start, policy, data=data, trials=tuning.trials, seconds=tuning.seconds, **fields
    )


class Tuning:
    """A search whose trials are steps of a run."""

    def __init__(self, run: Run, question: Question, data: str, extent: Extent) -> None:
        """Search in the study that was begun before, if the run, or the one that it continues, did so.

        A run that is to try a trial again has a study of its own: the old one has the answer of the first try.
        """
        self._run, self._question, self._data, self._extent = run, question, data, extent
        self._name = run.origin
        self._before = {one.name: one for one in run.steps()}
        first = self._before.get("propose[0]")
        anew = (run.row.fork_step or "").startswith(STUDIED)
        if first is not None and not anew:
            params = first.params
            known = Extent.model_validate(params["extent"])
            same = known.model_copy(update={"at_once": extent.at_once}) == extent
            if same and (params["data"], Question.model_validate(params["question"])) == (data, question):
                self._name, self._extent = params["name"], known

    async def study(self) -> Study:
        """Search round by round, try the best on the folds that are missing, and choose."""
        number = 0
        while (told := await self._round(number)).stopped_by is None:
            number += 1
        finals = await self._tried("final", enumerate(told.missing), None, told.left)
        return await self._run.step(
            "tune",
            automl_orchestrator.conclude,
            name=self._name,
            data=self._data,
            question=self._question,
            tried=told.tried,
            finals=finals,
            stopped_by=told.stopped_by,
            notes=told.notes,
            seconds=told.seconds,
        )

    async def _round(self, number: int) -> Told:
        about: dict[str, Any] = {"name": self._name, "extent": self._extent, "number": number}
        asked = await self._run.step(
            f"propose[{number}]", automl_orchestrator.propose, data=self._data, question=self._question, **about
        )
        numbered = [(one.number, one) for one in asked.candidates]
        results = await self._tried("trial", numbered, asked.incumbent, asked.seconds)
        told = await self._run.step(f"tell[{number}]", automl_orchestrator.tell, results=results, **about)
        best = "" if told.best is None else f", the best {told.best.family}"
        trials = self._extent.trials
        self._run.advance("tune", min(0.95, told.trials / trials), f"{told.trials} of {trials} trials{best}")
        return told

    async def _tried(
        self, kind: str, items: Iterable[tuple[int, Proposed]], incumbent: Scored | None, seconds: float | None
    ) -> list[Scored]:
        """Try candidates, as many at once as there are places; those for which there is no time left are cut."""
        waiting = list(items)
        ended: dict[int, Scored] = {}
        rest = iter(waiting)
        until = None if seconds is None else time.monotonic() + seconds

        async def work() -> None:
            for place, one in rest:
                more: dict[str, Any] = {"incumbent": incumbent, "seconds": seconds}
                if isinstance(one, Left):
                    more["fold"] = one.fold
                candidate = Proposed(number=one.number, family=one.family, params=one.params)
                ended[place] = await self._try(f"{kind}[{place}]", candidate, more, until)

        await self._run.gather(*(work() for _ in range(min(self._extent.at_once, len(waiting)))))
        return [ended[place] for place, _ in waiting]

    async def _try(self, name: str, one: Proposed, more: Mapping[str, Any], until: float | None) -> Scored:
        before = self._before.get(name)
        left = None if until is None else until - time.monotonic()
        if (before is not None and before.status == "skipped") or (before is None and left is not None and left <= 0):
            await self._run.skip(name, LATE)
            return Scored(**one.model_dump(), state="cut", reason=LATE)
        policy = Policy(timeout=None if left is None else max(0.0, left) + GRACE)
        try:
            return await self._run.step(
                name, automl_orchestrator.score, policy, data=self._data, question=self._question, candidate=one, **more
            )
        except Cancelled:
            raise
        except OrchestratorError as error:
            late = error.code == OutOfTime.code
            return Scored(**one.model_dump(), state="cut" if late else "failed", reason=self._reason(name))

    def _reason(self, name: str) -> str:
        """Return why a step failed, as the journal has it: the same when the run goes on after a crash."""
        return next((_of(one) for one in self._run.steps() if one.name == name), "")


def _of(step: StepRow) -> str:
    return step.reason.partition("\n")[0]
