"""What a request may do: three scopes, of which each includes those before it, and which one a request needs.

Tools that only read need ``ml:read``, the others ``ml:run``; what moves an alias of a model by hand needs
``ml:promote``, whether it is called alone or stands in a graph. The same rule makes the server read-only: it then does
nothing that needs more than ``ml:read``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

__all__ = ["PROMOTE", "READ", "RUN", "SCOPES", "Guarded", "allows", "moves_alias", "needed"]

READ, RUN, PROMOTE = SCOPES = ("ml:read", "ml:run", "ml:promote")
METHODS = {"tasks/cancel": RUN, "tasks/update": PROMOTE}  # who answers for a person decides on what is asked
MOVES = {"production_registry": {"promote", "rollback", "alias", "delete"}}


class Guarded(Protocol):
    """A tool that knows what a call of it needs."""

    def needs(self, arguments: Mapping[str, Any]) -> str:
        """Return the scope that a call with these arguments needs."""
        ...


def allows(scopes: Iterable[str], wanted: str) -> bool:
    """Whether one of the scopes is the wanted one or includes it."""
    return any(SCOPES.index(one) >= SCOPES.index(wanted) for one in scopes if one in SCOPES)


def needed(method: str, params: Mapping[str, Any] | None, tools: Mapping[str, Guarded]) -> str:
    """Return the scope that a request needs; what the server does not know needs the least, since it does nothing."""
    if method != "tools/call":
        return METHODS.get(method, READ)
    name, arguments = (params or {}).get("name"), (params or {}).get("arguments")
    tool = tools.get(name) if isinstance(name, str) else None
    if tool is None:
        return READ
    return tool.needs(cast("Mapping[str, Any]", arguments) if isinstance(arguments, Mapping) else {})


def moves_alias(value: object) -> bool:
    """Whether a call, or a graph anywhere within one, gives an alias of a model to another version by hand."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            known = cast("Mapping[str, Any]", one)
            component, capability = known.get("component"), known.get("capability")
            if isinstance(component, str) and isinstance(capability, str) and capability in MOVES.get(component, ()):
                return True
            waiting.extend(known.values())
        elif isinstance(one, list):
            waiting.extend(cast("list[object]", one))
    return False
