"""Files under the SHA-256 of their bytes: written whole, never changed, checked when it matters.

Where several machines work, each has a folder of its own, and what one stores goes to a shared store as well; what
is missing in a folder is brought from there, and its digest is checked on the way.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from mcp_orchestrator.core.shared import Shared, shared_at
from mcp_orchestrator.errors import Tampered, UnknownName
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import Artifact

__all__ = ["ArtifactStore", "sha256_of"]

DIGITS = 64


class ArtifactStore:
    """A folder of content-addressed files, and, where there is one, the store that it shares with others."""

    def __init__(self, folder: Path, shared: Shared | None = None) -> None:
        """Use ``folder``, which is made on the first write."""
        self.folder, self._shared = folder, shared

    @classmethod
    def of(cls, settings: Settings) -> ArtifactStore:
        """Return the store of a state home, with the shared one of the setting ``artifacts``.

        Raises:
            InvalidInput: the setting is no address of a store.
            MissingLibrary: the library for such addresses is not installed.

        """
        return cls(settings.home / "artifacts", shared_at(settings.artifacts) if settings.artifacts else None)

    def put(self, content: bytes | Path, *, name: str, media: str = "application/octet-stream") -> Artifact:
        """Store bytes, or a copy of the file at a path, and return the reference.

        The file appears under its digest only when it is complete and on the disk.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as file:
                if isinstance(content, Path):
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            digest = sha256_of(Path(temporary))
            final = self._place(digest)
            final.parent.mkdir(exist_ok=True, mode=0o700)
            if self._shared is not None:
                self._shared.put(Path(temporary), _name(digest))
            Path(temporary).replace(final)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return Artifact(
            uri=f"artifact://{digest}",
            name=name,
            sha256=digest,
            bytes=final.stat().st_size,
            media=media,
            path=str(final),
        )

    def path(self, sha256: str) -> Path:
        """Return where the bytes lie.

        Raises:
            UnknownName: nothing is stored under that digest.
            Tampered: what the shared store holds under that digest are other bytes.

        """
        place = self._place(sha256)
        if not place.is_file() and not self._brought(sha256):
            raise UnknownName("artifact", sha256, then="It may have been removed from the state home.")
        return place

    def verified(self, sha256: str) -> Path:
        """Return where the bytes lie, after checking that they still are the recorded ones.

        Raises:
            Tampered: the bytes changed since they were stored.

        """
        place = self.path(sha256)
        if sha256_of(place) != sha256:
            message = (
                f"The stored file {place} no longer has its recorded digest {sha256}; it was changed. Train again."
            )
            raise Tampered(message)
        return place

    def files(self) -> Iterator[Path]:
        """Give the files that lie here, in no order; what the shared store holds besides is not among them."""
        return (place for place in self.folder.glob("[0-9a-f][0-9a-f]/*") if len(place.name) == DIGITS)

    def remove(self, sha256: str, *, since: int) -> int | None:
        """Remove bytes here unless they were stored again ``since`` (microseconds UTC).

        Returns how many they were, 0 where nothing lay, and None where they stay. Who stores the same bytes meanwhile
        does not lose them: they are put aside first, and looked at then. What is not what its digest says is removed in
        any case. Only one at a time may remove.
        """
        place = self._place(sha256)
        aside = place.with_name(f".gone-{sha256}")
        try:
            place.replace(aside)
        except FileNotFoundError:
            if not aside.exists():  # else it was put aside by somebody who died then
                return 0
        found = aside.stat()
        if found.st_mtime_ns // 1000 > since and sha256_of(aside) == sha256:
            aside.replace(place)
            return None
        aside.unlink()
        return found.st_size

    def apart(self, folder: Path) -> ArtifactStore:
        """Return a store in another folder."""
        return ArtifactStore(folder)

    def share(self, name: str, path: Path) -> None:
        """Give a small file, which may change, to the other machines under ``name``; alone, do nothing."""
        if self._shared is not None:
            self._shared.put(path, name, again=True)

    def refresh(self, name: str, path: Path) -> None:
        """Bring the file that was shared under ``name`` to ``path``, if there is one; alone, do nothing."""
        if self._shared is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _whole(path) as part:
                if self._shared.get(name, part):
                    part.replace(path)

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def _brought(self, sha256: str) -> bool:
        """Bring a file from the shared store; return whether it was there."""
        if self._shared is None:
            return False
        place = self._place(sha256)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _whole(place) as part:
            if not self._shared.get(_name(sha256), part):
                return False
            if sha256_of(part) != sha256:
                where = f"What {self._shared.url} holds as {sha256}"
                raise Tampered(f"{where} has another digest; it was changed, or not written whole. Train again.")
            part.replace(place)
        return True


@contextmanager
def _whole(path: Path) -> Generator[Path]:
    """Give a temporary name beside ``path``, which is gone afterwards."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    os.close(handle)
    try:
        yield Path(temporary)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _name(sha256: str) -> str:
    return f"artifacts/{sha256[:2]}/{sha256}"


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
