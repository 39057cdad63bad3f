"""How long a request that does not fit may be passed by others that do."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_orchestrator.core.ask import Ask, State

__all__ = ["Backfill"]


class Backfill:
    """Counts how often the first of the blocked requests was passed, and keeps room for it when that was too often.

    A blocked request reserves when later ones that take what it lacks passed it ``passes`` times, or once and it has
    waited ``patience`` seconds. How long leases last is not known, so amounts are reserved and not times: no later
    request may take what the blocked one needs, until it starts. One request reserves at a time.
    """

    def __init__(self, passes: int, patience: float) -> None:
        """Start with nothing blocked."""
        self._passes, self._patience = passes, patience
        self._blocked: dict[str, Ask] = {}
        self._needs: dict[str, int] = {}
        self.reserved: Ask | None = None

    def kept(self, ask: Ask) -> Mapping[str, int] | None:
        """Return what a request must leave to the one that reserves, or None."""
        first = self.reserved
        return None if first is None or first is ask or not first.before(ask) else self._needs

    def block(self, ask: Ask) -> None:
        """Note a waiting request that was found to lack something."""
        known = self.of(ask.lacks)
        if known is None or ask.before(known):
            self._blocked[ask.lacks] = ask

    def start(self, ask: Ask, now: float) -> None:
        """Note that a request starts, and whom it passes."""
        if not self._blocked:
            return
        for name, _ in ask.wants:
            first = self.of(name)
            if first is not None and first is not ask and first.before(ask):
                first.passed += 1
                if self.reserved is None and (first.passed >= self._passes or now - first.asked >= self._patience):
                    self.reserved, self._needs = first, dict(first.wants)

    def end(self, ask: Ask) -> bool:
        """Give up the reservation of a request that has started or given up; return whether it had one."""
        if self.reserved is not ask:
            return False
        self.reserved = None
        return True

    def of(self, name: str) -> Ask | None:
        """Return the first request that was found to lack a resource."""
        known = self._blocked.get(name)
        if known is not None and (known.state is not State.WAITING or known.lacks != name):
            del self._blocked[name]
            return None
        return known
