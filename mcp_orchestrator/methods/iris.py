"""A small model of iris, for examples and known answers that need two different ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_orchestrator.component import Context
from mcp_orchestrator.values import Trained

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["iris_model"]


def iris_model(ctx: Context, strength: float) -> tuple[Trained, pd.DataFrame]:
    """Store a logistic regression with inverse regularization ``strength``; return it and the rows it was fitted on."""
    import pandas as pd
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    from mcp_orchestrator.methods.features import FeatureSpec
    from mcp_orchestrator.methods.models import store

    inputs, target = load_iris(return_X_y=True, as_frame=True)
    rows = pd.DataFrame(inputs)
    model = LogisticRegression(C=strength, max_iter=1000).fit(rows, target)
    features = [FeatureSpec(name=name, kind="numeric") for name in rows.columns]
    trained = store(ctx, model, task="classification", target="target", features=features, classes=[0, 1, 2])
    return trained, rows
