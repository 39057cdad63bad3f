"""The page that shows a run in clients that show pages (MCP Apps, 2026-01-26): while it goes on, and what it found.

Its parts stand in `ui`. They are joined when the page is read: the style and the script, without their comments, into
the page, under a policy that runs this script, uses this style, and lets nothing else in. `reads.json` has every field
of our answers that the script can see; what is not there is dropped before anything else looks at an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp.server.apps import APP_MIME_TYPE, Apps
from mcp.server.mcpserver.resources import FunctionResource

from mcp_orchestrator.release import version

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ADDRESS", "apps", "page"]

ADDRESS = "ui://mcp-orchestrator/run"
SCRIPTS = ("wire", "words", "charts", "sections", "follow", "show", "buttons")
NOTHING: dict[str, list[str]] = {"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []}


def apps() -> Apps:
    """Return the extension of the server that publishes the page; `lean` points the tools to it."""
    extension = Apps()
    extension.add_resource(
        FunctionResource(
            uri=ADDRESS,
            name="run-page",
            title="A run, live",
            description="Steps, progress, leaderboard, metrics and plots of a run, for clients that show pages.",
            mime_type=APP_MIME_TYPE,
            meta={"ui": {"csp": NOTHING, "prefersBorder": True}},
            fn=page,
        )
    )
    return extension


def page() -> str:
    """Return the whole page, which asks for nothing from anywhere but the client that shows it."""
    from pathlib import Path
    from string import Template

    folder = Path(__file__).with_name("ui")
    style = _short(folder / "page.css")
    reads = _short(folder / "reads.json")
    parts = "\n".join(_short(folder / f"{name}.js") for name in SCRIPTS)
    script = f'"use strict";\n{{\n{parts}\n}}\n'
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    whole = Template(_read(folder / "page.html"))
    return whole.substitute(policy=policy, style=style, reads=reads, script=script, version=version())


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _short(path: Path) -> str:
    """Return a file without indents and without lines that only comment; no text in it goes over several lines."""
    lines = [line.strip() for line in _read(path).splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _digest(text: str) -> str:
    import base64
    import hashlib

    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
