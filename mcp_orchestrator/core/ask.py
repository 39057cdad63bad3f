"""A request for resources, and the lines in which requests wait: of one shape, and of one client."""

from __future__ import annotations

from enum import Enum
from typing import Any

from mcp_orchestrator.core.heap import Heap
from mcp_orchestrator.core.ledger import Wants
from mcp_orchestrator.core.tasks import Need

__all__ = ["Ask", "Client", "Lane", "State"]


class State(Enum):
    """Where a request stands."""

    WAITING = "waiting"
    GRANTED = "granted"
    ENDED = "ended"


class Ask:
    """A request, and once it is granted what it holds: ``cpus`` processors and the ids ``gpus``."""

    __slots__ = (
        "asked", "began", "client", "cpus", "deadline", "gpus", "holder", "label", "lacks", "lane", "need", "number",
        "passed", "priority", "rank", "rates", "size", "state", "wants",
    )  # fmt: skip

    def __init__(
        self,
        need: Need,
        wants: Wants,
        rates: tuple[str, ...],
        client: Client,
        *,
        number: int,
        asked: float,
        priority: int,
        rank: float,
        label: str,
    ) -> None:
        """Start waiting; ``rank`` is what it is ordered by within its client, smaller first."""
        self.need, self.wants, self.rates, self.client = need, wants, rates, client
        self.number, self.asked, self.priority, self.rank, self.label = number, asked, priority, rank, label
        self.state = State.WAITING
        self.deadline: float | None = None
        self.lane: Lane | None = None
        self.holder: Any = None
        self.lacks = ""
        self.passed = 0
        self.began = 0.0
        self.size = 0.0
        self.cpus = 0
        self.gpus: tuple[int, ...] = ()

    @property
    def order(self) -> tuple[float, int]:
        """The key of the request within its client."""
        return self.rank, self.number

    def before(self, other: Ask) -> bool:
        """Whether this request is to be served before another one."""
        if self.client is other.client:
            return self.order < other.order
        mine, theirs = self.client.used - self.priority, other.client.used - other.priority
        return (mine, self.order) < (theirs, other.order)


class Lane:
    """The waiting requests of one client that take the same: where the first of them does not fit, none does."""

    __slots__ = ("asks", "client", "shape", "shut")

    def __init__(self, client: Client, shape: object) -> None:
        """Start empty."""
        self.client, self.shape = client, shape
        self.asks: Heap[Ask] = Heap()
        self.shut = ""

    @property
    def first(self) -> Ask:
        """The request that is next; a lane without requests is taken away at once."""
        ask = self.asks.first()
        if ask is None:
            raise LookupError
        return ask


class Client:
    """Whoever requests are shared fairly between: what it ``used`` so far, what it holds and what waits."""

    __slots__ = ("held", "lanes", "name", "open", "used", "waiting")

    def __init__(self, name: str) -> None:
        """Start with nothing."""
        self.name = name
        self.used = 0.0
        self.held = self.waiting = 0
        self.lanes: dict[object, Lane] = {}
        self.open: Heap[Lane] = Heap()

    @property
    def active(self) -> bool:
        """Whether it holds something or waits for something."""
        return bool(self.held or self.waiting)
