"""Stop rules for training: on one learning curve, between trials, and the budgets of Hyperband."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.search.stopping import (
    PRUNERS,
    PrunerName,
    generalization_loss,
    hyperband,
    make_pruner,
    median_gap,
    progress_quotient,
    stale_steps,
    successive_rises,
)
from mcp_orchestrator.values import Value

ABOUT = About(tier=4, libraries=("optuna",))

Curve = Annotated[list[float], Field(min_length=1, max_length=100_000)]
Curves = Annotated[list[Curve], Field(max_length=1000)]
Rule = Literal["patience", "gl", "pq", "up", "median"]
Direction = Literal["minimize", "maximize"]
Settings = Annotated[
    dict[str, float | int | str],
    Field(max_length=10, description="Settings of the pruner by Optuna's names; its defaults for the rest."),
]


class Decision(Value):
    """Whether to stop, since which step (counted from 1), and what was measured."""

    stop: bool
    step: int | None
    best: float
    best_step: int
    criterion: list[float]
    limit: float
    reason: str


class Bracket(Value):
    """One bracket: how many configurations get how much, rung by rung."""

    configurations: list[int]
    resource: list[int]


class Brackets(Value):
    """Hyperband's brackets, and what they cost."""

    brackets: list[Bracket]
    configurations: int
    resource_used: int
    resource_without: int


class PrunerPlan(Value):
    """A pruner with all its settings, as Optuna takes them."""

    name: str
    optuna: str
    summary: str
    settings: dict[str, float | int | str]


class Replay(Value):
    """What a pruner would have saved on known curves."""

    steps_used: int
    steps_total: int
    last_steps: list[int]
    completed: list[int]
    best_curve: int | None
    best_value: float | None
    best_kept: bool


@capability(
    example={"curve": [0.9, 0.8, 0.7, 0.72, 0.75, 0.9], "rule": "gl", "alpha": 5},
    contrast={"curve": [0.9, 0.8, 0.7, 0.69, 0.68, 0.67]},
)
def should_stop(
    curve: Annotated[Curve, Field(description="The validation score or error, one a step.")],
    rule: Annotated[
        Rule,
        Field(
            description="patience: no improvement for so many steps; gl, pq, up: Prechelt's rules on an error; "
            "median: worse than the other curves."
        ),
    ] = "patience",
    *,
    direction: Annotated[Direction, Field(description="Whether a small or a large value is good.")] = "minimize",
    patience: Annotated[
        int, Field(ge=1, le=100_000, description="Steps without improvement, or (up) strips of rising error.")
    ] = 5,
    min_delta: Annotated[float, Field(ge=0, le=1e12, description="A smaller change is no improvement.")] = 0.0,
    alpha: Annotated[float, Field(ge=0, le=1e6, description="Limit of gl (in percent) and of pq.")] = 5.0,
    strip: Annotated[int, Field(ge=1, le=10_000, description="Steps in a strip (pq, up).")] = 5,
    training: Annotated[Curve | None, Field(description="The training error at the same steps (pq).")] = None,
    others: Annotated[Curves | None, Field(description="Curves of earlier trials (median).")] = None,
    warmup: Annotated[int, Field(ge=0, le=100_000, description="Steps before the median rule may stop.")] = 0,
) -> Decision:
    """Say whether a learning curve should have been stopped, and at which step."""
    errors = _errors(curve, direction, rule, "curve")
    limit, measure = alpha, rule.upper()
    if rule == "patience":
        criterion, limit, measure = stale_steps(errors, min_delta), patience - 1, "steps without improvement"
    elif rule == "gl":
        criterion = generalization_loss(errors)
    elif rule == "pq":
        if training is None or len(training) != len(curve):
            raise InvalidInput("training", "is required by the rule pq, with one error for each step of the curve.")
        criterion = progress_quotient(errors, _errors(training, direction, rule, "training"), strip)
    elif rule == "up":
        criterion, limit, measure = successive_rises(errors, strip), patience - 1, "strips of rising error"
    else:
        if not others:
            raise InvalidInput("others", "is required by the rule median: the curves of earlier trials.")
        known = [_errors(other, direction, rule, "others") for other in others]
        criterion, limit, measure = median_gap(errors, known, warmup), 0.0, "gap to the median of the others"
    step = next((place for place, value in enumerate(criterion, 1) if value > limit), None)
    best = min(range(len(errors)), key=errors.__getitem__)
    found = f"{measure} {criterion[(step or len(criterion)) - 1]:.4g}, limit {limit:.4g}"
    return Decision(
        stop=step is not None,
        step=step,
        best=curve[best],
        best_step=best + 1,
        criterion=criterion,
        limit=limit,
        reason=f"Stop after step {step}: {found}." if step else f"Go on: {found} after the last step.",
    )


def _errors(curve: list[float], direction: Direction, rule: Rule, field: str) -> list[float]:
    """The curve as errors; GL and PQ are ratios, so that they need positive ones."""
    if any(value != value for value in curve):  # noqa: PLR0124 - NaN differs from itself
        raise InvalidInput(field, "holds a value that is not a number.")
    if rule not in {"gl", "pq"}:
        return curve if direction == "minimize" else [-value for value in curve]
    errors = curve if direction == "minimize" else [1 - value for value in curve]
    if min(errors) < 0:
        raise InvalidInput(
            field,
            f"the rule {rule} needs errors that are not negative, or scores of at most 1.",
            then="Use patience, up or median.",
        )
    return errors


