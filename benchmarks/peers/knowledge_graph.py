"""The knowledge-graph memory server of the protocol's own collection, which `memory.py` compares the memory with.

npm puts it into ``.venv-knowledge-graph`` on the first call. Its graph is one file of JSON lines, which is written here
as the server itself would have written it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from mcp import StdioServerParameters

__all__ = ["entity", "server"]

FOLDER = Path(__file__).parents[2] / ".venv-knowledge-graph"
PACKAGE = "@modelcontextprotocol/server-memory@2026.8.31"


def entity(number: int, text: str) -> dict[str, object]:
    """Return something worth knowing in its form."""
    return {"name": f"finding {number}", "entityType": "insight", "observations": [text]}


def server(folder: Path, texts: Iterable[str]) -> StdioServerParameters:
    """Return how to start it on a graph that has an entity for each text."""
    if not (FOLDER / "ready").exists():
        FOLDER.mkdir(exist_ok=True)
        subprocess.run(
            ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", FOLDER, PACKAGE], check=True
        )
        (FOLDER / "ready").touch()
    graph = folder / "graph.jsonl"
    lines = (json.dumps({"type": "entity", **entity(number, text)}) for number, text in enumerate(texts))
    graph.write_text("\n".join(lines), "utf-8")
    command = FOLDER / "node_modules" / ".bin" / "mcp-server-memory"
    return StdioServerParameters(command=str(command), env={**os.environ, "MEMORY_FILE_PATH": str(graph)}, cwd=folder)
