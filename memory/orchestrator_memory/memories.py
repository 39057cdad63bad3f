"""What is worth knowing later: written once, counted when it is said again, superseded when it is no longer so."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from orchestrator_memory.changing import PIN, QUOTA, SAME, USED, VOTE, Changes
from orchestrator_memory.door import Busy
from orchestrator_memory.errors import Refused, Unavailable
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import number, taken
from orchestrator_memory.reading import BY_ID, HISTORY, LINKS, LIST, subject, value
from orchestrator_memory.recall import MOST, Recall, Wanted, kinds_of
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.values import Change, Impact, Kind, Memory, Origin, Recalled, Written
from orchestrator_memory.vectors import Embedder, Vectors
from orchestrator_memory.writing import chosen, draft

__all__ = ["MOST", "QUOTA", "Memories"]

MANY = 100
"""Recalled memories that are counted together: each of them is another page to write."""
RELATIONS = ("supports", "contradicts", "supersedes", "derived_from", "about")


class Memories:
    """The memories of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground
        self._changes, self._vectors = Changes(ground), Vectors(ground)
        self._recall = Recall(ground, self._vectors)
        self._seen: deque[str] = deque(maxlen=1000)

    def remember(
        self,
        body: str,
        *,
        agent: str | None = None,
        kind: Kind = "note",
        title: str = "",
        area: str = "",
        tags: Sequence[str] = (),
        aliases: Sequence[str] = (),
        data: Mapping[str, Any] | None = None,
        impact: Impact | None = None,
        importance: float | None = None,
        confidence: float | None = None,
        evidence: Mapping[str, Any] | None = None,
        run: str | None = None,
        session: str | None = None,
        origin: Origin = "agent",
        trust: int | None = None,
        proved: bool = False,
        source: str = "",
        valid_from: int | None = None,
        expires: int | None = None,
        pinned: bool = False,
        supersedes: Sequence[str] = (),
    ) -> Written:
        """Keep something; what the agent has kept already, as the same kind, is counted once more.

        The same is what has the same words in title and body, whatever their case. Said again, it gathers tags, data
        and evidence, and has the confidence, impact and importance that were given last. ``aliases`` are other words by
        which it should be found. ``evidence`` has ``runs``, ``models``, ``datasets``, ``metrics`` and a ``note``; the
        ``data`` of a decision may have its ``rationale``, ``alternatives`` and the day of its ``review``. Trust comes
        from the ``origin``, and for an agent from a caller who has ``proved`` the evidence: a lower one can be asked
        for, a higher one cannot. Times are microseconds UTC; what has expired is no longer recalled.

        Raises:
            Refused: something is not acceptable, or the project has as many memories as it may.
            NotFound: there is no memory of an uid in ``supersedes``.
            Conflict: one of ``supersedes`` has been superseded already.
            NotYours: one of ``supersedes`` is another's, and more to be trusted than this.

        """
        one = draft(
            body,
            kind=kind,
            title=title,
            area=area,
            tags=tags,
            aliases=aliases,
            data=data,
            impact=impact,
            importance=importance,
            confidence=confidence,
            proof=evidence,
            run=run,
            origin=origin,
            trust=trust,
            proved=proved,
            source=source,
        )
        at = self._ground.clock()
        if expires is not None and expires <= at:
            raise Refused("expires", "has passed.", then="Times are microseconds since 1970, UTC.")
        with self._ground.write() as db:
            if len(self._seen) >= MANY:
                self._count(db)
            author, spoken = self._ground.who(db, agent, session)
            digest = one.columns["digest"]
            same = SAME(db, project=self._ground.project, agent=author or 0, kind=kind, digest=digest).fetchone()
            if same is None:
                memory = self._changes.new(
                    db,
                    one,
                    agent=agent,
                    author=author,
                    session=spoken,
                    at=at,
                    valid_from=at if valid_from is None else valid_from,
                    expires=expires,
                    pinned=pinned,
                )
            else:
                given = {"impact": impact, "importance": importance, "expires": expires, "pinned": pinned, "at": at}
                memory = self._changes.again(db, self._changes.row(db, same["uid"]), one, given)
            for old in supersedes:
                row = self._changes.row(db, old, "supersedes")
                self._changes.over(db, row, self._changes.row(db, memory.uid), author, "")
            return Written(memory=memory, new=same is None, redacted=one.secrets)

    def recall(
        self,
        queries: Sequence[str],
        *,
        most: int = 6,
        tokens: int = 1500,
        kinds: Sequence[Kind] = (),
        agent: str | None = None,
        area: str | None = None,
        tags: Sequence[str] = (),
        since: int | None = None,
        superseded: bool = False,
        trust: int = 0,
        embedder: Embedder | None = None,
    ) -> Recalled:
        """Return what is known about something: the memories that answer the ``queries`` best, the best first.

        Ask the same thing in two or three ways: what answers several of them counts more. `Recall` says how it is
        scored. The texts of all hits together have at most ``tokens`` (four bytes are counted as one). What has
        expired or was superseded is left out, the latter unless ``superseded``; so is what is less to be trusted than
        ``trust``. ``tags`` are all wanted; ``since`` is in microseconds UTC. With an ``embedder``, what is near in
        meaning is found too, once `embed_missing` has made vectors.

        Raises:
            Refused: there are no queries, more than eight, or a number is out of its range.
            NotFound: there is no such agent.

        """
        wanted = Wanted(kinds, agent, area, tags, since, superseded=superseded, trust=trust)
        found = self._recall(queries, wanted, most=most, tokens=tokens, embedder=embedder)
        self._seen.extend(one.memory.uid for one in found.hits)
        return found

    def embed_missing(self, embedder: Embedder, *, most: int = 100_000, replace: bool = False) -> int:
        """Make vectors of the memories that have none yet, and return of how many; see `Vectors.embed_missing`."""
        return self._vectors.embed_missing(embedder, most=most, replace=replace)

    def get(self, uid: str) -> Memory:
        """Return a memory, also one that was superseded or has expired.

        Raises:
            NotFound: there is none of that uid in the project.

        """
        return value(self._changes.row(self._ground.read(), uid))

    def list(
        self,
        *,
        kinds: Sequence[Kind] = (),
        agent: str | None = None,
        area: str | None = None,
        most: int = 20,
        before: str | None = None,
        superseded: bool = False,
    ) -> list[Memory]:
        """Return memories, the newest first; further ones with ``before``, the uid of the last.

        Raises:
            Refused: ``most`` is not between 1 and 200, or a kind is none.
            NotFound: there is no such agent, or nothing of the uid ``before``.

        """
        number("most", most, 1, MOST)
        db = self._ground.read()
        rows = LIST(
            db,
            project=self._ground.project,
            now=self._ground.clock(),
            superseded=int(superseded),
            kinds=kinds_of(kinds),
            agent=None if agent is None else self._ground.agent(db, agent),
            area=None if area is None else area.strip().casefold(),
            before=None if before is None else self._changes.row(db, before, "before")["id"],
            most=most,
        )
        return [value(row) for row in rows.fetchall()]

    def supersede(self, uid: str, by: str, *, agent: str | None, reason: str = "") -> Memory:
        """Let one memory take the place of another, which is hidden from now on, and return the hidden one.

        Raises:
            NotFound: there is no memory of one of the uids.
            Conflict: it has been superseded already, or would supersede itself.
            NotYours: it is another's, and more to be trusted than what would take its place.

        """
        said = taken("reason", reason, 1000, empty=True).text
        with self._ground.write() as db:
            author = None if agent is None else self._ground.met(db, agent)
            old, new = self._changes.row(db, uid), self._changes.row(db, by, "by")
            self._changes.over(db, old, new, author, said)
            return value(BY_ID(db, id=old["id"]).fetchone())

    def feedback(self, uid: str, *, helpful: bool, agent: str | None) -> Memory:
        """Say that a memory helped, or that it misled; it is ranked by that.

        Raises:
            NotFound: there is none of that uid.

        """
        with self._ground.write() as db:
            author = None if agent is None else self._ground.met(db, agent)
            row = self._changes.row(db, uid)
            VOTE(db, id=row["id"], helpful=int(helpful), harmful=int(not helpful))
            return self._changes.noted(db, row, "feedback", author, {"helpful": helpful})

    def pin(self, uid: str, pinned: bool = True, *, agent: str | None = None) -> Memory:  # noqa: FBT001, FBT002 - it is what is set
        """Keep a memory from growing old and from being pruned, or no longer.

        Raises:
            NotFound: there is none of that uid.

        """
        with self._ground.write() as db:
            author = None if agent is None else self._ground.met(db, agent)
            row = self._changes.row(db, uid)
            PIN(db, id=row["id"], pinned=int(pinned))
            return self._changes.noted(db, row, "pinned" if pinned else "unpinned", author, {})

    def link(self, source: str, target: str, relation: str, *, agent: str | None = None) -> None:
        """Note how one memory stands to another: supports, contradicts, supersedes, derived_from or about.

        Raises:
            Refused: the relation is none, or a memory would stand to itself.
            NotFound: there is no memory of one of the uids.

        """
        chosen("relation", relation, RELATIONS)
        with self._ground.write() as db:
            author = None if agent is None else self._ground.met(db, agent)
            one, other = self._changes.row(db, source), self._changes.row(db, target)
            if one["id"] == other["id"]:
                raise Refused("target", "is the same memory as the source.")
            self._changes.linked(db, one["id"], other["id"], relation)
            about = json.dumps({"relation": relation, "target": target})
            self._ground.note(db, subject(source), "linked", agent=author, version=one["version"], change=about)

    def links(self, uid: str) -> list[tuple[str, str, str]]:
        """Return the links of a memory, from it and to it, as (source, relation, target).

        Raises:
            NotFound: there is none of that uid.

        """
        db = self._ground.read()
        rows = LINKS(db, id=self._changes.row(db, uid)["id"]).fetchall()
        return [(row["source"], row["relation"], row["target"]) for row in rows]

    def history(self, uid: str) -> list[Change]:
        """Return what happened to a memory, from the day it was written on.

        Raises:
            NotFound: there is none of that uid.

        """
        db = self._ground.read()
        one = value(self._changes.row(db, uid))
        rows = HISTORY(db, project=self._ground.project, subject=subject(uid)).fetchall()
        written = Change(operation="written", by=one.agent, version=1, at=one.created)
        return [written, *(Change(**{**dict(row), "change": json.loads(row["change"])}) for row in rows)]

    def settle(self) -> None:
        """Write down how often what was recalled was, unless somebody else is writing; `remember` does it in time."""
        if self._seen and not self._ground.read_only:
            with suppress(Busy, Unavailable), self._ground.door.turn(wait=False), self._ground.write() as db:
                self._count(db)

    def _count(self, db: sqlite3.Connection) -> None:
        """Count what was recalled; a recall itself writes nothing, and so waits for nobody."""
        times = Counter(self._seen.popleft() for _ in range(len(self._seen)))
        db.execute(USED, {"seen": json.dumps(times), "at": self._ground.clock()})
