"""The agents that come with us: Markdown files, each a header that clients read and the text that the agent works by.

In a checkout they lie in ``agents/`` at its top, in an installation beside this module. The header has a key a line,
the description begins with `USE` and gives examples after a dash, and the text begins with the title as its heading.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcp_orchestrator.errors import NotReady, UnknownName

__all__ = ["Agent", "agent", "agents"]

FENCE = "---"
USE = "Use this agent "
HERE = Path(__file__).parent
PLACES = (HERE / "agents", HERE.parent / "agents")


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as its header tells of it; the text is read when it is asked for."""

    name: str
    title: str
    description: str
    tools: tuple[str, ...]
    path: Path

    @property
    def summary(self) -> str:
        """When to use it, in a few words."""
        return self.description.removeprefix(USE).partition(" - ")[0]

    def text(self) -> str:
        """Return what the agent works by: the file without its header."""
        return self.path.read_text("utf-8").split(f"\n{FENCE}\n", 1)[1].strip() + "\n"


def agents() -> dict[str, Agent]:
    """Return all agents by their names; of each file only the header and the heading are read.

    Raises:
        NotReady: the files are not where an installation or a checkout has them.

    """
    folder = next((one for one in PLACES if one.is_dir()), None)
    files = sorted(folder.glob("*.md")) if folder else []
    if not files:
        raise NotReady(f"The files of the agents are missing below {HERE}. Install mcp-ml-orchestrator again.")
    return {one.name: one for one in map(_read, files)}


def agent(name: str) -> Agent:
    """Return an agent by its name.

    Raises:
        UnknownName: there is no such agent.

    """
    known = agents()
    if name not in known:
        raise UnknownName("agent", name, known)
    return known[name]


def _read(path: Path) -> Agent:
    fields: dict[str, str] = {}
    with path.open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            if line.startswith("# "):
                fields["title"] = line[2:].strip()
                break
            key, _, value = line.partition(": ")
            fields[key] = value.strip()
    tools = tuple(one.strip() for one in fields["tools"].split(","))
    return Agent(fields["name"], fields["title"], fields["description"], tools, path)
