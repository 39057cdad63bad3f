"""Ten thousand generated calls and the broken frames, through the front and its host, in both eras.

Every call is answered without a traceback and without an error that nobody foresaw; a refused one changes nothing on
the disk; memory does not grow with the number of calls.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from fronts import front, host
from fuzzing import FRAMES, Fuzz

ROOM = 200 << 20
"""Bytes that the host may have more at the end: caches of what was asked fill up once."""


def rss(project: Path) -> int:
    """Return the memory of the host of a project."""
    leader = host(project)
    return 0 if leader is None else psutil.Process(leader.pid).memory_info().rss


def main() -> None:
    """Send, count and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    failed = False
    for modern in (True, False):
        with tempfile.TemporaryDirectory() as folder, front(Path(folder), modern=modern) as client:
            client.begin()
            fuzz = Fuzz(client, Path(folder))
            fuzz.run(50, given.seed)  # what is loaded when it is first used is loaded now
            before = rss(Path(folder))
            fuzz.run(given.calls // 2, given.seed + 50)
            fuzz.methods()
            for frame in FRAMES:
                fuzz.frame(frame)
            fuzz.frame(b'{"jsonrpc":"2.0","id":"long","method":"' + b"x" * (50 << 20) + b'"}')
            grown = rss(Path(folder)) - before
            era = "2026-07-28" if modern else "2025-11-25"
            print(
                f"{era}: {fuzz.calls} calls, {fuzz.refused} refused, {len(fuzz.crashes)} unforeseen, {grown >> 20} MB"
            )
            print(*fuzz.crashes[:20], sep="\n")
            failed = failed or bool(fuzz.crashes) or grown > ROOM
    sys.exit(failed)


if __name__ == "__main__":
    main()
