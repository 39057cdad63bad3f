"""The file by which ``from memory_manager import ...`` finds the memory, as the mission's agents write it."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator_memory.errors import Refused

__all__ = ["CONTENT", "PLACE", "install"]

PLACE = Path(".claude") / "memory" / "memory_manager.py"
CONTENT = '''"""The memory of this project's agents; it is kept in .mcp-orchestrator/memory.db."""

try:
    from orchestrator_memory.memory_manager import *  # noqa: F403
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error}. The memory is a package that this Python ({__import__('sys').executable}) does not have: "
        "python -m pip install mcp-ml-orchestrator"
    ) from error
'''


def install(project: Path, *, force: bool = False) -> Path:
    """Write ``.claude/memory/memory_manager.py`` into a project folder, and return where it is.

    It holds no path of this machine: it may be committed. Where it stands already, it is left.

    Raises:
        Refused: another file of that name is there; with ``force`` it is kept as ``memory_manager.py.before``.

    """
    path = project / PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        if path.read_text("utf-8", errors="replace") == CONTENT:
            return path
        if not force:
            raise Refused(str(path), "is another memory manager.", then="Use force to put ours in its place.")
        path.replace(path.with_name(path.name + ".before"))
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(CONTENT, "utf-8")
    fresh.replace(path)
    return path
