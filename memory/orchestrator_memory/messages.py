"""What agents tell each other: nothing that is unread is lost, and work is claimed by one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import select, update

from orchestrator_memory.compiled import Statement, add, of, p
from orchestrator_memory.deliveries import Deliveries, most_of
from orchestrator_memory.errors import Conflict, NotFound, Refused
from orchestrator_memory.intake import Text, number, taken, values
from orchestrator_memory.letters import ABOUT_MESSAGE, JOINED, PRIORITIES, letter, letters
from orchestrator_memory.moments import GREATEST
from orchestrator_memory.names import agent_name, new_uid, word
from orchestrator_memory.posting import post
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Message, Task
from orchestrator_memory.values import Message as Letter
from orchestrator_memory.values import Sent

__all__ = ["Messages"]

BODY, SUBJECT, DETAILS = 65_536, 200, 16_384
"""Bytes that are kept."""
RECIPIENTS = 200
A, M = of(Agent).c, of(Message).c

BACK = Statement(update(of(Agent)).where(A.id == p("agent"), A.retired_at.is_not(None)).values(retired_at=None))
WITH_KEY = Statement(select(*ABOUT_MESSAGE).select_from(JOINED).where(M.sender_id == p("sender"), M.key == p("key")))
WITH_UID = Statement(
    select(*ABOUT_MESSAGE, M.sender_id).select_from(JOINED).where(M.uid == p("uid"), M.project_id == p("project"))
)
IN_THREAD = Statement(
    select(*ABOUT_MESSAGE)
    .select_from(JOINED)
    .where(M.project_id == p("project"), M.thread == p("thread"))
    .order_by(M.id)
    .limit(p("most"))
)
TASK = Statement(select(of(Task).c.id).where(of(Task).c.uid == p("uid"), of(Task).c.project_id == p("project")))


class _Draft(NamedTuple):
    """A message before it has a place: its columns, and whom it is for."""

    columns: dict[str, Any]
    to: list[str]
    redacted: int


class Messages(Deliveries):
    """The messages of a project."""

    def send(
        self,
        sender: str,
        body: str,
        *,
        to: Iterable[str] = (),
        type: str = "context",  # noqa: A002 - the mission's word
        priority: str = "normal",
        subject: str = "",
        reply_to: str | None = None,
        thread: str | None = None,
        task: str | None = None,
        details: Mapping[str, Any] | None = None,
        ack: bool = False,
        expires: int | None = None,
        key: str | None = None,
        session: str | None = None,
    ) -> Sent:
        """Send a message to some agents, or to nobody in particular: then all of the project get it.

        Those to whom something is sent are known from then on, and it waits for them; what is for all also reaches who
        comes later, until it ``expires`` (microseconds UTC). A reply continues the thread of what it answers and goes,
        unless ``to`` says otherwise, to its sender; a reply to a message of one's own, to those whom that was for.
        The same ``key`` of the same sender is the same message, sent once.

        Raises:
            Conflict: the key was used for another message.
            NotFound: there is no such message, thread or task to refer to.
            Refused: a field is not acceptable, or a recipient has more waiting than is kept.

        """
        ground = self._ground
        draft = self._draft(body, to, kind=type, priority=priority, subject=subject, details=details)
        number("expires", expires, 0, GREATEST)
        key = None if key is None else taken("key", key, 200).text
        with ground.write() as db:
            sent_by = ground.met(db, sender, "sender")
            thread, answered, names = self._place(db, sent_by, reply_to, thread, draft.to)
            if key is not None and (known := WITH_KEY(db, sender=sent_by, key=key).fetchone()) is not None:
                return Sent(message=_same(letters(db, [known])[0], draft.columns, names, key), new=False)
            at, uid = ground.clock(), new_uid()
            if expires is not None and expires <= at:
                raise Refused("expires", "is over already.", then="Give a time to come, in microseconds UTC.")
            if task is not None and TASK(db, uid=task, project=ground.project).fetchone() is None:
                raise NotFound("task", task)
            BACK(db, agent=sent_by)
            about = draft.columns | {
                "uid": uid,
                "thread": thread or uid,
                "reply_to": answered,
                "task": task,
                "key": key,
            }
            about |= {"broadcast": int(not names), "ack": int(ack), "created_at": at, "expires_at": expires}
            about |= {"sender_id": sent_by, "project_id": ground.project, "session_id": ground.session(db, session)}
            post(db, ground, add(db, Message, **about), about, names)
        row = about | {"sender": agent_name(sender), "answers": reply_to}
        return Sent(message=letter(row, to=sorted(names)), new=True, redacted=draft.redacted)

    def get(self, uid: str) -> Letter:
        """Return a message with the receipts of all who got it: who has read, claimed or acknowledged it, and when.

        Raises:
            NotFound: there is none.

        """
        db = self._ground.read()
        return letters(db, [self._message(db, uid)], each=True)[0]

    def thread(self, uid: str, *, most: int = 200) -> list[Letter]:
        """Return the messages of the thread that a message belongs to, the oldest first.

        Raises:
            NotFound: there is no such message.

        """
        db = self._ground.read()
        whose = self._message(db, uid)["thread"]
        return letters(db, IN_THREAD(db, project=self._ground.project, thread=whose, most=most_of(most)).fetchall())

    # Inside ----------------------------------------------------------------------------------------------------------

    def _draft(
        self,
        body: str,
        to: Iterable[str],
        *,
        kind: str,
        priority: str,
        subject: str,
        details: Mapping[str, Any] | None,
    ) -> _Draft:
        if priority not in PRIORITIES:
            raise Refused("priority", f"{priority!r} is none.", allowed=PRIORITIES)
        said = taken("body", body, BODY)
        about = taken("subject", subject, SUBJECT, empty=True) if subject else Text("")
        more, secrets = values("details", dict(details), DETAILS) if details else ("{}", 0)
        names = list(dict.fromkeys(agent_name(one, "to") for one in ([to] if isinstance(to, str) else to)))
        if len(names) > RECIPIENTS:
            then = "Send it to all (name nobody), or in parts."
            raise Refused("to", f"{len(names)} recipients; at most {RECIPIENTS}.", then=then)
        columns = {
            "type": word(kind, "type"),
            "priority": PRIORITIES.index(priority),
            "subject": about.text,
            "body": said.text,
            "details": more,
            "flags": json.dumps(sorted({*said.flags, *about.flags})),
        }
        return _Draft(columns, names, said.secrets + about.secrets + secrets)

    def _message(self, db: sqlite3.Connection, uid: str, kind: str = "message") -> sqlite3.Row:
        row = WITH_UID(db, uid=uid, project=self._ground.project).fetchone()
        if row is None:
            raise NotFound(kind, uid, then="Read the inbox for those there are.")
        return row

    def _place(
        self, db: sqlite3.Connection, sender: int, reply_to: str | None, thread: str | None, to: list[str]
    ) -> tuple[str | None, int | None, list[str]]:
        """Return the thread of a new message, the number of what it answers, and whom it is for."""
        if reply_to is None:
            if thread is not None and not IN_THREAD(db, project=self._ground.project, thread=thread, most=1).fetchone():
                raise NotFound("thread", thread, then="A thread has the uid of its first message.")
            return thread, None, to
        row = self._message(db, reply_to)
        if thread not in {None, row["thread"]}:
            raise Refused("thread", f"{reply_to} belongs to thread {row['thread']}.", then="Leave it out.")
        if not to:
            own = row["sender_id"] == sender
            to = letters(db, [row])[0].to if own else [row["sender"]]
        return row["thread"], row["id"], to


def _same(message: Letter, about: dict[str, Any], to: list[str], key: str) -> Letter:
    """Return the message that was sent with a key before, if it is the same."""
    was = (message.body, message.subject, message.type, message.to)
    if was != (about["body"], about["subject"], about["type"], sorted(to)):
        then = "Use another key, or send the same again."
        raise Conflict(f"Key {key!r} was used for another message, {message.uid}. {then}", message.uid)
    return message
