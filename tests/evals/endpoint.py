"""A model behind an address: it is shown the server's tools and those for files, and calls them until it is done."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import click
from anyio import to_thread
from mcp_types import TextContent

from .hands import Hands, Spent, hands
from .person import Person
from .play import Agent, Limits
from .task import Task
from .tokens import KINDS

__all__ = ["Endpoint", "Unanswered", "asked"]

RULES = """\
You work alone in a project folder, with the tools that you are given: those of the project's MCP server, and
write_file, read_file and list_files for the files of the folder. Nobody answers questions. Do what you are asked
and nothing else; what you say at the end is not read, only what you leave in the project counts.
"""
WITHIN = 300.0
LONGEST = 40_000
"""Characters of a tool's answer that a model is shown."""


class Unanswered(Exception):
    """The endpoint gave no answer that can be used."""


class Wanted(NamedTuple):
    """A call of a tool that a model asks for; ``arguments`` is None where they were no JSON object."""

    id: str
    tool: str
    arguments: dict[str, Any] | None


class Turn(NamedTuple):
    """An answer of a model: what it wants called, what it cost (0 where nobody says), and its message as it came."""

    wanted: list[Wanted]
    tokens: int
    message: dict[str, Any]


@dataclass
class Endpoint:
    """Speaks one of the two dialects, and keeps the conversation."""

    url: str
    model: str
    key: str
    kind: Literal["openai", "anthropic"]
    most_output: int
    system: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tokens: int = 0

    @classmethod
    def of(cls, url: str, model: str, key: str, most_output: int) -> Self:
        """Tell the dialect by the end of the address."""
        path = url.partition("?")[0].rstrip("/")
        if not url.startswith(("http://", "https://")) or not path.endswith(("/chat/completions", "/messages")):
            message = f"--endpoint: {url!r} must be an http address that ends in /chat/completions or /messages."
            raise click.UsageError(message)
        return cls(url, model, key, "anthropic" if path.endswith("/messages") else "openai", most_output)

    def begin(self, system: str, tools: list[dict[str, Any]], words: str) -> Endpoint:
        """Return the beginning of a conversation."""
        messages = [{"role": "user", "content": words}]
        return Endpoint(self.url, self.model, self.key, self.kind, self.most_output, system, tools, messages)

    async def turn(self) -> Turn:
        """Ask for the next answer, and keep it."""
        said = await to_thread.run_sync(self._post, self._body())
        try:
            turn = _anthropic(said) if self.kind == "anthropic" else _openai(said)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise Unanswered(f"The endpoint answered in a form that is not known: {json.dumps(said)[:300]}") from error
        self.messages.append(turn.message)
        self.tokens += turn.tokens
        return turn

    def tell(self, answers: list[tuple[Wanted, str, bool]]) -> None:
        """Keep what the tools said."""
        if self.kind == "openai":
            self.messages += [{"role": "tool", "tool_call_id": one.id, "content": said} for one, said, _ in answers]
            return
        blocks = [
            {"type": "tool_result", "tool_use_id": one.id, "content": said, "is_error": not good}
            for one, said, good in answers
        ]
        self.messages.append({"role": "user", "content": blocks})

    def _body(self) -> dict[str, Any]:
        if self.kind == "anthropic":
            about = {"model": self.model, "max_tokens": self.most_output, "system": self.system, "tools": self.tools}
            return {**about, "messages": self.messages}
        functions = [
            {"name": one["name"], "description": one["description"], "parameters": one["input_schema"]}
            for one in self.tools
        ]
        return {
            "model": self.model,
            "max_completion_tokens": self.most_output,
            "messages": [{"role": "system", "content": self.system}, *self.messages],
            "tools": [{"type": "function", "function": one} for one in functions],
        }

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        if self.kind == "anthropic":
            headers |= {"anthropic-version": "2023-06-01", **({"x-api-key": self.key} if self.key else {})}
        elif self.key:
            headers["authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)  # noqa: S310 - checked in `of`
        try:
            with _OPENER.open(request, timeout=WITHIN) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise Unanswered(
                    f"The endpoint answered {error.code}: {error.read(500).decode(errors='replace')}"
                ) from error
        except (OSError, ValueError) as error:
            raise Unanswered(f"The endpoint gave no answer: {error}") from error


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the key is for the address that was given."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def asked(endpoint: Endpoint) -> Agent:
    """Return an agent that is a model behind an endpoint."""

    async def work(task: Task, project: Path, person: Person, limits: Limits, spent: Spent) -> None:
        async with hands(project, person, spent) as agent:
            talk = endpoint.begin(await _system(agent, task), await agent.tools(), task.words)
            try:
                await _converse(talk, agent, limits.calls or task.calls, limits.tokens)
            except Unanswered as error:
                spent.stopped = str(error)
            if talk.tokens:
                spent.tokens, spent.counted = talk.tokens, "as the endpoint reports"

    return work


async def _converse(talk: Endpoint, agent: Hands, most: int, most_tokens: int | None) -> None:
    """Call what the model wants called, until it wants nothing more or a limit is reached."""
    spent = agent.spent
    while (turn := await talk.turn()).wanted:
        if most_tokens is not None and talk.tokens > most_tokens:
            spent.stopped = f"the limit of {most_tokens} tokens"
            return
        answers: list[tuple[Wanted, str, bool]] = []
        for one in turn.wanted:
            if spent.calls >= most:
                spent.stopped = f"the limit of {most} calls"
                return
            if one.arguments is None:
                said, good = "The arguments must be a JSON object.", False
                spent.calls += 1
                spent.failures.append(f"{one.tool}: {said}")
            else:
                said, good = await agent.do(one.tool, one.arguments)
            answers.append((one, said[:LONGEST], good))
        talk.tell(answers)


async def _system(agent: Hands, task: Task) -> str:
    """Return what a client tells its model: the server's instructions, and the agent that it is, if it is one."""
    parts = [agent.client.instructions or "", RULES]
    if task.agent:
        prompt = await agent.client.get_prompt(task.agent)
        texts = (one.content for one in prompt.messages)
        parts.insert(0, "\n".join(one.text for one in texts if isinstance(one, TextContent)))
    return "\n\n".join(part for part in parts if part)


def _openai(said: dict[str, Any]) -> Turn:
    message: dict[str, Any] = said["choices"][0]["message"]
    wanted = [
        Wanted(one["id"], one["function"]["name"], _object(one["function"]["arguments"]))
        for one in message.get("tool_calls") or ()
    ]
    usage = said.get("usage")
    return Turn(wanted, usage["prompt_tokens"] + usage["completion_tokens"] if usage else 0, message)


def _anthropic(said: dict[str, Any]) -> Turn:
    blocks: list[dict[str, Any]] = said["content"]
    wanted = [
        Wanted(one["id"], one["name"], one["input"] if isinstance(one["input"], dict) else None)
        for one in blocks
        if one["type"] == "tool_use"
    ]
    usage = said.get("usage")
    tokens = sum(usage.get(kind) or 0 for kind in KINDS) if usage else 0
    return Turn(wanted, tokens, {"role": "assistant", "content": blocks})


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
