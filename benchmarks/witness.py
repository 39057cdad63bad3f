"""Foreign code for the storm: steps that say in a file when they begin and end.

A line is ``run step attempt process what moment``, the moment in microseconds as the journal has it. Lines are added
whole, in the order in which things happened: what really ran is known beside the journal.
"""

import os
import time
from pathlib import Path

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.kill import MARK


def work(ctx: Context, file: str, value: int, milliseconds: int = 0) -> int:
    """Be at work for a moment and return the next number."""
    _tell(ctx, file, "begun")
    time.sleep(milliseconds / 1000)
    _tell(ctx, file, "ended")
    return value + 1


def stumble(ctx: Context, file: str, value: int, times: int = 1) -> int:
    """Fail the first so many times, and then return the next number."""
    _tell(ctx, file, "begun")
    lines = [line.split() for line in Path(file).read_text().splitlines()]
    failed = sum(line[:2] == [ctx.run, ctx.step] and "failed" in line for line in lines)
    if failed < times:
        _tell(ctx, file, "failed")
        raise RuntimeError("not yet")
    _tell(ctx, file, "ended")
    return value + 1


def _tell(ctx: Context, file: str, what: str) -> None:
    attempt = os.environ[MARK].strip().rpartition("/")[2]
    line = f"{ctx.run} {ctx.step} {attempt} {os.getpid()} {what} {time.time_ns() // 1000}\n"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)