@capability(example={"R": 81, "eta": 3}, contrast={"R": 27})
def brackets(
    R: Annotated[int, Field(ge=1, le=1_000_000, description="The most resource (epochs, rows) of one configuration.")],
    eta: Annotated[int, Field(ge=2, le=10, description="One configuration in so many goes on.")] = 3,
) -> Brackets:
    """Plan Hyperband: how many configurations to try with how much, bracket by bracket."""
    planned = hyperband(R, eta)
    first = sum(bracket[0][0] for bracket in planned)
    return Brackets(
        brackets=[Bracket(configurations=[n for n, _ in one], resource=[r for _, r in one]) for one in planned],
        configurations=first,
        resource_used=sum(n * r for one in planned for n, r in one),
        resource_without=first * R,
    )


@capability(example={"name": "median"}, contrast={"name": "hyperband"})
def pruner(
    name: Annotated[PrunerName, Field(description="The pruner.")],
    settings: Settings = {},  # noqa: B006 - read only; pydantic copies it
) -> PrunerPlan:
    """Make a pruner of Optuna, and return all its settings."""
    _, complete = make_pruner(name, settings)
    return PrunerPlan(name=name, optuna=PRUNERS[name].optuna, summary=PRUNERS[name].summary, settings=complete)


@capability(
    example={"curves": [[0.5, 0.4, 0.3], [0.9, 0.8, 0.7], [0.6, 0.5, 0.4], [0.95, 0.9, 0.85]], "name": "median",
             "settings": {"n_startup_trials": 1}},
    contrast={"name": "none", "settings": {}},
)  # fmt: skip
def replay(
    curves: Annotated[
        list[Curve], Field(min_length=1, max_length=1000, description="The whole curve of each trial, in order.")
    ],
    name: Annotated[PrunerName, Field(description="The pruner.")] = "median",
    settings: Settings = {},  # noqa: B006 - read only; pydantic copies it
    direction: Annotated[Direction, Field(description="Whether a small or a large value is good.")] = "minimize",
) -> Replay:
    """Replay known learning curves under a pruner, and say what it would have saved and whether it kept the best."""
    import optuna

    made, _ = make_pruner(name, settings)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=direction, pruner=made, sampler=optuna.samplers.RandomSampler(seed=0))
    last: list[int] = []
    completed: list[int] = []
    for number, curve in enumerate(curves):
        trial = study.ask()
        for step, value in enumerate(curve, 1):
            trial.report(value, step)
            if step < len(curve) and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                last.append(step)
                break
        else:
            study.tell(trial, curve[-1])
            last.append(len(curve))
            completed.append(number)
    better = min if direction == "minimize" else max
    best = better(completed, key=lambda number: curves[number][-1]) if completed else None
    truth = better(curve[-1] for curve in curves)
    return Replay(
        steps_used=sum(last),
        steps_total=sum(len(curve) for curve in curves),
        last_steps=last,
        completed=completed,
        best_curve=best,
        best_value=None if best is None else curves[best][-1],
        best_kept=best is not None and curves[best][-1] == truth,
    )


def known_answer(ctx: Context) -> Iterator[Check]:  # noqa: ARG001 - the contract's signature
    """Hyperband's table (Li et al. 2018), Prechelt's GL by arithmetic, and halving of curves that do not cross."""
    plan = brackets(R=81, eta=3).brackets
    widest = list(zip(plan[0].configurations, plan[0].resource, strict=True))
    yield Check("Hyperband R=81 eta=3, first bracket", widest, [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)])
    yield Check("Hyperband R=81 eta=3, starts", [one.configurations[0] for one in plan], [81, 34, 15, 8, 5])
    rising = should_stop(curve=[0.9, 0.8, 0.7, 0.72, 0.75, 0.9], rule="gl", alpha=5)
    for place, expected in enumerate((2.857, 7.143, 28.571), 3):
        yield Check(f"GL at step {place + 1} (100 * (E / .7 - 1))", rising.criterion[place], expected, 0.001)
    yield Check("GL above 5 stops after step 5", rising.step, 5)
    stale = should_stop(curve=[5, 4, 3, 3, 3, 3], rule="patience", patience=3)
    yield Check("patience 3 on 5, 4, 3, 3, 3, 3 stops after step 6", stale.step, 6)
    order = [(place * 7 + 3) % 27 for place in range(27)]
    curves = [[(rank + 1) / 27 * (0.1 + 0.9 / step) for step in range(1, 82)] for rank in order]
    saved = replay(curves=curves, name="successive_halving", settings={"min_resource": 1, "reduction_factor": 3})
    yield Check("halving keeps the best of 27 curves that do not cross", saved.best_curve, order.index(0))
    yield Check("halving uses less than half of the 2,187 steps", saved.steps_used < saved.steps_total / 2, True)  # noqa: FBT003
