"""How much there is of everything."""

from __future__ import annotations

from typing import Any

from orchestrator_memory.store import MemoryStore


def test_what_there_is_now_is_counted_and_not_what_is_over_or_of_another_project(
    store: MemoryStore, clock: Any
) -> None:
    assert store.stats().model_dump(exclude={"bytes"}) == {
        "project": "project",
        "agents": 0,
        "memories": {},
        "tasks": {},
        "messages": {},
        "context": 0,
        "reservations": 0,
    }
    first = store.memories.remember("the first finding", agent="anna", kind="fact").memory.uid
    store.memories.remember("another finding", agent="anna", kind="fact", supersedes=[first])
    store.memories.remember("for a moment", agent="anna", expires=clock() + 1_000_000)
    store.tasks.finish(store.tasks.start("anna", "to look").uid, "success", agent="anna")
    store.tasks.start("bert", "to look again")
    sent = store.messages.send("anna", "look", to=["bert", "carl"]).message.uid
    store.messages.ack("carl", [sent])
    store.context.patch("phase", "search", expected=0, agent="anna")
    store.reservations.reserve("slot", "anna", seconds=10)
    found = store.stats()
    assert found.memories == {"fact": 1, "note": 1}
    assert found.tasks == {"running": 1, "success": 1}
    assert found.messages == {"acked": 1, "unread": 1}
    assert (found.agents, found.context, found.reservations) == (3, 1, 1)
    assert found.bytes >= 4096 * 10
    store.agents.retire("carl")
    clock.pass_by(10)
    found = store.stats()
    assert (found.agents, found.memories, found.reservations) == (2, {"fact": 1}, 0)
    with MemoryStore.open(store.door.path, "other", clock=clock) as other:
        assert (other.stats().agents, other.stats().messages) == (0, {})
