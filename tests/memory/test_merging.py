"""What somebody changed of a document is brought into what stands there now, and nothing else is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_memory.merging import UNKNOWN, identity, merged, overlaid

NAMES = st.sampled_from("abcd")
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.text("xyz", max_size=2))
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner)), max_leaves=8
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)


def holds(whole: Any, part: Any) -> bool:
    """Whether all keys and items of one value are in another, at every depth."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and holds(whole[key], one) for key, one in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and {identity(one) for one in part} <= {identity(one) for one in whole}
    return True


@given(DOCUMENTS, DOCUMENTS)
def test_who_changed_nothing_changes_nothing(loaded: dict[str, Any], now: dict[str, Any]) -> None:
    assert merged(loaded, deepcopy(loaded), now) == now


@given(DOCUMENTS, DOCUMENTS)
def test_what_is_left_out_stays(loaded: dict[str, Any], now: dict[str, Any]) -> None:
    assert merged(loaded, {}, now) == now


@given(DOCUMENTS, DOCUMENTS)
def test_saving_twice_is_saving_once(said: dict[str, Any], now: dict[str, Any]) -> None:
    once = merged({}, said, now)
    assert merged({}, said, once) == once


@given(DOCUMENTS, DOCUMENTS)
def test_what_is_only_added_to_never_loses_anything(said: dict[str, Any], now: dict[str, Any]) -> None:
    assert holds(merged({}, said, now, adding=True), now)


@given(DOCUMENTS)
def test_a_document_that_is_new_is_what_was_said(said: dict[str, Any]) -> None:
    assert holds(merged(UNKNOWN, said, UNKNOWN), said)
    assert overlaid({}, said) == overlaid(said, {}) == said


@pytest.mark.parametrize(
    ("loaded", "said", "now", "wanted"),
    [
        ({"a": 1}, {"a": 2}, {"a": 1, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1}, {"a": 2}, {"a": 5}, {"a": 2}),
        ({"a": 1}, {"a": 1}, {"a": 5}, {"a": 5}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3, 2]}),
        ({"a": [1]}, {"a": [2, 1]}, {"a": [3, 1]}, {"a": [2, 3, 1]}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1, 2, 3]}, {"a": [1, 2, 3]}),
        ({"a": []}, {"a": [1, 1]}, {"a": []}, {"a": [1]}),
        ({"frequency": 3}, {"frequency": 4}, {"frequency": 9}, {"frequency": 10}),
        ({}, {"frequency": 4}, {"frequency": 9}, {"frequency": 9}),
        ({}, {"frequency": 9}, {"frequency": 4}, {"frequency": 9}),
        (
            [{"id": 1, "x": 1}],
            [{"id": 1, "x": 2}],
            [{"id": 1, "x": 1, "y": 3}, {"id": 2}],
            [{"id": 1, "x": 2, "y": 3}, {"id": 2}],
        ),
        (
            {"a": {"b": {"c": 1}}},
            {"a": {"b": {"c": 2}}},
            {"a": {"b": {"c": 1, "d": 4}}},
            {"a": {"b": {"c": 2, "d": 4}}},
        ),
        ({"a": None}, {"a": {"b": 1}}, {"a": None}, {"a": {"b": 1}}),
    ],
)
def test_changes_of_three_are_brought_together(loaded: Any, said: Any, now: Any, wanted: Any) -> None:
    before = deepcopy([loaded, said, now])
    assert merged(loaded, said, now) == wanted
    assert [loaded, said, now] == before


def test_what_is_added_to_keeps_the_values_that_stand_there() -> None:
    assert merged({}, {"a": 1, "b": 2, "c": [1]}, {"a": 9, "c": [2]}, adding=True) == {"a": 9, "b": 2, "c": [2, 1]}
