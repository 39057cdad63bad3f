"""The built-in workflows as graphs: to be read, changed and run. They lie beside this file, as JSON.

Run as they are, they do the same steps with the same parameters; what only a page of prose can say (a name made of the
table's and the target's, the comparison with a champion that nobody named) is an input or is left out.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.workflows.graph import Graph, read

__all__ = ["PREFIX", "template", "templates"]

PREFIX = "template:"


@cache
def templates() -> dict[str, Graph]:
    """Return the graphs by their names, each with the prefix."""
    found = {one.name: one for one in files(__name__).iterdir() if one.name.endswith(".json")}
    return {
        PREFIX + name.removesuffix(".json"): read(json.loads(found[name].read_text("utf-8"))) for name in sorted(found)
    }


def template(name: str) -> Graph:
    """Return a graph by its name, with or without the prefix.

    Raises:
        UnknownName: there is no such template.

    """
    whole = PREFIX + name.removeprefix(PREFIX)
    if whole not in templates():
        raise UnknownName("template", name, templates())
    return templates()[whole]
