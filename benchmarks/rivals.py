"""Six processes that read one inbox while one after the other is killed, and what a message costs beside bare SQL.

What the readers note is judged in ``tests/memory`` (`rivals.py`, `ownership.py`). Wanted: each message has one owner at
a time, every one is worked on, none is lost; of 400 merges of eight processes into one key all are kept, and of 300
messages to all, everybody has all. A send, a claim and an acknowledgement are compared with the bare statements on the
same tables, in turns, a thousand messages waiting.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MOST = {"send": 4.0, "claim": 5.0, "acknowledge": 3.0}
"""How many times the cost of the bare statements each may have: they take no lock, look at no text, build no value."""
WAITING = 1000

MESSAGE = (
    "INSERT INTO message(uid, project_id, sender_id, thread, type, priority, subject, body, details, flags, broadcast, "
    "ack, created_at) VALUES(?, 1, 1, ?, 'context', 1, '', ?, '{}', '[]', 0, 0, ?)"
)
DELIVERY = (
    "INSERT INTO delivery(agent_id, message_id, priority, state, claimed_by, not_before, attempts, note) "
    "VALUES(2, ?, 1, 'unread', '', 0, 0, '')"
)
CLAIM = (
    "UPDATE delivery SET state='claimed', claimed_by='reader', lease_until=?, attempts=attempts+1, read_at=? "
    "WHERE agent_id=2 AND message_id = (SELECT message_id FROM delivery WHERE agent_id=2 "
    "AND state IN ('unread', 'claimed') AND (state='unread' OR lease_until<=?) "
    "ORDER BY priority DESC, message_id LIMIT 1) RETURNING message_id"
)
READ = "SELECT m.*, s.name FROM message m JOIN agent s ON s.id=m.sender_id WHERE m.id=?"
ACK = "UPDATE delivery SET state='acked', acked_at=? WHERE agent_id=2 AND message_id=? AND attempts=1"


def rivals(what: str, *arguments: object) -> dict[str, Any]:
    """Run the rivals from a process of their own, from which it forks, and return what it says."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "tests" / "memory" / "rivals.py"), what, folder, *map(str, arguments)]
        path = os.pathsep.join([str(ROOT / "memory"), *(one for one in sys.path if one)])
        ended = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=False
        )
    if not ended.stdout:
        raise SystemExit(f"the rivals ended with {ended.returncode} and said nothing")
    return json.loads(ended.stdout)


def costs(rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median microseconds of what the store does, and of the bare statements for the same rows."""
    from orchestrator_memory.door import now
    from orchestrator_memory.names import new_uid
    from orchestrator_memory.sqlite import sqlite3
    from orchestrator_memory.store import MemoryStore

    took: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in MOST}

    def timed(name: str, which: int, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the work returns
        began = time.perf_counter()
        result = work()
        took[name][which].append((time.perf_counter() - began) * 1e6)
        return result

    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / "ours.db", Path(folder) / "bare.db"]
        for place in places:
            with MemoryStore.open(place, "bench") as store:
                for number in range(WAITING):
                    store.messages.send("lead", f"waiting {number} {'x' * 300}", to=["pool"])
        bare = sqlite3.connect(places[1], isolation_level=None)
        bare.row_factory = sqlite3.Row
        for pragma in ("foreign_keys=ON", "secure_delete=ON", "synchronous=NORMAL"):
            bare.execute(f"PRAGMA {pragma}")

        def together(*statements: tuple[str, tuple[Any, ...]]) -> list[Any]:
            bare.execute("BEGIN IMMEDIATE")
            rows = [bare.execute(text, values).fetchall() for text, values in statements]
            bare.execute("COMMIT")
            return rows

        def send() -> None:
            uid = new_uid()
            bare.execute("BEGIN IMMEDIATE")
            number = bare.execute(MESSAGE, (uid, uid, f"a job {'x' * 300}", now())).lastrowid
            bare.execute(DELIVERY, (number,))
            bare.execute("COMMIT")

        def claim() -> int:
            bare.execute("BEGIN IMMEDIATE")
            (row,) = bare.execute(CLAIM, (now() + 60_000_000, now(), now())).fetchall()
            bare.execute(READ, (row["message_id"],)).fetchone()
            bare.execute("COMMIT")
            return row["message_id"]

        with MemoryStore.open(places[0], "bench") as store:
            mail = store.messages
            for _ in range(rounds):
                timed("send", 0, lambda: mail.send("lead", f"a job {'x' * 300}", to=["pool"]))
                timed("send", 1, send)
                (message,) = timed("claim", 0, lambda: mail.claim("pool", by="reader"))
                number = timed("claim", 1, claim)
                timed("acknowledge", 0, lambda one=message: mail.ack("pool", [one.uid], fence=1))
                timed("acknowledge", 1, lambda one=number: together((ACK, (now(), one))))
        bare.close()
    return {name: (statistics.median(ours), statistics.median(plain)) for name, (ours, plain) in took.items()}


def main() -> None:
    """Print what came of it; fail when anything is wrong or too dear."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    told = rivals("queue", "--messages", given.messages, "--kills", given.kills, "--seed", given.seed)
    seconds = time.monotonic() - began
    print(
        f"{told['messages']} messages, six readers, {told['kills']} of them killed, {seconds:.0f} s: "
        f"{told['claimed']} claims, {told['done']} acknowledged, {told['returned']} given back, "
        f"{told['late'] + told['lost']} claims over before their work"
    )
    merged, heard = rivals("merges"), rivals("broadcasts")
    print(f"{merged['kept']} of {merged['merges']} merges kept; {heard['broadcasts']} messages to all")
    findings = [*told["findings"], *merged["findings"], *heard["findings"]]
    for name, (ours, bare) in costs(given.rounds).items():
        print(f"{name}: {ours:.0f} us, bare statements {bare:.0f} us: {ours / bare:.2f} times (at most {MOST[name]})")
        if ours > MOST[name] * bare:
            findings.append(f"{name} is too dear")
    for one in findings:
        print(f"WRONG: {one}")
    print("NOT passed" if findings else "passed")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
