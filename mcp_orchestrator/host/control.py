"""Asking the host of a state home about itself, and to stop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from mcp_orchestrator.core.address import address
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.link import Hello, Link
from mcp_orchestrator.host.reach import SOCKET
from mcp_orchestrator.release import version

__all__ = ["ask", "stop"]

LOOK_EVERY = 0.01


async def ask(home: Path, verb: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the host answers, with ``running``; where there is none, only that."""
    try:
        async with Link.opened(address(str(home), SOCKET), Hello(kind="control", version=version())) as link:
            return {"running": True, **await link.ask(verb, params or {})}
    except (FileNotFoundError, ConnectionError):
        return {"running": False, "home": str(home)}


async def stop(home: Path, *, drain: bool = False) -> bool:
    """Stop the host and return when it is gone, with ``drain`` once its runs have ended; say whether there was one."""
    lock = Leadership(home, "host")
    before = lock.leader()
    if not (await ask(home, "stop", {"drain": drain}))["running"]:
        return False
    while (now := lock.leader()) is not None and now == before:  # noqa: ASYNC110 - another process
        await anyio.sleep(LOOK_EVERY)
    return True
