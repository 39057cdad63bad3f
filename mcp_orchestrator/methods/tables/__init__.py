"""Tables: any source frozen under its digest, described, split and checked.

``sources`` finds out what is meant; ``delimited``, ``records``, ``workbook``, ``database`` and ``columnar`` read it in
blocks, ``inference`` decides what columns of text are, ``snapshot`` writes Parquet, ``datasets`` keeps it under ``dataset://``.
"""

from mcp_orchestrator.methods.tables.builtin import BUILTINS
from mcp_orchestrator.methods.tables.datasets import describe, freeze, freeze_frame, reference
from mcp_orchestrator.methods.tables.frames import frame
from mcp_orchestrator.methods.tables.overlap import Leak, Leaks, leakage
from mcp_orchestrator.methods.tables.splitting import Part, Splits, split
from mcp_orchestrator.methods.tables.verdict import Verdict, check

__all__ = [
    "BUILTINS",
    "Leak",
    "Leaks",
    "Part",
    "Splits",
    "Verdict",
    "check",
    "describe",
    "frame",
    "freeze",
    "freeze_frame",
    "leakage",
    "reference",
    "split",
]
