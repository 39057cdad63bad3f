"""What a memory costs through the protocol, beside a ping of the same server and beside the reference memory server.

Both servers are spoken to over stdio with the client of the SDK: ours through the thin front and its host, with 10,000
memories; the reference with 10,000 entities of the same texts, each as one observation. The questions take turns, so
that all meet the same machine; what counts is the ratio of the medians. It is judged only where the processors are
free, since a reply of a millisecond waits for its turn as long as one of thirty. Writes are also counted in process,
into a memory with 1,000 rows and into one with nearly 50,000, which is as many as a project may have.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median, quantiles

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult
from peers.knowledge_graph import entity, server

from mcp_orchestrator.settings import Settings
from orchestrator_memory.store import MemoryStore

ROWS, FEW, MANY = 10_000, 1_000, 49_000
MOST_WRITE, MOST_RECALL, LEAST_CREATE, LEAST_SEARCH, MOST_GROWTH = 2.5, 4.0, 20.0, 5.0, 1.3
VOCABULARY = 3_000
WORDS = 60
"""Of a text: about 400 characters, between the 120 of the shortest that are kept, such as those of
tests/memory/questions.json (22 words), and the 500 and their evidence that a training writes of itself."""
TURNS = {
    " alone": ("ping", "remember"),
    "": ("ping", "remember", "recall", "three"),
    " beside": ("remember", "recall", "create", "search"),
}
"""What takes turns: pings and writes, all of our own questions, and then ours with those to the reference."""
IN_A_ROW = {" alone": 1, "": 1, " beside": 5}
"""How often each is asked in its turn. The first question after one to the reference meets what that leaves behind on
the processors (it clears its memory up beside the next one), which is not what either of them costs."""
WARM = 3
"""Rounds that are not counted: what is needed is loaded in them."""
WANTED = "kolasubu"
"""Stands in one text of a hundred."""


@dataclass
class Taken:
    """What an operation took, time by time, and the longest answer to it."""

    seconds: list[float] = field(default_factory=list[float])
    bytes: int = 0

    @property
    def ms(self) -> float:
        """The median in milliseconds."""
        return median(self.seconds) * 1000

    @property
    def calm(self) -> float:
        """The first decile in milliseconds: what it takes when hardly anybody is in the way."""
        return quantiles(self.seconds, n=10)[0] * 1000


class Texts:
    """Texts of words that are as unevenly frequent as those of a language (Zipf's law), the same for the same seed."""

    def __init__(self, seed: int, words: int = WORDS) -> None:
        """Make up the words, of which a text has so many."""
        self.count = words
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self.words = ["".join(self.chance.choices("bdfgklmnprstvz", k=1)[0] + self.chance.choice("aeiou")
                      for _ in range(self.chance.randint(2, 4))) for _ in range(VOCABULARY)]  # fmt: skip
        self.weights = [1 / (rank + 2) for rank in range(VOCABULARY)]

    def __call__(self, number: int) -> str:
        """Return a text; every hundredth has the word that is looked for."""
        words = self.chance.choices(self.words, self.weights, k=self.count)
        if number % 100 == 0:
            words[self.count // 2] = WANTED
        return f"{' '.join(words)} in run {number}."


def fill(store: MemoryStore, texts: list[str]) -> None:
    """Write memories, a thousand in a transaction."""
    for begin in range(0, len(texts), 1000):
        with store.ground.together():
            for number, text in enumerate(texts[begin : begin + 1000], start=begin):
                store.memories.remember(text, agent="filler", kind="insight", title=f"finding {number}")


def growth(folder: Path, texts: Texts, count: int) -> dict[str, Taken]:
    """Write in turn into a small memory and into one that is nearly full."""
    taken = {name: Taken() for name in ("few", "many")}
    stores = {name: MemoryStore.open(folder / f"{name}.db") for name in taken}
    for name, rows in {"few": FEW, "many": MANY}.items():
        fill(stores[name], [texts(number) for number in range(rows)])
    for number in range(count):
        for name in sorted(stores, reverse=bool(number % 2)):
            text = texts(MANY + number)
            began = time.perf_counter()
            stores[name].memories.remember(text, agent="writer", kind="insight", title=f"later {number}")
            taken[name].seconds.append(time.perf_counter() - began)
    for store in stores.values():
        store.close()
    return taken


async def rounds(folder: Path, texts: Texts, count: int) -> dict[str, Taken]:
    """Ask both servers in turn, and return what each kind of question took."""
    known = [texts(number) for number in range(ROWS)]
    settings = Settings.load(folder)
    with MemoryStore.open(settings.home / "memory.db", settings.project.name) as store:
        fill(store, known)
    path = os.pathsep.join(one for one in sys.path if one)
    environment = {**os.environ, "PYTHONPATH": path}
    serve = ["-m", "mcp_orchestrator", "serve"]
    ours = StdioServerParameters(command=sys.executable, args=serve, cwd=folder, env=environment)
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(Client(stdio_client(ours), mode="legacy"))
        reference = await stack.enter_async_context(Client(stdio_client(server(folder, known)), mode="legacy"))
        number = ROWS

        async def remember() -> CallToolResult:
            arguments = {"text": texts(number), "agent": "writer", "kind": "insight", "title": f"finding {number}"}
            return await own.call_tool("remember", arguments)

        async def create() -> CallToolResult:
            return await reference.call_tool("create_entities", {"entities": [entity(number, texts(number))]})

        asked: dict[str, Callable[[], Awaitable[object]]] = {
            "ping": own.send_ping,
            "remember": remember,
            "recall": lambda: own.call_tool("recall_memory", {"queries": [WANTED]}),
            "three": lambda: own.call_tool("recall_memory", {"queries": [WANTED, *_pair(texts)]}),
            "create": create,
            "search": lambda: reference.call_tool("search_nodes", {"query": WANTED}),
        }
        taken: dict[str, Taken] = {}
        for among, names in TURNS.items():
            for turn in range(WARM + count):
                for name in (one for one in sorted(names, reverse=bool(turn % 2)) for _ in range(IN_A_ROW[among])):
                    number += 1
                    began = time.perf_counter()
                    answer = await asked[name]()
                    took = time.perf_counter() - began
                    kept = taken.setdefault(f"{name}{among}", Taken())
                    if isinstance(answer, CallToolResult):
                        if answer.is_error:
                            raise SystemExit(f"{name}: {answer.content}")
                        kept.bytes = max(kept.bytes, len(answer.model_dump_json(by_alias=True)))
                    if turn >= WARM:
                        kept.seconds.append(took)
    return taken


def _pair(texts: Texts) -> list[str]:
    return [" ".join(texts.chance.choices(texts.words[50:], k=3)) for _ in range(2)]


def main() -> None:
    """Print the figures and fail when a bar is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--writes", type=int, default=600, help="in process, into each of the two memories")
    parser.add_argument("--words", type=int, default=WORDS, help="of each text, in both servers")
    given = parser.parse_args()
    texts = Texts(7, given.words)
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            taken = anyio.run(rounds, folder, texts, given.rounds)
        finally:
            stop = [sys.executable, "-m", "mcp_orchestrator", "host", "stop"]
            subprocess.run(stop, cwd=folder, stdout=subprocess.DEVNULL, check=True)
        grown = growth(folder, texts, given.writes)
    print(f"{'':>16} {'median':>9} {'decile':>9} {'mean':>9} {'bytes':>9}   (ms)")
    for name, one in {**taken, **grown}.items():
        print(f"{name:>16} {one.ms:9.2f} {one.calm:9.2f} {mean(one.seconds) * 1000:9.2f} {one.bytes or '':>9}")
    bars = [
        ("a write by a ping", "remember alone", "ping alone", "at most", MOST_WRITE),
        (f"recall at {ROWS:,} by a ping", "recall", "ping", "at most", MOST_RECALL),
        ("the reference's create by our write", "create beside", "remember beside", "at least", LEAST_CREATE),
        ("the reference's search by our recall", "search beside", "recall beside", "at least", LEAST_SEARCH),
        (f"a write at {MANY:,} by one at {FEW:,}", "many", "few", "at most", MOST_GROWTH),
    ]
    missed = 0
    found = {**taken, **grown}
    for what, one, other, side, bar in bars:
        ratio, calm = found[one].ms / found[other].ms, found[one].calm / found[other].calm
        passed = ratio <= bar if side == "at most" else ratio >= bar
        judged = one in grown or not busy
        missed += judged and not passed
        verdict = "" if passed else ": NOT passed" if judged else ": not judged, others use the processors"
        print(f"{what}: {ratio:.2f} ({side} {bar}), of the deciles {calm:.2f}{verdict}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
