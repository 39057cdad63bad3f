"""Who listens to tasks is told how they stand, and then whenever that changes, until they have ended.

Twice a second it is looked whether the journal was written to, and only then at the tasks. The SDK's handler serves
the stream; it knows no tasks, so that they are acknowledged, and told of, is done here around it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

import anyio
from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver.server import require_client_extension
from mcp.server.session import ServerSession
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    Notification,
    RequestId,
    ServerNotification,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
)

from mcp_orchestrator.server.subject import subject
from mcp_orchestrator.server.tasks import asks
from mcp_orchestrator.server.tasks.shapes import IDENTIFIER

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.server.shell import Guest
    from mcp_orchestrator.server.tasks.shapes import Detailed

__all__ = ["wanted", "with_tasks"]

T = TypeVar("T")
Request: TypeAlias = "ServerRequestContext[Guest, Any]"
LOOK_EVERY = 0.5
PASSING = {"ttl_ms", "poll_interval_ms"}
"""What is another number at each look."""
FINAL = {"completed", "failed", "cancelled"}


class Notice(Notification[dict[str, Any], Literal["notifications/tasks"]]):
    """How a task stands."""

    method: Literal["notifications/tasks"] = "notifications/tasks"


def wanted(listens: SubscriptionFilter) -> list[str] | None:
    """Return the tasks that a stream asks for; None when it asks for none.

    Raises:
        MCPError: it does not name them as the specification has it.

    """
    given: object = (listens.model_extra or {}).get("taskIds")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(one, str) for one in cast("list[object]", given)):
        raise MCPError(INVALID_PARAMS, "notifications.taskIds: must be a list of the ids of tasks.")
    return list(dict.fromkeys(cast("list[str]", given)))


async def with_tasks(ctx: Request, tasks: list[str], serve: Callable[[Request], Awaitable[T]]) -> T:
    """Serve a stream that also tells of tasks: of those that are there for the client, which it acknowledges.

    Raises:
        MCPError: the client does not know tasks.

    """
    require_client_extension(ctx, IDENTIFIER)
    held, owner = ctx.lifespan_context.orchestrator, subject()
    look = partial(_look, held, owner, asks=asks(ctx))
    known: dict[str, Detailed | None] = {one: None for one in tasks if await to_thread.run_sync(look, one) is not None}
    stream = _Stream(ctx.session, list(known))
    served: list[T] = []

    async def tell() -> None:
        await stream.acknowledged.wait()
        await _tell(held, known, look, stream, ctx.request_id)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(tell)
            served.append(await serve(replace(ctx, session=cast("ServerSession", stream))))
            group.cancel_scope.cancel("the stream ends")
    except ExceptionGroup as errors:  # the group wraps what the stream raised
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
    return served[0]


class _Stream:
    """The session of a stream, for who serves it: what is acknowledged has the tasks in it."""

    def __init__(self, session: ServerSession, tasks: list[str]) -> None:
        self._session, self._tasks = session, tasks
        self.acknowledged = anyio.Event()

    async def send_notification(
        self, notification: ServerNotification | Notice, related_request_id: RequestId | None = None
    ) -> None:
        if isinstance(notification, SubscriptionsAcknowledgedNotification) and self._tasks:
            kept = notification.params.notifications.model_copy(update={"taskIds": self._tasks})
            notification = SubscriptionsAcknowledgedNotification(
                params=notification.params.model_copy(update={"notifications": kept})
            )
        await self._session.send_notification(cast("ServerNotification", notification), related_request_id)
        self.acknowledged.set()


async def _tell(
    held: Orchestrator,
    tasks: dict[str, Detailed | None],
    look: Callable[[str], Detailed | None],
    stream: _Stream,
    request: RequestId | None,
) -> None:
    before: int | None = None
    while tasks:
        now = held.journal.changes()  # a few microseconds, and on one thread: each has a count of its own
        if now != before:
            before = now
            for task, told in list(tasks.items()):
                state = await to_thread.run_sync(look, task)
                if state is None:
                    del tasks[task]
                elif told is None or state.model_dump(exclude=PASSING) != told.model_dump(exclude=PASSING):
                    tasks[task] = state
                    facts = state.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"result_type"})
                    await stream.send_notification(
                        Notice(params={**facts, "_meta": {SUBSCRIPTION_ID_META_KEY: request}}), request
                    )
                if state is not None and state.status in FINAL:
                    del tasks[task]
        await anyio.sleep(LOOK_EVERY)


def _look(held: Orchestrator, owner: str | None, task: str, *, asks: bool) -> Detailed | None:
    from mcp_orchestrator.server.tasks.state import detailed, run_of

    try:
        return detailed(held, run_of(held, task, owner), asks=asks)
    except MCPError:  # it is not there, or not any more
        return None
