"""Lines of bytes over a Unix socket, for an event loop: what all conversations on this machine are made of."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import sys
from collections.abc import Generator
from pathlib import Path

import anyio

__all__ = ["Lines", "accepted", "bound", "connected", "stranger"]

LONGEST = 256 * 1024**2
PART = 1 << 18


class Lines:
    """A connection whose messages end with a newline; one task may receive while others send."""

    def __init__(self, connection: socket.socket) -> None:
        """Take a connected socket."""
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._connection = connection
        self._rest = bytearray()
        self._sending = anyio.Lock()

    async def send(self, data: bytes) -> None:
        """Send a message whole; its newline is added. Half a message ends the connection: nothing can follow it.

        Raises:
            ConnectionError: the other side is gone.

        """
        left = memoryview(data + b"\n")
        async with self._sending:
            try:
                while left:
                    try:
                        left = left[self._connection.send(left) :]
                    except BlockingIOError:
                        with _ending():
                            await anyio.wait_writable(self._connection)
                    except OSError as error:
                        raise ConnectionResetError(str(error)) from error
            finally:
                if 0 < len(left) <= len(data):
                    self.close()

    async def receive(self) -> bytes | None:
        """Return the next message without its newline, or None when the other side is gone."""
        looked = 0
        while (end := self._rest.find(b"\n", looked)) < 0:
            looked = len(self._rest)
            if looked > LONGEST:
                return None
            try:
                part = self._connection.recv(PART)
            except BlockingIOError:
                try:
                    await anyio.wait_readable(self._connection)
                except (anyio.ClosedResourceError, OSError):
                    return None
                continue
            except OSError:
                return None
            if not part:
                return None
            self._rest += part
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def close(self) -> None:
        """Close the connection; who waits for it is told."""
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # closed already, or no event loop runs
            anyio.notify_closing(self._connection)
        self._connection.close()


def bound(path: str) -> socket.socket:
    """Return a socket that listens at ``path``, for this user alone; one that a dead process left there is removed.

    Only who holds the lock that belongs to the socket may call this.
    """
    place = Path(path)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(place.lstat().st_mode):
            message = f"{path} is in the way: it is no socket. Remove it."
            raise FileExistsError(message)
        place.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def connected(path: str) -> Lines:
    """Return a connection to the socket at ``path``.

    Raises:
        OSError: nobody listens there (FileNotFoundError, ConnectionRefusedError), or it is another user's.

    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return Lines(connection)


async def accepted(listener: socket.socket) -> socket.socket:
    """Return the next connection to a listening socket."""
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    while True:
        try:
            return listener.accept()[0]
        except BlockingIOError:
            await anyio.wait_readable(listener)
        except ConnectionError:  # it went away before it was met
            continue


def stranger(connection: socket.socket) -> int | None:
    """Return the user id of the other side if it is neither this user nor root; None where it cannot be told."""
    if sys.platform != "linux":
        return None
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return None if user in {0, os.getuid()} else user


@contextlib.contextmanager
def _ending() -> Generator[None]:
    try:
        yield
    except (anyio.ClosedResourceError, OSError) as error:
        raise ConnectionResetError(str(error) or "closed here") from error
