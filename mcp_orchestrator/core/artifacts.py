"""Files under the SHA-256 of their bytes: written whole, never changed, checked when it matters."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from mcp_orchestrator.errors import Tampered, UnknownName
from mcp_orchestrator.values import Artifact

__all__ = ["ArtifactStore", "sha256_of"]


class ArtifactStore:
    """A folder of content-addressed files."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made on the first write."""
        self.folder = folder

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

        """
        place = self._place(sha256)
        if not place.is_file():
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

    def apart(self, folder: Path) -> ArtifactStore:
        """Return a store in another folder."""
        return ArtifactStore(folder)

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
