"""A thousand processes killed at random moments, and what became of the runs that were asked for meanwhile.

Clients submit runs of short steps through fronts and by the Python API; all the while the leader, the host, fronts,
workers, zygotes and a client that takes part are ended by SIGKILL. Then the storm is over, the clients go away, and
what is left is compared with what really ran (`witness.py`), in `aftermath.py`. Wanted: nothing is lost, done twice,
or left over.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aftermath import Finding, findings
from crowd import Client

from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.settings import Settings

__all__ = ["Told", "storm"]

SIGN = "MCP_ORCHESTRATOR_STORM"
WEIGHTS = {"worker": 45, "front": 24, "leader": 12, "host": 8, "zygote": 7, "client": 4}
"""How often a process of each kind is the next to be killed."""
SETTINGS = """\
workers = 2
host_idle_seconds = 3600
log_level = "INFO"
[components]
witness = "witness"
"""


@dataclass
class Told:
    """What a storm was like and what it left."""

    kills: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0
    quiet: float = 0.0
    runs: Counter[str] = field(default_factory=Counter[str])
    steps: int = 0
    attempts: int = 0
    reigns: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])
    findings: list[Finding] = field(default_factory=list[Finding])


@dataclass(frozen=True)
class Process:
    """A process of the storm: its id, its parent, and what it is."""

    pid: int
    parent: int
    kind: str


class Storm:
    """One storm over one state home."""

    def __init__(self, project: Path, seed: int) -> None:
        """Make the project in an empty folder."""
        (project / "orchestrator.toml").write_text(SETTINGS)
        self.project, self.home = project, Settings.load(project).home
        self.chance, self.seed = random.Random(seed), seed  # noqa: S311 - a storm, no secret
        self.sign = secrets.token_hex(8)
        path = os.pathsep.join([str(Path(__file__).parent), *(one for one in sys.path if one)])
        self.environment = {**os.environ, "PYTHONPATH": path, SIGN: self.sign}
        self.members: list[subprocess.Popen[bytes]] = []
        self.told = Told()

    def processes(self) -> list[Process]:
        """Return all processes that came of this storm, by the sign in their environment."""
        found: list[Process] = []
        sign = f"{SIGN}={self.sign}".encode()
        for place in Path("/proc").glob("[0-9]*"):
            pid = int(place.name)
            with suppress(OSError):
                if pid != os.getpid() and sign in (place / "environ").read_bytes().split(b"\0"):
                    command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
                    if state not in "ZX":
                        found.append(Process(pid, int(parent), _kind(command)))
        zygotes = {one.pid for one in found if one.kind == "zygote"}
        return [Process(one.pid, one.parent, "worker") if one.parent in zygotes else one for one in found]

    def member(self, seed: int) -> subprocess.Popen[bytes]:
        """Start a client that takes part by the Python API."""
        with (self.project / "members.log").open("ab") as log:
            command = [sys.executable, str(Path(__file__).with_name("crowd.py")), str(self.project), str(seed)]
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def kill(self) -> str:
        """Kill one process at random and return what it was; empty when there was none of the kind."""
        kind = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind == "leader":
            leader = Leadership(self.home).leader()
            those = [one for one in self.processes() if leader is not None and one.pid == leader.pid]
        else:
            those = [one for one in self.processes() if one.kind == kind]
        if not those:
            return ""
        with suppress(ProcessLookupError):
            os.kill(self.chance.choice(those).pid, signal.SIGKILL)
        return kind

    def rage(self, kills: int, seconds: float, pause: float) -> None:
        """Kill so many processes, a random while apart, while clients work; end sooner when time is up."""
        began = time.monotonic()
        clients = [Client(self.project, self.environment, self.seed + one, 10**9) for one in range(2)]
        for client in clients:
            client.start()
        self.members = [self.member(self.seed + 7)]
        while self.told.kills.total() < kills and time.monotonic() - began < seconds:
            time.sleep(self.chance.expovariate(1 / pause))
            if kind := self.kill():
                self.told.kills[kind] += 1
            for number, one in enumerate(self.members):
                if one.poll() is not None:
                    self.members[number] = self.member(self.chance.randrange(1, 1 << 30))
        self.told.seconds = time.monotonic() - began
        for client in clients:
            client.over.set()
        for client in clients:
            client.join(300)
            self.told.errors.update(_short(one) for one in client.errors)
            self.told.findings += [Finding("a front did not answer", one) for one in client.silent]
            if client.is_alive():
                self.told.findings.append(Finding("a client could not go away", client.name))

    def calm(self, seconds: float) -> None:
        """Answer what is asked and wait until nothing is at work any more; then all go away but the host."""
        began = time.monotonic()
        self._end(self.members[0])
        subprocess.run(
            [sys.executable, "-m", "mcp_orchestrator", "host", "start"],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        self.members = [self.member(0)]  # it submits nothing
        journal = Journal(self.home)
        unfinished = [one for one in Status if not one.final]
        while journal.runs(status=unfinished, most=1) and time.monotonic() - began < seconds:
            time.sleep(0.2)
            if self.members[0].poll() is not None:
                self.told.findings.append(Finding("a client ended by itself", str(self.members[0].returncode)))
                self.members = [self.member(0)]
        self._end(self.members[0])
        self.told.quiet = time.monotonic() - began
        self.told.findings += findings(self.project, journal)
        self._count(journal)
        journal.close()

    def left(self) -> Iterator[Finding]:
        """Look for processes that nobody needs any more, then stop the host and look again."""
        host = Leadership(self.home, "host").leader()
        if host is None:
            yield Finding("no host", "it ended, though nothing told it to")
        until = time.monotonic() + 20
        while (others := self._others(host.pid if host else 0)) and time.monotonic() < until:
            time.sleep(0.1)
        yield from (Finding("a process is left over beside the host", str(one)) for one in others)
        command = [sys.executable, "-m", "mcp_orchestrator", "host", "stop"]
        subprocess.run(command, cwd=self.project, env=self.environment, stdout=subprocess.DEVNULL, check=True)
        until = time.monotonic() + 20
        while (others := self.processes()) and time.monotonic() < until:
            time.sleep(0.1)
        yield from (Finding("a process is left over after the host", str(one)) for one in others)

    def close(self) -> None:
        """End whatever is left."""
        for one in self.processes():
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        for one in self.members:
            one.wait()

    def _others(self, host: int) -> list[Process]:
        """Return the processes that neither are the host nor descend from it."""
        found = self.processes()
        house = {host}
        for _ in range(4):
            house |= {one.pid for one in found if one.parent in house}
        return [one for one in found if one.pid not in house]

    def _end(self, member: subprocess.Popen[bytes]) -> None:
        member.terminate()
        try:
            member.wait(60)
        except subprocess.TimeoutExpired:
            self.told.findings.append(Finding("a client could not leave", f"process {member.pid}"))
            member.kill()
            member.wait()

    def _count(self, journal: Journal) -> None:
        db = journal.door.read()
        self.told.runs.update(dict(db.execute("SELECT status, count(*) FROM run GROUP BY status").fetchall()))
        self.told.steps = db.execute("SELECT count(*) FROM step").fetchone()[0]
        self.told.reigns = db.execute("SELECT count(*) FROM host").fetchone()[0]
        self.told.attempts = (self.project / "truth").read_text().count(" begun ")


def storm(project: Path, *, kills: int, seed: int, seconds: float, pause: float, patience: float = 300) -> Told:
    """Let a storm go over an empty folder and return what it was like."""
    one = Storm(project, seed)
    try:
        one.rage(kills, seconds, pause)
        one.calm(patience)
        one.told.findings += one.left()
    finally:
        one.close()
    return one.told


def _kind(command: str) -> str:
    signs = {"core.zygote": "zygote", "host run": "host", "mcp_orchestrator serve": "front", "crowd.py": "client"}
    return next((kind for sign, kind in signs.items() if sign in command), "command")


def _short(text: str) -> str:
    return " ".join("…" if any(one.isdigit() for one in word) else word for word in text.split()[:24])


def main() -> None:
    """Print what a storm was like, and fail when it left anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--pause", type=float, default=0.8, help="seconds between two kills, on average")
    parser.add_argument("--folder", type=Path, help="keep the project here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        told = storm(folder, kills=given.kills, seed=given.seed, seconds=given.minutes * 60, pause=given.pause)
    kinds = ", ".join(f"{count} {kind}" for kind, count in told.kills.most_common())
    print(f"{told.kills.total()} kills in {told.seconds:.0f} s ({kinds}); quiet after {told.quiet:.0f} s more")
    ends = ", ".join(f"{count} {status}" for status, count in told.runs.most_common())
    print(f"{told.runs.total()} runs ({ends}), {told.steps} steps begun {told.attempts} times, {told.reigns} leaders")
    for text, count in told.errors.most_common(10):
        print(f"  {count} times told to a client: {text}")
    for one in told.findings[:50]:
        print(f"{one.what}: {one.which}")
    if told.findings:
        sys.exit(f"{len(told.findings)} findings")


if __name__ == "__main__":
    main()
