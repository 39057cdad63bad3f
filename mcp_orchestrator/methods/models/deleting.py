"""The deletion of a registered version: marked in the registry first, then its bytes and what MLflow shows are removed.

Bytes are removed when nothing else refers to them: no other version is the same model, no run would go on with it, no
other stored model has the same file, and nobody stored it again. A model's manifest goes before its files, and their
digests are kept with the mark: whatever is cut in between is not found any more, and `clear` removes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import OrchestratorError
from mcp_orchestrator.methods.models.exports import Shown, hide
from mcp_orchestrator.methods.models.manifests import Manifest, read
from mcp_orchestrator.methods.models.moving import who
from mcp_orchestrator.tracking.deletions import Deletion
from mcp_orchestrator.tracking.deletions import finish as note
from mcp_orchestrator.tracking.needs import latest, needing, same
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Value

__all__ = ["Cleared", "Removed", "clear", "delete"]

BEGINNING = b'{"bytes":'  # of a manifest, whose fields are sorted
FEW = 3


class Removed(Value):
    """A version that was deleted: how many bytes were freed, why some stay, and which versions there still are.

    ``finished`` is false while bytes stay that will be removed later.
    """

    name: str
    version: int
    by: str
    why: str
    at: int
    freed: int
    kept: str
    finished: bool
    left: list[int]
    shown: Shown


class Cleared(Value):
    """Deletions that were gone on with."""

    deletions: list[Removed]


def delete(ctx: Context, versions: Versions, name: str, version: int, why: str) -> Removed:
    """Delete a version for good.

    Raises:
        UnknownName: there is no such model or version.
        Deleted: it was deleted before.
        NotReady: an alias points to it.

    """
    found = versions.get(f"{name}@{version}")
    marked = versions.delete(name, version, by=who(ctx), why=why, files=_files(ctx, found.sha256))
    return _finish(ctx, versions, marked)


def clear(ctx: Context, versions: Versions, name: str | None = None) -> Cleared:
    """Go on with the deletions that are not finished, of one model or of all."""
    return Cleared(deletions=[_finish(ctx, versions, one) for one in versions.deletions(name, unfinished=True)])


def _finish(ctx: Context, versions: Versions, one: Deletion) -> Removed:
    freed, kept, done = _remove(ctx, versions, one)
    model = one.mlflow.get("model", "") if done else ""
    shared = any(other.mlflow.get("model") == model for other in versions.list())
    shown = hide(ctx, versions, one.name, "" if shared else model)
    done = done and shown.status != "failed"
    with versions.door.write() as db:
        after = note(db, one.name, one.version, kept=kept, done=done)
    return Removed(
        **after.model_dump(include={"name", "version", "by", "why", "at"}),
        freed=freed,
        kept=kept,
        finished=done,
        left=sorted(other.version for other in versions.list(one.name)),
        shown=shown,
    )


def _remove(ctx: Context, versions: Versions, one: Deletion) -> tuple[int, str, bool]:
    """Remove the bytes that nothing else refers to; return how many, why others stay, and whether that is all."""
    digest = one.model.sha256
    files = one.files or _files(ctx, digest)
    last = latest(versions.door.read())
    others = _of_others(ctx, digest)
    with versions.door.turn():  # nobody registers the model meanwhile
        db = versions.door.read()
        if twins := same(db, digest):
            return 0, f"{_few(twins)} is the same model", True
        if runs := needing(db, digest, but=ctx.run):
            return 0, f"{_few(runs)} may go on with the model; it is removed when that is over or pruned", False
        freed = ctx.artifacts.remove(digest, since=latest(db, digest))
        if freed is None:
            return 0, "the model was stored again since it was registered", True
        removed = [ctx.artifacts.remove(file, since=last) for file in files if file not in others]
    freed += sum(size or 0 for size in removed)
    stay = len(files) - len(removed) + removed.count(None)
    return freed, f"{stay} of its {len(files)} files belong to other models or tables too" if stay else "", True


def _files(ctx: Context, digest: str) -> list[str]:
    """Return the digests of a model's files, as far as its manifest can be read."""
    try:
        return list(read(ctx, digest).files.values())
    except OrchestratorError:
        return []


def _of_others(ctx: Context, digest: str) -> set[str]:
    """Return the digests that other stored models name as their files, and those of tables."""
    tables = {place.name.partition(".")[0] for place in (ctx.settings.home / "datasets").glob("*.json")}
    return tables.union(*(one.files.values() for name, one in _manifests(ctx) if name != digest))


def _manifests(ctx: Context) -> Iterator[tuple[str, Manifest]]:
    for place in ctx.artifacts.files():
        try:
            with place.open("rb") as file:
                if file.read(len(BEGINNING)) != BEGINNING:
                    continue
            yield place.name, Manifest.model_validate_json(place.read_bytes())
        except (FileNotFoundError, ValidationError):
            continue


def _few(names: list[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
