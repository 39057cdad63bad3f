"""Ten thousand generated calls and what is no call at all, through the front and its host, or over HTTP, in both eras.

Every call is answered without a traceback and without an error that nobody foresaw; a refused one changes nothing on
the disk; memory does not grow with the number of calls. With ``--http`` also requests that break HTTP or the protocol's
headers, bodies of 50 MB, slow ones, cut connections and sessions that nobody ends.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from fronts import front, host
from fuzzing import FRAMES, Fuzz, counted
from fuzzing_http import Web, broken, half, server

ROOM = 200 << 20
"""Bytes that the server may have more at the end: caches of what was asked fill up once."""
SLOW, CUTS, SESSIONS = 200, 4, 3000
Served = tuple[Fuzz, Callable[[], None], Callable[[], int]]


@contextmanager
def through_front(folder: Path, *, modern: bool) -> Generator[Served]:
    """Serve as clients start us; yield what sends, what sends broken frames, and what tells the memory."""

    def frames() -> None:
        for frame in FRAMES:
            fuzz.frame(frame)
        fuzz.frame(b'{"jsonrpc":"2.0","id":"long","method":"' + b"x" * (50 << 20) + b'"}')

    def rss() -> int:
        leader = host(folder)
        return 0 if leader is None else psutil.Process(leader.pid).memory_info().rss

    with front(folder, modern=modern) as client:
        client.begin()
        fuzz = Fuzz(client, folder)
        yield fuzz, frames, rss


@contextmanager
def over_http(folder: Path, *, modern: bool) -> Generator[Served]:
    """Serve over HTTP; yield the same."""
    with server(folder) as (process, url), closing(Web(url, modern=modern)) as web:
        fuzz = Fuzz(web, folder)

        def frames() -> None:
            name, before = f"{web.host}:{web.port}", counted(fuzz.home)
            for what, (sent, statuses) in broken(name).items():
                web.refused(what, sent, statuses)
                for part in range(1, CUTS):
                    web.raw(sent[: len(sent) * part // CUTS], cut=True)
                web.raw(sent, cut=True)
            if set(web.held(half(name), SLOW)) != {b"HTTP/1.1 408"}:
                raise SystemExit("a slow body was waited for")
            refused = 0
            for _ in range(SESSIONS):
                refused += web.begin() == 503
            print(f"{SLOW} slow bodies, {SESSIONS} sessions that nobody ended, {refused} of them refused")
            if (after := counted(fuzz.home)) != before:
                raise SystemExit(f"what is no request changed something: {before}, {after}")
            if "Traceback" in (folder / "stderr").read_text():
                raise SystemExit((folder / "stderr").read_text())

        yield fuzz, frames, lambda: psutil.Process(process.pid).memory_info().rss


def main() -> None:
    """Send, count and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--http", action="store_true", help="over HTTP instead of a front and its host")
    given = parser.parse_args()
    failed = False
    for modern in (True, False):
        serve = over_http if given.http else through_front
        with tempfile.TemporaryDirectory() as folder, serve(Path(folder), modern=modern) as (fuzz, frames, rss):
            fuzz.run(50, given.seed)  # what is loaded when it is first used is loaded now
            before = rss()
            fuzz.run(given.calls // 2, given.seed + 50)
            fuzz.methods()
            frames()
            grown = rss() - before
            era = "2026-07-28" if modern else "2025-11-25"
            print(
                f"{era}: {fuzz.calls} calls, {fuzz.refused} refused, {len(fuzz.crashes)} unforeseen, {grown >> 20} MB",
                flush=True,
            )
            print(*fuzz.crashes[:20], sep="\n")
            failed = failed or bool(fuzz.crashes) or grown > ROOM
    sys.exit(failed)


if __name__ == "__main__":
    main()
