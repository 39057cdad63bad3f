"""How well recall finds what is asked for, and what it and a write cost beside bare SQL on the same data.

Quality: the questions of ``tests/memory/questions.json``, asked in one way and in all, with other words of the field
and without, those that tuning has seen apart from those held out. Wanted: of the answers, .85 among the first five
when asked in two or three ways.

Cost: stores of memories made of the words of that file. A recall is compared with the full-text queries of the same
words, by rank, and with nothing else done (wanted: at most 3 times at 10,000, 2 times at 50,000); a write with the
insertion of the same row by sqlite3 into a database of the same kind (at most 2.5 times), and with one at 1,000 (at
most 1.3 times at 50,000). They take turns; medians are printed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "memory"))

import questions  # beside the tests that use it

from orchestrator_memory import plan
from orchestrator_memory.door import PRAGMAS
from orchestrator_memory.names import new_uid
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.terms import quoted, terms

FOUND, RECALL, RAW, FLAT = 0.85, {10_000: 3.0, 50_000: 2.0}, 2.5, 1.3
RANKED = "SELECT rowid FROM memory_words WHERE memory_words MATCH ? ORDER BY rank LIMIT 6"


def quality(folder: Path) -> float:
    """Print how well answers are found, and return the share that is promised."""
    promised = 0.0
    others = plan.others
    print("recall@5 (mean of 1 / rank)          one way         another way     all ways")
    with questions.remembered(folder / "questions.db") as store:
        for words, way in (("with other words", others), ("without", lambda _: {})):
            plan.others = way
            for part, held_out in (("tuned on", False), ("held out", True), ("all", None)):
                ways = [slice(0, 1), slice(1, 2), slice(0, 3)]
                found = [questions.recall_at(store, 5, ways=one, held_out=held_out) for one in ways]
                print(f"  {words:18} {part:12}  " + "   ".join(f"{share:.3f} ({rank:.3f})" for share, rank in found))
                if way is others and held_out is None:
                    promised = found[-1][0]
    plan.others = others
    return promised


class Writer:
    """Makes up memories from the words of the file, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        """Begin with the first."""
        self._random = random.Random(seed)  # noqa: S311 - made-up data
        self._words = [word for one in questions.DATA["memories"] for word in one["body"].split()]
        self._count = 0

    def __call__(self) -> dict[str, Any]:
        """Return the next one."""
        self._count += 1
        like = questions.DATA["memories"][self._count % len(questions.DATA["memories"])]
        body, title = (" ".join(self._random.choices(self._words, k=size)) for size in (38, 5))
        kept = {name: like[name] for name in ("kind", "area", "tags")}
        return {"body": f"{body} {self._count}", "title": title, "agent": "notes", **kept}


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def recalls(store: MemoryStore, rounds: int) -> tuple[float, float]:
    """Return the median seconds of bare queries and of recalls, asked in two or three ways."""
    db = store.door.read()
    seconds: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        for asks, _ in questions.questions():
            bare = [" OR ".join(map(quoted, terms(one))) for one in asks]
            pair = (
                timed(lambda bare=bare: [db.execute(RANKED, (one,)).fetchall() for one in bare]),
                timed(lambda asks=asks: store.memories.recall(asks)),
            )
            if number:
                seconds.append(pair)
    return median(one for one, _ in seconds), median(one for _, one in seconds)


def writes(stores: dict[int, MemoryStore], raw: sqlite3.Connection, count: int) -> tuple[dict[int, float], float]:
    """Return the median seconds of a write to each store, and of the insertion of such a row."""
    made, ours = Writer(3), {size: list[float]() for size in stores}
    bare: list[float] = []
    for number in range(count):
        for size, store in stores.items():
            one = made()
            ours[size].append(timed(lambda one=one, store=store: store.memories.remember(**one)))
        row = dict(store.door.read().execute("SELECT * FROM memory ORDER BY id DESC LIMIT 1").fetchone())
        row |= {"id": None, "uid": new_uid(), "project_id": 1, "agent_id": 1, "digest": number.to_bytes(16, "big")}
        sql = f"INSERT INTO memory VALUES({', '.join(f':{name}' for name in row)})"

        def insert(sql: str = sql, row: dict[str, Any] = row) -> None:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute(sql, row)
            raw.execute("COMMIT")

        bare.append(timed(insert))
    return {size: median(seconds) for size, seconds in ours.items()}, median(bare)


def main() -> None:
    """Print the figures, and fail where one is not as wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--writes", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 50_000])
    asked = parser.parse_args()
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = quality(folder)
        missed += [f"recall@5 is {found:.3f}"] * (found < FOUND)
        stores: dict[int, MemoryStore] = {}
        for size in asked.sizes:
            stores[size], made = MemoryStore.open(folder / f"{size}.db", "project"), Writer(size)
            for _ in range(size - asked.writes if size > asked.writes else size):
                stores[size].memories.remember(**made())
        with MemoryStore.open(folder / "raw.db", "project") as empty:
            empty.memories.remember("The first one.", agent="notes")
        raw = sqlite3.connect(folder / "raw.db", isolation_level=None)
        for pragma, value in {**PRAGMAS, "synchronous": "NORMAL"}.items():
            raw.execute(f"PRAGMA {pragma}={value}")
        ours, bare = writes(stores, raw, asked.writes)
        raw.close()
        smallest = min(ours)
        for size, seconds in ours.items():
            ratio, flat = seconds / bare, seconds / ours[smallest]
            print(f"write at {size:6}: {seconds * 1e6:6.0f} us, {ratio:.2f} times bare, {flat:.2f} times at {smallest}")
            missed += [f"a write at {size} takes {ratio:.2f} times bare SQL"] * (size == smallest and ratio > RAW)
            missed += [f"a write at {size} takes {flat:.2f} times one at {smallest}"] * (flat > FLAT)
        for size, store in stores.items():
            one, other = recalls(store, asked.rounds)
            print(f"recall at {size:6}: {other * 1e3:6.2f} ms, {other / one:.2f} times bare")
            missed += [f"recall at {size} takes {other / one:.2f} times bare"] * (other / one > RECALL.get(size, 99.0))
            store.close()
    if missed:
        sys.exit("; ".join(missed))


if __name__ == "__main__":
    main()
