"""A model as one file that can be carried to another machine: a zip of the manifest and the files that it names."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

from pydantic import ValidationError

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput, Tampered
from mcp_orchestrator.methods.models.manifests import MANIFEST, MODEL, REFERENCE, Manifest, content, read, resolve
from mcp_orchestrator.methods.models.persistence import LARGEST, loads, pack
from mcp_orchestrator.values import Trained

__all__ = ["open_file", "save"]


def save(ctx: Context, ref: str, path: Path) -> Path:
    """Write a model to ``path``, whole or not at all, and return where it lies.

    Raises:
        UnknownName: there is no such model.
        Tampered: one of its files was changed.
        InvalidInput: the folder does not exist.

    """
    sha256 = resolve(ctx, ref)
    manifest = read(ctx, sha256)
    parts = {MANIFEST: manifest.encoded(), **{name: content(ctx, manifest, name) for name in manifest.files}}
    path = path.absolute()
    if not path.parent.is_dir():
        raise InvalidInput("path", f"there is no folder {path.parent}.", then="Make it first.")
    if path.is_dir():
        raise InvalidInput("path", f"{path} is a folder.", then="Name a file in it.")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pack(parts))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def open_file(ctx: Context, path: Path) -> Trained:
    """Take a model from a file that `save` wrote; nothing is stored before all of it was checked.

    Raises:
        InvalidInput: there is no such file, or it is not a model.
        Tampered: its parts are not the ones that its manifest names, or hold a type that is not allowed.

    """
    parts = _parts(path)
    encoded = parts.pop(MANIFEST)
    try:
        manifest = Manifest.model_validate_json(encoded)
    except ValidationError as error:
        raise InvalidInput("path", f"{path} has no manifest that this version can read.") from error
    for name in {MODEL, *manifest.files, *parts}:
        found = hashlib.sha256(parts[name]).hexdigest() if name in parts else "missing"
        if found != manifest.files.get(name):
            raise Tampered(
                f"{path}: the part {name} is not the one that its manifest names. Get the file again from its source."
            )
    loads(parts[MODEL])
    for name, part in parts.items():
        ctx.artifacts.put(part, name=name)
    sha256 = ctx.artifacts.put(encoded, name=MANIFEST, media="application/json").sha256
    return manifest.trained(sha256)


def _parts(path: Path) -> dict[str, bytes]:
    """Read the known parts of the file; no name in it is ever used as a path."""
    if not path.is_file():
        raise InvalidInput("path", f"there is no file {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            strange = [name for name in names if name not in {MANIFEST, MODEL, REFERENCE}]
            if strange or len(set(names)) != len(names) or MANIFEST not in names:
                problem = f"it holds {strange[0]!r}" if strange else "its parts are not those of a model"
                raise InvalidInput("path", f"{path} is not a saved model: {problem}.")
            if sum(entry.file_size for entry in entries) > LARGEST:
                raise InvalidInput("path", f"{path} unpacks to more than {LARGEST >> 20} MB.")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise InvalidInput("path", f"{path} is not a saved model: {error}") from error
