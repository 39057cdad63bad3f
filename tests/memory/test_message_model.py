"""Messages against a model of them: whatever is done in whatever order, both say the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from orchestrator_memory.errors import Held, NotFound, NotYours, Stale
from orchestrator_memory.store import MemoryStore

pytest.importorskip("hypothesis")  # the store is tested without it too

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

AGENTS = ("ada", "bob", "cy")
HOLDERS = ("one", "two")
PRIORITIES = ("low", "normal", "high", "urgent")
LEASE = 10.0
agents = st.sampled_from(AGENTS)
holders = st.sampled_from(HOLDERS)
which = st.integers(0, 3)


@dataclass
class Copy:
    """A message at one of its recipients, as the model has it."""

    number: int
    priority: int
    kind: str
    expires: float
    state: str = "unread"
    attempts: int = 0
    by: str = ""
    until: float = 0.0
    after: float = 0.0

    def free(self, at: float) -> bool:
        return self.state == "unread" or (self.state == "claimed" and self.until <= at)

    def expired(self, at: float) -> bool:
        return self.expires <= at

    def dead(self, at: float) -> bool:
        worn = self.state == "claimed" and self.attempts % 5 == 0
        return self.state == "dead" or (self.free(at) and (worn or self.expired(at)))

    def next(self) -> tuple[int, int]:
        return -self.priority, self.number


@dataclass
class Known:
    """An agent as the model has it."""

    retired: bool = False
    heard: int = 0
    """How many messages there had been when it last looked."""
    boxes: dict[int, Copy] = field(default_factory=dict[int, Copy])


class Mail(RuleBasedStateMachine):
    """Does the same with the messages and with the model, and compares."""

    folder: Path
    numbers = count()

    def __init__(self) -> None:
        super().__init__()
        self.at = 1_800_000_000.0
        self.store = MemoryStore.open(
            self.folder / f"{next(self.numbers)}.db", "project", clock=lambda: round(self.at * 1_000_000)
        )
        self.known: dict[str, Known] = {}
        self.uids: list[str] = []
        self.open: list[tuple[int, str, Copy]] = []
        """What is for all: its number, its sender, and a copy to give to who comes later."""

    def teardown(self) -> None:
        self.store.close()

    def meet(self, name: str) -> Known:
        """An agent who speaks is there; it has what is for all from the time when it was not, since that comes late."""
        return self.known.setdefault(name, Known())

    def hear(self, name: str) -> Known:
        """An agent looks into its inbox: what is for all and has not expired is there."""
        agent = self.known[name]
        for number, sender, copy in self.open:
            if sender != name and number not in agent.boxes and not copy.expired(self.at) and number >= agent.heard:
                agent.boxes[number] = Copy(number, copy.priority, copy.kind, copy.expires)
        agent.heard = len(self.uids)
        return agent

    @rule(name=agents)
    def register(self, name: str) -> None:
        self.store.agents.register(name, session=f"session-{name}")
        self.meet(name).retired = False

    @precondition(lambda self: self.known)
    @rule(name=agents)
    def retire(self, name: str) -> None:
        if name in self.known:
            self.store.agents.retire(name)
            self.known[name].retired = True

    @rule(seconds=st.sampled_from([1.0, 4.0, LEASE]))
    def wait(self, seconds: float) -> None:
        self.at += seconds

    @rule(
        name=agents,
        to=st.lists(agents, max_size=2, unique=True),
        priority=st.integers(0, 3),
        kind=st.sampled_from(["job", "context"]),
        lasts=st.sampled_from([None, None, 3.0, 25.0]),
    )
    def send(self, name: str, to: list[str], priority: int, kind: str, lasts: float | None) -> None:
        number = len(self.uids)
        expires = None if lasts is None else round((self.at + lasts) * 1_000_000)
        sent = self.store.messages.send(
            name, f"message {number}", to=to, priority=PRIORITIES[priority], type=kind, expires=expires
        )
        self.uids.append(sent.message.uid)
        self.meet(name).retired = False
        copy = Copy(number, priority, kind, float("inf") if lasts is None else self.at + lasts)
        if not to:
            self.open.append((number, name, copy))
        for one in to or [one for one, agent in self.known.items() if one != name and not agent.retired]:
            self.meet(one).boxes[number] = Copy(number, copy.priority, copy.kind, copy.expires)

    @rule(name=agents, by=holders, most=st.integers(1, 3), kinds=st.sampled_from([(), ("job",)]))
    def claim(self, name: str, by: str, most: int, kinds: tuple[str, ...]) -> None:
        if name not in self.known:
            with pytest.raises(NotFound):
                self.store.messages.claim(name, by=by)
            return
        got = self.store.messages.claim(name, by=by, most=most, lease=LEASE, types=kinds)
        boxes = self.hear(name).boxes.values()
        wanted = sorted(
            (
                one
                for one in boxes
                if one.free(self.at)
                and not one.dead(self.at)
                and one.after <= self.at
                and (not kinds or one.kind in kinds)
            ),
            key=Copy.next,
        )[:most]
        for one in wanted:
            one.state, one.by, one.until, one.attempts = "claimed", by, self.at + LEASE, one.attempts + 1
        assert [(one.body, one.receipt and one.receipt.attempts) for one in got] == [
            (f"message {one.number}", one.attempts) for one in wanted
        ]

    @precondition(lambda self: self.uids)
    @rule(name=agents, times=st.integers(3, 6), most=st.integers(1, 3), back=st.booleans())
    def work_in_vain(self, name: str, times: int, most: int, *, back: bool) -> None:
        for _ in range(times):
            self.claim(name, HOLDERS[0], most, ())
            if back:
                self.nack(name, 0, "present", 4.0)
                self.claim(name, HOLDERS[1], most, ())
            self.wait(LEASE)

    @precondition(lambda self: self.uids)
    @rule(name=agents, which=which, fence=st.sampled_from(["present", "old", None]), by=holders | st.none())
    def ack(self, name: str, which: int, fence: str | None, by: str | None) -> None:
        copy, uid, given = self.pick(name, which, fence)
        if copy is None:
            with pytest.raises((NotFound, NotYours)):
                self.store.messages.ack(name, [uid], fence=given, by=by)
            return
        state = "dead" if copy.dead(self.at) else copy.state
        if state == "acked":
            fine, counted = given in {None, copy.attempts}, 0
        elif given is not None:
            fine, counted = given == copy.attempts and state in {"claimed", "dead"}, 1
        else:
            fine, counted = copy.free(self.at) or state == "dead" or copy.by == by, 1
        if fine:
            assert self.store.messages.ack(name, [uid], fence=given, by=by) == counted
            copy.state = "acked"
        else:
            with pytest.raises((Stale, Held)):
                self.store.messages.ack(name, [uid], fence=given, by=by)

    @precondition(lambda self: self.uids)
    @rule(name=agents, which=which, fence=st.sampled_from(["present", "old"]), delay=st.sampled_from([0.0, 4.0]))
    def nack(self, name: str, which: int, fence: str, delay: float) -> None:
        copy, uid, given = self.pick(name, which, fence)
        if self.mine(copy, given):
            self.store.messages.nack(name, uid, given, delay=delay)
            assert copy is not None
            copy.state = "dead" if copy.attempts % 5 == 0 else "unread"
            copy.after, copy.by = self.at + delay, ""
        else:
            with pytest.raises((Stale, NotFound, NotYours)):
                self.store.messages.nack(name, uid, given, delay=delay)

    @precondition(lambda self: self.uids)
    @rule(name=agents, which=which, fence=st.sampled_from(["present", "old"]))
    def extend(self, name: str, which: int, fence: str) -> None:
        copy, uid, given = self.pick(name, which, fence)
        if self.mine(copy, given):
            self.store.messages.extend(name, uid, given, LEASE)
            assert copy is not None
            copy.until = self.at + LEASE
        else:
            with pytest.raises((Stale, NotFound, NotYours)):
                self.store.messages.extend(name, uid, given, LEASE)

    @precondition(lambda self: self.uids)
    @rule(name=agents, which=which)
    def revive(self, name: str, which: int) -> None:
        copy, uid, _ = self.pick(name, which, None)
        if copy is None or not copy.dead(self.at):
            with pytest.raises((NotFound, NotYours)):
                self.store.messages.revive(name, uid)
        else:
            self.store.messages.revive(name, uid)
            copy.state, copy.by, copy.expires, copy.after = "unread", "", float("inf"), 0.0
            copy.attempts += -copy.attempts % 5

    @invariant()
    def both_say_the_same(self) -> None:
        for name in self.known:
            boxes = self.hear(name).boxes.values()
            unread = [one for one in boxes if one.free(self.at) and not one.dead(self.at)]
            assert self.store.messages.unread(name) == len(unread)
            held = [one for one in boxes if one.state == "claimed" and not one.free(self.at)]
            shown = sorted([one for one in (*unread, *held) if not one.expired(self.at)], key=Copy.next)
            inbox = self.store.messages.inbox(name, most=200)
            assert [one.body for one in inbox] == [f"message {one.number}" for one in shown]

    @invariant()
    def the_dead_are_the_same(self) -> None:
        if len(self.uids) % 3 == 0:  # seldom, since to look at them is to find them out
            for name in self.known:
                dead = sorted((one.number for one in self.hear(name).boxes.values() if one.dead(self.at)), reverse=True)
                found = self.store.messages.dead(name, most=200)
                assert [one.body for one in found] == [f"message {number}" for number in dead]

    def pick(self, name: str, which: int, fence: str | None) -> tuple[Copy | None, str, int | None]:
        """One of the last messages, where this agent has it, and a fence that is right or old."""
        number = max(0, len(self.uids) - 1 - which)
        copy = self.hear(name).boxes.get(number) if name in self.known else None
        attempts = copy.attempts if copy else 1
        given = {None: None, "present": max(1, attempts), "old": max(1, attempts - 1)}[fence]
        return copy, self.uids[number], given

    def mine(self, copy: Copy | None, fence: int | None) -> bool:
        return copy is not None and copy.state == "claimed" and copy.attempts == fence and not copy.dead(self.at)


@pytest.mark.slow
def test_messages_do_what_the_model_of_them_does(tmp_path: Path) -> None:
    Mail.folder = tmp_path
    run_state_machine_as_test(
        Mail,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
