"""Metrics of classification and regression: one table, scores, 95 % intervals, and the baseline to beat."""

from __future__ import annotations

from mcp_orchestrator.methods.metrics.evaluation import baseline, difference, evaluate, score
from mcp_orchestrator.methods.metrics.sample import Task, classes_of
from mcp_orchestrator.methods.metrics.table import ALIASES, METRICS, Metric, default_metric, metric_named, names_for

__all__ = [
    "ALIASES",
    "METRICS",
    "Metric",
    "Task",
    "baseline",
    "classes_of",
    "default_metric",
    "difference",
    "evaluate",
    "metric_named",
    "names_for",
    "score",
]
