"""The agents that come with us: listed, shown, and copied to where a client finds them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Literal

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.screen import document, heading, note, table
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.definitions import Agent, agent
from mcp_orchestrator.definitions import agents as known
from mcp_orchestrator.errors import NotAllowed

__all__ = ["agents"]

FOLDER = Path(".claude", "agents")
State = Literal["missing", "same", "changed"]


@dataclass(frozen=True, slots=True)
class Copy:
    """An agent and the file that it is copied to."""

    agent: Agent
    path: Path
    state: State

    def action(self, *, force: bool) -> str:
        """Say what installing does to the file."""
        return {"missing": "add", "same": "none", "changed": "replace" if force else "keep"}[self.state]


@click.group()
def agents() -> None:
    """List, show or install the agents that come with us.

    An agent is a Markdown file: when to use it, with which tools, and how it works. Clients without agents of their own
    get the same as MCP prompts.
    """


@agents.command("list", cls=Printing)
@session
def listed(session: Session) -> None:
    """List the agents: when to use each, and whether the project has it."""
    folder = session.settings().project / FOLDER
    found = [_copy(one, folder) for one in known().values()]
    if session.json:
        document([{**_line(one.agent), "installed": one.state} for one in found])
        return
    table(
        ("agent", "in the project", "when to use it"), [[one.agent.name, one.state, one.agent.summary] for one in found]
    )
    note("mcp-orchestrator agents show NAME; mcp-orchestrator agents install [NAME...]")


@agents.command(cls=Printing)
@click.argument("name", shell_complete=completion.agents)
@session
def show(session: Session, name: str) -> None:
    """Print the file of an agent.

    `mcp-orchestrator agents show ml-orchestrator > mine.md` begins one of your own.
    """
    one = agent(name)
    if session.json:
        document({**_line(one), "tools": one.tools, "text": one.text()})
    else:
        click.echo(one.path.read_text("utf-8"), nl=False)


@agents.command(cls=Printing)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.agents)
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to copy into; .claude/agents of the project by default.",
)
@click.option("--force", is_flag=True, help="Replace files that differ from ours.")
@click.option("--dry-run", is_flag=True, help="Only show what would change, with the differences; writes nothing.")
@session
def install(session: Session, names: tuple[str, ...], folder: Path | None, *, force: bool, dry_run: bool) -> None:
    """Copy agents into the project; all of them when none is named.

    A file that was changed is kept, and the exit code is 4: `--dry-run` shows the difference, `--force` replaces it.
    For all projects of a user: `mcp-orchestrator agents install --to ~/.claude/agents`.
    """
    chosen = [agent(name) for name in dict.fromkeys(names)] or list(known().values())
    place = folder if folder is not None else session.settings().project / FOLDER
    copies = [_copy(one, place) for one in chosen]
    if not dry_run:
        _write([one for one in copies if one.action(force=force) in {"add", "replace"}])
    kept = [one for one in copies if one.action(force=force) == "keep"]
    if session.json:
        document(
            {
                "folder": str(place),
                "dry_run": dry_run,
                "agents": [
                    {
                        "name": one.agent.name,
                        "path": str(one.path),
                        "action": one.action(force=force),
                        "difference": list(_difference(one)) if one.state == "changed" else [],
                    }
                    for one in copies
                ],
            }
        )
    else:
        table(("agent", "action", "file"), [[one.agent.name, one.action(force=force), str(one.path)] for one in copies])
        for one in copies if dry_run else ():
            if one.state == "changed":
                heading(one.agent.name)
                click.echo("\n".join(_difference(one)))
    if kept:
        names_kept = ", ".join(one.agent.name for one in kept)
        note(f"Kept, because the file there differs from ours: {names_kept}. --dry-run shows how, --force replaces it.")
        click.get_current_context().exit(Exit.REFUSED)


def _line(one: Agent) -> dict[str, str]:
    return {"name": one.name, "title": one.title, "description": one.description}


def _copy(one: Agent, folder: Path) -> Copy:
    path = folder / one.path.name
    try:
        there = path.read_bytes()
    except FileNotFoundError:
        return Copy(one, path, "missing")
    except OSError as error:
        raise _unusable(path, error) from error
    return Copy(one, path, "same" if there == one.path.read_bytes() else "changed")


def _difference(one: Copy) -> Iterator[str]:
    there = one.path.read_bytes().decode("utf-8", "replace").splitlines()
    return unified_diff(there, one.agent.path.read_text("utf-8").splitlines(), str(one.path), "ours", lineterm="")


def _write(copies: list[Copy]) -> None:
    """Put the files into place, each whole or not at all.

    Raises:
        NotAllowed: the folder cannot be written to.

    """
    for one in copies:
        folder = one.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
        except OSError as error:
            raise _unusable(folder, error) from error
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(one.agent.path.read_bytes())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(one.path)
        except OSError as error:
            raise _unusable(one.path, error) from error
        finally:
            Path(temporary).unlink(missing_ok=True)


def _unusable(path: Path, error: OSError) -> NotAllowed:
    return NotAllowed(f"{path} cannot be used: {error.strerror}. Choose another folder with --to.")
