"""A heap whose items can be moved and taken out: each operation costs O(log n), amortised over many."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Any, Generic, TypeVar

__all__ = ["Heap"]

T = TypeVar("T")
Key = Any


class Heap(Generic[T]):
    """Items in the order of their keys; among equal keys, in the order in which they came.

    Entries that no longer count stay where they are until they come to the top; when they outnumber the others, the
    heap is built anew.
    """

    __slots__ = ("_entries", "_heap", "_numbers")

    def __init__(self) -> None:
        """Start empty."""
        self._heap: list[tuple[Key, int, T]] = []
        self._entries: dict[T, tuple[Key, int]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._entries)

    def __contains__(self, item: T) -> bool:
        """Whether an item is here."""
        return item in self._entries

    def __iter__(self) -> Iterator[T]:
        """Go through the items in the order of their keys; this sorts them."""
        return iter(sorted(self._entries, key=self._entries.__getitem__))

    def put(self, item: T, key: Key) -> None:
        """Add an item, or give it another key; with the key that it has, it keeps its place."""
        known = self._entries.get(item)
        if known is not None and known[0] == key:
            return
        number = next(self._numbers)
        self._entries[item] = (key, number)
        heapq.heappush(self._heap, (key, number, item))
        if len(self._heap) > 2 * len(self._entries) + 16:
            self._heap = [(key, number, item) for item, (key, number) in self._entries.items()]
            heapq.heapify(self._heap)

    def drop(self, item: T) -> bool:
        """Take an item out; return whether it was here."""
        return self._entries.pop(item, None) is not None

    def key(self, item: T) -> Key:
        """Return the key of an item that is here."""
        return self._entries[item][0]

    def first(self) -> T | None:
        """Return the first item, or None when there is none."""
        while self._heap:
            _, number, item = self._heap[0]
            known = self._entries.get(item)
            if known is not None and known[1] == number:
                return item
            heapq.heappop(self._heap)
        return None

    def pop(self) -> T | None:
        """Take out the first item, or return None when there is none."""
        item = self.first()
        if item is not None:
            heapq.heappop(self._heap)
            del self._entries[item]
        return item
