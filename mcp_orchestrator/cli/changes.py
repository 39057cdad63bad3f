"""A change of a file that belongs to another program: shown before it is made, and made whole, with a backup."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from mcp_orchestrator.errors import NotAllowed, NotReady

__all__ = ["Change", "read"]

SUFFIX = ".before"


@dataclass(frozen=True, slots=True)
class Change:
    """What a file holds (None when there is none), and what it is to hold; both are UTF-8."""

    path: Path
    before: bytes | None
    after: bytes

    @property
    def needed(self) -> bool:
        """Whether it changes anything."""
        return self.after != (self.before or b"")

    def difference(self) -> list[str]:
        """Return the lines of the change as a diff."""
        old, new = ((one or b"").decode("utf-8").splitlines() for one in (self.before, self.after))
        return list(unified_diff(old, new, str(self.path), str(self.path), lineterm=""))

    def make(self) -> Path | None:
        """Make the change, and return the copy of what was there before, if something was.

        The file is exchanged in one go and keeps its permissions; a link to it stays a link.

        Raises:
            NotReady: somebody else has changed the file in the meantime.
            NotAllowed: it cannot be written.

        """
        path, backup = self.path.resolve(), None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if read(path) != self.before:
                raise NotReady(f"{path} was changed by another program just now. Nothing was written; try again.")
            mode = 0o600 if self.before is None else path.stat().st_mode & 0o777
            if self.before is not None:
                backup = _free(path)
                _put(backup, self.before, mode)
            _put(path, self.after, mode)
        except OSError as error:
            if isinstance(error, NotAllowed):
                raise
            raise NotAllowed(f"{path} cannot be written: {error.strerror}. Change that and try again.") from error
        return backup


def read(path: Path) -> bytes | None:
    """Return what a file holds, or None when there is none.

    Raises:
        NotAllowed: it cannot be read.

    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotAllowed(f"{path} cannot be read: {error.strerror}. Change that and try again.") from error


def _put(path: Path, content: bytes, mode: int) -> None:
    """Write a file, whole or not at all, and at no moment for other eyes than it is meant for."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _free(path: Path) -> Path:
    """Return a name beside a file that nothing has yet."""
    number, one = 1, path.with_name(path.name + SUFFIX)
    while one.exists():
        number += 1
        one = path.with_name(f"{path.name}{SUFFIX}-{number}")
    return one
