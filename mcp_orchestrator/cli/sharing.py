"""What all agents of the project share, from a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.screen import document, note, table
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.store import limit, moment, opened, speaking

if TYPE_CHECKING:
    from orchestrator_memory.store import MemoryStore
    from orchestrator_memory.values import Entry

__all__ = ["context"]


@click.command(cls=Printing)
@click.argument("what", required=False, metavar="[KEY[=JSON]]", shell_complete=completion.keys)
@click.option("--expect", type=click.IntRange(0), help="The version that the change is made on; the present one.")
@click.option("--replace", is_flag=True, help="Put the JSON in the place of the value instead of merging it.")
@click.option("--as", "name", shell_complete=completion.speakers, help="Who changes it; your user name by default.")
@click.option("--history", is_flag=True, help="With a KEY: who changed it, and how.")
@limit(20)
@session
def context(session: Session, what: str | None, limit: int, *, history: bool, **how: Any) -> None:  # noqa: ANN401 - options
    """Show what all agents share, one KEY of it, or change a key: 'phase="training"'.

    The JSON is merged into the value as RFC 7396 says: objects by their keys, and null removes one. With --expect, a
    change is refused when somebody else was faster, and the error shows what stands there now.
    """
    key, changed, given = (what or "").partition("=")
    if history and (changed or not key):
        raise click.UsageError("--history needs a KEY alone.")
    if not changed and (how["replace"] or how["expect"] is not None or how["name"]):
        raise click.UsageError("Give the change as KEY=JSON.")
    with opened(session) as store:
        if changed:
            value = _value(key, given)
            expected = store.context.get(key).version if how["expect"] is None else how["expect"]
            found = _changed(store, key, value, expected, how)
            if session.json:
                document(found)
            else:
                note(f"{key} has version {found.version} now.")
            return
        if history:
            changes = store.context.history(key, limit)
            if session.json:
                document(changes)
            else:
                rows = [[one.version, moment(one.at), one.by, one.operation, json.dumps(one.change)] for one in changes]
                table(("version", "at", "by", "what", "change"), rows)
            return
        entries = [store.context.get(key)] if key else store.context.all()
    if session.json:
        document(entries[0] if key else entries)
    elif key:
        [one] = entries
        document(one.value)
        note(
            f"version {one.version}, by {one.by}, {moment(one.updated)}" if one.version else "There is no such key yet."
        )
    else:
        rows = [[one.key, one.version, one.by, moment(one.updated), json.dumps(one.value)] for one in entries]
        table(("key", "version", "by", "changed", "value"), rows)


def _changed(store: MemoryStore, key: str, value: Any, expected: int, how: dict[str, Any]) -> Entry:  # noqa: ANN401 - any JSON value
    from orchestrator_memory.errors import Conflict

    with speaking(store, how["name"]) as agent:
        try:
            return store.context.patch(key, value, expected=expected, agent=agent, replace=how["replace"])
        except Conflict as error:
            raise Conflict(f"{error} It is: {json.dumps(store.context.get(key).value)}", error.current) from error


def _value(key: str, text: str) -> Any:  # noqa: ANN401 - any JSON value
    from mcp_orchestrator.errors import InvalidInput

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        then = f"""Give JSON; a text in quotes, as in '{key}="{text[:20]}"'."""
        raise InvalidInput(key or "KEY", f"{text[:80]!r} is not JSON: {error}.", then=then) from error
