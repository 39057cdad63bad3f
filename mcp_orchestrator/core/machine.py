"""What this machine has, and what of it is free: measured, never assumed."""

from __future__ import annotations

import importlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.settings import Settings

__all__ = ["GPU", "Memory", "capacity", "gpus", "measured", "memory"]

MB = 1024 * 1024
GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Megabytes of memory: in all, and what could be taken without swapping."""

    total_mb: int
    free_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GPU:
    """A graphics processor, by the number that CUDA knows it by, with its memory in megabytes."""

    id: int
    name: str
    memory_mb: int
    used_mb: int


def memory(group: Path = GROUP) -> Memory:
    """Return the memory of the machine or, where that is less, of the container (control groups version 2)."""
    found = psutil.virtual_memory()
    most, used = _number(group / "memory.max"), _number(group / "memory.current")
    total = min(found.total, most) if most is not None else found.total
    free = found.available if most is None else min(found.available, most - (used or 0))
    return Memory(total_mb=total // MB, free_mb=max(0, free) // MB)


def gpus() -> list[GPU]:
    """Return the graphics processors that NVML finds; none without the library (extra ``gpu``) or its driver.

    ``CUDA_VISIBLE_DEVICES`` is respected where it lists numbers.
    """
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return []
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return []
    try:
        found = [_gpu(nvml, number) for number in range(nvml.nvmlDeviceGetCount())]
    finally:
        nvml.nvmlShutdown()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    chosen = {part.strip() for part in visible.split(",")}
    return [one for one in found if str(one.id) in chosen]


def capacity(settings: Settings) -> Capacity:
    """Return what there is to lease on this machine, by the settings or else as measured."""
    megabytes = settings.memory_mb or int(memory().total_mb * settings.memory_share)
    return Capacity(cpus=settings.workers, memory_mb=megabytes, gpus=len(gpus()))


def measured() -> dict[str, Any]:
    """Return how the machine stands now, as plain values."""
    now = memory()
    return {
        "memory_mb": now.total_mb,
        "memory_free_mb": now.free_mb,
        "load": round(psutil.getloadavg()[0], 2),
        "cores": psutil.cpu_count() or 1,
        "gpus": [asdict(one) for one in gpus()],
    }


def _gpu(nvml: Any, number: int) -> GPU:  # noqa: ANN401 - a module without types
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    name, held = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetMemoryInfo(handle)
    text = name.decode() if isinstance(name, bytes) else str(name)  # bytes before version 12
    return GPU(id=number, name=text, memory_mb=held.total // MB, used_mb=held.used // MB)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):  # not in a group, or "max"
        return None
