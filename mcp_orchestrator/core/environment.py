"""The environment of every process that computes: one thread each, no telemetry, no pickle, no display.

It must be set before numpy is imported: two OpenMP threads on two busy cores made the same fit 10 to 40 times slower
than one.
"""

from __future__ import annotations

import os

__all__ = ["QUIET", "prepare"]

QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "PYTHONHASHSEED": "0",
}


def prepare() -> None:
    """Set the environment of this process."""
    os.environ.update(QUIET)
