"""The families of estimators: what each is for, what can be tuned, and the settings that are tried first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import InvalidInput, MissingLibrary, UnknownName, suggestion
from mcp_orchestrator.methods.training import estimators as make
from mcp_orchestrator.methods.training.estimators import Shape, Task

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["FAMILIES", "Choice", "Encoding", "Family", "Params", "Range", "Space", "chosen", "family_named"]

Params = dict[str, Any]
WEIGHTED = ("linear", "splines", "boosting", "lightgbm", "extra_trees", "random_forest")


@dataclass(frozen=True, slots=True)
class Range:
    """A parameter between two ends, whole when both ends are."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> Any:  # noqa: ANN401 - a number of either kind
        """Ask a trial for a value."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def grid(self) -> list[Any]:
        """Return three values: near both ends and in the middle."""
        steps = (0.15, 0.5, 0.85)
        if self.log:
            values = [self.low * (self.high / self.low) ** step for step in steps]
        else:
            values = [self.low + (self.high - self.low) * step for step in steps]
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return [round(value) if whole else float(f"{value:.3g}") for value in values]


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter with a few values."""

    options: tuple[Any, ...]

    def suggest(self, trial: Trial, name: str) -> Any:  # noqa: ANN401 - one of the values
        """Ask a trial for a value."""
        return trial.suggest_categorical(name, self.options)

    def grid(self) -> list[Any]:
        """Return all values."""
        return list(self.options)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the matrix of a family is made, in the words of `mcp_orchestrator.methods.columns.encoding.Encoder`."""

    fill: bool
    scale: bool
    hinges: bool = False
    trees: bool = False


Space = Mapping[str, Range | Choice]
Start = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Estimators of one kind, and for each task what can be tuned and what is tried first."""

    name: str
    summary: str
    make: Callable[[Shape, int], Any]
    tasks: Mapping[Task, tuple[Space, Start]]
    encoding: Encoding
    linear: bool = False
    most_rows: int | None = None
    library: str | None = None
    aliases: tuple[str, ...] = ()

    def suggest(self, trial: Trial, shape: Shape) -> Params:
        """Ask a trial for a value of each parameter that can be tuned."""
        return {name: part.suggest(trial, f"{self.name}.{name}") for name, part in self.space(shape).items()}

    def defaults(self, shape: Shape) -> list[Params]:
        """Return the settings that are tried first, best first."""
        balanced = {"class_weight": "balanced"} if "class_weight" in self.space(shape) else {}
        return [{**one, **balanced} for one in self.tasks[shape.task][1]]

    def grid(self, shape: Shape) -> list[Params]:
        """Return every combination of a few values of each parameter."""
        space = self.space(shape)
        return [dict(zip(space, values, strict=True)) for values in product(*(part.grid() for part in space.values()))]

    @property
    def installed(self) -> bool:
        """Whether its library is there."""
        return self.library is None or find_spec(self.library) is not None

    def fits(self, shape: Shape) -> bool:
        """Whether it is for this task, and the table is not too long for it."""
        return shape.task in self.tasks and (self.most_rows is None or shape.rows <= self.most_rows)

    def space(self, shape: Shape) -> Space:
        """Return the parameters that are tuned, with their bounds."""
        space = self.tasks[shape.task][0]
        weights = shape.balance and shape.classes and self.name in WEIGHTED
        return {**space, "class_weight": Choice((None, "balanced"))} if weights else space


LINEAR, BENT = Encoding(fill=True, scale=True), Encoding(fill=True, scale=True, hinges=True)
TREES = Encoding(fill=False, scale=False, trees=True)
_INVERSE: Space = {"C": Range(1e-3, 1e2, log=True)}
_RIDGE: Space = {"alpha": Range(1e-2, 1e4, log=True)}
_SUPPORT: Space = {"C": Range(0.05, 100.0, log=True), "gamma": Choice(("scale", 0.003, 0.01, 0.03, 0.1, 0.3))}
_CUTS: Space = {"min_samples_leaf": Range(1, 20, log=True), "max_features": Range(0.1, 1.0)}
_NETWORK: Space = {
    "hidden_layer_sizes": Range(16, 256, log=True),
    "alpha": Range(1e-5, 10.0, log=True),
    "learning_rate_init": Range(3e-4, 1e-2, log=True),
}
_NEAR: Space = {"n_neighbors": Range(1, 60, log=True), "weights": Choice(("uniform", "distance"))}
_BOOST: Space = {
    "learning_rate": Range(0.02, 0.3, log=True),
    "max_iter": Range(40, 400, log=True),
    "max_leaf_nodes": Range(4, 64, log=True),
    "min_samples_leaf": Range(2, 80, log=True),
    "l2_regularization": Range(1e-3, 10.0, log=True),
    "max_features": Range(0.3, 1.0),
}
_BOOSTS: Start = (
    dict(zip(_BOOST, (0.1, 80, 12, 20, 0.1, 0.7), strict=True)),
    dict(zip(_BOOST, (0.06, 250, 31, 20, 1.0, 0.5), strict=True)),
)
_LIGHT: Space = {
    "learning_rate": Range(0.02, 0.3, log=True),
    "n_estimators": Range(40, 400, log=True),
    "num_leaves": Range(4, 64, log=True),
    "min_child_samples": Range(2, 80, log=True),
    "reg_lambda": Range(1e-3, 10.0, log=True),
    "colsample_bytree": Range(0.3, 1.0),
    "subsample": Range(0.5, 1.0),
}
_LIGHTS: Start = (dict(zip(_LIGHT, (0.06, 200, 24, 20, 0.5, 0.6, 0.9), strict=True)),)


