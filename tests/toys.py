"""Foreign code for the tests of the engine: registered by settings, never touched by us."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def mark(folder: str, name: str) -> int:
    """Add a line to a file and return how many there are now."""
    path = Path(folder) / name
    with path.open("a") as file:
        file.write("x\n")
    return len(path.read_text().splitlines())


def burn(folder: str) -> int:
    """Use a processor for ever, in this process and in a child of it, after saying which processes these are."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    (Path(folder) / "burning").write_text(f"{os.getpid()} {child.pid}")
    while True:
        pass


def die(folder: str, times: int) -> int:
    """Kill the own process the first so many times."""
    count = mark(folder, "deaths")
    if count <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return count


def fail(reason: str) -> int:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError(reason)


def nap(seconds: float) -> float:
    """Sleep in C code."""
    time.sleep(seconds)
    return seconds


def chatter(text: str) -> str:
    """Print to both outputs and return the text."""
    print(text)
    print(text, file=sys.stderr)
    os.write(1, b"raw\n")
    return text


def untyped(value):  # noqa: ANN001, ANN201 # pyright: ignore[reportMissingParameterType] - shows that code without types is not taken
    """Return a value."""
    return value


class Counter:
    """Counts."""

    def up(self, start: int) -> int:
        """Return the next number."""
        return start + 1
