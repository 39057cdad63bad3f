"""What happens at each finished trial of a study: rules that stop it, events, and a run in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Annotated, Literal

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.methods.search.callbacks import TOPIC, Callbacks, EarlyStop, Rules, TrialEnded, rules_of
from mcp_orchestrator.methods.search.studies import NAME, Studies
from mcp_orchestrator.values import Value

ABOUT = About(tier=2, libraries=("optuna", "mlflow"))

EXAMPLE = "callbacks_example"
Name = Annotated[str, Field(pattern=NAME, description="The study; rules may be attached before it is started.")]


class Attached(Value):
    """The rules of a study, and what they have done so far."""

    study: str
    rules: Rules | None
    trials: int
    events: int
    runs: int


class Replayed(Value):
    """What the rules made of a row of values."""

    study: str
    trials: int
    stopped: bool
    reason: str
    best: float | None
    events: int
    runs: int


def _clean(ctx: Context) -> None:
    """Remove the example's study, so that each replay begins anew."""
    Studies(ctx).remove(EXAMPLE)


def _attach_example(ctx: Context) -> None:
    _clean(ctx)
    attach.call(ctx, {"study": EXAMPLE, "early_stop": {"patience": 3}})


@capability(
    example={"study": EXAMPLE, "early_stop": {"patience": 5}, "notify": True},
    contrast={"early_stop": {"patience": 2}},
    before=_clean,
    at_home=True,
)
def attach(
    ctx: Context,
    study: Name,
    early_stop: Annotated[EarlyStop | None, Field(description="When to stop before the last trial.")] = None,
    *,
    track: Annotated[bool, Field(description="One MLflow run a trial, below one of the study.")] = False,
    notify: Annotated[bool, Field(description="One event a trial, in the study's events file.")] = True,
) -> Attached:
    """Attach rules to a study, in the place of those it has; a search takes them up when it starts or is resumed."""
    rules = Rules(early_stop=early_stop, track=track, notify=notify)
    Studies(ctx).note(study, TOPIC, rules.model_dump(mode="json"))
    return _attached(ctx, study)


@capability(example={"study": EXAMPLE}, contrast={"study": "without_rules"}, before=_attach_example, at_home=True)
def attached(ctx: Context, study: Name) -> Attached:
    """Return the rules of a study, and how many trials, events and MLflow runs there are."""
    return _attached(ctx, study)


@capability(example={"study": EXAMPLE}, contrast={"study": "without_rules"}, before=_attach_example, at_home=True)
def detach(ctx: Context, study: Name) -> Attached:
    """Remove the rules of a study and return what they were; its trials, events and runs stay."""
    before = _attached(ctx, study)
    Studies(ctx).note(study, TOPIC, None)
    return before


@capability(
    example={"study": EXAMPLE, "values": [5, 4, 3, 3, 3, 3, 2]},
    contrast={"values": [5, 4, 3, 2, 1, 0]},
    before=_attach_example,
    at_home=True,
)
def replay(
    ctx: Context,
    study: Name,
    values: Annotated[
        list[Annotated[float, Field(ge=-1e300, le=1e300)]],
        Field(min_length=1, max_length=10_000, description="The value of each trial, in order."),
    ],
    direction: Annotated[
        Literal["minimize", "maximize"],
        Field(description="Whether a small or a large value is good."),
    ] = "minimize",
) -> Replayed:
    """Add trials that were run elsewhere, value by value, to a study, until its rules stop it.

    Raises:
        NotReady: the study is being searched.
        InvalidInput: the study is a search of its own, or goes in the other direction.

    """
    from optuna.trial import create_trial

    studies = Studies(ctx)
    greater = direction == "maximize"
    reason = ""
    with studies.searching(study), Callbacks(ctx, study, greater_is_better=greater) as callbacks:
        journal = studies.create(study, {"replayed": direction}, greater_is_better=greater)
        callbacks.known([one.value for one in journal.get_trials(deepcopy=False) if one.value is not None])
        for value in values:
            journal.add_trial(create_trial(value=value))
            number = len(journal.get_trials(deepcopy=False)) - 1
            reason = callbacks.ended(TrialEnded(study=study, number=number, state="complete", value=value))
            if reason:
                break
        done = _attached(ctx, study, callbacks)
        best = journal.best_value if done.trials else None
    return Replayed(
        study=study,
        trials=done.trials,
        stopped=bool(reason),
        reason=reason,
        best=best,
        events=done.events,
        runs=done.runs,
    )


def _attached(ctx: Context, study: str, callbacks: Callbacks | None = None) -> Attached:
    studies = Studies(ctx)
    rules = rules_of(studies, study)
    own = callbacks or Callbacks(ctx, study, greater_is_better=False)
    trials = studies.open(study).get_trials(deepcopy=False) if study in studies.names() else []
    with own if callbacks is None else nullcontext():
        runs = own.runs() if trials and rules is not None and rules.track else 0
    finished = sum(one.state.is_finished() for one in trials)
    return Attached(study=study, rules=rules, trials=finished, events=len(own.events()), runs=runs)


def known_answer(ctx: Context) -> Iterator[Check]:
    """Patience 3 on 5, 4, 3, 3, 3, 3 stops after 6 trials; each trial is one event and one MLflow run."""
    name = "callbacks_known_answer"
    Studies(ctx).remove(name)
    attach.call(ctx, {"study": name, "early_stop": {"patience": 3}, "track": True})
    done = replay.call(ctx, {"study": name, "values": [5, 4, 3, 3, 3, 3, 2, 1]})
    yield Check("trials until patience 3 ends 5, 4, 3, 3, 3, 3, 2, 1", done.trials, 6)
    yield Check("events", done.events, 6)
    yield Check("MLflow runs", done.runs, 6)
    yield Check("the best value", done.best or 0.0, 3.0)
    detach.call(ctx, {"study": name})
    yield Check(
        "without rules nothing stops", replay.call(ctx, {"study": name, "values": [3, 3]}).stopped, expected=False
    )
