"""Memory that caches of this process hold, and how to get it back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Caches"]


class Caches:
    """Entries in the order in which they were used last, each with its size and what drops it."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: OrderedDict[str, tuple[int, Callable[[], None]]] = OrderedDict()
        self.held = 0

    def add(self, name: str, megabytes: int, evict: Callable[[], None]) -> None:
        """Count an entry that was not counted before."""
        self._entries[name] = (megabytes, evict)
        self.held += megabytes

    def remove(self, name: str) -> int:
        """Count an entry no longer; return its megabytes, 0 for one that there is not."""
        known = self._entries.pop(name, None)
        if known is None:
            return 0
        self.held -= known[0]
        return known[0]

    def touch(self, name: str) -> None:
        """Note that an entry was used."""
        if name in self._entries:
            self._entries.move_to_end(name)

    def evict(self) -> int:
        """Drop the entry that was not used for longest; return its megabytes, 0 when there is none."""
        if not self._entries:
            return 0
        megabytes, evict = self._entries.popitem(last=False)[1]
        self.held -= megabytes
        evict()
        return megabytes

    def sizes(self) -> dict[str, int]:
        """Return the megabytes by name, the one that was not used for longest first."""
        return {name: megabytes for name, (megabytes, _) in list(self._entries.items())}
