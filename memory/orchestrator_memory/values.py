"""What the memory returns: frozen values, made for JSON; times are microseconds since the epoch, UTC."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

__all__ = [
    "Agent",
    "Change",
    "Collaborator",
    "Delegation",
    "Entry",
    "Hit",
    "Impact",
    "Kind",
    "Memory",
    "Message",
    "Origin",
    "Outcome",
    "Priority",
    "Recalled",
    "Receipt",
    "Reservation",
    "Sent",
    "Stats",
    "Task",
    "Value",
    "Written",
]

Kind = Literal["insight", "pattern", "decision", "fact", "baseline", "lesson", "note"]
Impact = Literal["low", "medium", "high", "critical"]
Origin = Literal["agent", "user", "tool", "run", "import"]
Outcome = Literal["running", "success", "partial", "failure", "cancelled"]
Priority = Literal["low", "normal", "high", "urgent"]
_set = object.__setattr__


class Value(BaseModel):
    """A frozen value."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def made(cls, values: dict[str, Any]) -> Self:
        """Return a value of all its fields, unchecked, as `model_construct` would in several times the time."""
        if not cls.__pydantic_complete__:  # pydantic 2.12 cannot write a value of a class that is not built
            cls.model_rebuild()
        one = cls.__new__(cls)
        _set(one, "__dict__", values)
        _set(one, "__pydantic_fields_set__", set(values))
        _set(one, "__pydantic_extra__", None)
        _set(one, "__pydantic_private__", None)
        return one


class Agent(Value):
    """Somebody who works in the project."""

    name: str
    role: str = ""
    session: str | None = None
    """The session that speaks in its name, if one does now."""
    created: int
    seen: int
    retired: int | None = None


class Memory(Value):
    """Something worth knowing later.

    ``trust``: 0 imported or from a tool, 1 said by an agent, 2 said by an agent and proved by a run, 3 from a run or a
    person.
    """

    uid: str
    kind: Kind
    area: str = ""
    title: str = ""
    body: str
    data: dict[str, Any] = {}
    tags: list[str] = []
    impact: Impact | None = None
    importance: float = 0.5
    confidence: float | None = None
    evidence: dict[str, Any] = {}
    agent: str | None = None
    run: str | None = None
    origin: Origin = "agent"
    trust: int = 1
    source: str = ""
    flags: list[str] = []
    created: int
    updated: int
    valid_from: int
    valid_to: int | None = None
    superseded_by: str | None = None
    expires: int | None = None
    pinned: bool = False
    times: int = 1
    used: int = 0
    helpful: int = 0
    harmful: int = 0
    version: int = 1


class Written(Value):
    """A memory that was written; not ``new``: it was there, and is counted once more."""

    memory: Memory
    new: bool
    redacted: int = 0


class Hit(Value):
    """A memory that was found: its score, the parts that make it, and why in words."""

    memory: Memory
    score: float
    parts: dict[str, float]
    why: str
    text: str
    """What to show of it: within the budget, cut where need be."""


class Recalled(Value):
    """What was found, best first; ``left`` further ones did not fit."""

    hits: list[Hit]
    left: int = 0
    tokens: int = 0


class Delegation(Value):
    """A part of a task that was given to another agent."""

    number: int
    to: str
    type: str = ""
    reason: str = ""
    outcome: str = "open"
    note: str = ""
    task: str | None = None
    """The task that the other agent made of it."""
    created: int
    settled: int | None = None


class Task(Value):
    """Something that an agent, or a run, does or did."""

    uid: str
    agent: str
    description: str
    outcome: Outcome = "running"
    progress: float = 0.0
    note: str = ""
    type: str = ""
    workflow: str = ""
    phase: str = ""
    run: str | None = None
    parent: str | None = None
    insights: list[str] = []
    delegations: list[Delegation] = []
    data: dict[str, Any] = {}
    tokens_in: int = 0
    tokens_out: int = 0
    started: int
    updated: int
    ended: int | None = None
    version: int = 1


class Collaborator(Value):
    """How an agent works with another on a kind of task."""

    agent: str
    other: str
    type: str = ""
    attempts: int
    successes: int
    rate: float
    """Successes by attempts, derived."""
    sure: float
    """The lower end of Wilson's 95 % interval of the rate: few attempts count little."""
    seconds: float = 0.0
    """The mean time of an attempt."""
    last: int


class Entry(Value):
    """A key of the shared context; version 0: there is none yet."""

    key: str
    value: Any = None
    version: int = 0
    by: str | None = None
    updated: int = 0


class Change(Value):
    """What was changed once, by whom."""

    operation: str
    by: str | None = None
    version: int
    change: Any = None
    at: int


class Receipt(Value):
    """A message at one of its recipients."""

    agent: str
    state: Literal["unread", "claimed", "acked", "dead"]
    by: str = ""
    """Who has claimed it."""
    until: int | None = None
    attempts: int = 0
    """How often it was claimed: the fence of the present claim."""
    note: str = ""
    read: int | None = None
    acked: int | None = None


class Message(Value):
    """A message; as one recipient sees it, with that one's ``receipt``; looked up by its uid, with all ``receipts``.

    ``to`` is empty for a broadcast.
    """

    uid: str
    sender: str
    to: list[str] = []
    broadcast: bool = False
    type: str = "context"
    priority: Priority = "normal"
    subject: str = ""
    body: str
    thread: str
    reply_to: str | None = None
    task: str | None = None
    details: dict[str, Any] = {}
    flags: list[str] = []
    ack: bool = False
    created: int
    expires: int | None = None
    receipt: Receipt | None = None
    receipts: list[Receipt] = []


class Sent(Value):
    """A message that was sent; not ``new``: one of the same key had been."""

    message: Message
    new: bool
    redacted: int = 0


class Reservation(Value):
    """A claim on a resource; ``fence`` grows with each reservation, so that an old holder cannot pass for a new one."""

    resource: str
    mode: Literal["shared", "exclusive"] = "exclusive"
    agent: str
    fence: int
    reason: str = ""
    created: int
    expires: int


class Stats(Value):
    """How much there is."""

    project: str
    agents: int
    memories: dict[str, int]
    tasks: dict[str, int]
    messages: dict[str, int]
    """Deliveries by state."""
    context: int
    reservations: int
    bytes: int
