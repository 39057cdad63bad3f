"""Eight processes that write to one memory at once, of all kinds, while one after the other is killed, for a minute.

What is compared with what was acknowledged, and how, is in ``tests/memory`` (`blows.py`, `hammer.py`, `wreckage.py`).
Wanted: every acknowledged write is there, whole and once; no writer has less than half the pace of the fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LEAST_SHARE = 0.5
ROOT = Path(__file__).parent.parent


def run(folder: str, *arguments: object) -> dict[str, Any]:
    """Run the hammer in a process of its own, from which it forks, and return what it says."""
    command = [sys.executable, str(ROOT / "tests" / "memory" / "hammer.py"), folder, *map(str, arguments)]
    path = os.pathsep.join([str(ROOT / "memory"), *(one for one in sys.path if one)])
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=False
    )
    if not ended.stdout:
        raise SystemExit(f"the hammer ended with {ended.returncode} and said nothing")
    return json.loads(ended.stdout)


def main() -> None:
    """Print what was done and what is wrong; fail when anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=0.2, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    kills = round(given.seconds / given.pause)
    with tempfile.TemporaryDirectory() as folder:
        told = run(folder, "--kills", kills, "--pause", given.pause, "--seed", given.seed)
    with tempfile.TemporaryDirectory() as folder:
        first = run(folder, "--starts", 15)
    share = told["pace"][0] / told["pace"][-1]
    total = sum(told["writes"].values())
    print(f"{total} acknowledged writes in {told['seconds']:.0f} s under {kills} kills, {told['again']} begun again:")
    print("  " + ", ".join(f"{count} {kind}" for kind, count in told["writes"].items()))
    paces = " ".join(f"{one:.0f}" for one in told["pace"])
    print(f"writes in a living second, by process: {paces}; slowest by fastest {share:.2f} (at least {LEAST_SHARE})")
    print(f"{first['starts']} first starts, eight at once")
    findings = [*told["findings"], *first["findings"]]
    for one in findings:
        print(f"WRONG: {one}")
    passed = not findings and share >= LEAST_SHARE
    print("passed" if passed else "NOT passed")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
