"""A lock on a file that the kernel releases when its process dies, however it dies: no clock, no heartbeat, no pid."""

from __future__ import annotations

import os
from pathlib import Path

if os.name == "posix":
    import fcntl
else:  # pragma: no cover - Windows
    import msvcrt

__all__ = ["FileLock"]


class FileLock:
    """One holder at a time, over all processes and over all locks of one process.

    The file may hold a short text about the holder; the text of a dead one stays, and so does the file.
    """

    def __init__(self, path: Path, *, often: bool = False) -> None:
        """Take the file's path; it is made, for its owner only, when the lock is first taken.

        A lock that is taken ``often`` keeps its file open in between.
        """
        self.path = path
        self._handle: int | None = None
        self._often = often
        self._spare: int | None = None

    @property
    def held(self) -> bool:
        """Whether this lock is held here."""
        return self._handle is not None

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without ``wait``, return False at once when somebody else has it."""
        handle, self._spare = self._spare, None
        if handle is None:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.name == "posix":
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:  # pragma: no cover - Windows
                msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except BaseException as error:
            os.close(handle)
            if isinstance(error, BlockingIOError | PermissionError) and not wait:
                return False
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        """Let the lock go; without holding it, this does nothing."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            if self._often and os.name == "posix":
                fcntl.flock(handle, fcntl.LOCK_UN)
                self._spare = handle
            else:
                os.close(handle)

    def close(self) -> None:
        """Let the lock go, and its file."""
        self.release()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def taken(self) -> bool:
        """Whether anybody holds it, without standing in the way of one who waits for it for longer than the look."""
        if self.held:
            return True
        try:
            handle = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            if os.name == "posix":
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            else:  # pragma: no cover - Windows
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except (BlockingIOError, PermissionError):
            return True
        else:
            return False
        finally:
            os.close(handle)

    def write(self, text: str) -> None:
        """Say something about the holder, in one write, so that a reader sees all of it or what was there before."""
        if self._handle is None:
            message = f"{self.path} is written only by who holds it."
            raise RuntimeError(message)
        os.pwrite(self._handle, text.encode().ljust(_ROOM), 0)

    def read(self) -> str:
        """Return what the last holder said; nothing when there was none."""
        try:
            return self.path.read_text("utf-8").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return ""


_ROOM = 512
