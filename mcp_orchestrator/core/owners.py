"""Who works on runs: each process holds a lock on a file of its own.

The kernel releases a lock when its process dies, however it dies, so no clock or heartbeat is needed to know that a
run was cut off.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import IO

if os.name == "posix":
    import fcntl

__all__ = ["Owners"]


class Owners:
    """The processes that work on the runs of a state home."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder`` for the locks; this process is not an owner yet."""
        self._folder = folder
        self._lock: IO[str] | None = None
        self.name = ""

    def enter(self) -> None:
        """Become an owner: hold a lock that ends with this process. What dead ones left is removed."""
        self._folder.mkdir(exist_ok=True, mode=0o700)
        self._tidy()
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        if os.name != "posix":
            self._lock = (self._folder / self.name).open("w")
            return
        hidden = self._folder / f".{self.name}"  # nobody looks for it, or removes it, before it is locked
        self._lock = hidden.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        hidden.rename(self._folder / self.name)

    def leave(self) -> None:
        """Stop being an owner; what is still running can be taken over."""
        if self._lock is not None:
            self._lock.close()
            (self._folder / self.name).unlink(missing_ok=True)
            self._lock = None

    def alive(self, owner: str | None) -> bool:
        """Whether the process behind ``owner`` still lives."""
        if owner is None:
            return False
        try:
            with (self._folder / owner).open("r+") as file:
                if os.name == "posix":
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # who looks does not pass for an owner
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return os.name != "posix"

    def _tidy(self) -> None:
        if os.name == "posix":
            for path in self._folder.glob("[!.]*"):
                if not self.alive(path.name):
                    path.unlink(missing_ok=True)
