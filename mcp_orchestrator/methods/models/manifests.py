"""What a stored model consists of: files by digest, and the facts about it. Its own digest is the model's identity."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput, Tampered, UnknownName
from mcp_orchestrator.tracking.deletions import deletions, refuse
from mcp_orchestrator.tracking.versions import DATABASE, Version, Versions
from mcp_orchestrator.values import Trained, Value

__all__ = [
    "MANIFEST",
    "MODEL",
    "REFERENCE",
    "FileState",
    "Manifest",
    "Verified",
    "content",
    "describe",
    "inspect",
    "read",
    "resolve",
    "verified",
]

MANIFEST, MODEL, REFERENCE = "manifest.json", "model.skops", "reference.parquet"
URI = re.compile(r"model://(?P<sha256>[0-9a-f]{64})")


class Manifest(Value):
    """The files of a model and what is known about it; equal models have equal manifests."""

    format: Literal[1] = 1
    files: dict[str, str]
    bytes: int
    estimator: str
    task: Literal["classification", "regression"]
    target: str
    features: list[dict[str, Any]]
    classes: list[Any]
    libraries: dict[str, str]
    facts: dict[str, Any]

    def encoded(self) -> bytes:
        """Return the canonical bytes, whose SHA-256 names the model."""
        fields = self.model_dump(mode="json")
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    def trained(self, sha256: str) -> Trained:
        """Return the reference that travels."""
        return Trained(
            uri=f"model://{sha256}",
            sha256=sha256,
            bytes=self.bytes,
            estimator=self.estimator,
            task=self.task,
            target=self.target,
            features=[str(feature["name"]) for feature in self.features],
            classes=self.classes,
        )


class FileState(Value):
    """Whether a file of a model still has its recorded digest."""

    name: str
    sha256: str
    state: Literal["intact", "changed", "missing"]


class Verified(Value):
    """Whether every file of a version still has its recorded digest."""

    name: str
    version: int
    uri: str
    intact: bool
    differing: list[str]
    files: list[FileState]


def resolve(ctx: Context, ref: str) -> str:
    """Return the digest that a reference to a model stands for.

    Raises:
        UnknownName: no such model is registered.

    """
    match = URI.fullmatch(ref)
    if match:
        return match["sha256"]
    with Versions(ctx.settings.home) as versions:
        return versions.get(ref).sha256


def read(ctx: Context, sha256: str) -> Manifest:
    """Return the manifest with that digest.

    Raises:
        UnknownName: no such model is stored here; `Deleted` where it was deleted.
        Tampered: it was changed.
        InvalidInput: the digest belongs to something else.

    """
    try:
        place = ctx.artifacts.path(sha256)
    except UnknownName as error:
        _deleted(ctx, sha256)
        raise UnknownName(
            "model", f"model://{sha256}", then="It is not in this state home; train again, or load its file."
        ) from error
    encoded = _checked(place, sha256, MANIFEST)
    try:
        return Manifest.model_validate_json(encoded)
    except ValidationError as error:
        raise InvalidInput("model", f"artifact://{sha256} is stored, but it is not a model.") from error


def _deleted(ctx: Context, sha256: str) -> None:
    """Say of a model that is missing that its version was deleted, where it was."""
    if (ctx.settings.home / DATABASE).exists():
        with Versions(ctx.settings.home) as versions:
            db = versions.door.read()
            if gone := deletions(db, sha256=sha256):
                refuse(db, gone[-1])


def content(ctx: Context, manifest: Manifest, name: str) -> bytes:
    """Return the bytes of one file of a model, after checking them.

    Raises:
        Tampered: the file was changed or removed.

    """
    try:
        place = ctx.artifacts.path(manifest.files[name])
    except UnknownName as error:
        raise Tampered(f"The file {name} of the model is missing from the state home. Train again.") from error
    return _checked(place, manifest.files[name], name)


def describe(ctx: Context, ref: str) -> Trained:
    """Return what is known about a model without loading it.

    Raises:
        UnknownName: there is no such model.
        Tampered: its manifest was changed.

    """
    sha256 = resolve(ctx, ref)
    return read(ctx, sha256).trained(sha256)


def inspect(ctx: Context, sha256: str) -> list[FileState]:
    """Compute the digests of all files of a model again and say which of them still is what was recorded.

    Raises:
        UnknownName: no such model is stored here.

    """
    manifest = FileState(name=MANIFEST, sha256=sha256, state=_state(ctx, sha256))
    if manifest.state != "intact":
        return [manifest]
    files = read(ctx, sha256).files
    return [manifest, *(FileState(name=name, sha256=file, state=_state(ctx, file)) for name, file in files.items())]


def verified(ctx: Context, version: Version) -> Verified:
    """Compute the digests of all files of a registered version again, and say which differ.

    Raises:
        UnknownName: no such model is stored here.

    """
    files = inspect(ctx, version.sha256)
    differing = [file.name for file in files if file.state != "intact"]
    about = version.model_dump(include={"name", "version", "uri"})
    return Verified(**about, intact=not differing, differing=differing, files=files)


def _state(ctx: Context, sha256: str) -> Literal["intact", "changed", "missing"]:
    try:
        place = ctx.artifacts.path(sha256)
    except UnknownName:
        return "missing"
    with place.open("rb") as file:
        return "intact" if hashlib.file_digest(file, "sha256").hexdigest() == sha256 else "changed"


def _checked(place: Path, sha256: str, name: str) -> bytes:
    found = place.read_bytes()
    if hashlib.sha256(found).hexdigest() != sha256:
        raise Tampered(
            f"The file {name} of the model no longer has its recorded digest {sha256}: it was changed. Train again."
        )
    return found
