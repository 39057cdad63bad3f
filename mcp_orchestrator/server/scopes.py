"""What a request may do: three scopes, of which each includes those before it, and which one a request needs.

Tools that only read need ``ml:read``, the others ``ml:run``; what moves an alias of a model by hand needs
``ml:promote``, whether it is called alone or stands in a graph. The same rule makes the server read-only: it then does
nothing that needs more than ``ml:read``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, cast

__all__ = ["PROMOTE", "READ", "RUN", "SCOPES", "Guarded", "allows", "moved", "moves_alias", "needed", "unseen"]

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
    """Whether a call, or a graph anywhere within one, may give an alias of a model to another version by hand.

    What goes on through an earlier result, with its cursor, does nothing.
    """
    if _part(value, "cursor") is not None:
        return False
    return next(moved(value), None) is not None or unseen(value)


def moved(value: object) -> Iterator[dict[str, Any]]:
    """Yield the calls and the steps that move an alias by hand, in their order."""
    for one in _objects(value):
        component, capability = one.get("component"), one.get("capability")
        if isinstance(component, str) and isinstance(capability, str) and capability in MOVES.get(component, ()):
            yield one


def unseen(value: object) -> bool:
    """Whether a graph has a graph within it of which some part is only known while it runs."""
    return any(_unseen(one.get("spec")) for one in _objects(value) if one.get("workflow") == "custom")


def _unseen(spec: object) -> bool:
    graph = _literal(_part(_literal(spec), "graph"))
    steps = _literal(_part(graph, "steps"))
    if not isinstance(steps, list):
        return _given(spec) or _given(graph) or _given(steps)
    names = ("component", "capability", "workflow")
    several = [_literal(one) for one in cast("list[Any]", steps)]
    return any(_given(one) or any(_given(_part(one, name)) for name in names) for one in several)


def _part(value: object, name: str) -> object:
    return cast("Mapping[str, Any]", value).get(name) if isinstance(value, Mapping) else None


def _literal(value: object) -> object:
    inside = _part(value, "$literal")
    return value if inside is None else inside


def _given(value: object) -> bool:
    """Whether a value is a reference to what is given later."""
    return isinstance(value, Mapping) and any(str(key)[:1] == "$" for key in cast("Mapping[str, Any]", value))


def _objects(value: object) -> Iterator[dict[str, Any]]:
    """Yield the objects within a JSON value, the outer ones first, in their order; however deep it is."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            known = cast("dict[str, Any]", one)
            yield known
            waiting.extend(reversed(known.values()))
        elif isinstance(one, list):
            waiting.extend(reversed(cast("list[object]", one)))
