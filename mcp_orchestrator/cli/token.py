"""The tokens with which agents reach the server over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcp_orchestrator.cli.screen import document, note, table
from mcp_orchestrator.cli.session import Printing, Session, session

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["token"]

SCOPES = ("ml:read", "ml:run", "ml:promote")
SHOWN = len("sha256:") + 12


def kept(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option that names the file."""
    place = click.Path(dir_okay=False, path_type=Path)
    return click.option("--tokens", type=place, help="File of the tokens; tokens in the state home by default.")(
        command
    )


@click.group
def token() -> None:
    """Make, list and end the tokens for `serve --http`."""


@token.command(cls=Printing)
@click.argument("subject")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it may do; ml:run by default.")
@kept
@session
def new(session: Session, subject: str, scopes: tuple[str, ...], tokens: Path | None) -> None:
    """Make a token for SUBJECT, whose runs are those that it starts, and print it: it is shown this once.

    Only its digest is kept. ml:run includes ml:read, and ml:promote both.
    """
    from mcp_orchestrator.server.auth import added

    place = _place(session, tokens)
    made, given = added(place, subject, scopes or ("ml:run",)), list(scopes or ("ml:run",))
    if session.json:
        document({"token": made, "subject": subject, "scopes": given, "file": str(place)})
        return
    click.echo(made)
    note(f"{subject} may {' '.join(given)}; {place} has its digest. Send it as: Authorization: Bearer TOKEN")


@token.command("list", cls=Printing)
@kept
@session
def listed(session: Session, tokens: Path | None) -> None:
    """List tokens by the beginning of their digests: whose they are and what they may do."""
    from mcp_orchestrator.server.auth import read

    place = _place(session, tokens)
    known = read(place) if place.exists() else []
    if session.json:
        document([{"digest": one.digest, "subject": one.subject, "scopes": list(one.scopes)} for one in known])
    else:
        rows = [[one.digest[:SHOWN].partition(":")[2], one.subject, " ".join(one.scopes)] for one in known]
        table(("digest", "subject", "scopes"), rows)


@token.command(cls=Printing)
@click.argument("which", metavar="SUBJECT|DIGEST")
@kept
@session
def revoke(session: Session, which: str, tokens: Path | None) -> None:
    """End the tokens of SUBJECT, or the one whose digest begins so; a server at work refuses them from then on."""
    from mcp_orchestrator.errors import UnknownName
    from mcp_orchestrator.server.auth import read, removed

    place = _place(session, tokens)
    gone = removed(place, which)
    if not gone:
        raise UnknownName("token of", which, {one.subject for one in read(place)})
    if session.json:
        document([{"digest": one.digest, "subject": one.subject, "scopes": list(one.scopes)} for one in gone])
    else:
        note(f"{len(gone)} ended: {', '.join(sorted({one.subject for one in gone}))}")


def _place(session: Session, tokens: Path | None) -> Path:
    return tokens or session.settings().home / "tokens"
