"""The shared context: who has not seen the present version cannot change it, and merges lose nothing."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from orchestrator_memory import context
from orchestrator_memory.errors import Conflict, Refused
from orchestrator_memory.patching import difference, patched, same
from orchestrator_memory.store import MemoryStore

APPENDIX: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""Appendix A of RFC 7396: the original, the patch, the result."""


@pytest.mark.parametrize(("target", "patch", "result"), APPENDIX)
def test_a_patch_does_what_the_appendix_of_its_specification_says(target: Any, patch: Any, result: Any) -> None:
    assert same(patched(target, patch), result)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 2, "e": [1, 2]}, "f": "x"}),
        ({"a": 1}, {"a": True}),
        ({"a": [1]}, {"a": [True]}),
        ([1], {"a": 1}),
        ({"a": 1}, {}),
        (None, {"a": {"b": 1}}),
    ],
)
def test_the_difference_of_two_values_is_a_patch_from_one_to_the_other(before: Any, after: Any) -> None:
    assert same(patched(before, difference(before, after)), after)


def test_a_difference_says_no_more_than_what_has_changed() -> None:
    assert difference({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 2, "d": 4}}) == {"a": None, "b": {"d": 4}}


def test_a_key_has_versions_and_says_who_wrote_the_present_one(store: MemoryStore, clock: Any) -> None:
    assert store.context.get("phase").version == 0
    first = store.context.patch("phase", {"name": "training", "rows": {"train": 7}}, expected=0, agent="lead")
    clock.pass_by(3)
    second = store.context.patch("phase", {"rows": {"test": 3}, "name": None}, expected=1, agent="trainer")
    assert (first.version, first.by) == (1, "lead")
    assert second == store.context.get("phase")
    assert (second.version, second.by, second.updated) == (2, "trainer", clock())
    assert second.value == {"rows": {"train": 7, "test": 3}}


def test_who_has_seen_another_version_is_told_the_present_one_and_changes_nothing(store: MemoryStore) -> None:
    now = store.context.patch("baselines", {"recall": 0.7}, expected=0, agent="lead")
    for expected in (0, 2, -1):
        with pytest.raises(Conflict, match="there is version 1 by lead") as lost:
            store.context.patch("baselines", {"recall": 0.1}, expected=expected)
        assert lost.value.current == now
    with pytest.raises(Conflict, match="there is nothing"):
        store.context.patch("objectives", [], expected=4)
    assert store.context.all() == [now]


def test_a_value_may_be_replaced_as_a_whole(store: MemoryStore) -> None:
    store.context.patch("objectives", {"old": 1}, expected=0)
    entry = store.context.patch("objectives", {"new": None}, expected=1, replace=True)
    assert entry.value == {"new": None}
    assert store.context.history("objectives")[0].operation == "replace"


def test_null_takes_a_key_away_and_its_versions_go_on(store: MemoryStore) -> None:
    store.context.patch("health", {"disk": "full"}, expected=0)
    store.context.patch("health", None, expected=1)
    assert store.context.all() == []
    with pytest.raises(Conflict):
        store.context.patch("health", {"disk": "empty"}, expected=0)
    assert store.context.patch("health", {"disk": "empty"}, expected=2).version == 3


def test_the_history_tells_each_change_and_makes_the_present_value(store: MemoryStore, clock: Any) -> None:
    store.context.patch("decisions", {"db": "sqlite"}, expected=0, agent="lead")
    clock.pass_by(1)
    store.context.patch("decisions", {"queue": {"lease": 60}}, expected=1, agent="trainer")
    store.context.merge("decisions", lambda value: {**value, "queue": {"lease": 30}}, agent="reviewer")
    store.context.patch("decisions", {"db": None}, expected=3)
    changes = store.context.history("decisions")
    assert [(one.version, one.by) for one in changes] == [(4, None), (3, "reviewer"), (2, "trainer"), (1, "lead")]
    assert changes[1].change == {"queue": {"lease": 30}}
    value: Any = None
    for one in reversed(changes):
        value = patched(value, one.change)
    assert value == store.context.get("decisions").value == {"queue": {"lease": 30}}
    assert [one.version for one in store.context.history("decisions", most=2)] == [4, 3]


def test_a_merge_that_a_patch_cannot_tell_is_told_whole(store: MemoryStore) -> None:
    store.context.merge("insights", lambda _: {"a": {"b": None}})
    (change,) = store.context.history("insights")
    assert (change.operation, change.change) == ("replace", {"a": {"b": None}})


