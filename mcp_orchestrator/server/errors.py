"""How an error reaches the model: as the text of a failed call, since clients show nothing else of it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import ValidationError

from mcp_orchestrator.errors import InvalidInput, OrchestratorError
from mcp_orchestrator.view import RunView
from orchestrator_memory.errors import MemoryFailure

__all__ = ["crashed", "failed_run", "refused", "unfit"]

SHOWN = 80
LONGEST = 4000
"""Characters of an error: clients cut what is much longer, and with it what to do next, which stands at the end."""
UNFORESEEN = {"step_failed", "internal"}
WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
log = logging.getLogger(__name__)


def refused(error: OrchestratorError | MemoryFailure) -> ToolError:
    """Return an error of ours with its code in front; of one that repeats something long, both ends."""
    text = str(error)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} [...] {text[-LONGEST // 2 :]}"
    return ToolError(f"[{error.code}] {text}")


def crashed(tool: str, error: Exception) -> ToolError:
    """Log an error that nobody foresaw, and return one that says where to look; its own text stays here."""
    reference = secrets.token_hex(4)
    log.error("%s crashed (reference %s)", tool, reference, exc_info=error)
    return ToolError(
        f"[internal] {tool} met an unexpected {type(error).__name__}. The log of the server (its stderr) tells more "
        f"under the reference {reference}. get_orchestrator_status() shows whether the server still works."
    )


def failed_run(run: RunView, logs: Path) -> ToolError:
    """Return everything that there is to say about a failed run, with its log below ``logs`` if nobody foresaw it."""
    done = [step.name for step in run.steps if step.status == "done"]
    file = logs / f"{run.run_id}.log"
    parts = [
        f"[{run.error_code or 'step_failed'}] Run {run.run_id} ({run.workflow}) failed:",
        f"{(run.error or 'no reason was given').rstrip('.')}.",
        f"Finished before: {', '.join(done)}." if done else "",
        f"Its log is {file}." if run.error_code in UNFORESEEN and file.is_file() else "",
        f"Next: {'; '.join(run.next)}; or call again with the cause removed." if run.next else "",
    ]
    return ToolError(" ".join(part for part in parts if part))


def unfit(error: ValidationError, schema: Mapping[str, Any], *, tool: str) -> InvalidInput:
    """Return, in words of ours, what is wrong with the arguments of a tool whose input schema is ``schema``."""
    problems = error.errors(include_url=False)
    first = problems[0]
    name = str(first["loc"][0]) if first["loc"] else tool
    if first["type"] == "missing":
        return InvalidInput(name, "is required.", then=f"Give it to {tool}.")
    wanted: Mapping[str, Any] = schema.get("properties", {}).get(name, {})
    inside = [str(part) for part in first["loc"][1:] if isinstance(part, int)]
    if inside and "items" in wanted:
        wanted = wanted["items"]
    place = ".".join([name, *inside])
    given = repr(first.get("input"))
    shown = given if len(given) <= SHOWN else f"{given[: SHOWN - 3]}..."
    others = sorted({str(one["loc"][0]) for one in problems if one["loc"]} - {name})
    then = f"Also to be mended: {', '.join(others)}." if others else ""
    if "enum" in wanted:
        return InvalidInput(place, f"{shown} is not accepted.", allowed=wanted["enum"], then=then)
    return InvalidInput(place, f"must be {_wanted(wanted)} (given: {shown}).", then=then)


def _wanted(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_wanted(one) for one in schema["anyOf"])
    words = WORDS.get(str(schema.get("type")), "another value")
    if isinstance(items := schema.get("items"), dict):
        words += f" of {WORDS.get(str(cast('dict[str, Any]', items).get('type')), 'value').split()[-1]}s"
    lowest, most = schema.get("minimum"), schema.get("maximum")
    bounds = {
        "of at least {}": lowest if most is None else None,
        "of at most {}": most if lowest is None else None,
        "above {}": schema.get("exclusiveMinimum"),
        "with at least {} characters": schema.get("minLength") if schema.get("minLength") != 1 else None,
        "with at most {} characters": schema.get("maxLength"),
        "with at most {} entries": schema.get("maxItems"),
    }
    between = [f"from {lowest:g} to {most:g}"] if lowest is not None and most is not None else []
    limits = [text.format(value) for text, value in bounds.items() if value is not None]
    if schema.get("minLength") == 1:
        limits.append("that is not empty")
    return " ".join([words, *between, *limits])
