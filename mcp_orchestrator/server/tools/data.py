"""Tables."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mcp_orchestrator.server.results import Inspection
from mcp_orchestrator.server.session import Session, orchestrator, watched
from mcp_orchestrator.values import Data

__all__ = ["inspect_dataset"]


async def inspect_dataset(
    ctx: Session,
    data: Data,
    target: Annotated[str | None, Field(description="Column to be predicted, where known.")] = None,
) -> Inspection:
    """Look at a table before training: types, missing values, class balance, likely target, leakage suspects, warnings.

    Freezes what was seen; its uri (dataset://...) means exactly these rows and is taken wherever data is.
    """
    params: dict[str, Any] = {"source": data, **({"target": target} if target else {})}
    call = orchestrator(ctx).call
    seen = await watched(ctx, lambda watch: call("training_data_loader", "load", params, watch=watch))
    column = target or seen["profile"].get("likely_target") or "..."
    train = f'run_ml_training_workflow(data="{seen["uri"]}", target="{column}") trains on exactly this table'
    return Inspection(**seen, next=[train])
