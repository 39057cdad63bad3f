"""The skills that come with us, as clients load them (`io.modelcontextprotocol/skills`, SEP-2640).

``skills/list`` and ``skills/get`` tell of each its header and the digest and size of each of its files, which are read
as ``skill://NAME/...``. All is read from the files when it is asked for; in both eras, though only the newer one says
which extensions there are.
"""

from __future__ import annotations

import hashlib
import logging
import mimetypes
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resources import FunctionResource
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PaginatedRequestParams, RequestParams

from mcp_orchestrator.definitions import FENCE, HERE
from mcp_orchestrator.errors import NotReady

__all__ = ["IDENTIFIER", "Skills", "publish", "skills", "text"]

IDENTIFIER = "io.modelcontextprotocol/skills"
PLACES = (HERE / "skills", HERE.parent / "skills")
MAIN = "SKILL.md"
KEPT_FOR = {"ttlMs": 60_000, "cacheScope": "public"}
"""How long who asked may take an answer for true, and that it is the same for everybody."""


class SkillParams(RequestParams):
    """Which skill is asked for: the address of its main file."""

    uri: str


class Skills(Extension):
    """The methods that list skills; their files are resources of the server."""

    identifier = IDENTIFIER

    def methods(self) -> Sequence[MethodBinding]:
        """Return the methods, which both eras have."""
        return [
            MethodBinding("skills/list", PaginatedRequestParams, _list),
            MethodBinding("skills/get", SkillParams, _get),
        ]


def skills() -> dict[str, Path]:
    """Return the folders of the skills by their names; none where an installation has lost them."""
    folder = next((one for one in PLACES if one.is_dir()), None)
    found = sorted(folder.glob(f"*/{MAIN}")) if folder else []
    return {path.parent.name: path.parent for path in found}


def publish(server: MCPServer[Any]) -> None:
    """Add the files of the skills to a server; an installation without them has none, and the log says so."""
    known = skills()
    if not known:
        logging.getLogger(__name__).warning("skills are not offered: their files are missing below %s", HERE)
    for name, folder in known.items():
        told = header(folder / MAIN)
        for path in _files(folder):
            main = path == folder / MAIN
            server.add_resource(
                FunctionResource(
                    uri=_address(name, folder, path),
                    name=told["name"] if main else f"{name}/{path.relative_to(folder).as_posix()}",
                    description=told["description"] if main else f"A part of the skill {name}.",
                    mime_type="text/markdown"
                    if path.suffix == ".md"
                    else mimetypes.guess_type(path)[0] or "text/plain",
                    fn=partial(_content, path),
                )
            )


def text(name: str) -> str:
    """Return what a skill says: its main file without the header.

    Raises:
        NotReady: the installation has lost its files.

    """
    folder = skills().get(name)
    if folder is None:
        raise NotReady(f"The skill {name} is missing below {HERE}. Install mcp-ml-orchestrator again.")
    return (folder / MAIN).read_text("utf-8").split(f"\n{FENCE}\n", 1)[1].strip() + "\n"


def header(path: Path) -> dict[str, str]:
    """Return the header of a skill, which has a key a line."""
    lines = path.read_text("utf-8").split(f"\n{FENCE}\n", 1)[0].splitlines()[1:]
    return {key: value.strip() for key, _, value in (line.partition(": ") for line in lines)}


async def _list(_ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams) -> dict[str, Any]:
    if params.cursor:
        raise MCPError(INVALID_PARAMS, "cursor: all skills are in one page; ask without it.")
    found = await to_thread.run_sync(lambda: [_entry(name, folder) for name, folder in skills().items()])
    return {"resultType": "complete", "skills": found, **KEPT_FOR}


async def _get(_ctx: ServerRequestContext[Any, Any], params: SkillParams) -> dict[str, Any]:
    known = {_address(name, folder, folder / MAIN): (name, folder) for name, folder in skills().items()}
    if params.uri not in known:
        raise MCPError(INVALID_PARAMS, f"There is no skill {params.uri!r}. Known: {', '.join(known)}.")
    return {"resultType": "complete", "skill": await to_thread.run_sync(_entry, *known[params.uri]), **KEPT_FOR}


def _entry(name: str, folder: Path) -> dict[str, Any]:
    files = [(_address(name, folder, path), path.read_bytes()) for path in _files(folder)]
    return {
        "uri": _address(name, folder, folder / MAIN),
        "frontmatter": header(folder / MAIN),
        "resources": [
            {"uri": uri, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}
            for uri, content in files
        ],
    }


def _files(folder: Path) -> list[Path]:
    return [one for one in sorted(folder.rglob("*")) if one.is_file() and not one.name.startswith(".")]


def _address(name: str, folder: Path, path: Path) -> str:
    return f"skill://{name}/{path.relative_to(folder).as_posix()}"


def _content(path: Path) -> str | bytes:
    content = path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