def test_a_merge_sees_what_another_wrote_meanwhile(store: MemoryStore) -> None:
    seen: list[Any] = []

    def change(value: Any) -> Any:
        seen.append(value)
        if len(seen) <= 2:  # another is faster, twice
            store.context.patch("insights", {str(len(seen)): 1}, expected=len(seen) - 1)
        return {**(value or {}), "mine": 1}

    assert store.context.merge("insights", change).value == {"1": 1, "2": 1, "mine": 1}
    assert seen == [None, {"1": 1}, {"1": 1, "2": 1}]


def test_merges_of_many_threads_are_all_kept(store: MemoryStore) -> None:
    def work(name: str) -> None:
        for number in range(15):
            store.context.merge("insights", lambda value, one=number: [*(value or []), f"{name} {one}"], agent=name)

    threads = [Thread(target=work, args=(f"agent-{number}",)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    entry = store.context.get("insights")
    assert sorted(entry.value) == sorted(f"agent-{one} {number}" for one in range(6) for number in range(15))
    assert entry.version == 90


def test_a_function_that_changes_what_it_is_given_changes_nothing_else(store: MemoryStore) -> None:
    store.context.patch("insights", ["a"], expected=0)

    def change(value: Any) -> Any:
        value.append("b")
        return value

    assert store.context.merge("insights", change).value == ["a", "b"]
    assert [one.change for one in store.context.history("insights")] == [["a", "b"], ["a"]]


@pytest.mark.parametrize("key", ["", "Phase", "../x", "a b", "x" * 65, "1st"])
def test_a_key_that_is_none_is_refused(store: MemoryStore, key: str) -> None:
    for refused in (
        lambda: store.context.get(key),
        lambda: store.context.patch(key, 1, expected=0),
        lambda: store.context.history(key),
    ):
        with pytest.raises(Refused, match=r"usual: phase, objectives, baselines, decisions, insights, health"):
            refused()


@pytest.mark.parametrize("value", [{"x": "y" * 70_000}, float("nan"), {1, 2}, object()])
def test_a_value_that_is_too_large_or_no_json_is_refused(store: MemoryStore, value: Any) -> None:
    with pytest.raises(Refused, match="value"):
        store.context.patch("phase", value, expected=0)
    with pytest.raises(Refused, match="value"):
        store.context.merge("phase", lambda _: value)
    assert store.context.get("phase").version == 0


def test_patches_that_together_grow_too_large_are_refused(store: MemoryStore) -> None:
    store.context.patch("phase", {"a": "x" * 40_000}, expected=0)
    with pytest.raises(Refused, match="65536 are kept"):
        store.context.patch("phase", {"b": "x" * 40_000}, expected=1)
    assert list(store.context.get("phase").value) == ["a"]


def test_there_is_room_for_so_much_and_what_shrinks_is_let_in(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "KEYS", 3)
    monkeypatch.setattr(context, "TOGETHER", 1000)
    for key in ("a", "b", "c"):
        store.context.patch(key, "x" * 300, expected=0)
    with pytest.raises(Refused, match="4 keys"):
        store.context.patch("d", 1, expected=0)
    with pytest.raises(Refused, match="1000 are kept"):
        store.context.patch("a", "x" * 500, expected=1)
    store.context.patch("a", None, expected=1)
    store.context.patch("d", "x" * 300, expected=0)
    assert [one.key for one in store.context.all()] == ["b", "c", "d"]


def test_secrets_stay_out_of_the_context_and_its_history(store: MemoryStore) -> None:
    store.context.patch("health", {"note": "AKIAABCDEFGHIJKLMNOP"}, expected=0)
    store.context.merge("health", lambda value: {**value, "more": "AKIAABCDEFGHIJKLMNOQ"})
    told = f"{store.context.get('health')} {store.context.history('health')}"
    assert "ABCDEFGHIJ" not in told
    assert "redacted" in told


def test_nothing_is_seen_from_one_project_in_another(store: MemoryStore, tmp_path: Path) -> None:
    store.context.patch("phase", "ours", expected=0)
    with MemoryStore.open(tmp_path / "memory.db", "elsewhere") as other:
        assert other.context.all() == []
        assert other.context.patch("phase", "theirs", expected=0).version == 1
        assert len(other.context.history("phase")) == 1
    assert store.context.get("phase").value == "ours"
