"""Telling a client of this server, and taking it back: the change is shown and agreed to before it is written."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from mcp_orchestrator.cli.changes import Change, read
from mcp_orchestrator.cli.clients import CLIENTS, KEY, Client, Scope, command, ours
from mcp_orchestrator.cli.screen import document, note
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.splice import commented, drop, find, put
from mcp_orchestrator.errors import InvalidInput, NotAllowed, NotReady

__all__ = ["install", "uninstall"]

F = TypeVar("F", bound=Callable[..., Any])
NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")  # it becomes a part of the tools' names


def asked(function: F) -> F:
    """Add the arguments that both commands have."""
    for one in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Only show the change; write nothing."),
        click.option("--name", default=KEY, help=f"Name of the entry; {KEY} by default, which the agents' tools have."),
        click.option(
            "--scope",
            type=click.Choice(["user", "project"]),
            help="The file of the user, or of the project, which is the default where the client has one.",
        ),
        click.argument("client", type=click.Choice(list(CLIENTS)), metavar="CLIENT"),
    ):
        function = one(function)
    return function


@click.command(cls=Printing)
@asked
@click.option("--uvx", is_flag=True, help="Write a command that takes the package from the index.")
@session
def install(
    session: Session, client: str, scope: Scope | None, name: str, *, uvx: bool, dry_run: bool, yes: bool
) -> None:
    """Tell a client to start this server for the project.

    CLIENT is claude-code, claude-desktop, cursor or vscode. Shows the change and asks, keeps a backup beside the file,
    and leaves the rest of the file as it is. `uninstall` takes it back.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput("--name", f"{name!r} has other signs than letters, digits, - and _, or too many of them.")
    one, project = CLIENTS[client], session.settings().project
    entry = one.entry(command(project, uvx=uvx))
    path = one.place(scope or one.scope, project)
    if (scope or one.scope) == "user" and not path.parent.is_dir():
        raise NotReady(f"There is no folder {path.parent}. Install {one.title} and start it once, then try again.")
    before = read(path)
    with _legible(path, f'Put this under "{one.section}" by hand:\n{json.dumps({name: entry}, indent=2)}'):
        text, mark = _text(before)
        there = _there(text, path, one, name)
        after = (before or b"") if there == entry else mark + put(text, one.section, name, entry).encode()
    change = Change(path, before, after)
    if not change.needed:
        note(f"{one.title} has this entry already.")
    _make(session, change, "replace" if there else "add", one.then, dry_run=dry_run, yes=yes)


@click.command(cls=Printing)
@asked
@session
def uninstall(session: Session, client: str, scope: Scope | None, name: str, *, dry_run: bool, yes: bool) -> None:
    """Take back what `install` told a client.

    CLIENT is claude-code, claude-desktop, cursor or vscode. Only the entry of this server goes; everything else in the
    file stays as it is now.
    """
    one, project = CLIENTS[client], session.settings().project
    path = one.place(scope or one.scope, project)
    before = read(path)
    with _legible(path, f'Take {name!r} out of "{one.section}" by hand.'):
        text, mark = _text(before)
        there = _there(text, path, one, name)
        after = (before or b"") if there is None else mark + drop(text, one.section, name).encode()
    change = Change(path, before, after)
    if not change.needed:
        note(f"{one.title} has no such entry.")
    _make(session, change, "remove", f"{one.title} forgets it at its next start.", dry_run=dry_run, yes=yes)


def _make(session: Session, change: Change, action: str, then: str, *, dry_run: bool, yes: bool) -> None:
    """Show a change, ask, make it and say what was done."""
    if not session.json and change.needed:
        click.echo("\n".join(change.difference()))
    backup = None
    if change.needed and not dry_run:
        if session.json and not yes:
            raise click.UsageError("With --json, nobody can be asked; add --yes or --dry-run.")
        if not yes:
            click.confirm(f"Write {change.path}?", abort=True, err=True)
        backup = change.make()
    if session.json:
        document(
            {
                "path": str(change.path),
                "action": action if change.needed else "none",
                "dry_run": dry_run,
                "difference": change.difference(),
                "backup": None if backup is None else str(backup),
                "then": then,
            }
        )
    elif dry_run or not change.needed:
        note(f"{change.path} stays as it is.")
    else:
        note(f"Written: {change.path}{f'; as it was: {backup.name}' if backup else ''}. {then}")


def _there(text: str, path: Path, client: Client, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the entry of a name; one that starts another server is refused."""
    found = find(text, client.section, name) if text.strip() else None
    if found is not None and not ours(found):
        raise NotAllowed(f"{path} has another server under {name!r}, which is left alone. Give yours with --name.")
    return found


@contextmanager
def _legible(path: Path, by_hand: str) -> Generator[None]:
    """Say what is wrong with a file that cannot be changed; nothing has been written then."""
    try:
        yield
    except UnicodeError as error:
        raise InvalidInput(str(path), f"is not UTF-8: {error}. Nothing was written.", then=by_hand) from error
    except json.JSONDecodeError as error:
        if commented(error.doc):
            problem = "has comments or spare commas, which would be lost."
        else:
            problem, by_hand = f"is not valid JSON: {error}.", "Correct it and try again."
        raise InvalidInput(str(path), f"{problem} Nothing was written.", then=by_hand) from error
    except ValueError as error:
        raise InvalidInput(str(path), f"{error}. Nothing was written.", then="Correct it and try again.") from error


def _text(content: bytes | None) -> tuple[str, bytes]:
    """Return the text of a file, and the mark at its beginning that some editors write."""
    mark = codecs.BOM_UTF8 if (content or b"").startswith(codecs.BOM_UTF8) else b""
    return (content or b"")[len(mark) :].decode("utf-8"), mark
