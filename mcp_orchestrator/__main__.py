"""The command. ``serve`` on stdio starts without what the other commands need, since a client waits for it."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

BACKGROUND = ["host", "run", "--background"]  # how a front starts the host: then the project, and where to say why not


def main() -> None:
    """Run the command line of this process."""
    arguments = sys.argv[1:]
    if (given := _thin(arguments)) is not None:
        from mcp_orchestrator.host.front import serve  # noqa: PLC0415 - only one of the two is needed

        serve(given[0] or None, read_only=given[1])
    if arguments[:3] == BACKGROUND and len(arguments) == len(BACKGROUND) + 2:
        from mcp_orchestrator.host.begin import background  # noqa: PLC0415

        background(arguments[-2], int(arguments[-1]))
        return
    from mcp_orchestrator.cli.main import main as command  # noqa: PLC0415

    command(prog_name="mcp-orchestrator")


def _thin(arguments: list[str]) -> tuple[str, bool] | None:
    """Return the project (empty for none) and whether to read alone, if the front is all that is asked for."""
    project, served, read_only, rest = "", False, False, list(arguments)
    while rest:
        one = rest.pop(0)
        if one == "serve" and not served:
            served = True
        elif one == "--read-only" and served:
            read_only = True
        elif one == "--project" and rest and os.path.isdir(rest[0]):  # noqa: PTH112 - pathlib costs too much here
            project = rest.pop(0)
        else:
            return None
    thin = served and os.name == "posix" and "_MCP_ORCHESTRATOR_COMPLETE" not in os.environ
    return (project, read_only) if thin else None


if __name__ == "__main__":
    main()
