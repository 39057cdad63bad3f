"""Registered models: versions, aliases that move and roll back with their history, and integrity of every byte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.methods.models import deleting
from mcp_orchestrator.methods.models.deleting import Cleared, Removed
from mcp_orchestrator.methods.models.examples import two_versions
from mcp_orchestrator.methods.models.exports import Shown, show
from mcp_orchestrator.methods.models.manifests import Verified, describe, verified
from mcp_orchestrator.methods.models.moving import Moved, expected, holder, moved, moving, who
from mcp_orchestrator.methods.models.rehearsal import rehearse
from mcp_orchestrator.methods.models.terms import Alias, Fence, Generation, InsteadOf, MlflowId, Name, Number, Why
from mcp_orchestrator.methods.report.document import Document
from mcp_orchestrator.methods.report.document import document as write
from mcp_orchestrator.methods.report.facts import Facts
from mcp_orchestrator.methods.report.logbook import Tracked, record
from mcp_orchestrator.tracking.aliases import Change
from mcp_orchestrator.tracking.consents import Asked, of_model
from mcp_orchestrator.tracking.deletions import Deletion
from mcp_orchestrator.tracking.versions import CHAMPION, Version, Versions
from mcp_orchestrator.values import Artifact, Data, Estimate, ModelRef, Value

ABOUT = About(tier=1, libraries=("mlflow", "skops", "sklearn"))


class Registered(Version):
    """A registered version."""

    shown: Shown


class Changes(Value):
    """Moves of the aliases of a model, its deleted versions, and what people were asked, the oldest first."""

    changes: list[Change]
    deleted: list[Deletion]
    asked: list[Asked]


class Found(Value):
    """Registered versions, the newest first."""

    versions: list[Version]


@capability(
    example={
        "model": "example@1",
        "name": "example-copy",
        "metrics": {"accuracy": {"value": 0.9, "low": 0.8, "high": 1}},
    },
    contrast={"model": "example@2"},
    before=two_versions("example"),
    at_home=True,
)
def register(
    ctx: Context,
    model: ModelRef,
    name: Name,
    metrics: Annotated[dict[str, Estimate], Field(max_length=100, description="Metrics with their intervals.")] = {},  # noqa: B006 - read only
    *,
    mlflow_run: MlflowId = None,
    mlflow_model: MlflowId = None,
) -> Registered:
    """Register a trained model as the next version of a name; the same model of the same run is registered once."""
    trained = describe(ctx, model)
    with Versions(ctx.settings.home) as versions:
        with versions.door.turn():  # nobody removes its bytes meanwhile
            made = versions.register(name, describe(ctx, trained.uri), metrics=metrics, run=ctx.run)
        ids = {key: value for key, value in (("run", mlflow_run), ("model", mlflow_model)) if value}
        if ids:
            versions.record(name, made.version, ids)
        shown = show(ctx, versions, name)
        return Registered(**versions.get(f"{name}@{made.version}").model_dump(), shown=shown)


@capability(
    example={"name": "example-promote", "version": 2, "why": "better on the test part"},
    contrast={"version": 1},
    before=two_versions("example-promote"),
    at_home=True,
)
def promote(
    ctx: Context,
    name: Name,
    version: Number,
    why: Why = "",
    *,
    instead_of: InsteadOf = None,
    generation: Generation = None,
    fence: Fence = None,
) -> Moved:
    """Make a version the champion, which the bare name then means; the former one is kept for a rollback."""
    with moving(ctx, name, fence) as versions:
        if versions.get(f"{name}@{version}").version == holder(versions, name, CHAMPION):
            return moved(ctx, versions, versions.history(name, CHAMPION)[-1])
        before = expected(versions, name, CHAMPION, instead_of, generation)
        return moved(ctx, versions, versions.promote(name, version, expected=before, by=who(ctx), why=why))


@capability(
    example={"name": "example-rollback", "why": "it errs on new data"},
    contrast={"why": "another reason"},
    before=two_versions("example-rollback"),
    at_home=True,
)
def rollback(
    ctx: Context,
    name: Name,
    alias: Alias = CHAMPION,
    why: Why = "",
    *,
    instead_of: InsteadOf = None,
    generation: Generation = None,
    fence: Fence = None,
) -> Moved:
    """Give an alias back to the version that held it before; called again, to the one before that."""
    with moving(ctx, name, fence) as versions:
        before = expected(versions, name, alias, instead_of, generation)
        return moved(ctx, versions, versions.rollback(name, alias, expected=before, by=who(ctx), why=why))


@capability(
    example={"name": "example-alias", "alias": "challenger", "version": 2},
    contrast={"version": None},
    before=two_versions("example-alias"),
    at_home=True,
)
def alias(
    ctx: Context,
    name: Name,
    alias: Alias,
    version: Annotated[
        int | None, Field(ge=1, le=10**9, description="Number of the version; null takes the alias away.")
    ],
    why: Why = "",
    *,
    instead_of: InsteadOf = None,
    generation: Generation = None,
    fence: Fence = None,
) -> Moved:
    """Point an alias at a version, or take it away."""
    with moving(ctx, name, fence) as versions:
        if version is not None and version == holder(versions, name, alias):
            return moved(ctx, versions, versions.history(name, alias)[-1])
        before = expected(versions, name, alias, instead_of, generation)
        how: dict[str, Any] = {"expected": before, "by": who(ctx), "why": why}
        if version is None:
            return moved(ctx, versions, versions.remove_alias(name, alias, **how))
        return moved(ctx, versions, versions.set_alias(name, alias, version, **how))


@capability(
    example={"name": "example-delete", "version": 2, "why": "trained on rows that must go"},
    contrast={"why": "another reason"},
    before=two_versions("example-delete"),
    at_home=True,
)
def delete(
    ctx: Context,
    name: Name,
    version: Number,
    why: Annotated[str, Field(min_length=1, max_length=500, description="The reason, kept in the history.")],
    *,
    fence: Fence = None,
) -> Removed:
    """Delete a version for good, with the bytes that nothing else needs; refused while an alias points to it.

    Its number is never used again. The history keeps its figures and its card, and who deleted it, when and why.
    """
    with moving(ctx, name, fence) as versions:
        return deleting.delete(ctx, versions, name, version, why)


@capability(
    example={"name": "example-delete-cut"},
    contrast={"name": "nothing is called so"},
    before=two_versions("example-delete-cut"),
    at_home=True,
)
def clear(
    ctx: Context,
    name: Annotated[str | None, Field(max_length=80, description="One model; all when left out.")] = None,
) -> Cleared:
    """Finish deletions that were cut by a crash, or waited for a run that could still go on with the model."""
    with Versions(ctx.settings.home) as versions:
        return deleting.clear(ctx, versions, name)


@capability(
    example={"name": "example", "alias": "champion"},
    contrast={"alias": "2"},
    before=two_versions("example"),
    at_home=True,
)
def verify(
    ctx: Context,
    name: Name,
    alias: Annotated[
        str, Field(min_length=1, max_length=40, description="An alias, or the number of a version.")
    ] = CHAMPION,
) -> Verified:
    """Compute the digests of all files of a version again and say which of them still is what was recorded."""
    with Versions(ctx.settings.home) as versions:
        return verified(ctx, versions.get(f"{name}@{alias}"))


@capability(
    example={"name": "example"},
    contrast={"alias": "challenger"},
    before=two_versions("example"),
    at_home=True,
)
def history(
    ctx: Context,
    name: Name,
    alias: Annotated[str | None, Field(max_length=40, description="One alias; all when left out.")] = None,
) -> Changes:
    """Tell who moved which alias, from which version to which, what was deleted, when and why, and who was asked."""
    with Versions(ctx.settings.home) as versions:
        asked = of_model(versions.door.read(), name)
        return Changes(changes=versions.history(name, alias), deleted=[*versions.deletions(name)], asked=asked)


@capability(
    example={"query": "example champion"},
    contrast={"query": "nothing is called so"},
    before=two_versions("example"),
    at_home=True,
)
def find(
    ctx: Context,
    query: Annotated[str, Field(max_length=200, description="Words in name, target, task, estimator or alias.")] = "",
    name: Annotated[str | None, Field(max_length=80, description="One model; all when left out.")] = None,
) -> Found:
    """List the registered versions that have all words of the query, the newest first."""
    words = query.lower().split()
    with Versions(ctx.settings.home) as versions:
        texts = [
            (one, " ".join((one.name, one.target, one.task, one.estimator, *one.aliases)).lower())
            for one in versions.list(name)
        ]
    return Found(versions=[one for one, text in texts if all(word in text for word in words)])


@capability(
    example={"model": "example@1", "data": "builtin:iris"},
    contrast={"model": "example@2"},
    before=two_versions("example"),
)
def document(
    ctx: Context,
    model: ModelRef,
    data: Data,
    facts: Annotated[Facts | None, Field(description="What is known of its training, for the card.")] = None,
) -> Document:
    """Draw a model's answers for a table with a known target, and write its card."""
    from mcp_orchestrator.methods.models import load
    from mcp_orchestrator.methods.tables import frame

    return write(ctx, load(ctx, model), frame(ctx, data), facts)


@capability(
    example={"model": "example@1", "name": "example"},
    contrast={"model": "example@2"},
    before=two_versions("example"),
    at_home=True,
)
def track(
    ctx: Context,
    model: ModelRef,
    name: Annotated[str, Field(min_length=1, max_length=200, description="Name of the run in MLflow.")],
    *,
    facts: Annotated[Facts | None, Field(description="What is known of its training.")] = None,
    files: Annotated[list[Artifact], Field(max_length=100, description="Files to attach.")] = [],  # noqa: B006 - read only
    experiment: Annotated[str, Field(min_length=1, max_length=80, description="MLflow's experiment.")] = "models",
) -> Tracked:
    """Show a model and its training in MLflow: a run with its trials below it, figures, files, and the model."""
    return record(ctx, model, name, facts=facts, files=files, experiment=experiment)


def known_answer(ctx: Context) -> Iterator[Check]:
    """A rollback must give back the same predictions, and one changed bit be found; in a home of its own."""
    ctx.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=ctx.settings.home, prefix=".registry-") as folder:
        home = Path(folder)
        settings = ctx.settings.model_copy(update={"home": home})
        yield from rehearse(replace(ctx, settings=settings, artifacts=ctx.artifacts.apart(home / "artifacts")))
