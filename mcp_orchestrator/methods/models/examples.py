"""A small model, for the examples and the known answers of components that need one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcp_orchestrator.component import Context
from mcp_orchestrator.tracking.versions import CHAMPION, Versions
from mcp_orchestrator.values import Trained

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["example_model", "two_versions"]


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


def two_versions(name: str) -> Callable[[Context], None]:
    """Return a hook that registers two versions of ``name`` and makes the first, or for a rollback both, the champion.

    For a deletion it begins anew, since the number of a deleted version is never used again.
    """

    def prepare(ctx: Context) -> None:
        with Versions(ctx.settings.home) as versions:
            if name.startswith("example-delete"):
                _forget(versions, name)
            for strength in (1.0, 0.1):
                versions.register(name, example_model(ctx, strength)[0])
            if versions.generation(name, CHAMPION) == 0:
                versions.promote(name, 1, why="the first")
            if name == "example-rollback" and versions.get(name).version == 1:
                versions.promote(name, 2, why="the second")
            if name == "example-delete-cut":
                versions.delete(name, 2, why="to be finished")

    return prepare


def _forget(versions: Versions, name: str) -> None:
    with versions.door.write() as db:
        for table in ("model_alias", "model_version", "model_version_deleted"):
            db.execute(f"DELETE FROM {table} WHERE name=?", (name,))  # noqa: S608 - our own names
