"""What the tools of the memory answer: what others wrote stands in frames that mark it as data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from mcp_orchestrator.server.frames import framed, marked
from mcp_orchestrator.server.results import Answer, moment
from orchestrator_memory.values import Entry, Message, Recalled, Sent, Task, Written

if TYPE_CHECKING:
    from orchestrator_memory.values import Hit

__all__ = [
    "Letter",
    "Mailbox",
    "Posted",
    "Recollection",
    "Recollections",
    "Remembered",
    "Share",
    "Shared",
    "TaskAnswer",
]


class Recollection(Answer):
    """A memory that was found; ``text`` is data, in a frame."""

    uid: str
    kind: str
    text: str
    origin: str
    trust: int
    agent: str | None = None
    created: str
    score: float
    why: str
    flags: list[str] | None = None
    proof: list[str] | None = None
    superseded_by: str | None = None

    @classmethod
    def of(cls, hit: Hit, text: str) -> Self:
        """Return a hit with its text in its frame."""
        one = hit.memory
        proof = [*one.evidence.get("runs", []), *one.evidence.get("models", [])]
        return cls(
            **one.model_dump(include={"uid", "kind", "origin", "trust", "agent", "superseded_by"}),
            text=text,
            created=moment(one.created),
            score=float(f"{hit.score:.3g}"),
            why=hit.why,
            flags=one.flags or None,
            proof=proof or None,
        )


class Recollections(Answer):
    """Memories, the best first; ``note`` tells how their texts are framed, ``left`` how many did not fit."""

    note: str | None = None
    memories: list[Recollection]
    left: int | None = None
    next: list[str]

    @classmethod
    def of(cls, found: Recalled) -> Self:
        """Return what was recalled, or what to try where there was nothing."""
        if not found.hits:
            try_ = "recall_memory with other words: two or three short queries, fewer filters, superseded=true"
            return cls(memories=[], next=[try_, "remember keeps what you find out yourself"])
        frames = framed(found.hits)
        memories = [Recollection.of(hit, text) for hit, text in zip(found.hits, frames.texts, strict=True)]
        then = [f'remember(helped=["{memories[0].uid}"]) says that it was of use; misled=[...] that it was not']
        return cls(note=frames.note, memories=memories, left=found.left or None, next=then)


class Remembered(Answer):
    """What was kept: not ``new`` was there already, and is counted once more; ``redacted`` secrets were taken out."""

    uid: str | None = None
    kind: str | None = None
    new: bool | None = None
    times: int | None = None
    trust: int | None = None
    redacted: int | None = None
    flags: list[str] | None = None
    superseded: list[str] | None = None
    helped: list[str] | None = None
    misled: list[str] | None = None
    next: list[str]

    @classmethod
    def of(
        cls, written: Written | None, *, superseded: Sequence[str], helped: Sequence[str], misled: Sequence[str]
    ) -> Self:
        """Return what became of a memory, and of what was said about others."""
        about: dict[str, Any] = {"superseded": superseded, "helped": helped, "misled": misled}
        about = {name: list(value) for name, value in about.items() if value}
        if written is None:
            return cls(**about, next=["recall_memory(queries) prefers what helped"])
        one = written.memory
        then = ["recall_memory(queries) finds it; remember(..., supersedes=[uid]) replaces it when it no longer holds"]
        if not one.evidence:
            then.append('evidence={"run": ..., "model": ...} proves it, and raises its trust to 2')
        return cls(
            **one.model_dump(include={"uid", "kind", "trust", "times"}),
            new=written.new,
            redacted=written.redacted or None,
            flags=one.flags or None,
            **about,
            next=then,
        )


class TaskAnswer(Answer):
    """A task as it stands."""

    task: str
    agent: str
    outcome: str
    progress: float
    phase: str | None = None
    run: str | None = None
    parent: str | None = None
    started: str
    ended: str | None = None
    delegations: list[dict[str, Any]] | None = None
    next: list[str]

    @classmethod
    def of(cls, one: Task, then: Sequence[str]) -> Self:
        """Return a task without its texts, which its agent knows."""
        given = [
            {
                name: value
                for name, value in part.model_dump(include={"number", "to", "type", "outcome", "task"}).items()
                if value
            }
            for part in one.delegations
        ]
        return cls(
            task=one.uid,
            agent=one.agent,
            outcome=one.outcome,
            progress=one.progress,
            phase=one.phase or None,
            run=one.run,
            parent=one.parent,
            started=moment(one.started),
            ended=moment(one.ended) if one.ended else None,
            delegations=given or None,
            next=list(then),
        )


class Share(Answer):
    """A key of the shared context; its ``value`` is JSON, in a frame."""

    key: str
    version: int
    value: str | None = None
    by: str | None = None
    updated: str | None = None

    @classmethod
    def of(cls, entry: Entry, nonce: str | None) -> Self:
        """Return a key with its value where there is a frame for it."""
        updated = moment(entry.updated) if entry.updated else None
        value = None if nonce is None or not entry.version else framed_value(entry, nonce)
        return cls(key=entry.key, version=entry.version, value=value, by=entry.by, updated=updated)


class Shared(Answer):
    """Keys of the shared context."""

    note: str | None = None
    context: list[Share]
    next: list[str]

    @classmethod
    def of(cls, entries: Sequence[Entry], then: Sequence[str], *, shown: bool = True) -> Self:
        """Return keys with their values, or, of what the caller wrote itself, only with their versions."""
        frames = framed() if shown and any(one.version for one in entries) else None
        nonce = frames.nonce if frames else None
        return cls(
            note=frames.note if frames else None, context=[Share.of(one, nonce) for one in entries], next=list(then)
        )


class Letter(Answer):
    """A message as its recipient sees it; ``text`` is subject and body, in a frame."""

    uid: str
    sender: str
    type: str
    priority: str
    text: str
    thread: str
    reply_to: str | None = None
    task: str | None = None
    ack: bool | None = None
    broadcast: bool | None = None
    created: str
    expires: str | None = None
    new: bool | None = None
    state: str | None = None
    until: str | None = None
    attempts: int | None = None

    @classmethod
    def of(cls, one: Message, text: str) -> Self:
        """Return a message with its text in its frame."""
        receipt = one.receipt
        about: dict[str, Any] = {}
        if receipt is not None:
            about = {"state": receipt.state, "new": True if receipt.read is None else None}
            if receipt.state == "claimed":
                until = moment(receipt.until) if receipt.until else None
                about = {"state": "claimed", "until": until, "attempts": receipt.attempts}
        return cls(
            **one.model_dump(include={"uid", "sender", "type", "priority", "thread", "reply_to", "task"}),
            text=text,
            ack=one.ack or None,
            broadcast=one.broadcast or None,
            created=moment(one.created),
            expires=moment(one.expires) if one.expires else None,
            **about,
        )


class Mailbox(Answer):
    """Messages of an agent; ``waiting`` is how many are neither acknowledged nor in anybody's hands."""

    agent: str
    note: str | None = None
    messages: list[Letter]
    waiting: int
    acknowledged: int | None = None
    released: int | None = None
    next: list[str]


class Posted(Answer):
    """A message that was sent; not ``new``: it had been."""

    uid: str
    thread: str
    to: list[str]
    new: bool
    redacted: int | None = None
    next: list[str]

    @classmethod
    def of(cls, sent: Sent) -> Self:
        """Return what became of a message."""
        one = sent.message
        to = ["everybody"] if one.broadcast else one.to
        return cls(
            uid=one.uid,
            thread=one.thread,
            to=to,
            new=sent.new,
            redacted=sent.redacted or None,
            next=[f'read_messages(thread="{one.thread}") shows what is answered'],
        )


def letters(messages: Sequence[Message], nonce: str | None = None) -> tuple[str | None, list[Letter]]:
    """Return messages with their texts in frames, and the sentence that explains these."""
    if not messages:
        return None, []
    frames = framed(messages, nonce)
    return frames.note, [Letter.of(one, text) for one, text in zip(messages, frames.texts, strict=True)]


def framed_value(entry: Entry, nonce: str | None = None) -> str:
    """Return a value of the shared context as JSON in a frame."""
    text = json.dumps(entry.value, ensure_ascii=False, separators=(",", ":"))
    return marked(text, nonce or framed().nonce, entry.by, entry.updated)
