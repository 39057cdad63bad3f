"""Who listens to a resource is told when it has changed, in both eras, and when runs and models appear.

While somebody listens, it is looked twice a second whether anything was written, and only then at what is listened to;
what shows the same as before is not announced.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

import anyio
from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp.server.subscriptions import ListenHandler, ResourcesListChanged, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_orchestrator.errors import OrchestratorError
from mcp_orchestrator.server.lists import renewed
from mcp_orchestrator.server.looks import LIST, WHAT, changes, look
from mcp_orchestrator.server.tasks import notices
from orchestrator_memory.sqlite import sqlite3

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.server.shell import Guest

__all__ = ["Watch", "publish", "tell_of_list"]

LOOK_EVERY = 0.5
MOST = 1000
"""Addresses that are looked at: further ones are refused."""
PATIENCE = 1.0
LISTED = "mcp-orchestrator/listed"
Request: TypeAlias = "ServerRequestContext[Guest, Any]"
log = logging.getLogger(__name__)


class Watch:
    """What is listened to, and how it looked when it was last told of."""

    def __init__(
        self,
        look: Callable[[str], object],
        changes: Callable[[], object],
        publish: Callable[[ServerEvent], Awaitable[None]],
    ) -> None:
        """Take how to look at an address, how to see that there may be something new, and whom to tell of it.

        ``look`` may wait, and raises `LookupError` for an address that nobody can listen to; ``changes`` may not.
        """
        self._look, self._changes, self._publish = look, changes, publish
        self._seen: dict[str, object] = {}
        self._followed: Counter[str] = Counter()
        self._subscribed: dict[str, dict[object, ServerSession]] = {}
        self._wanted = anyio.Event()

    @classmethod
    def of(cls, server: MCPServer[Any], orchestrator: Orchestrator) -> Self:
        """Watch what can be listened to in an orchestrator for the clients of a server."""
        bus = server._subscriptions  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - outside of a request there is no other way to it
        watch = cls(partial(look, orchestrator), lambda: changes(orchestrator, list(watch._seen)), bus.publish)
        return watch

    @asynccontextmanager
    async def following(self, addresses: Iterable[str]) -> AsyncGenerator[list[str]]:
        """Publish what changes of the addresses while the block lasts; return those that can be followed."""
        known = [one for one in addresses if await self._begin(one)]
        self._followed.update(known)
        try:
            yield known
        finally:
            self._followed.subtract(known)
            self._end(known)

    async def subscribe(self, address: str, connection: object, session: ServerSession) -> bool:
        """Tell a session of the changes of an address from now on; return whether that can be."""
        if not await self._begin(address):
            return False
        self._subscribed.setdefault(address, {})[connection] = session
        return True

    def unsubscribe(self, connection: object, address: str | None = None) -> None:
        """Tell a connection of an address no more, or of none."""
        for one in [address] if address else list(self._subscribed):
            self._subscribed.get(one, {}).pop(connection, None)
            self._end([one])

    async def run(self) -> None:
        """Look and tell, until cancelled."""
        while True:
            await self._wanted.wait()
            before: object = None
            while self._seen:
                try:
                    before = await self._round(before)
                except (OSError, OrchestratorError, sqlite3.Error) as error:  # the disk is full, the folder is gone
                    log.warning("what is listened to could not be looked at: %s", error)
                await anyio.sleep(LOOK_EVERY)
            self._wanted = anyio.Event()

    async def _round(self, before: object) -> object:
        now = self._changes()  # a few microseconds, and on one thread: each has a count of its own
        if now != before:
            for address in list(self._seen):
                await self._tell(address)
        return now

    async def _begin(self, address: str) -> bool:
        if address not in self._seen:
            if len(self._seen) >= MOST:
                return False
            try:
                looks = await to_thread.run_sync(self._look, address)
            except LookupError:
                return False
            self._seen.setdefault(address, looks)
        self._wanted.set()
        return True

    def _end(self, addresses: Iterable[str]) -> None:
        for one in addresses:
            if not self._followed[one] and not self._subscribed.get(one):
                self._seen.pop(one, None)
                self._subscribed.pop(one, None)

    async def _tell(self, address: str) -> None:
        try:
            looks = await to_thread.run_sync(self._look, address)
        except LookupError:  # it was there when it was subscribed to, and is gone
            looks = None
        if address not in self._seen or looks == self._seen[address]:
            return
        self._seen[address] = looks
        if self._followed[address]:
            await self._publish(ResourcesListChanged() if address == LIST else ResourceUpdated(uri=address))
        for session in list(self._subscribed.get(address, {}).values()):
            with anyio.move_on_after(PATIENCE):  # one who does not read holds up nobody else for long
                if address == LIST:
                    await session.send_resource_list_changed()
                else:
                    await session.send_resource_updated(address)


def publish(server: MCPServer[Any]) -> None:
    """Have a server take subscriptions: ``resources/subscribe`` until 2025-11-25, ``subscriptions/listen`` since."""
    lowlevel = server._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK has no other way
    entry = lowlevel.get_request_handler("subscriptions/listen")
    listen = partial(_listen, cast("ListenHandler", entry.handler if entry else None))
    lowlevel.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, listen)
    lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, _subscribe)
    lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, _unsubscribe)


async def tell_of_list(ctx: Request) -> None:
    """Tell a client of the era until 2025-11-25, which asked for the list of resources, when that has changed."""
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return
    watch, connection = _watch(ctx), _connection(ctx)
    known, connection.state[LISTED] = connection.state.get(LISTED), True
    if not known and await watch.subscribe(LIST, connection, ctx.session):
        connection.exit_stack.callback(watch.unsubscribe, connection, LIST)


async def _listen(
    serve: ListenHandler, ctx: Request, params: SubscriptionsListenRequestParams
) -> SubscriptionsListenResult:
    wanted = params.notifications
    addresses = [one for one in wanted.resource_subscriptions or () if one != LIST]
    lists = [LIST] if wanted.resources_list_changed else []
    ctx = renewed(ctx, wanted)
    async with _watch(ctx).following([*addresses, *lists]) as known:
        kept = wanted.model_copy(update={"resource_subscriptions": [one for one in known if one != LIST] or None})
        kept_params = params.model_copy(update={"notifications": kept})
        tasks = notices.wanted(wanted)
        if tasks is None:
            return await serve(ctx, kept_params)
        return await notices.with_tasks(ctx, tasks, lambda stream: serve(stream, kept_params))


async def _subscribe(ctx: Request, params: SubscribeRequestParams) -> EmptyResult:
    watch, connection, address = _watch(ctx), _connection(ctx), str(params.uri)
    if address == LIST or not await watch.subscribe(address, connection, ctx.session):
        message = f"{address} cannot be subscribed to. What can: {WHAT}, {MOST} addresses together."
        raise MCPError(INVALID_PARAMS, message, {"uri": address})
    connection.exit_stack.callback(watch.unsubscribe, connection, address)
    return EmptyResult()


async def _unsubscribe(ctx: Request, params: UnsubscribeRequestParams) -> EmptyResult:
    if address := str(params.uri):
        _watch(ctx).unsubscribe(_connection(ctx), address)
    return EmptyResult()


def _watch(ctx: Request) -> Watch:
    return ctx.lifespan_context.attendance.watch


def _connection(ctx: Request) -> Any:  # noqa: ANN401 - the SDK's connection, which outlives the request
    return ctx.session._connection  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
