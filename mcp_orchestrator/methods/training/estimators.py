"""Estimators of scikit-learn (and LightGBM) with the settings that suit the size of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "LONG",
    "Shape",
    "boosting",
    "elastic_net",
    "extra_trees",
    "lightgbm",
    "linear",
    "neighbors",
    "network",
    "random_forest",
    "svm",
    "tunable",
]

Task = Literal["classification", "regression"]
LONG = 5_000
"""Rows from which on trees are kept small enough to store and to serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is known of a problem before its data are looked at; ``classes`` is 0 for a regression."""

    rows: int
    classes: int = 0
    balance: bool = False

    @property
    def task(self) -> Task:
        """What kind of problem it is."""
        return "classification" if self.classes else "regression"


def tunable(estimator: Any) -> Any:  # noqa: ANN401 - any estimator
    """Return the estimator whose parameters are meant, below the calibration or the scaling of the target."""
    for name in ("regressor", "estimator"):
        if name in estimator.get_params(deep=False):
            return getattr(estimator, name)
    return estimator


def linear(shape: Shape, seed: int) -> Any:  # noqa: ANN401 - one of two classes
    """Return a logistic regression, or a ridge regression."""
    from sklearn.linear_model import LogisticRegression, Ridge

    return LogisticRegression(max_iter=1000, random_state=seed) if shape.classes else Ridge(random_state=seed)


def elastic_net(_: Shape, seed: int) -> Any:  # noqa: ANN401
    """Return a linear regression that leaves out what it does not need."""
    from sklearn.linear_model import ElasticNet

    return ElasticNet(max_iter=5000, random_state=seed)


def boosting(shape: Shape, seed: int) -> Any:  # noqa: ANN401
    """Return gradient boosting on histograms."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if shape.classes else HistGradientBoostingRegressor
    return kind(random_state=seed)


def lightgbm(shape: Shape, seed: int) -> Any:  # noqa: ANN401
    """Return LightGBM's gradient boosting."""
    from lightgbm import LGBMClassifier, LGBMRegressor  # type: ignore[import-not-found]  # an extra

    kind = LGBMClassifier if shape.classes else LGBMRegressor
    return kind(random_state=seed, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True, subsample_freq=1)


def extra_trees(shape: Shape, seed: int) -> Any:  # noqa: ANN401
    """Return many trees with random cuts."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    return (ExtraTreesClassifier if shape.classes else ExtraTreesRegressor)(random_state=seed, **_forest(shape))


def random_forest(shape: Shape, seed: int) -> Any:  # noqa: ANN401
    """Return many trees on random rows."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    return (RandomForestClassifier if shape.classes else RandomForestRegressor)(random_state=seed, **_forest(shape))


def svm(shape: Shape, seed: int) -> Any:  # noqa: ANN401
    """Return a support vector machine, with probabilities by a sigmoid learned across folds."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    if shape.classes:
        return CalibratedClassifierCV(SVC(random_state=seed, cache_size=100), cv=3, ensemble=False)
    return TransformedTargetRegressor(SVR(cache_size=100), transformer=StandardScaler())


def network(shape: Shape, seed: int) -> Any:  # noqa: ANN401
    """Return a small neural network."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import StandardScaler

    stop = {"early_stopping": shape.rows > 2000, "max_iter": 200, "hidden_layer_sizes": 64, "random_state": seed}
    if shape.classes:
        return MLPClassifier(**stop)
    return TransformedTargetRegressor(MLPRegressor(**stop), transformer=StandardScaler())


def neighbors(shape: Shape, _: int) -> Any:  # noqa: ANN401
    """Return nearest neighbors."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    return (KNeighborsClassifier if shape.classes else KNeighborsRegressor)(n_neighbors=10)


def _forest(shape: Shape) -> dict[str, Any]:
    if shape.rows <= LONG:
        return {"n_estimators": 200}
    return {"n_estimators": 100, "max_leaf_nodes": 2000, "min_samples_leaf": 3}
