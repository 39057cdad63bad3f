"""Tables."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from mcp_orchestrator.server.results import Inspection
from mcp_orchestrator.server.session import Session, orchestrator, watched
from mcp_orchestrator.values import Data

__all__ = ["inspect_dataset"]

MOST = 60


async def inspect_dataset(
    ctx: Session,
    data: Data,
    target: Annotated[str | None, Field(description="Column to be predicted, where known.")] = None,
) -> Inspection:
    """Look at a table before training: types, missing values, class balance, likely target, leakage suspects, warnings.

    Freezes what was seen; its uri (dataset://...) means exactly these rows and is taken wherever data is.
    """
    params: dict[str, Any] = {"source": data, **({"target": target} if target else {})}
    call = partial(orchestrator(ctx).call, "training_data_loader", "load", params, repeatable=True)
    seen = await watched(ctx, lambda watch: call(watch=watch))
    return _shown(seen, target)


def _shown(seen: dict[str, Any], target: str | None) -> Inspection:
    uri, columns = seen["uri"], seen["profile"]["columns"]
    column = target or seen["profile"].get("likely_target") or "..."
    then = [f'run_ml_training_workflow(data="{uri}", target="{column}") trains on exactly this table']
    most = [one for place, one in enumerate(columns) if place < MOST or one["name"] == column]
    left_out = len(columns) - len(most)
    if left_out:
        call = f'component="training_data_loader", capability="profile", params={{"data": "{uri}"}}'
        then.append(f"invoke_ml_component({call}) tells of all {len(columns)} columns")
    profile = {**seen["profile"], "columns": most}
    return Inspection.model_validate({**seen, "profile": profile, "columns_left_out": left_out or None, "next": then})
