"""The agents as prompts: every client can work as one of them, also a client that has no agents of its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from anyio import to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import PromptArgument
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.definitions import Agent, agents
from mcp_orchestrator.errors import InvalidInput, NotReady, reject_unknown

__all__ = ["publish"]

TASK = PromptArgument(name="task", description="What to do, in words; ask when it is left out.", required=False)


def publish(server: MCPServer[Orchestrator]) -> None:
    """Add a prompt for each agent to a server; an installation without their files has none, and the log says so."""
    try:
        known = agents()
    except NotReady as error:
        logging.getLogger(__name__).warning("agents are not offered: %s", error)
        return
    for one in known.values():
        server.add_prompt(_prompt(one))


def _prompt(agent: Agent) -> Prompt:
    """Return the prompt of an agent; made by hand, since the SDK's way takes a model of pydantic for each."""
    return Prompt(
        name=agent.name,
        title=agent.title,
        description=agent.description,
        arguments=[TASK],
        fn=_rendering(agent),
        context_kwarg=None,
    )


def _rendering(agent: Agent) -> Callable[..., Awaitable[str]]:
    async def render(**given: str) -> str:
        try:
            reject_unknown(given, ["task"], what=f"The prompt {agent.name}")
        except InvalidInput as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error
        text = await to_thread.run_sync(agent.text)
        task = given.get("task", "").strip()
        return f"{text}\n## Your task\n\n{task or 'Ask what is to be done before you do anything.'}\n"

    return render
