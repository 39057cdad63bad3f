"""That lists can change is declared in both eras, and told when the front of a client goes on with another host.

The tools and prompts of a host never change; but the next host may be of another version. Its clients were met by the
one before and ask for nothing anew, so they are told that all lists may be different. When runs and models appear, see
`subscriptions`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import NotificationOptions
from mcp.server.mcpserver import MCPServer
from mcp.server.models import InitializationOptions
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    SUBSCRIPTION_ID_META_KEY,
    PromptsListChanged,
    ResourcesListChanged,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.subscriptions import event_to_notification
from mcp_types import (
    NotificationParams,
    RequestId,
    ServerNotification,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
)

__all__ = ["publish", "renewed"]

MARK = "mcp-orchestrator/"
"""How the names begin that the front gives to what it says by itself."""
RESENT = f"{MARK}resent"
Request: TypeAlias = "ServerRequestContext[Any, Any]"


def publish(server: MCPServer[Any]) -> None:
    """Have a server declare that its lists change, and tell clients that come from another host."""
    lowlevel = server._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK has no other way
    made = lowlevel.create_initialization_options

    def options(
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        known = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return made(notification_options or known, experimental_capabilities, extensions)

    lowlevel.create_initialization_options = options  # the SDK takes the same for granted in the newer era
    lowlevel.add_notification_handler("notifications/initialized", NotificationParams, _initialized)
    server.middleware.append(_meet)


def renewed(ctx: Request, wanted: SubscriptionFilter) -> Request:
    """Return the request of a stream; one that another host began is told, once acknowledged, that lists changed."""
    if not (ctx.meta or {}).get(RESENT):
        return ctx
    return replace(ctx, session=cast("ServerSession", _Again(ctx.session, wanted)))


class _Again:
    """The session of a stream, for who serves it."""

    def __init__(self, session: ServerSession, wanted: SubscriptionFilter) -> None:
        self._session, self._wanted = session, wanted

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what else a session has, such as what its client can do
        return getattr(self._session, name)

    async def send_notification(
        self, notification: ServerNotification, related_request_id: RequestId | None = None
    ) -> None:
        await self._session.send_notification(notification, related_request_id)
        if not isinstance(notification, SubscriptionsAcknowledgedNotification):
            return
        known: list[tuple[bool | None, ServerEvent]] = [
            (self._wanted.tools_list_changed, ToolsListChanged()),
            (self._wanted.prompts_list_changed, PromptsListChanged()),
            (self._wanted.resources_list_changed, ResourcesListChanged()),
        ]
        about: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: related_request_id}
        for event in (one for asked, one in known if asked):
            await self._session.send_notification(event_to_notification(event, about), related_request_id)


async def _meet(ctx: Request, call_next: CallNext) -> HandlerResult:
    """Note whether a client is introduced by its front, which knows it from another host."""
    if ctx.method == "initialize" and str(ctx.request_id).startswith(MARK):
        _connection(ctx).state[MARK] = True
    return await call_next(ctx)


async def _initialized(ctx: Request, _params: NotificationParams) -> None:
    if _connection(ctx).state.pop(MARK, False):
        await ctx.session.send_tool_list_changed()
        await ctx.session.send_prompt_list_changed()
        await ctx.session.send_resource_list_changed()


def _connection(ctx: Request) -> Any:  # noqa: ANN401 - the SDK's connection, which outlives the request
    return ctx.session._connection  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
