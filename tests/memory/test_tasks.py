"""Tasks run, end once, and say what was given to whom; nobody changes another's."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from orchestrator_memory.errors import Conflict, NotFound, NotYours, Refused
from orchestrator_memory.store import MemoryStore


def test_a_task_goes_from_its_start_to_its_end_and_keeps_what_was_said(store: MemoryStore, clock: Any) -> None:
    task = store.tasks.start("trainer", "Train a model", type="training", phase="tune", run="run-1", data={"rows": 7})
    clock.pass_by(10)
    store.tasks.progress(task.uid, 0.4, agent="trainer", note="fold 2 of 5", tokens_in=100, tokens_out=20)
    clock.pass_by(5)
    store.tasks.progress(task.uid, agent="trainer", phase="test", tokens_in=11)
    done = store.tasks.finish(task.uid, "success", agent="trainer", insights=["Scaling helps"], tokens_out=3)
    assert done == store.tasks.get(task.uid)
    assert (done.outcome, done.progress, done.phase, done.note) == ("success", 1.0, "test", "fold 2 of 5")
    assert (done.tokens_in, done.tokens_out, done.insights, done.data) == (111, 23, ["Scaling helps"], {"rows": 7})
    assert (done.ended or 0) - done.started == 15_000_000
    assert (task.version, done.version) == (1, 4)


def test_progress_only_grows(store: MemoryStore) -> None:
    task = store.tasks.start("trainer", "Train")
    store.tasks.progress(task.uid, 0.6, agent="trainer")
    assert store.tasks.progress(task.uid, 0.2, agent="trainer").progress == 0.6
    assert store.tasks.finish(task.uid, "failure", agent="trainer").progress == 0.6


def test_a_task_of_the_same_key_is_the_same_task_for_its_agent_alone(store: MemoryStore) -> None:
    first = store.tasks.start("trainer", "Train", key="k")
    assert store.tasks.start("trainer", "Train again", key="k") == first
    assert store.tasks.start("other", "Train", key="k").uid != first.uid
    assert len(store.tasks.list()) == 2


def test_an_end_is_final_and_to_say_it_twice_changes_nothing(store: MemoryStore) -> None:
    task = store.tasks.start("trainer", "Train")
    done = store.tasks.finish(task.uid, "partial", agent="trainer", tokens_in=5)
    assert store.tasks.finish(task.uid, "partial", agent="trainer", tokens_in=5) == done
    with pytest.raises(Conflict, match="ended: partial") as raised:
        store.tasks.finish(task.uid, "success", agent="trainer")
    assert raised.value.current["uid"] == task.uid
    with pytest.raises(Conflict, match="start another task"):
        store.tasks.progress(task.uid, 0.9, agent="trainer")
    with pytest.raises(Conflict):
        store.tasks.delegate(task.uid, "other", "Too late", agent="trainer")
    assert store.tasks.get(task.uid) == done


def test_a_task_that_has_changed_meanwhile_is_not_changed_by_who_expects_the_old_one(store: MemoryStore) -> None:
    task = store.tasks.start("trainer", "Train")
    store.tasks.progress(task.uid, 0.5, agent="trainer", expected=task.version)
    with pytest.raises(Conflict, match="version 2, version 1 was expected"):
        store.tasks.finish(task.uid, "success", agent="trainer", expected=task.version)
    assert store.tasks.finish(task.uid, "success", agent="trainer", expected=2).version == 3


def test_only_its_agent_and_the_one_above_change_a_task(store: MemoryStore) -> None:
    above = store.tasks.start("lead", "Build")
    task = store.tasks.start("trainer", "Train", parent=above.uid)
    store.agents.register("stranger")
    with pytest.raises(NotYours, match="'trainer'"):
        store.tasks.progress(task.uid, 0.5, agent="stranger")
    with pytest.raises(NotYours):
        store.tasks.finish(above.uid, "success", agent="trainer")
    assert store.tasks.finish(task.uid, "cancelled", agent="lead").outcome == "cancelled"
    assert [one.uid for one in store.tasks.list(parent=above.uid)] == [task.uid]


def test_a_delegation_is_found_with_the_task_that_was_made_of_it(store: MemoryStore, clock: Any) -> None:
    task = store.tasks.start("lead", "Build")
    first = store.tasks.delegate(task.uid, "trainer", "Train it", agent="lead", type="training")
    assert store.tasks.delegate(task.uid, "trainer", "Train it", agent="lead", type="training") == first
    second = store.tasks.delegate(task.uid, "infra", "Serve it", agent="lead")
    child = store.tasks.start("trainer", "Train it", parent=task.uid)
    store.tasks.start("trainer", "Something else of it", parent=task.uid)
    assert [(one.number, one.to, one.task) for one in store.tasks.get(task.uid).delegations] == [
        (1, "trainer", child.uid),
        (2, "infra", None),
    ]
    clock.pass_by(30)
    store.tasks.finish(task.uid, "success", agent="lead")
    settled = store.tasks.settle(task.uid, first.number, "success", agent="lead", note="Well done")
    assert (settled.outcome, settled.note, (settled.settled or 0) - settled.created) == (
        "success",
        "Well done",
        30_000_000,
    )
    assert [one.outcome for one in store.tasks.get(task.uid).delegations] == ["success", "open"]
    assert second.number == 2


def test_settling_counts_the_collaboration_once_with_its_kind_and_time(store: MemoryStore, clock: Any) -> None:
    task = store.tasks.start("lead", "Build", type="building")
    for number, (reason, kind) in enumerate([("a", "training"), ("b", "training"), ("c", ""), ("d", "training")], 1):
        assert store.tasks.delegate(task.uid, "trainer", reason, agent="lead", type=kind).number == number
    clock.pass_by(8)
    for number, outcome in [(1, "success"), (1, "success"), (2, "failure"), (3, "partial"), (4, "cancelled")]:
        store.tasks.settle(task.uid, number, outcome, agent="lead")
    with pytest.raises(Conflict, match="settled as success"):
        store.tasks.settle(task.uid, 1, "failure", agent="lead")
    counted = {one.type: (one.attempts, one.successes, one.seconds) for one in store.collaboration.of("lead")}
    assert counted == {"training": (2, 1, 8.0), "building": (1, 0, 8.0)}


def test_what_is_not_acceptable_is_refused_and_leaves_nothing(store: MemoryStore) -> None:
    task = store.tasks.start("lead", "Build")
    for wrong in (
        lambda: store.tasks.start("../../x", "Build"),
        lambda: store.tasks.start("lead", " \u200b "),
        lambda: store.tasks.start("lead", "x" * 9000),
        lambda: store.tasks.start("lead", "Build", type="Not a word"),
        lambda: store.tasks.start("lead", "Build", data={"x": float("nan")}),
        lambda: store.tasks.progress(task.uid, 1.5, agent="lead"),
        lambda: store.tasks.progress(task.uid, agent="lead", tokens_in=-1),
        lambda: store.tasks.finish(task.uid, "running", agent="lead"),
        lambda: store.tasks.delegate(task.uid, "LEAD", "To myself", agent="lead"),
        lambda: store.tasks.list(outcome="done"),
    ):
        with pytest.raises(Refused):
            wrong()
    for missing in (
        lambda: store.tasks.start("lead", "Build", parent="nothing"),
        lambda: store.tasks.settle(task.uid, 7, "success", agent="lead"),
        lambda: store.tasks.progress(task.uid, 0.5, agent="nobody"),
        lambda: store.tasks.list(before="nothing"),
    ):
        with pytest.raises(NotFound):
            missing()
    assert store.tasks.list() == [task]


def test_a_task_of_another_project_is_not_there(store: MemoryStore, tmp_path: Path) -> None:
    task = store.tasks.start("lead", "Build")
    with MemoryStore.open(tmp_path / "memory.db", "another") as other:
        other.agents.register("lead")
        assert other.tasks.list() == []
        for act in (
            lambda: other.tasks.get(task.uid),
            lambda: other.tasks.finish(task.uid, "success", agent="lead"),
            lambda: other.tasks.start("lead", "Below", parent=task.uid),
        ):
            with pytest.raises(NotFound):
                act()


def test_pages_of_tasks_hold_each_task_once_latest_first(store: MemoryStore, clock: Any) -> None:
    made: list[str] = []
    for number in range(23):
        clock.pass_by(number % 3)
        made.append(store.tasks.start("ab"[number % 2], f"Task {number}", run=f"run-{number // 10}").uid)
    seen: list[str] = []
    while page := store.tasks.list(most=5, before=seen[-1] if seen else None):
        seen += [one.uid for one in page]
    assert seen == made[::-1]
    assert [one.uid for one in store.tasks.list(agent="b", run="run-1")] == [
        uid for uid in seen if uid in made[11:20:2]
    ]
    assert [one.uid for one in store.tasks.list(since=store.tasks.get(made[20]).started)] == seen[:3]
    assert [one.uid for one in store.tasks.list(outcome="running", most=2)] == seen[:2]


def test_a_task_that_is_over_is_written_down_at_once_with_its_parts_and_counts_no_collaboration(
    store: MemoryStore,
) -> None:
    given = [{"to": "infra", "reason": "Deploy", "outcome": "success"}, {"to": "perf", "reason": "Measure"}]
    task = store.tasks.record("lead", "Built", "partial", insights=["One"], given=given, started=5, ended=9, key="k")
    assert (task.started, task.ended, task.outcome) == (5, 9, "partial")
    assert [(one.to, one.outcome, one.settled) for one in task.delegations] == [
        ("infra", "success", 9),
        ("perf", "open", None),
    ]
    assert store.tasks.record("lead", "Built", "partial", key="k") == task
    earlier = store.tasks.record("lead", "Built before", "success", ended=3)
    assert [one.uid for one in store.tasks.list()] == [task.uid, earlier.uid]
    assert store.collaboration.of("lead") == []


def test_threads_that_report_at_once_lose_no_token(store: MemoryStore) -> None:
    task = store.tasks.start("lead", "Build")

    def report() -> None:
        for _ in range(20):
            store.tasks.progress(task.uid, agent="lead", tokens_in=1, tokens_out=2)

    threads = [Thread(target=report) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    now = store.tasks.get(task.uid)
    assert (now.tokens_in, now.tokens_out, now.version) == (80, 160, 81)
