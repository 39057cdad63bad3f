"""Fair shares between clients, by stride scheduling.

Source: Waldspurger & Weihl, "Stride scheduling: deterministic proportional-share resource management", 1995.
"""

from __future__ import annotations

from mcp_orchestrator.core.ask import Client

__all__ = ["Shares"]

MANY = 100


class Shares:
    """What each client used, and where the one stands that always had its share."""

    def __init__(self) -> None:
        """Start without clients."""
        self.clients: dict[str, Client] = {}
        self._used = 0.0
        self._active = 0
        self._many = MANY

    def join(self, name: str) -> Client:
        """Return a client that is about to ask; after a pause it starts where the others stand, or behind them."""
        client = self.clients.get(name)
        if client is None:
            client = self.clients[name] = Client(name)
        if not client.active:
            self._active += 1
            client.used = max(client.used, self._used)
        return client

    def leave(self, client: Client) -> None:
        """Count a client no longer that holds nothing and waits for nothing; forget those that owe nothing."""
        if client.active:
            return
        self._active -= 1
        if len(self.clients) > self._many:
            for one in [one for one in self.clients.values() if not one.active and one.used <= self._used]:
                del self.clients[one.name]
            self._many = 2 * len(self.clients) + MANY

    def charge(self, client: Client, size: float) -> None:
        """Write down what an active client used."""
        client.used += size
        self._used += size / self._active