def _same(space: Space, *first: Mapping[str, Any]) -> Mapping[Task, tuple[Space, Start]]:
    return {"classification": (space, first), "regression": (space, first)}


_ALL = (
    Family(
        name="linear",
        summary="Logistic regression, or ridge regression.",
        make=make.linear,
        tasks={
            "classification": (_INVERSE, ({"C": 1.0}, {"C": 0.05})),
            "regression": (_RIDGE, ({"alpha": 1.0}, {"alpha": 100.0})),
        },
        encoding=LINEAR,
        linear=True,
        aliases=("logistic", "logistic_regression", "ridge"),
    ),
    Family(
        name="boosting",
        summary="Gradient boosting on histograms.",
        make=make.boosting,
        tasks=_same(_BOOST, *_BOOSTS),
        encoding=TREES,
        aliases=("gradient_boosting", "hist_gradient_boosting"),
    ),
    Family(
        name="extra_trees",
        summary="Many trees with random cuts.",
        make=make.extra_trees,
        tasks={
            "classification": (_CUTS, ({"min_samples_leaf": 1, "max_features": 0.3},)),
            "regression": (_CUTS, ({"min_samples_leaf": 3, "max_features": 0.7},)),
        },
        encoding=TREES,
    ),
    Family(
        name="splines",
        summary="A linear model whose numbers may bend at five places.",
        make=make.linear,
        tasks={
            "classification": (_INVERSE, ({"C": 0.1},)),
            "regression": (_RIDGE, ({"alpha": 30.0},)),
        },
        encoding=BENT,
        aliases=("spline", "gam"),
    ),
    Family(
        name="elastic_net",
        summary="Linear regression that leaves out what it does not need.",
        make=make.elastic_net,
        tasks={
            "regression": (
                {"alpha": Range(1e-3, 1e2, log=True), "l1_ratio": Range(0.05, 1.0)},
                ({"alpha": 0.1, "l1_ratio": 0.5},),
            ),
        },
        encoding=LINEAR,
        linear=True,
        aliases=("lasso",),
    ),
    Family(
        name="svm",
        summary="Support vector machine with a radial kernel, for up to 3,000 rows.",
        make=make.svm,
        tasks=_same(_SUPPORT, {"C": 2.0, "gamma": "scale"}),
        encoding=LINEAR,
        most_rows=3000,
        aliases=("svc", "svr"),
    ),
    Family(
        name="lightgbm",
        summary="LightGBM's gradient boosting.",
        make=make.lightgbm,
        tasks=_same(_LIGHT, *_LIGHTS),
        encoding=TREES,
        library="lightgbm",
    ),
    Family(
        name="random_forest",
        summary="Many trees on random rows.",
        make=make.random_forest,
        tasks={
            "classification": (_CUTS, ({"min_samples_leaf": 1, "max_features": 0.2},)),
            "regression": (_CUTS, ({"min_samples_leaf": 3, "max_features": 0.4},)),
        },
        encoding=TREES,
    ),
    Family(
        name="network",
        summary="A small neural network.",
        make=make.network,
        tasks=_same(_NETWORK, dict(zip(_NETWORK, (100, 0.1, 0.002), strict=True))),
        encoding=LINEAR,
        most_rows=100_000,
        aliases=("mlp", "neural_network"),
    ),
    Family(
        name="neighbors",
        summary="The rows that are nearest, for up to 20,000 rows.",
        make=make.neighbors,
        tasks=_same(_NEAR, {"n_neighbors": 8, "weights": "distance"}),
        encoding=LINEAR,
        most_rows=20_000,
        aliases=("knn", "nearest_neighbors"),
    ),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
"""By name, in the order in which they are tried."""


def family_named(name: str) -> Family:
    """Return the family of a name or an alias.

    Raises:
        UnknownName: there is no such family.

    """
    wanted = name.strip().lower()
    for family in FAMILIES.values():
        if wanted == family.name or wanted in family.aliases:
            return family
    raise UnknownName("family of estimators", name, FAMILIES)


def chosen(names: Iterable[str], shape: Shape) -> list[Family]:
    """Return the families to try: the named ones, or all that fit when none is named.

    Raises:
        UnknownName: there is no such family.
        MissingLibrary: a named one is not installed.
        InvalidInput: a named one does not fit the task or the size of the table.

    """
    named = [family_named(name) for name in names]
    for family in named:
        if not family.installed:
            raise MissingLibrary(f"the family {family.name!r}", str(family.library), "boosting")
        if not family.fits(shape):
            fitting = [one.name for one in FAMILIES.values() if one.installed and one.fits(shape)]
            raise InvalidInput(
                "families",
                f"{family.name!r} does not fit a {shape.task} with {shape.rows} rows.",
                allowed=fitting,
                then=suggestion(family.name, fitting),
            )
    return named or [family for family in FAMILIES.values() if family.installed and family.fits(shape)]
