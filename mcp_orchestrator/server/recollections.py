"""What the tools of the memory answer: what others wrote stands in frames that mark it as data.

What comes out of the memory was checked on its way in, so answers are put together of JSON values as they are; a client
checks each of them against its schema, which is why the schemas are no longer than they have to be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mcp_orchestrator.server.frames import framed, marked
from mcp_orchestrator.server.results import Answer, moment
from orchestrator_memory.values import Entry, Message, Recalled, Sent, Task, Written

if TYPE_CHECKING:
    from orchestrator_memory.values import Hit

__all__ = ["Mailbox", "Posted", "Recollections", "Remembered", "Shared", "TaskAnswer", "letters"]

Facts = dict[str, Any]
KINDS = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "whole": {"type": "integer"},
    "so": {"type": "boolean"},
    "texts": {"type": "array", "items": {"type": "string"}},
}
NULL = {"type": "null"}


def _shape(always: dict[str, str], sometimes: dict[str, str]) -> WithJsonSchema:
    properties = {name: KINDS[kind] for name, kind in (always | sometimes).items()}
    return WithJsonSchema({"type": "object", "properties": properties, "required": list(always)})


Recollection = Annotated[
    Facts,
    _shape(
        {"uid": "text", "kind": "text", "text": "text", "score": "number", "why": "text"},
        {"proof": "texts", "superseded_by": "text"},
    ),
]
"""A memory that was found: ``text`` is data, in a frame that says whose it is, how old, and how far to be trusted."""
Share = Annotated[
    Facts, _shape({"key": "text", "version": "whole"}, {"value": "text", "by": "text", "updated": "text"})
]
"""A key of the shared context; its ``value`` is JSON, in a frame."""
Letter = Annotated[
    Facts,
    _shape(
        dict.fromkeys(("uid", "sender", "type", "priority", "text", "thread", "created"), "text"),
        dict.fromkeys(("reply_to", "task", "expires", "state", "until"), "text")
        | dict.fromkeys(("ack", "broadcast", "new"), "so")
        | {"attempts": "whole"},
    ),
]
"""A message as its recipient sees it; ``text`` is subject and body, in a frame."""


class Told(Answer):
    """An answer of the memory; what is not there is left out."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema without nulls, which are left out of the answer."""
        schema = handler(core)
        for one in handler.resolve_ref_schema(schema)["properties"].values():
            filled = [choice for choice in one.pop("anyOf", []) if choice != NULL]
            if filled:
                one.update(filled[0])
                del one["default"]
        return schema

    def facts(self) -> Facts:
        """Return the answer, which consists of JSON values."""
        return filled(**self.__dict__)


class Recollections(Told):
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
        memories = [_recollection(hit, text) for hit, text in zip(found.hits, frames.texts, strict=True)]
        then = [f'remember(helped=["{memories[0]["uid"]}"]) says that it was of use; misled=[...] that it was not']
        return cls.model_construct(note=frames.note, memories=memories, left=found.left or None, next=then)


def _recollection(hit: Hit, text: str) -> Facts:
    one = hit.memory
    return filled(
        uid=one.uid,
        kind=one.kind,
        text=text,
        score=float(f"{hit.score:.3g}"),
        why=hit.why,
        proof=[*one.evidence.get("runs", ()), *one.evidence.get("models", ())] or None,
        superseded_by=one.superseded_by,
    )


class Remembered(Told):
    """What was kept: not ``new`` was there already, and is counted once more; ``redacted`` secrets were taken out."""

    uid: str | None = None
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
        about: Facts = {"superseded": superseded, "helped": helped, "misled": misled}
        about = {name: list(value) for name, value in about.items() if value}
        if written is None:
            return cls.model_construct(**about, next=["recall_memory(queries) prefers what helped"])
        one = written.memory
        then = "recall_memory(queries) finds it; remember(..., supersedes=[uid]) replaces it when it no longer holds"
        if not one.evidence:
            then = 'the same again with evidence={"run": ..., "model": ...} proves it, and raises its trust to 2'
        about |= {"times": None if written.new else one.times, "trust": one.trust}
        about |= {"redacted": written.redacted or None, "flags": one.flags or None}
        return cls.model_construct(uid=one.uid, new=written.new, **about, next=[then])


class TaskAnswer(Told):
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
    delegations: list[Facts] | None = None
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


class Shared(Told):
    """Keys of the shared context."""

    note: str | None = None
    context: list[Share]
    next: list[str]

    @classmethod
    def of(cls, entries: Sequence[Entry], then: Sequence[str], *, shown: bool = True) -> Self:
        """Return keys with their values, or, of what the caller wrote itself, only with their versions."""
        frames = framed() if shown and any(one.version for one in entries) else None
        nonce = frames.nonce if frames else None
        context = [_share(one, nonce) for one in entries]
        return cls.model_construct(note=frames.note if frames else None, context=context, next=list(then))


def _share(entry: Entry, nonce: str | None) -> Facts:
    return filled(
        key=entry.key,
        version=entry.version,
        value=None if nonce is None or not entry.version else framed_value(entry, nonce),
        by=entry.by,
        updated=moment(entry.updated) if entry.updated else None,
    )


class Mailbox(Told):
    """Messages of an agent; ``waiting`` is how many are neither acknowledged nor in anybody's hands."""

    agent: str
    note: str | None = None
    messages: list[Letter]
    waiting: int
    acknowledged: int | None = None
    released: int | None = None
    next: list[str]


class Posted(Told):
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
    return frames.note, [_letter(one, text) for one, text in zip(messages, frames.texts, strict=True)]


def _letter(one: Message, text: str) -> Facts:
    receipt = one.receipt
    about: Facts = {}
    if receipt is not None and receipt.state == "claimed":
        until = moment(receipt.until) if receipt.until else None
        about = {"state": "claimed", "until": until, "attempts": receipt.attempts}
    elif receipt is not None:
        about = {"state": receipt.state, "new": True if receipt.read is None else None}
    return filled(
        uid=one.uid,
        sender=one.sender,
        type=one.type,
        priority=one.priority,
        text=text,
        thread=one.thread,
        reply_to=one.reply_to,
        task=one.task,
        ack=one.ack or None,
        broadcast=one.broadcast or None,
        created=moment(one.created),
        expires=moment(one.expires) if one.expires else None,
        **about,
    )


def framed_value(entry: Entry, nonce: str | None = None) -> str:
    """Return a value of the shared context as JSON in a frame."""
    text = json.dumps(entry.value, ensure_ascii=False, separators=(",", ":"))
    return marked(text, nonce or framed().nonce, entry.by, entry.updated)


def filled(**facts: Any) -> Facts:  # noqa: ANN401 - any JSON values
    """Return facts without those that are not there."""
    return {name: value for name, value in facts.items() if value is not None}
