"""The person of an evaluation: says yes to what the words of the task asked for, and no to everything else.

Standard library at the start: it also sits between an agent's own client and the server (`tap`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_types import ElicitResult

__all__ = ["Person"]


@dataclass
class Person:
    """Answers forms; ``asks`` are the sets of words of which one must be in a question for a yes.

    An empty set is in every question.
    """

    asks: tuple[tuple[str, ...], ...] = ()
    heard: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])

    def wants(self, question: str) -> bool:
        """Whether a question is about what the task asked for; what was answered is kept in ``heard``."""
        said = question.lower()
        yes = any(all(word in said for word in words) for words in self.asks)
        self.heard.append((question, yes))
        return yes

    def form(self, question: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Answer a form; a yes is its booleans, and few words where more is required."""
        if not self.wants(question):
            return {"action": "decline"}
        fields: dict[str, dict[str, Any]] = schema.get("properties", {})
        content = {
            name: True if one.get("type") == "boolean" else one.get("default", one.get("enum", ["as asked"])[0])
            for name, one in fields.items()
            if one.get("type") == "boolean" or name in schema.get("required", [])
        }
        return {"action": "accept", "content": content}

    async def answer(self, context: Any, params: Any) -> ElicitResult:
        """Answer a form as a client of the SDK; an address is not opened."""
        from mcp_types import ElicitResult

        del context
        schema = getattr(params, "requested_schema", None)
        return ElicitResult.model_validate(
            {"action": "decline"} if schema is None else self.form(params.message, schema)
        )
