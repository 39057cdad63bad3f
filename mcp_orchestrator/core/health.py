"""Health of a component: its known answer, computed where the component runs; never a constant.

Every component that has a known answer answers to the reserved capability name ``known_answer``, so health goes the same road
as any other call: into a worker, with the same limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field
from pydantic_core import to_jsonable_python

from mcp_orchestrator.component import Capability, Check, Context, checks
from mcp_orchestrator.values import Value

__all__ = ["KNOWN_ANSWER", "Checked", "Health", "known"]

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


def _shown(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """Return an answer as plain JSON values; what has no such form is shown as its text."""
    return to_jsonable_python(value, inf_nan_mode="strings", fallback=str)
