"""A small model, for the examples and the known answers of components that need one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_orchestrator.component import Context
from mcp_orchestrator.values import Trained

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["example_model"]


def example_model(ctx: Context, strength: float = 1.0) -> tuple[Trained, pd.DataFrame]:
    """Store a logistic regression of the iris, fitted on every other row, and return it with all rows without target.

    ``strength`` is the inverse of the regularization: two of them make two models.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from mcp_orchestrator.methods import models, tables
    from mcp_orchestrator.methods.columns.features import infer_features

    table = tables.frame(ctx, "builtin:iris")
    half = table.iloc[::2]
    features = infer_features(half, "target")
    columns = [feature.name for feature in features]
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    fitted.fit(half[columns], half["target"])
    trained = models.store(
        ctx,
        fitted,
        task="classification",
        target="target",
        features=features,
        classes=[str(label) for label in fitted.classes_],
        reference=half,
    )
    return trained, table[columns]
