"""What goes out of the memory, from a terminal: on request, and with time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.screen import document, note
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.store import opened

if TYPE_CHECKING:
    from orchestrator_memory.values import Value

__all__ = ["forget", "prune"]

dry_run = click.option("--dry-run", is_flag=True, help="Only say what goes.")
sure = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command(cls=Printing)
@click.argument("uid", required=False, metavar="[ID]", shell_complete=completion.memories)
@click.option("--agent", shell_complete=completion.speakers, help="Everything that this agent wrote.")
@click.option("--text", help="Everything in which this text stands.")
@click.option("--hard", is_flag=True, help="Erase it: no byte of it stays in the files.")
@dry_run
@sure
@session
def forget(
    session: Session,
    uid: str | None,
    agent: str | None,
    text: str | None,
    *,
    hard: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Forget a memory, message or task by its ID, context:KEY, all of an agent, or a text.

    Memories are hidden at once. With --hard, everything is erased for good: from the database, its index, its log and
    the copies beside it; not from files that were exported.
    """
    if sum(one is not None for one in (uid, agent, text)) != 1:
        raise click.UsageError("Give one of ID, --agent and --text.")
    with opened(session) as store:
        found = store.forget(uid=uid, agent=agent, text=text, hard=hard, dry=True)
        what = _counts(found) or "what stands of it in notes"  # which are not counted
        needed = hard or bool(_counts(found))
        if needed and not dry_run and _agreed(session, f"{'Erase' if hard else 'Hide'} {what}?", yes=yes):
            found = store.forget(uid=uid, agent=agent, text=text, hard=hard)
    if session.json:
        document(found)
    else:
        done = "Would be forgotten" if found.dry else "Forgotten"
        click.echo(f"{done}: {_counts(found)}." if _counts(found) else "There is nothing of it.")
        if found.copies:
            note(f"Copies that were removed: {', '.join(found.copies)}.")
        if found.then:
            note(found.then)
    if found.erased is False:
        click.get_current_context().exit(Exit.FAILED)


@click.command(cls=Printing)
@dry_run
@sure
@session
def prune(session: Session, *, dry_run: bool, yes: bool) -> None:
    """Let go what its time is over for, such as messages that were acknowledged two weeks ago.

    What is unread or pinned stays, and so does what was learned and nothing has replaced.
    """
    with opened(session) as store:
        found = store.prune(dry=True)
        if (counts := _counts(found)) and not dry_run and _agreed(session, f"Let {counts} go?", yes=yes):
            found = store.prune()
    if session.json:
        document(found)
    else:
        done = "Would go" if found.dry else "Gone"
        click.echo(f"{done}: {_counts(found)}." if _counts(found) else "Nothing has had its time.")


def _agreed(session: Session, question: str, *, yes: bool) -> bool:
    if yes:
        return True
    if session.json:
        raise click.UsageError("With --json, nobody can be asked; add --yes or --dry-run.")
    return click.confirm(question, abort=True, err=True)


def _counts(found: Value) -> str:
    names = {"entries": "shared keys"}
    counts = {name: count for name, count in found.model_dump().items() if isinstance(count, int) and count is not True}
    return ", ".join(f"{count} {names.get(name, name)}" for name, count in counts.items() if count)
