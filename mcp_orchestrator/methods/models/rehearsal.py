"""A rehearsal of the registry: what a rollback must give back, and what a check of the bytes must find."""

from __future__ import annotations

from collections.abc import Iterator
from operator import ne
from typing import Any

from mcp_orchestrator.component import Check, Context
from mcp_orchestrator.methods.models.examples import example_model
from mcp_orchestrator.methods.models.manifests import MODEL, inspect, read
from mcp_orchestrator.tracking.versions import Versions

__all__ = ["differing", "rehearse"]


def rehearse(ctx: Context) -> Iterator[Check]:
    """Promote twice, roll back once, and change one bit of a stored model: what must come back, and what be found."""
    from mcp_orchestrator.methods.models import load

    with Versions(ctx.settings.home) as versions:
        rows: Any = None
        for strength in (1.0, 0.0001):
            trained, rows = example_model(ctx, strength)
            versions.register("flowers", trained)
        versions.promote("flowers", 1)
        first = load(ctx, "flowers").predict(rows).tolist()
        versions.promote("flowers", 2)
        second = load(ctx, "flowers").predict(rows).tolist()
        versions.rollback("flowers")
        back = versions.get("flowers")
        again = load(ctx, "flowers").predict(rows).tolist()
        yield Check("version after the rollback", back.version, 1)
        yield Check("predictions that the rollback did not give back", sum(map(ne, first, again)), 0)
        yield Check("the second version predicts otherwise", first != second, expected=True)
        yield Check("files that differ before", differing(ctx, back.sha256), [])
        place = ctx.artifacts.path(read(ctx, back.sha256).files[MODEL])
        changed = bytearray(place.read_bytes())
        changed[len(changed) // 2] ^= 1
        place.write_bytes(changed)
        yield Check("files that differ after one bit was changed", differing(ctx, back.sha256), [MODEL])


def differing(ctx: Context, sha256: str) -> list[str]:
    """Return the files of a stored model that no longer have their recorded digest."""
    return [file.name for file in inspect(ctx, sha256) if file.state != "intact"]
