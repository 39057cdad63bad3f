"""The programs that agents live in: where each keeps the servers that it starts, and how it is told of us.

Places are the ones that their makers document, for Linux, macOS and Windows.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal, cast

from mcp_orchestrator.errors import InvalidInput, NotReady

__all__ = ["CLIENTS", "KEY", "Client", "Scope", "command", "ours"]

Scope = Literal["user", "project"]

KEY = "ml"  # names of tools begin with it, and the agents that come with us list them so
COMMAND, DISTRIBUTION, MODULE = "mcp-orchestrator", "mcp-ml-orchestrator", "mcp_orchestrator"
PASSING = "archive-v0"  # where in its cache uv keeps environments that it may remove


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its files of servers and the section in them; ``then`` says what to do in it afterwards.

    The file of the user stands below ``base``: the home, or the folder of applications' settings.
    """

    title: str
    base: Literal["home", "claude", "applications"]
    user: str
    project: str
    then: str
    section: str = "mcpServers"
    typed: bool = True

    @property
    def scope(self) -> Scope:
        """The scope that is meant when none is named: a project, where the client knows projects."""
        return "project" if self.project else "user"

    def place(
        self,
        scope: Scope,
        project: Path,
        *,
        system: str | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> Path:
        """Return the file of servers, on this system or on one that is named as `sys.platform` does.

        Raises:
            InvalidInput: the client keeps no servers of a project.
            NotReady: the environment does not say where the user's files are.

        """
        if scope == "project":
            if not self.project:
                raise InvalidInput("--scope", f"{self.title} keeps no servers of a project.", allowed=["user"])
            return project / self.project
        system = system or sys.platform
        home = _folder(environment, "USERPROFILE" if system == "win32" else "HOME")
        if self.base == "claude":
            home = Path(environment.get("CLAUDE_CONFIG_DIR") or home)
        if self.base == "applications":
            home = _applications(system, home, environment)
        return home / self.user

    def entry(self, words: list[str]) -> dict[str, Any]:
        """Return the entry for a command that speaks MCP over stdin and stdout."""
        return {**({"type": "stdio"} if self.typed else {}), "command": words[0], "args": words[1:]}


CLIENTS = {
    "claude-code": Client(
        "Claude Code",
        "claude",
        ".claude.json",
        ".mcp.json",
        "Claude Code shows the server under /mcp; in a project, it asks once whether its servers may be used.",
    ),
    "claude-desktop": Client(
        "Claude Desktop",
        "applications",
        "Claude/claude_desktop_config.json",
        "",
        "Quit Claude Desktop and start it again.",
        typed=False,
    ),
    "cursor": Client(
        "Cursor",
        "home",
        ".cursor/mcp.json",
        ".cursor/mcp.json",
        "Cursor shows the server in its settings, under MCP; switch it on there.",
    ),
    "vscode": Client(
        "VS Code",
        "applications",
        "Code/User/mcp.json",
        ".vscode/mcp.json",
        "In VS Code, MCP: List Servers shows the server; start it there.",
        section="servers",
    ),
}


def command(project: Path, *, uvx: bool = False) -> list[str]:
    """Return the command that serves a project: that of this installation, or, with ``uvx``, one from the index.

    Raises:
        NotReady: this installation has no command that will still be there tomorrow.

    """
    served = ["serve", "--project", str(project)]
    if uvx:
        return ["uvx", "--from", DISTRIBUTION, COMMAND, *served]
    if PASSING in Path(sys.prefix).parts:
        raise NotReady(f"{sys.prefix} is an environment that uv may remove at any time. Add --uvx.")
    folders = (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
    names = [Path(folder, name) for folder in folders for name in (COMMAND, f"{COMMAND}.exe")]
    found = next((one for one in names if one.is_file()), None)
    if found is None:
        places = " and ".join(dict.fromkeys(folders))
        raise NotReady(f"There is no command {COMMAND} in {places}. Install {DISTRIBUTION}, or add --uvx.")
    return [str(found), *served]


def ours(entry: object) -> bool:
    """Whether an entry starts this server, however it was installed."""
    if not isinstance(entry, dict):
        return False
    fields = cast("dict[str, Any]", entry)
    words = [fields.get("command"), *cast("list[object]", fields.get("args") or [])]
    names = {PureWindowsPath(word).stem for word in words if isinstance(word, str)}  # which knows both separators
    return "serve" in names and not names.isdisjoint({COMMAND, DISTRIBUTION, MODULE})


def _applications(system: str, home: Path, environment: Mapping[str, str]) -> Path:
    """Return the folder in which applications of a user keep their settings."""
    if system == "win32":
        return _folder(environment, "APPDATA")
    if system == "darwin":
        return home / "Library" / "Application Support"
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config")


def _folder(environment: Mapping[str, str], variable: str) -> Path:
    if not environment.get(variable):
        raise NotReady(f"The environment has no {variable}, below which the client's file is. Set it and try again.")
    return Path(environment[variable])
