"""Calling a capability by name: the one road from outside to a component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.registry import Registry

__all__ = ["invoke", "plain"]


def invoke(registry: Registry, ctx: Context, component: str, capability: str, params: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Check the parameters, call the capability and return its answer as plain JSON values.

    Raises:
        UnknownName: the component or the capability is not registered.
        InvalidInput: a parameter is unknown, missing or not acceptable.
        MissingLibrary: the component needs a library that is not installed.

    """
    chosen = registry.get(component).capability(capability)
    return chosen.returns.dump_python(chosen.call(ctx, params), mode="json")


def plain(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` as plain JSON values; infinities and NaN stay floats, as Python's JSON has them."""
    return to_jsonable_python(value)
