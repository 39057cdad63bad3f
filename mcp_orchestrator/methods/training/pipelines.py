"""Pipelines: from the names of a family and its parameters to an estimator that takes the raw table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mcp_orchestrator.errors import InvalidInput, reject_unknown
from mcp_orchestrator.methods.columns.features import FeatureSpec, infer_features, used
from mcp_orchestrator.methods.training.estimators import Shape, tunable
from mcp_orchestrator.methods.training.families import Encoding, Family, family_named
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    import numpy as np
    from sklearn.pipeline import Pipeline

    from mcp_orchestrator.methods.columns.encoding import Encoder

__all__ = ["FeatureSpec", "Member", "Shape", "build", "estimator", "infer_features", "joined", "preprocessor"]


class Member(Value):
    """A pipeline of a model: the family of its estimator, the parameters, and its weight among the members."""

    family: Annotated[str, Field(min_length=1, max_length=80, description="Family of estimators, or an alias.")]
    params: Annotated[dict[str, Any], Field(description="Parameters of the estimator.")] = Field(
        default_factory=dict[str, Any]
    )
    weight: Annotated[float, Field(gt=0, le=1, description="Share in the blend.")] = 1.0


CELLS = 20_000_000
"""Numbers that the columns of texts may take in memory, which bounds their words."""
OURS = ("random_state", "n_jobs", "verbose", "warm_start")


def preprocessor(features: Sequence[FeatureSpec], encoding: Encoding, shape: Shape, seed: int = 0) -> Encoder:
    """Return the transformer that makes a family's matrix of the features."""
    from mcp_orchestrator.methods.columns.encoding import Encoder

    names: dict[str, list[str]] = {}
    for one in used(features):
        names.setdefault(one.kind, []).append(one.name)
    several = shape.classes > 2
    high = ("codes" if encoding.trees else "common") if several else "target"
    room = CELLS // max(1, shape.rows * max(1, len(names.get("text", []))))
    return Encoder(
        numeric=names.get("numeric"),
        boolean=names.get("boolean"),
        date=names.get("date"),
        categorical=names.get("categorical"),
        text=names.get("text"),
        fill=encoding.fill,
        scale=encoding.scale,
        hinges=encoding.hinges,
        high=high,
        terms=min(300, max(20, room)),
        classes=shape.classes,
        seed=seed,
    )


def estimator(family: Family, params: Mapping[str, Any], shape: Shape, seed: int = 0) -> Any:  # noqa: ANN401
    """Return a family's estimator with the given parameters.

    Raises:
        InvalidInput: the estimator has no such parameter, or it is not the caller's to set.

    """
    made = family.make(shape, seed)
    inner = tunable(made)
    allowed = [name for name in inner.get_params(deep=False) if name not in OURS]
    reject_unknown(params, allowed, what=f"{type(inner).__name__} ({family.name})")
    inner.set_params(**params)
    return made


def build(
    family: str | Family,
    params: Mapping[str, Any],
    features: Sequence[FeatureSpec],
    shape: Shape,
    seed: int = 0,
) -> Pipeline:
    """Return an unfitted pipeline with the steps ``features`` and ``model``.

    Raises:
        UnknownName: there is no such family.
        InvalidInput: the estimator has no such parameter.

    """
    from sklearn.pipeline import Pipeline

    kind = family_named(family) if isinstance(family, str) else family
    if shape.task not in kind.tasks:
        raise InvalidInput("estimator", f"{kind.name!r} does not do {shape.task}.", allowed=kind.tasks)
    model = estimator(kind, params, shape, seed)
    return Pipeline([("features", preprocessor(features, kind.encoding, shape, seed)), ("model", model)])


def joined(members: Sequence[tuple[Pipeline, float]], y: np.ndarray) -> Any:  # noqa: ANN401 - one of three classes
    """Return the weighted mean of several fitted pipelines, or the only one; ``y`` is what they were fitted on."""
    from sklearn.base import is_classifier
    from sklearn.ensemble import VotingClassifier, VotingRegressor
    from sklearn.frozen import FrozenEstimator

    if len(members) == 1:
        return members[0][0]
    named = [(f"member_{place}", FrozenEstimator(pipeline)) for place, (pipeline, _) in enumerate(members, start=1)]
    weights = [weight for _, weight in members]
    if is_classifier(members[0][0]):
        return VotingClassifier(named, voting="soft", weights=weights).fit(y, y)  # the members are fitted already
    return VotingRegressor(named, weights=weights).fit(y, y)
