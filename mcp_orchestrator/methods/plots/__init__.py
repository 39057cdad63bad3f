"""Pictures as PNG bytes, in one style: how well a model tells classes apart or meets values, and how a run went."""

from __future__ import annotations

from mcp_orchestrator.methods.plots.bars import importance, leaderboard
from mcp_orchestrator.methods.plots.classes import calibration, confusion, precision_recall, roc
from mcp_orchestrator.methods.plots.timeline import timeline
from mcp_orchestrator.methods.plots.trials import tuning
from mcp_orchestrator.methods.plots.values import predicted_actual, residuals

__all__ = [
    "calibration",
    "confusion",
    "importance",
    "leaderboard",
    "precision_recall",
    "predicted_actual",
    "residuals",
    "roc",
    "timeline",
    "tuning",
]
