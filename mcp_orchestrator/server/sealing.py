"""The key that seals what a client keeps between two parts of a call, so that another process can go on with it.

It lies in the state home, where only its owner can read it, and is made and read when it is first needed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.request_state import AESGCMRequestStateCodec, RequestStateBoundary, RequestStateSecurity

from mcp_orchestrator.errors import NotAllowed

__all__ = ["FILE", "Kept", "keep", "secret"]

FILE = "request-state.key"
LONG = 32


class Kept:
    """The SDK's way of sealing, with the key of a state home."""

    def __init__(self, home: Path) -> None:
        """Take the state home; nothing is read yet."""
        self._home = home
        self._codec: AESGCMRequestStateCodec | None = None

    def seal(self, payload: bytes) -> str:
        """Return a text for the client that says nothing to it.

        Raises:
            NotAllowed: others can read the key.

        """
        return self._known().seal(payload)

    def unseal(self, token: str) -> bytes:
        """Return what was sealed.

        Raises:
            InvalidRequestState: it was not sealed with this key, or was changed.
            NotAllowed: others can read the key.

        """
        return self._known().unseal(token)

    def _known(self) -> AESGCMRequestStateCodec:
        if self._codec is None:
            self._codec = AESGCMRequestStateCodec([secret(self._home)])
        return self._codec


def keep(server: MCPServer[Any], home: Path) -> None:
    """Have a server seal with the key of a state home instead of one of its process."""
    boundary = RequestStateBoundary(RequestStateSecurity(codec=Kept(home)), default_audience=server.name)
    ours = server.middleware
    ours[:] = [boundary if isinstance(one, RequestStateBoundary) else one for one in ours]


def secret(home: Path) -> bytes:
    """Return the 32 random bytes of a state home, which all its processes share; the first one makes them.

    Raises:
        NotAllowed: others can read them.

    """
    place = home / FILE
    if not place.exists():
        beside = home / f".{FILE}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(LONG))
        with contextlib.suppress(FileExistsError):  # another process was faster: its key counts
            os.link(beside, place)
        beside.unlink()
    with place.open("rb") as file:
        if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            message = (
                f"{place}: others can read the key. Remove it; a new one is made, and open questions are asked anew."
            )
            raise NotAllowed(message)
        known = file.read()
    if len(known) < LONG:
        message = f"{place} holds no key. Remove it; a new one is made, and open questions are asked anew."
        raise NotAllowed(message)
    return known
