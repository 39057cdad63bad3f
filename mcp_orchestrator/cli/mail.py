"""What agents tell each other, from a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.screen import document, heading, note, table
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.store import limit, moment, opened, said, speaking

if TYPE_CHECKING:
    from orchestrator_memory.store import MemoryStore
    from orchestrator_memory.values import Message

__all__ = ["messages"]

ALL = "all"
FACTS = ("sender", "to", "type", "priority", "task", "thread", "reply_to", "flags")


@click.command(cls=Printing)
@click.argument("text", required=False, metavar="[ID|TEXT|-]", shell_complete=completion.messages)
@click.option("--agent", shell_complete=completion.speakers, help="Whose mail.")
@click.option("--thread", is_flag=True, help="With an ID: all of its thread.")
@click.option("--dead", is_flag=True, help="What was given up after five attempts, or after its time.")
@click.option(
    "--send", "to", multiple=True, shell_complete=completion.speakers, help="Send TEXT to this agent; or all."
)
@click.option("--as", "name", shell_complete=completion.speakers, help="Who sends; your user name by default.")
@click.option("--subject", default="", help="What it is about.")
@click.option("--type", "kind", default="context", help="What kind of message, such as delegation; context by default.")
@click.option("--priority", type=click.Choice(["low", "normal", "high", "urgent"]), default="normal", help="Normal.")
@click.option("--reply-to", shell_complete=completion.messages, help="The message that it answers.")
@click.option("--ask-ack", is_flag=True, help="Ask those whom it is for to acknowledge it.")
@click.option("--ack", multiple=True, shell_complete=completion.messages, help="Acknowledge a message of --agent.")
@click.option("--revive", shell_complete=completion.messages, help="Give a dead message of --agent another chance.")
@limit(20)
@session
def messages(session: Session, text: str | None, to: tuple[str, ...], **how: Any) -> None:  # noqa: ANN401 - options
    """Show who has mail, an agent's mail (--agent), or one message by its ID; or send TEXT (--send).

    What is shown stays unread until its agent acknowledges it, or --ack does.
    """
    asked = [name for name in ("ack", "revive", "dead") if how[name]] + (["send"] if to or how["reply_to"] else [])
    if len(asked) > 1:
        raise click.UsageError(f"--{asked[0]} and --{asked[1]} exclude each other.")
    if asked and asked != ["send"] and not how["agent"]:
        raise click.UsageError(f"--{asked[0]} needs --agent, whose mail it is.")
    if asked == ["send"] and text is None:
        raise click.UsageError("Give the TEXT to send, or - for stdin.")
    with opened(session) as store:
        if asked == ["send"]:
            _send(session, store, said(str(text)), to, how)
        elif how["ack"]:
            store.messages.ack(how["agent"], list(how["ack"]))
            _done(session, {"acknowledged": list(how["ack"])})
        elif how["revive"]:
            store.messages.revive(how["agent"], how["revive"])
            _done(session, {"revived": how["revive"]})
        elif text is not None:
            found = store.messages.thread(text) if how["thread"] else [store.messages.get(text)]
            _shown(session, found)
        elif how["agent"] is not None:
            most = how["limit"]
            mail = store.messages
            _listed(session, mail.dead(how["agent"]) if how["dead"] else mail.inbox(how["agent"], most=most))
        else:
            _counted(session, store)


def _send(session: Session, store: MemoryStore, body: str, to: tuple[str, ...], how: dict[str, Any]) -> None:
    receivers = () if ALL in to else to
    about = {"type": how["kind"], "priority": how["priority"], "subject": how["subject"], "ack": how["ask_ack"]}
    with speaking(store, how["name"]) as sender:
        sent = store.messages.send(sender, body, to=receivers, reply_to=how["reply_to"], **about)
    if session.json:
        document(sent)
        return
    click.echo(sent.message.uid)
    note(f"From {sender} to {', '.join(sent.message.to) or 'nobody yet; who comes later gets it'}.")
    if sent.redacted:
        note(f"{sent.redacted} secrets were taken out.")


def _done(session: Session, what: dict[str, Any]) -> None:
    if session.json:
        document(what)
    else:
        [(done, which)] = what.items()
        click.echo(f"{done}: {which if isinstance(which, str) else ', '.join(which)}")


def _counted(session: Session, store: MemoryStore) -> None:
    found = [
        {"agent": one.name, "unread": store.messages.unread(one.name), "dead": len(store.messages.dead(one.name))}
        for one in store.agents.list()
    ]
    if session.json:
        document(found)
        return
    table(("agent", "unread", "dead"), [list(one.values()) for one in found])
    note("`memory messages --agent NAME` shows the mail of one.")


def _listed(session: Session, found: list[Message]) -> None:
    if session.json:
        document(found)
        return
    rows = [
        [one.uid, one.sender, moment(one.created), one.priority, one.type, _state(one), _about(one)] for one in found
    ]
    table(("id", "from", "sent", "priority", "type", "state", "what"), rows)


def _state(one: Message) -> str:
    if one.receipt is None:
        return ""
    return f"{one.receipt.state} by {one.receipt.by}" if one.receipt.by else one.receipt.state


def _about(one: Message) -> str:
    text = one.subject or " ".join(one.body.split())
    marked = f"[marked: {', '.join(one.flags)}] " if one.flags else ""
    return marked + (text if len(text) <= 80 else f"{text[:77]}...")  # noqa: PLR2004 - a line


def _shown(session: Session, found: list[Message]) -> None:
    if session.json:
        document(found)
        return
    for one in found:
        heading(one.subject or one.uid)
        click.echo(one.body)
        facts = {"id": one.uid, **{name: value for name in FACTS if (value := getattr(one, name))}}
        table(("what", "value"), [*facts.items(), ("sent", moment(one.created)), ("expires", moment(one.expires))])
