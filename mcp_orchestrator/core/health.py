"""Health of a component: its known answer, computed where the component runs; never a constant.

Every component that has a known answer answers to the reserved capability name ``known_answer``, so that health goes
the road of any other call: into a worker, with the same limits.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import Field
from pydantic_core import to_jsonable_python

from mcp_orchestrator.component import Capability, Check, Context, checks
from mcp_orchestrator.errors import MissingLibrary, OrchestratorError
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    from mcp_orchestrator.core.registry import Component

__all__ = ["KNOWN_ANSWER", "Checked", "Examined", "Health", "examine", "known"]

KNOWN_ANSWER = "known_answer"


class Checked(Value):
    """One known answer and what came out."""

    name: str
    got: Any
    expected: Any
    within: float
    passed: bool


class Health(Value):
    """Whether a component computes what it must compute."""

    healthy: bool
    seconds: float = Field(ge=0)
    checks: list[Checked]


class Examined(Value):
    """The health of one component; ``healthy`` is None where it cannot be told, and ``detail`` says why."""

    name: str
    tier: int
    family: str
    version: str
    healthy: bool | None
    seconds: float | None = None
    detail: str = ""
    checks: list[Checked] = Field(default_factory=list[Checked])


def known(component: str, answer: Callable[[Context], Iterator[Check]]) -> Capability[[], Health]:
    """Return the reserved capability of a component: it takes no parameters and runs the known ``answer``."""

    def known_answer(ctx: Context) -> Health:
        """Compute what the component must know the answer to, and compare."""
        begun = time.perf_counter()
        done = [
            Checked(
                name=one.name,
                got=_shown(one.got),
                expected=_shown(one.expected),
                within=one.within,
                passed=bool(one.passed),
            )
            for one in checks(answer, ctx)
        ]
        healthy = bool(done) and all(one.passed for one in done)
        return Health(healthy=healthy, seconds=time.perf_counter() - begun, checks=done)

    return Capability(known_answer, component=component)


async def examine(
    components: Iterable[Component],
    call: Callable[[str, str, dict[str, Any]], Awaitable[Any]],
    tell: Callable[[float, str], None] = lambda _fraction, _name: None,
) -> list[Examined]:
    """Let components compute their known answers through ``call``, side by side, and tell how far that is."""
    wanted = list(components)
    found: dict[str, Examined] = {}

    async def look(one: Component) -> None:
        found[one.name] = await _examined(one, call)
        tell(len(found) / len(wanted), one.name)

    async with anyio.create_task_group() as group:
        for one in wanted:
            group.start_soon(look, one)
    return [found[one.name] for one in wanted]


async def _examined(one: Component, call: Callable[[str, str, dict[str, Any]], Awaitable[Any]]) -> Examined:
    found = partial(Examined, name=one.name, tier=one.about.tier, family=one.family, version=one.about.version)
    if one.problem is not None:
        return found(healthy=False, detail=str(one.problem))
    if one.known_answer is None:
        return found(healthy=None, detail="has no known answer")
    try:
        health = Health.model_validate(await call(one.name, KNOWN_ANSWER, {}))
    except MissingLibrary as error:
        return found(healthy=None, detail=f"unavailable: {error}")
    except OrchestratorError as error:
        return found(healthy=False, detail=str(error))
    missed = [one for one in health.checks if not one.passed]
    detail = (
        "; ".join(f"{c.name}: got {c.got}, expected {c.expected} within {c.within:g}" for c in missed)
        or f"{len(health.checks)} answers as known"
    )
    return found(healthy=health.healthy, seconds=health.seconds, detail=detail, checks=health.checks)


def _shown(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """Return an answer as plain JSON values; what has no such form is shown as its text."""
    return to_jsonable_python(value, inf_nan_mode="strings", fallback=str)
