"""A stored model as MLflow is told of it, read from its manifest and its files without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.manifests import MODEL, REFERENCE, Manifest, content, read
from mcp_orchestrator.methods.persistence import allowed_in
from mcp_orchestrator.tracking.registrations import Contents

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["contents_of"]

KINDS = {"numeric": "double", "boolean": "boolean", "date": "datetime"}
OUR_PACKAGE, DISTRIBUTION = "mcp_orchestrator.", "mcp-ml-orchestrator"


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
