"""Rows and targets, as the pipeline functions are given them, made into tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import DataRejected, InvalidInput, MissingLibrary
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.columns.targets import Target, read_target
from mcp_orchestrator.pipeline.specs import FeatureStoreSpec, ModelSpec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TARGET", "folds_of", "framed", "from_store", "parts_of", "truth_of"]

TARGET = "target"


def folds_of(params: Mapping[str, Any] | None) -> int:
    """Return the number of folds that ``validation_params`` asks for."""
    given = dict(params or {})
    folds = given.pop("cv_folds", 5)
    if given or not isinstance(folds, int) or not 2 <= folds <= 50:
        raise InvalidInput("validation_params", f"{params} is not acceptable.", allowed=['{"cv_folds": 2 to 50}'])
    return folds


def framed(X: Any, y: Any, specs: Sequence[FeatureSpec] | None) -> pd.DataFrame:  # noqa: ANN401
    """Return rows and their target as one table."""
    import numpy as np
    import pandas as pd

    frame = X.reset_index(drop=True) if isinstance(X, pd.DataFrame) else None
    if frame is None:
        values = np.asarray(X)
        if values.ndim != 2:
            raise InvalidInput("X", f"has {values.ndim} dimension(s); rows and columns are needed.")
        names = [one.name for one in specs] if specs else [f"x{number}" for number in range(values.shape[1])]
        if len(names) != values.shape[1]:
            raise InvalidInput("feature_specs", f"name {len(names)} columns, X has {values.shape[1]}.")
        frame = pd.DataFrame(values, columns=names)
    truth = np.asarray(y)
    if truth.shape != (len(frame),):
        raise InvalidInput("y", f"has the shape {truth.shape}; {len(frame)} values are needed, one for each row of X.")
    if TARGET in frame.columns:
        raise InvalidInput("X", f"must not have a column {TARGET!r}: that is what y is called here.")
    return frame.assign(**{TARGET: truth})


def parts_of(  # noqa: PLR0917 - one call site
    frame: pd.DataFrame,
    X_test: Any,  # noqa: ANN401
    y_test: Any,  # noqa: ANN401
    specs: Sequence[FeatureSpec] | None,
    spec: ModelSpec,
    test_size: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to learn from and the rows locked away for the test."""
    from sklearn.model_selection import train_test_split

    if X_test is not None:
        return frame, framed(X_test, y_test, specs)
    if not 0 < test_size < 1:
        raise InvalidInput("test_size", f"{test_size} is not a share.", then="Give a number between 0 and 1.")
    target = read_target(frame, TARGET, spec.task)
    known = frame.iloc[target.rows]
    if target.classes and target.smallest < 2:
        raise DataRejected("a class has a single row, which cannot be both learned from and tested on.", column=TARGET)
    parts = train_test_split(
        known, test_size=test_size, random_state=seed, stratify=target.y if target.classes else None
    )
    return parts[0], parts[1]


def truth_of(target: Target) -> Any:  # noqa: ANN401 - labels or values
    """Return the target of the rows that have one: the classes themselves, or values."""
    import numpy as np

    return np.asarray(target.classes)[target.y] if target.classes else target.y


def from_store(spec: FeatureStoreSpec, entities: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Join the features of a Feast repository to a data frame of entities with a column ``event_timestamp``."""
    try:
        from feast import FeatureStore  # type: ignore[import-not-found]  # an optional library
    except ImportError as error:
        raise MissingLibrary("The feature store", "feast", "feast") from error
    if entities is None:
        raise InvalidInput("X", "must hold the entities and their event_timestamp, to which features are joined.")
    store: Any = FeatureStore(repo_path=str(spec.repo_path))
    joined = store.get_historical_features(entity_df=entities, features=spec.features).to_df()
    if spec.target not in joined.columns:
        raise InvalidInput(
            "feature_store_spec.target", f"there is no column {spec.target!r}.", allowed=list(joined.columns)
        )
    return joined.drop(columns=[spec.target, "event_timestamp"]), joined[spec.target]
