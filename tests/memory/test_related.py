"""Which trainings of the past were on data like these: the measure, and what is read of the memory."""

from __future__ import annotations

import math
from typing import Any

import pytest

from orchestrator_memory.related import Fingerprint, RunQuery, similarity
from orchestrator_memory.store import MemoryStore


def fingerprint(task: str = "classification", names: str = "age income city", **numbers: float) -> Fingerprint:
    usual = {"rows": 3.0, "columns": 1.0, "numeric": 0.8, "linear": 0.6, "tree": 0.7, "near": 0.5, "missing": 0.1}
    labels = {"task": task, "metric": "roc_auc", "target": "churn", "schema": names}
    return Fingerprint(numbers={**usual, **numbers}, labels=labels, names=names.split())


def keep(store: MemoryStore, run: str, mark: Fingerprint | None, **more: Any) -> str:
    """Remember a training, and return the uid."""
    data: dict[str, Any] = {"metric": "roc_auc", "score": 0.9, "configurations": [{"family": "linear", "params": {}}]}
    data |= {} if mark is None else {"fingerprint": mark.model_dump()}
    about: dict[str, Any] = {"kind": "pattern", "area": "training", "origin": "run", "run": run, "data": data, **more}
    return store.memories.remember(f"Training of run {run}.", **about).memory.uid


def runs(store: MemoryStore, mark: Fingerprint, **more: Any) -> list[str]:
    return [one.run for one in store.related_runs(RunQuery(fingerprint=mark, **more), 5)]


# The measure ----------------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_wholly_like_itself() -> None:
    found = similarity(fingerprint(), fingerprint())
    assert found.score == 1.0
    assert set(found.parts.values()) == {1.0}


def test_another_task_is_not_alike_whatever_else_is() -> None:
    assert similarity(fingerprint(), fingerprint("regression")).score == 0.0


@pytest.mark.parametrize(
    "other",
    [fingerprint(rows=5.0, linear=0.1), fingerprint(names="age height"), fingerprint(skewness=2.0, numeric=0.0)],
)
def test_it_is_the_same_both_ways_and_less_than_whole(other: Fingerprint) -> None:
    assert similarity(fingerprint(), other) == similarity(other, fingerprint())
    assert 0 < similarity(fingerprint(), other).score < 1


def test_the_further_a_number_is_the_less_alike_are_the_tables() -> None:
    scores = [similarity(fingerprint(), fingerprint(linear=one)).score for one in (0.6, 0.5, 0.3, 0.1)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4
    assert similarity(fingerprint(), fingerprint(linear=0.35)).parts["linear"] == pytest.approx(0.5)


def test_planted_tables_are_ordered_as_they_were_planted() -> None:
    """A later sample, the same law with other names, a table that only has the same size."""
    later = fingerprint(rows=3.2, linear=0.58, tree=0.72)
    renamed = fingerprint(names="a1 b1 c1", linear=0.58)
    stranger = fingerprint(names="pixel ink width", linear=0.1, tree=0.2, near=0.95, missing=0.0, numeric=1.0)
    scores = [similarity(fingerprint(), one).score for one in (later, renamed, stranger)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9 > scores[1] > 0.6 > scores[2]


def test_what_one_of_them_lacks_is_no_evidence() -> None:
    bare = Fingerprint(numbers={"rows": 3.0}, labels={"task": "classification"})
    found = similarity(fingerprint(), bare)
    assert (found.score, found.parts) == (1.0, {"rows": 1.0})
    assert similarity(Fingerprint(), fingerprint()).score == 0.0


def test_kinds_of_columns_that_neither_has_are_no_evidence_either() -> None:
    one, other = fingerprint(text=0.0), fingerprint(text=0.0, linear=0.2)
    assert "text" not in similarity(one, other).parts
    assert similarity(fingerprint(text=0.5), fingerprint(text=0.0)).parts["text"] == 0.0


def test_numbers_that_are_not_known_here_are_compared_in_proportion() -> None:
    one, other = (Fingerprint(numbers={"depth": depth}) for depth in (3.0, 4.0))
    assert similarity(one, other).score == pytest.approx(0.75)
    assert similarity(one, Fingerprint(numbers={"depth": math.inf})).score == 0.0


# What is read ---------------------------------------------------------------------------------------------------------


def test_the_most_alike_come_first_with_what_they_found(store: MemoryStore) -> None:
    keep(store, "far", fingerprint(linear=0.1))
    uid = keep(store, "near", fingerprint(linear=0.55))
    keep(store, "other-task", fingerprint("regression"))
    found = store.related_runs(RunQuery(fingerprint=fingerprint()))
    assert [one.run for one in found] == ["near", "far"]
    assert (found[0].memory, found[0].score, found[0].metric) == (uid, 0.9, "roc_auc")
    assert found[0].configurations == [{"family": "linear", "params": {}}]
    assert found[0].similarity.parts["linear"] == pytest.approx(0.9)


def test_of_equally_alike_ones_the_newer_comes_first(store: MemoryStore, clock: Any) -> None:
    for run in ("old", "new"):
        keep(store, run, fingerprint())
        clock.pass_by(60)
    assert runs(store, fingerprint()) == ["new", "old"]


def test_runs_that_are_named_are_returned_in_that_order_however_unlike_they_are(store: MemoryStore) -> None:
    for run, mark in (("one", fingerprint()), ("two", fingerprint("regression")), ("three", fingerprint(rows=1.0))):
        keep(store, run, mark)
    assert runs(store, fingerprint(), runs=["three", "two", "nobody", "three"]) == ["three", "two"]


def test_what_is_superseded_expired_or_from_elsewhere_is_not_read(store: MemoryStore, clock: Any) -> None:
    old, new = keep(store, "old", fingerprint()), keep(store, "new", fingerprint())
    store.memories.supersede(old, new, agent=None)
    keep(store, "brief", fingerprint(), expires=clock() + 1_000_000)
    keep(store, "said", fingerprint(), origin="agent")
    keep(store, "elsewhere", fingerprint(), area="evaluation")
    keep(store, "insight", fingerprint(), kind="insight")
    clock.pass_by(2)
    assert runs(store, fingerprint()) == ["new"]


def test_nothing_is_seen_from_one_project_in_another(store: MemoryStore, clock: Any) -> None:
    keep(store, "ours", fingerprint())
    with MemoryStore.open(store.door.path, "another", clock=clock) as other:
        assert runs(other, fingerprint()) == []


def test_what_was_kept_without_a_fingerprint_that_can_be_read_is_passed_over(store: MemoryStore) -> None:
    keep(store, "none", None)
    about: dict[str, Any] = {"kind": "pattern", "area": "training", "origin": "run", "run": "odd"}
    store.memories.remember("An odd one.", data={"fingerprint": {"numbers": {"rows": "many"}}}, **about)
    keep(store, "sound", fingerprint())
    assert runs(store, fingerprint()) == ["sound"]
