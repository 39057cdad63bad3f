"""A step that lasts until it is told to end; `takeover.py` kills who is at it."""

import os
import time
from pathlib import Path


def last(mark: str, until: str) -> int:
    """Say when this began, in a line of a file, and return when another file is there."""
    with Path(mark).open("a") as file:
        file.write(f"{time.monotonic_ns()} {os.getpid()}\n")
    while not Path(until).exists():
        time.sleep(0.001)
    return 1
