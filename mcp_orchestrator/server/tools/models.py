"""Registered models: found and asked."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from pydantic import Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server.results import Model, Models, Predictions, moment, offset
from mcp_orchestrator.server.session import Session, orchestrator
from mcp_orchestrator.server.shrinking import fitting, lightened
from mcp_orchestrator.tracking.versions import Version
from mcp_orchestrator.values import ModelRef, Records

__all__ = ["find_models", "model_facts", "predict"]

MOST = 100
HISTORY = (
    'invoke_ml_component(component="production_registry", capability="history", params={{"name": "{name}"}}) tells who '
    "deleted its versions, and why"
)


async def find_models(
    ctx: Session,
    name: Annotated[str | None, Field(description="A model, for all its versions.")] = None,
    query: Annotated[str | None, Field(description="Words in name, target, task, estimator or alias.")] = None,
    cursor: Annotated[str | None, Field(description="next_cursor of the page before.")] = None,
) -> Models:
    """List registered models, each by the version that its bare name means (its champion, else the newest)."""
    return await to_thread.run_sync(_found, orchestrator(ctx), name, query, offset(cursor))


async def predict(ctx: Session, model: ModelRef, records: Records) -> Predictions:
    """Predict the target for records; give the columns that the model was trained on (find_models(name) lists them)."""
    asked = {"model": model, "records": records}
    answer = await orchestrator(ctx).call("ml_integration", "predict", asked, repeatable=True)
    return Predictions.model_validate({"model": model, **answer})


def _found(orchestrator: Orchestrator, name: str | None, query: str | None, begin: int) -> Models:
    versions = orchestrator.models(name)
    counts: dict[str, int] = {}
    for one in versions:
        counts[one.name] = counts.get(one.name, 0) + 1
    shown = versions if name else [orchestrator.versions.get(one) for one in counts]
    words = (query or "").lower().split()
    known = [one for one in shown if _about(one, words)]
    models = [_model(one, whole=bool(name), count=counts[one.name]) for one in known[begin : begin + MOST]]
    if not models:
        then = ["run_ml_training_workflow(data, target, name) trains and registers one"]
        if name and not versions:  # all were deleted
            then.append(HISTORY.format(name=name))
        return Models(models=[], next=then)
    models = models[: fitting(one.facts() for one in models)]
    following = str(begin + len(models)) if begin + len(models) < len(known) else None
    then = [f'predict(model="{models[0].name}", records=[...]) asks it']
    facts, left = lightened({"models": [one.facts() for one in models]})  # one with thousands of columns
    if left:
        then.append(f"model://{models[0].name}@{models[0].version} has all of it")
    return Models.model_validate({**facts, "left_out": left or None, "next": then, "next_cursor": following})


def model_facts(orchestrator: Orchestrator, ref: str) -> dict[str, Any]:
    """Return all that is to be said of a registered version.

    Raises:
        UnknownName: there is no such model, version or alias.

    """
    version = orchestrator.versions.get(ref)
    return _model(version, whole=True, count=0).facts()


def _about(version: Version, words: list[str]) -> bool:
    parts = [version.name, version.target, version.task, version.estimator, *version.aliases]
    text = " ".join(parts).lower()
    return all(word in text for word in words)


def _model(version: Version, *, whole: bool, count: int) -> Model:
    return Model(
        **version.model_dump(include={"name", "version", "aliases", "uri", "task", "target", "estimator", "metrics"}),
        versions=None if whole else count,
        features=version.features if whole else None,
        classes=version.classes if whole and version.classes else None,
        run=version.run or None,
        created=moment(version.created),
    )
