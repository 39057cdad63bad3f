"""Frozen tables: ``dataset://name@digest``, the Parquet file behind it, and the record of what is known about it."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import DataRejected, InvalidInput, Tampered, UnknownName
from mcp_orchestrator.methods.tables.columnar import open_frame
from mcp_orchestrator.methods.tables.profile import profiled
from mcp_orchestrator.methods.tables.snapshot import Writer, require_column, scratch, write
from mcp_orchestrator.methods.tables.sources import source_of
from mcp_orchestrator.methods.tables.stream import Source
from mcp_orchestrator.values import DATASET, Data, Dataset, Profile, Value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["describe", "freeze", "freeze_frame", "keep", "reference", "snapshot_of"]

MEDIA = "application/vnd.apache.parquet"
NAME = re.compile(r"[\w.-]{1,80}")
THEN = "Load its source again with training_data_loader.load."

_known: dict[tuple[object, ...], str] = {}
"""What this process has frozen already: the stamp of a source, and the reference that came out."""
_sound: set[tuple[str, int, int]] = set()
"""Files whose digest this process has checked: path, size and time of the last change."""
_lock = threading.Lock()


class Record(Value):
    """A description with what only the reading of the source could tell."""

    dataset: Dataset
    notes: dict[str, str]
    warnings: list[str]


def freeze(
    ctx: Context,
    data: Data,
    *,
    name: str | None = None,
    target: str | None = None,
    query: str | None = None,
    table: str | None = None,
) -> Dataset:
    """Freeze a table as a Parquet snapshot under its digest, and describe it.

    The same table gives the same digest, wherever it came from. A source that this process has frozen before
    and that did not change since is not read again.

    Raises:
        InvalidInput: ``data`` is no source, or the table lacks the column ``target``.
        NotAllowed: the source may not be read.
        DataRejected: the table is broken; the message names column and row.

    """
    if name is not None and NAME.fullmatch(name) is None:
        raise InvalidInput(
            "name", f"{name!r} may hold letters, digits, dot, dash and underscore only.", then=_named(name)
        )
    if isinstance(data, str) and data.strip().startswith("dataset://"):
        if query is not None or table is not None:
            raise InvalidInput("query" if query else "table", "cannot be asked of a dataset.", then="Leave it out.")
        return _again(ctx, _recorded(ctx, data), name=name, target=target)
    source = source_of(ctx, data, query=query, table=table)
    known = _seen(ctx, source)
    if known is not None:
        return _again(ctx, _recorded(ctx, known), name=name or _named(source.name), target=target)
    return _freeze(ctx, source, name=_named(name or source.name), target=target)


def reference(ctx: Context, data: Data) -> str:
    """Return the ``dataset://`` reference of a table, frozen first where it is not yet.

    Raises:
        InvalidInput: ``data`` is no source.
        NotAllowed: the source may not be read.
        DataRejected: the table is broken; the message names column and row.

    """
    if isinstance(data, str) and data.strip().startswith("dataset://"):
        return data.strip()
    source = source_of(ctx, data)
    return _seen(ctx, source) or _freeze(ctx, source, name=_named(source.name), target=None).uri


def freeze_frame(ctx: Context, frame: pd.DataFrame, *, name: str = "frame", target: str | None = None) -> Dataset:
    """Freeze a pandas frame; its index is left out.

    Raises:
        DataRejected: a column has a name twice, or holds values of several types.
        InvalidInput: the frame lacks the column ``target``.

    """
    source = Source(name=name, origin=f"pandas ({len(frame)} rows)", open=lambda _: open_frame(frame))
    return _freeze(ctx, source, name=_named(name), target=target)


def describe(ctx: Context, uri: str) -> Dataset:
    """Return what is known about a frozen table.

    Raises:
        InvalidInput: it is no ``dataset://`` reference.
        UnknownName: no such table is stored here.
        Tampered: the stored table is not the one that was recorded.

    """
    return _recorded(ctx, uri).dataset


def snapshot_of(ctx: Context, uri: str) -> Path:
    """Return the Parquet file behind a reference; its digest is checked when this process meets it first.

    Raises:
        InvalidInput: it is no ``dataset://`` reference.
        UnknownName: no such table is stored here.
        Tampered: the stored table is not the one that was recorded.

    """
    _, digest = _parsed(uri)
    try:
        path = ctx.artifacts.path(digest)
    except UnknownName as error:
        raise UnknownName("dataset", uri, then=THEN) from error
    facts = path.stat()
    seen = (str(path), facts.st_size, facts.st_mtime_ns)
    if seen not in _sound:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise Tampered(f"The stored table {path} no longer has its digest {digest}; it was changed. {THEN}")
            file.seek(0)
            if file.read(4) != b"PAR1":
                raise DataRejected(f"{uri} is a stored file, but not a table.", then=THEN)
        with _lock:
            _sound.add(seen)
    return path


def keep(ctx: Context, writer: Writer, path: Path, *, name: str, source: str, target: str | None) -> Dataset:
    """Store a snapshot that was written from frozen tables, such as the part of a split."""
    writer.close()
    return _store(ctx, path, name=_named(name), source=source, target=target, notes={}, warnings=[])


def _stamp(ctx: Context, source: Source) -> tuple[object, ...] | None:
    return None if source.stamp is None else (str(ctx.settings.home), *source.stamp)


def _seen(ctx: Context, source: Source) -> str | None:
    """Return the reference of a source that this process has frozen and that did not change since."""
    uri = _known.get(_stamp(ctx, source) or ())
    if uri is None:
        return None
    try:
        snapshot_of(ctx, uri)
    except (UnknownName, Tampered):
        return None  # somebody emptied the state home
    return uri


def _freeze(ctx: Context, source: Source, *, name: str, target: str | None) -> Dataset:
    with scratch(ctx) as folder:
        written = write(ctx, source, folder, target=target)
        frozen = _store(
            ctx,
            written.path,
            name=name,
            source=source.origin,
            target=target,
            notes=written.notes,
            warnings=written.warnings,
        )
    stamp = _stamp(ctx, source)
    if stamp is not None:
        with _lock:
            _known[stamp] = frozen.uri
    return frozen


def _store(
    ctx: Context,
    path: Path,
    *,
    name: str,
    source: str,
    target: str | None,
    notes: dict[str, str],
    warnings: list[str],
) -> Dataset:
    profile = profiled(path, target=target, notes=notes, warnings=warnings)
    kept = ctx.artifacts.put(path, name=f"{name}.parquet", media=MEDIA)
    facts = Path(kept.path).stat()
    with _lock:
        _sound.add((kept.path, facts.st_size, facts.st_mtime_ns))
    dataset = _dataset(name, kept.sha256, profile, size=kept.bytes, source=source)
    if target is None and _place(ctx, name, kept.sha256).exists():
        return dataset  # what is recorded may know a target, and stands
    return _remember(ctx, Record(dataset=dataset, notes=notes, warnings=warnings)).dataset


def _recorded(ctx: Context, uri: str) -> Record:
    """Return what was recorded about a frozen table, or what the table itself tells."""
    name, digest = _parsed(uri)
    path = snapshot_of(ctx, uri)
    place = _place(ctx, name, digest)
    ctx.artifacts.refresh(_shared(place), place)
    try:
        record = Record.model_validate_json(place.read_bytes())
        if (record.dataset.name, record.dataset.sha256) == (name, digest):
            return record
    except (FileNotFoundError, ValidationError):
        pass  # never described under this name, or by another version
    dataset = _dataset(name, digest, profiled(path), size=path.stat().st_size, source=uri.strip())
    return _remember(ctx, Record(dataset=dataset, notes={}, warnings=[]))


def _again(ctx: Context, record: Record, *, name: str | None, target: str | None) -> Dataset:
    """Return a frozen table under another name or with another target, without reading its source."""
    dataset = record.dataset
    require_column(target, [column.name for column in dataset.profile.columns])
    new = name or dataset.name
    if target == dataset.profile.target and new == dataset.name:
        return dataset
    profile = dataset.profile
    if target != profile.target:
        path = snapshot_of(ctx, dataset.uri)
        profile = profiled(path, target=target, notes=record.notes, warnings=record.warnings)
    changed = _dataset(new, dataset.sha256, profile, size=dataset.bytes, source=dataset.source)
    if target is None and new == dataset.name:
        return changed  # what is recorded knows a target, and stands
    return _remember(ctx, record.model_copy(update={"dataset": changed})).dataset


def _dataset(name: str, digest: str, profile: Profile, *, size: int, source: str) -> Dataset:
    return Dataset(
        uri=f"dataset://{name}@{digest}",
        name=name,
        sha256=digest,
        rows=profile.rows,
        columns=len(profile.columns),
        bytes=size,
        source=source,
        profile=profile,
    )


def _parsed(uri: str) -> tuple[str, str]:
    found = DATASET.fullmatch(uri.strip())
    if found is None:
        raise InvalidInput("data", f"{uri[:120]!r} is no dataset reference.", then="Its form is dataset://name@digest.")
    return found["name"], found["digest"]


def _place(ctx: Context, name: str, digest: str) -> Path:
    return ctx.settings.home / "datasets" / f"{digest}.{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _shared(place: Path) -> str:
    """Return the name under which other machines find a record."""
    return f"datasets/{place.name}"


def _remember(ctx: Context, record: Record) -> Record:
    """Write a record down, whole or not at all; the last one under a name counts."""
    place = _place(ctx, record.dataset.name, record.dataset.sha256)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(record.model_dump_json())
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    ctx.artifacts.share(_shared(place), place)
    return record


def _named(text: str) -> str:
    """Return the text as the name of a dataset."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:80] or "table"
