"""What others test their own parts with: the suite that every executor must pass."""

from mcp_orchestrator.testing.conformance import Bench, ExecutorConformance

__all__ = ["Bench", "ExecutorConformance"]
