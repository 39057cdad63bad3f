"""Where the memory of a project lies: where the orchestrator keeps it, found from any folder of the project."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator_memory.errors import Refused

__all__ = ["FILE", "HOME", "Home", "home_of"]

FILE, HOME, SETTINGS = "memory.db", ".mcp-orchestrator", "orchestrator.toml"
PREFIX = "MCP_ORCHESTRATOR_"
MARKS = (HOME, SETTINGS, ".claude/memory", ".git")
"""What a project folder has one of."""


class Home(NamedTuple):
    """A project folder, and the file of its memory; ``anywhere``: it may lie on a network file system."""

    project: Path
    path: Path
    anywhere: bool = False


def home_of(folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Home:
    """Return the home of the project that ``folder`` (default: the working folder) belongs to.

    The project folder is the nearest one upwards that has the state, the settings, ``.claude/memory`` or a repository,
    else the folder itself. ``MCP_ORCHESTRATOR_PROJECT``, ``_HOME`` and ``_NETWORK_HOME`` in the environment go before
    ``orchestrator.toml``.

    Raises:
        Refused: ``orchestrator.toml`` cannot be read.

    """
    named = environment.get(f"{PREFIX}PROJECT") if folder is None else None
    start = Path(named or folder or Path.cwd()).resolve()
    project = start if named else _project(start)
    settings = _settings(project / SETTINGS)
    home = environment.get(f"{PREFIX}HOME") or str(settings.get("home") or HOME)
    anywhere = environment.get(f"{PREFIX}NETWORK_HOME") or str(settings.get("network_home", ""))
    return Home(project, project / home / FILE, anywhere.lower() in {"1", "true", "yes", "on", "t", "y"})


def _project(start: Path) -> Path:
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in MARKS):
            return folder
    return start


def _settings(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Refused(str(path), f"cannot be read: {error}.") from error
