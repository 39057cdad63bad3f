"""The environment of every process that computes: one thread each, no telemetry, no pickle, no display.

It must be set before numpy is imported: two OpenMP threads on two busy cores made the same fit 10 to 40 times slower
than one. Processors that were granted beyond the first are used by processes, whose number `grant` limits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["QUIET", "grant", "limited", "prepare"]

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


def grant(cpus: int, gpus: tuple[int, ...]) -> None:
    """Let libraries in this process see what was granted: joblib's count of processors, and the devices of CUDA."""
    for name, value in (("LOKY_MAX_CPU_COUNT", str(cpus)), ("CUDA_VISIBLE_DEVICES", ",".join(map(str, gpus)))):
        if os.environ.get(name) != value:
            os.environ[name] = value


@contextmanager
def limited(megabytes: int) -> Generator[None]:
    """Let this process take at most so many megabytes (0: no limit) beyond what it holds; more is a `MemoryError`."""
    if not megabytes or sys.platform != "linux":
        yield
        return
    import resource  # noqa: PLC0415 - POSIX only

    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _held() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def _held() -> int:
    """Return the bytes of private memory that this process has asked for so far."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - for every step
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData:"))
