"""The memory of a project as a file: written whole or not at all, and read again, also from what others wrote."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.screen import document, figure, note
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.store import KINDS, opened, since

if TYPE_CHECKING:
    from orchestrator_memory.store import MemoryStore
    from orchestrator_memory.values import Value

__all__ = ["export", "import_"]


@click.command(cls=Printing)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only memories of this kind.")
@click.option("--agent", shell_complete=completion.speakers, help="Only what this agent wrote.")
@since("what was changed")
@session
def export(session: Session, file: Path | None, **how: Any) -> None:  # noqa: ANN401 - options
    """Write the memory as JSON lines to FILE, or to stdout.

    Two exports of the same are equal, byte for byte. Secrets whose shapes are known by now are taken out. The file is
    not encrypted: keep it as you keep the project.
    """
    if file is None and session.json:
        raise click.UsageError("Without FILE, stdout has the lines, and --json says how many there were: name a FILE.")
    with opened(session) as store:
        if file is None:
            store.export(sys.stdout, **how)
            return
        found = _written(store, file, how)
    if session.json:
        document({"file": str(file), **found.model_dump()})
    else:
        click.echo(f"{file}: {_counts(found.model_dump()['lines']) or 'nothing'}.")


@click.command("import", cls=Printing)
@click.argument("source", metavar="FILE|FOLDER|-", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option("--own", is_flag=True, help="The file is of this project, which was called otherwise: take everything.")
@click.option("--dry-run", is_flag=True, help="Only say what would come of it.")
@session
def import_(session: Session, source: Path, *, own: bool, dry_run: bool) -> None:
    """Read what `memory export` wrote, the file of a knowledge-graph memory server, or a .claude/memory folder.

    Reading it again changes nothing. Of another project's file, memories alone are taken, with no trust. The exit
    code is 5 when something could not be taken; the rest is.
    """
    found: Value
    with opened(session) as store:
        if source.is_dir():
            from orchestrator_memory.importers import import_folder

            found = import_folder(store, source, dry=dry_run)
        elif str(source) == "-":
            found = store.import_(sys.stdin, own=own or None, dry=dry_run)
        else:
            found = _read(store, source, own=own, dry=dry_run)
    facts = found.model_dump()
    wrong = [*facts.pop("conflicts", ()), *facts.pop("refused", ()), *facts.pop("skipped", ())]
    if session.json:
        document(found)
    else:
        _told(facts)
        for one in wrong:
            note(one)
    if wrong:
        click.get_current_context().exit(Exit.FAILED)


def _written(store: MemoryStore, file: Path, how: dict[str, Any]) -> Value:
    """Write beside the file, for its owner alone, and put that in its place when it is whole."""
    from mcp_orchestrator.errors import InvalidInput

    try:
        handle, place = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                found = store.export(stream, **how)
                stream.flush()
                os.fsync(stream.fileno())
            Path(place).replace(file)
        except BaseException:
            Path(place).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidInput("FILE", f"{file} cannot be written: {error.strerror}.") from error
    return found


def _read(store: MemoryStore, file: Path, *, own: bool, dry: bool) -> Value:
    from mcp_orchestrator.errors import InvalidInput

    try:
        stream: TextIO
        with file.open(encoding="utf-8") as stream:
            return store.import_(stream, own=own or None, dry=dry)
    except UnicodeDecodeError as error:
        raise InvalidInput("FILE", f"{file} is no text in UTF-8.", then="Give a file of JSON lines.") from error


def _told(facts: dict[str, Any]) -> None:
    words = {
        "same": "there already",
        "left": "of another project and left (--own takes them)",
        "older": "older than ours",
    }
    click.echo("Nothing was changed; it would be:") if facts.pop("dry", False) else None
    plain = {name: count for name, count in facts.items() if isinstance(count, int)}
    lines: dict[str, dict[str, int]] = {"new": plain}
    lines |= {name: counts for name, counts in facts.items() if isinstance(counts, dict)}
    shown = [(name, text) for name, counts in lines.items() if (text := _counts(counts))]
    for name, text in shown:
        click.echo(f"{words.get(name, name)}: {text}")
    if not shown:
        click.echo("nothing")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{figure(count)} {name}" for name, count in counts.items() if count)
