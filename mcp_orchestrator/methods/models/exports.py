"""A stored model as MLflow is told of it, read from its manifest and its files without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import MissingLibrary, OrchestratorError
from mcp_orchestrator.methods.models.manifests import MODEL, REFERENCE, Manifest, content, read
from mcp_orchestrator.methods.models.persistence import allowed_in
from mcp_orchestrator.tracking.experiments import Tracker
from mcp_orchestrator.tracking.registrations import Contents, forget, project
from mcp_orchestrator.tracking.store import DATABASE
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Shown", "contents_of", "hide", "show"]

KINDS = {"numeric": "double", "boolean": "boolean", "date": "datetime"}
OUR_PACKAGE, DISTRIBUTION = "mcp_orchestrator.", "mcp-ml-orchestrator"


class Shown(Value):
    """Whether MLflow shows something; it only mirrors our own records, so its failure changes nothing there."""

    status: Literal["done", "failed", "skipped"]
    reason: str = ""


def show(ctx: Context, versions: Versions, name: str, *, without: str = "") -> Shown:
    """Bring MLflow's registry up to date with ours, ``without`` a model of MLflow's; what goes wrong is told."""
    if find_spec("mlflow") is None:
        return Shown(status="skipped", reason=str(MissingLibrary("MLflow's registry", "mlflow", None)))
    try:
        with Tracker(ctx.settings.home, name) as tracker:
            project(tracker, versions, name, lambda version: contents_of(ctx, version.sha256))
            if without:
                forget(tracker, without)
    except (OrchestratorError, OSError) as error:
        return Shown(status="failed", reason=str(error))
    return Shown(status="done")


def hide(ctx: Context, versions: Versions, name: str, model: str) -> Shown:
    """Have MLflow show neither the deleted versions of a name nor, if one is named, a ``model`` of its own."""
    if not (ctx.settings.home / DATABASE).exists():
        return Shown(status="skipped", reason="MLflow shows nothing here.")
    return show(ctx, versions, name, without=model)


def contents_of(ctx: Context, sha256: str, params: Mapping[str, Any] | None = None) -> Contents:
    """Return what MLflow is told of the model with that digest; ``params`` are shown beside it.

    Raises:
        UnknownName: no such model is stored here.
        Tampered: a file of it was changed.

    """
    manifest = read(ctx, sha256)
    allowed = allowed_in(content(ctx, manifest, MODEL))
    libraries = [name for name in manifest.libraries if name != "python"]
    requirements = [f"mlflow=={version('mlflow')}", *(f"{name}=={manifest.libraries[name]}" for name in libraries)]
    if any(name.startswith(OUR_PACKAGE) for name in allowed):
        requirements.append(DISTRIBUTION)
    return Contents(
        trained=manifest.trained(sha256),
        file=ctx.artifacts.path(manifest.files[MODEL]),
        columns=_columns(ctx, manifest),
        requirements=requirements,
        sklearn=manifest.libraries["scikit-learn"],
        allowed=allowed,
        params=params or {},
    )


def _columns(ctx: Context, manifest: Manifest) -> list[tuple[str, str]]:
    """Return name and MLflow type of each feature: as the stored sample has it, else by the feature's kind."""
    found: dict[str, str] = {}
    if REFERENCE in manifest.files:
        import pyarrow.parquet as pq

        schema: pa.Schema = pq.read_schema(ctx.artifacts.path(manifest.files[REFERENCE]))
        found = {column.name: _type(column.type) for column in schema}
    return [
        (name, found.get(name) or KINDS.get(str(feature.get("kind")), "string"))
        for feature in manifest.features
        if feature.get("kind") != "drop"
        for name in (str(feature["name"]),)
    ]


def _type(kind: pa.DataType) -> str:
    """Whole numbers become ``double`` too, as a column of them may have gaps when it is predicted for."""
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "double"
    return "datetime" if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else "string"
