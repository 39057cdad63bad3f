"""Trains, calibrates, evaluates, explains and asks one model: a named estimator, or the members that a search found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.errors import InvalidInput, UnknownName
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.training import adjustment
from mcp_orchestrator.methods.training.adjustment import Adjusted, Calibration
from mcp_orchestrator.methods.training.catalog import Estimators, catalog
from mcp_orchestrator.methods.training.fitting import Fitted
from mcp_orchestrator.methods.training.importance import Importance, explained
from mcp_orchestrator.methods.training.pipelines import Member
from mcp_orchestrator.methods.training.scores import Predictions, Scores, asked, scored
from mcp_orchestrator.values import Data, ModelRef, Records

if TYPE_CHECKING:
    import pandas as pd

    from mcp_orchestrator.methods.models import Loaded

ABOUT = About(tier=1, libraries=("sklearn",))

Task = Literal["auto", "classification", "regression"]
Target = Annotated[str, Field(min_length=1, max_length=500, description="The column to predict.")]
Features = Annotated[list[FeatureSpec], Field(description="How columns are used; the rest is inferred.")]
Seed = Annotated[int | None, Field(ge=0, le=2**32 - 1, description="Makes it repeatable.")]
Params = Annotated[dict[str, Any], Field(description="Parameters of the estimator, by scikit-learn's names.")]
Oof = Annotated[str | None, Field(description="Out-of-fold predictions of the study; made here when left out.")]
MetricName = Annotated[str | None, Field(description="The metric; by default what fits the task.")]


@capability(
    example={"data": "builtin:iris", "target": "target", "estimator": "linear", "params": {"C": 1.0}, "cv": 3},
    contrast={"params": {"C": 0.01}},
)
def train(
    ctx: Context,
    data: Data,
    target: Target,
    estimator: Annotated[str, Field(min_length=1, max_length=80, description="Family of estimators.")] = "linear",
    *,
    task: Annotated[Task, Field(description="Inferred when auto.")] = "auto",
    params: Params = {},  # noqa: B006 - read only; pydantic copies it
    features: Features = [],  # noqa: B006
    metric: MetricName = None,
    cv: Annotated[int, Field(ge=0, le=20, description="Folds to score it on; 0 for none.")] = 0,
    shuffle: Annotated[bool, Field(description="Shuffle the rows before they are divided into folds.")] = True,
    calibration: Annotated[Calibration, Field(description="Kept only if it helps; auto asks for many rows.")] = "none",
    threshold: Annotated[float | None, Field(gt=0, lt=1, description="Decision threshold for two classes.")] = None,
    seed: Seed = None,
) -> Fitted:
    """Train a named estimator on a whole table, and store it.

    Raises:
        UnknownName: there is no such family.
        InvalidInput: a column, a parameter or the metric does not exist or does not fit.
        DataRejected: the rows cannot be learned.

    """
    members = [Member(family=estimator, params=params)]
    question: dict[str, Any] = {"task": task, "features": features, "metric": metric, "shuffle": shuffle}
    made = _made(ctx, data, target, members, cv=cv, seed=seed, **question)
    model = made.model
    if calibration != "none":
        model = calibrate.call(ctx, {"model": model.uri, "data": data, "method": calibration, "oof": made.oof}).model
    if threshold is not None:
        model = tune_threshold.call(ctx, {"model": model.uri, "data": data, "threshold": threshold}).model
    return made.model_copy(update={"model": model})


@capability(
    example={
        "data": "builtin:iris",
        "target": "target",
        "members": [{"family": "linear", "weight": 0.5}, {"family": "neighbors", "weight": 0.5}],
    },
    contrast={"members": [{"family": "linear", "params": {"C": 0.01}}]},
)
def fit(
    ctx: Context,
    data: Data,
    target: Target,
    members: Annotated[list[Member], Field(min_length=1, max_length=20, description="What a study found.")],
    *,
    task: Annotated[Task, Field(description="Inferred when auto.")] = "auto",
    features: Features = [],  # noqa: B006 - read only; pydantic copies it
    metric: MetricName = None,
    seed: Seed = None,
) -> Fitted:
    """Fit the members that a search found on the whole training part, and store them as one model.

    Raises:
        UnknownName: there is no such family.
        InvalidInput: a column or a parameter does not exist or does not fit.
        DataRejected: the rows cannot be learned.

    """
    return _made(ctx, data, target, members, task=task, features=features, metric=metric, seed=seed)


def _example(ctx: Context) -> None:
    """Register the models that the examples name."""
    from mcp_orchestrator.tracking.versions import Versions

    with Versions(ctx.settings.home) as versions:
        forest = {"estimator": "random_forest", "params": {"n_estimators": 20}}
        for name, kind in (("ml_integration_example", {}), ("ml_integration_other", forest)):
            try:
                versions.get(name)
            except UnknownName:
                asked_for = {"data": "builtin:breast_cancer", "target": "target", **kind}
                versions.register(name, train.call(ctx, asked_for).model)


@capability(
    example={"model": "ml_integration_other", "data": "builtin:breast_cancer", "method": "sigmoid"},
    contrast={"method": "temperature"},
    before=_example,
)
def calibrate(
    ctx: Context,
    model: ModelRef,
    data: Data,
    method: Annotated[Calibration, Field(description="auto: temperature from 3,000 rows on, else none.")] = "auto",
    oof: Oof = None,
) -> Adjusted:
    """Calibrate a classifier on out-of-fold predictions of its training part; kept only if the log-loss falls.

    Raises:
        UnknownName: there is no such model.
        InvalidInput: the table is not the one that the model was trained on.

    """
    return adjustment.calibrate(ctx, _loaded(ctx, model), _table(ctx, data), method, oof)


@capability(
    example={"model": "ml_integration_example", "data": "builtin:breast_cancer", "threshold": 0.3},
    contrast={"threshold": 0.7},
    before=_example,
)
def tune_threshold(
    ctx: Context,
    model: ModelRef,
    data: Data,
    *,
    metric: Annotated[str | None, Field(description="A metric on labels; balanced accuracy else.")] = None,
    threshold: Annotated[float | None, Field(gt=0, lt=1, description="This one; tuned when left out.")] = None,
    oof: Oof = None,
) -> Adjusted:
    """Choose from which probability on a row is given the second class: a fixed one, or what does best out of fold.

    Raises:
        UnknownName: there is no such model.
        InvalidInput: the model does not tell two classes apart, or the table is not the one of the training.

    """
    table, loaded = _table(ctx, data), _loaded(ctx, model)
    return adjustment.choose_threshold(ctx, loaded, table, metric=metric, threshold=threshold, oof=oof)


@capability(
    example={"model": "ml_integration_example", "data": "builtin:breast_cancer", "metrics": ["accuracy", "roc_auc"]},
    contrast={"model": "ml_integration_other"},
    before=_example,
)
def evaluate(
    ctx: Context,
    model: ModelRef,
    data: Data,
    metrics: Annotated[list[str], Field(max_length=30, description="Metrics; all that fit when empty.")] = [],  # noqa: B006
) -> Scores:
    """Score a model on rows with a known target, with intervals, beside the baseline of its training part.

    Raises:
        UnknownName: there is no such model.
        InvalidInput: a column is missing, or a metric does not fit.
        DataRejected: a row holds a class that the model does not know.

    """
    return scored(_loaded(ctx, model), _table(ctx, data), metrics, ctx.seed)


@capability(
    example={"model": "ml_integration_example", "data": "builtin:breast_cancer", "repeats": 2, "rows": 200},
    contrast={"metric": "log_loss"},
    before=_example,
)
def explain(
    ctx: Context,
    model: ModelRef,
    data: Data,
    *,
    metric: MetricName = None,
    repeats: Annotated[int, Field(ge=1, le=100, description="How often each column is shuffled.")] = 5,
    rows: Annotated[int, Field(ge=10, le=100_000, description="Rows to use, at random, of a longer table.")] = 1000,
) -> Importance:
    """Say what each column does for the score, by shuffling one at a time (permutation importance).

    Raises:
        UnknownName: there is no such model.
        InvalidInput: a column is missing, or the metric does not fit.

    """
    return explained(ctx, _loaded(ctx, model), _table(ctx, data), metric=metric, repeats=repeats, rows=rows)


@capability(
    example={"model": "ml_integration_example", "data": "builtin:breast_cancer"},
    contrast={"model": "ml_integration_other"},
    before=_example,
)
def predict(
    ctx: Context,
    model: ModelRef,
    data: Annotated[Data | None, Field(description="A table of rows to predict.")] = None,
    records: Annotated[Records | None, Field(description="Or the rows themselves.")] = None,
) -> Predictions:
    """Predict rows, given as a table or as records; further columns do not matter.

    Raises:
        UnknownName: there is no such model.
        InvalidInput: a column is missing, or not exactly one of ``data`` and ``records`` is given.
        DataRejected: a row holds something that the model cannot use.

    """
    import pandas as pd

    if (data is None) == (records is None):
        raise InvalidInput("records", "or data must be given, and not both.")
    rows = data if isinstance(data, list) else records
    table = pd.DataFrame(rows) if rows is not None else _table(ctx, str(data))
    return asked(_loaded(ctx, model), table)


@capability(example={"task": "classification"}, contrast={"task": "regression"})
def estimators(
    task: Annotated[Task, Field(description="Those that fit this task; all when auto.")] = "auto",
) -> Estimators:
    """List the families of estimators, in the order in which a search tries them, with what it tunes."""
    return catalog(task)


def _made(
    ctx: Context,
    data: Data,
    target: str,
    members: list[Member],
    *,
    cv: int = 0,
    seed: int | None,
    **question: Any,  # noqa: ANN401 - parameters of `pose`
) -> Fitted:
    """Fit members on a whole table, scored on folds if so many are asked for, and store them."""
    from mcp_orchestrator.methods.search.posing import pose
    from mcp_orchestrator.methods.training.fitting import ALL_ROWS
    from mcp_orchestrator.methods.training.fitting import fit as fit_and_store

    validation = "cross_validation" if cv else "none"
    chosen = ctx.seed if seed is None else seed
    table = _table(ctx, data)
    problem = pose(table, target, validation=validation, folds=max(2, cv), seed=chosen, most=ALL_ROWS, **question)
    return fit_and_store(ctx, problem, members)


def _table(ctx: Context, data: Data) -> pd.DataFrame:
    from mcp_orchestrator.methods.tables import frame

    return frame(ctx, data)


def _loaded(ctx: Context, model: str) -> Loaded:
    from mcp_orchestrator.methods.models import load

    return load(ctx, model)


def known_answer(ctx: Context) -> Iterator[Check]:
    """Scaled logistic regression on the breast cancer table, against the same made directly with scikit-learn."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    question = {"data": "builtin:breast_cancer", "target": "target", "estimator": "linear", "metric": "accuracy"}
    made = train.call(ctx, {**question, "cv": 5, "shuffle": False})
    yield Check("accuracy over 5 folds (cross_val_score gives .9807)", made.score or 0.0, 0.9807, 0.0001)
    X = _table(ctx, "builtin:breast_cancer")
    y = X.pop("target").to_numpy(dtype=str)
    direct = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, y)
    said = predict.call(ctx, {"model": made.model.uri, "data": "builtin:breast_cancer"})
    yield Check("labels equal those of the direct call", said.predictions, direct.predict(X).tolist())
    apart = abs(direct.predict_proba(X) - [list(row.values()) for row in said.probabilities or []]).max()
    yield Check("and so do the probabilities", float(apart), 0.0, 1e-12)
