"""How long a client may take to say what it wants: who connects and says nothing does not hold the line for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_WITHIN", "Patient"]

HEAD_WITHIN = 10.0
"""Seconds from the connection, or from the first byte of a further request, to the end of the head."""


class Patient(H11Protocol):
    """A connection that is closed when the head of a request does not come in time."""

    waits: asyncio.TimerHandle | None = None
    within = HEAD_WITHIN

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Stop to wait when a request is there."""
        super().data_received(data)
        if self._served():
            self._stop()
        elif self.waits is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self.waits = self.loop.call_later(self.within, self._give_up)

    def _stop(self) -> None:
        if self.waits is not None:
            self.waits.cancel()
            self.waits = None

    def _give_up(self) -> None:
        self.waits = None
        if not self._served() and not self.transport.is_closing():
            self.transport.close()

    def _served(self) -> bool:
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn's annotation says
        return cycle is not None and not cycle.response_complete
