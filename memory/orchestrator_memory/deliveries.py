"""Messages at their recipients: read, claimed for work by one at a time, acknowledged, or dead.

A claim is a lease with a fence: the number of times that the delivery was claimed, which only grows. When the lease is
over, another may claim it, with the next fence; until then its late holder may still settle or extend it. What was
claimed five times in vain, or expired before anybody acknowledged it, is dead: kept, listed, and revived on request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator_memory import claims
from orchestrator_memory.compiled import Statement
from orchestrator_memory.errors import Held, NotFound, NotYours, Refused, Stale
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import number, taken
from orchestrator_memory.letters import letters
from orchestrator_memory.moments import GREATEST, micros, spoken
from orchestrator_memory.names import word
from orchestrator_memory.posting import caught_up, heard
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.values import Message as Letter

__all__ = ["LONGEST", "Deliveries", "most_of"]

LONGEST = 7 * 86_400.0
"""The longest lease in seconds."""
MOST, NAME = 200, 200


def most_of(most: int) -> int:
    """Return how many are wanted at most.

    Raises:
        Refused: it is not 1 to 200.

    """
    number("most", most, 1, MOST)
    return most


class Deliveries:
    """What the agents of a project have received."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground

    def inbox(
        self,
        agent: str,
        *,
        most: int = 20,
        thread: str | None = None,
        all: bool = False,  # noqa: A002
        peek: bool = False,
    ) -> list[Letter]:
        """Return what is neither acknowledged nor expired, the oldest of the highest priority first.

        Nothing is consumed; that it was read is noted, unless this is but a ``peek``, and a receipt whose ``read`` is
        None was new until now. With ``all``, also what is acknowledged or dead, the newest first.

        Raises:
            NotFound: there is no such agent.

        """
        ground, statement = self._ground, claims.EVERYTHING if all else claims.INBOX
        number_of = self._filled(agent)
        db = ground.read()
        rows = statement(db, agent=number_of, thread=thread, at=ground.clock(), most=most_of(most)).fetchall()
        new = [row["id"] for row in rows if row["read_at"] is None]
        if new and not peek and not ground.read_only:
            with ground.write() as writer:
                claims.READ(writer, agent=number_of, messages=json.dumps(new), at=ground.clock())
        return letters(db, rows, one=True)

    def unread(self, agent: str) -> int:
        """Return how many messages wait for an agent: not acknowledged, not expired, in nobody's hands.

        Raises:
            NotFound: there is no such agent.

        """
        agent_id = self._filled(agent)
        return int(claims.UNREAD(self._ground.read(), agent=agent_id, at=self._ground.clock()).fetchone()[0])

    def claim(
        self, agent: str, *, by: str, most: int = 1, lease: float = 60.0, types: Iterable[str] = ()
    ) -> list[Letter]:
        """Take messages for work, of the given ``types`` alone if there are any; nobody else gets them meanwhile.

        ``by`` says who works (a session, a process). The claim holds for ``lease`` seconds; its fence is
        ``receipt.attempts``, by which it is acknowledged, given back or extended. What had been claimed five times in
        vain is dead instead.

        Raises:
            NotFound: there is no such agent.
            Refused: a lease of no time or of more than a week, or nobody who works.

        """
        ground = self._ground
        wanted = [word(one, "types") for one in types]
        span, left = micros("lease", lease, LONGEST), most_of(most)
        with ground.write() as db:
            number_of, at = ground.agent(db, agent), ground.clock()
            caught_up(db, ground, number_of)
            about: dict[str, Any] = {"agent": number_of, "by": _holder(by), "at": at, "until": at + span}
            statement = claims.CLAIM_SOME if wanted else claims.CLAIM
            if wanted:
                about["types"] = json.dumps(wanted)
            claimed: list[sqlite3.Row] = []
            while len(claimed) < left:
                found = statement(db, **about).fetchall()
                if not found:
                    break
                message, state = found[0]
                if state == "claimed":
                    claimed += claims.THIS_ONE(db, agent=number_of, message=message)
                else:  # it could be had no more: find all of which that is true
                    claims.BURY(db, agent=number_of, project=ground.project, at=at)
            return letters(db, claimed, one=True)

    def ack(self, agent: str, uids: Sequence[str], *, fence: int | None = None, by: str | None = None) -> int:
        """Acknowledge messages, all or none, and return how many were not yet.

        Without a ``fence``, what nobody else has claimed; ``by`` is who has, as said at the claim. With a fence, what
        was claimed with it and by nobody since, even when the lease is over: the work was done.

        Raises:
            Held: somebody else has claimed it.
            NotFound: there is no such agent or message.
            NotYours: the message is for others.
            Stale: it was claimed again since, or given back.

        """
        count = 0
        number("fence", fence, 1, GREATEST)
        with self._ground.write() as db:
            number_of, at = self._ground.agent(db, agent), self._ground.clock()
            for uid in uids:
                about: dict[str, Any] = {"agent": number_of, "uid": uid, "project": self._ground.project}
                done = claims.ACK(db, **about, fence=fence, by=by, at=at).rowcount
                if not done and caught_up(db, self._ground, number_of):
                    done = claims.ACK(db, **about, fence=fence, by=by, at=at).rowcount
                if not done:
                    self._explain(db, agent, uid, fence, acknowledging=True)
                count += done
        return count

    def nack(
        self, agent: str, uid: str, fence: int | None, *, by: str | None = None, note: str = "", delay: float = 0.0
    ) -> None:
        """Give a claimed message back, to be claimed again after ``delay`` seconds; after five claims it is dead.

        Without a ``fence``, ``by`` says whose claim it is.

        Raises:
            NotFound: there is no such agent or message.
            NotYours: the message is for others.
            Stale: the claim is not the present one.

        """
        text, later = taken("note", note, 500, empty=True).text, micros("delay", delay, LONGEST, least=0)
        self._change(claims.NACK, agent, uid, fence, by=by, note=text, later=self._ground.clock() + later)

    def extend(self, agent: str, uid: str, fence: int | None, lease: float, *, by: str | None = None) -> None:
        """Keep a claimed message for ``lease`` seconds from now.

        Without a ``fence``, ``by`` says whose claim it is.

        Raises:
            NotFound: there is no such agent or message.
            NotYours: the message is for others.
            Refused: a lease of no time, or of more than a week.
            Stale: the claim is not the present one.

        """
        until = self._ground.clock() + micros("lease", lease, LONGEST)
        self._change(claims.EXTEND, agent, uid, fence, by=by, until=until)

    def dead(self, agent: str, *, most: int = 20) -> list[Letter]:
        """Return what was given up: claimed five times in vain, or expired; the newest first, each with a note.

        Raises:
            NotFound: there is no such agent.

        """
        ground = self._ground
        number_of = ground.agent(ground.read(), agent)
        if not ground.read_only:
            self.bury(agent)
        db = ground.read()
        return letters(db, claims.DEAD(db, agent=number_of, most=most_of(most)).fetchall(), one=True)

    def bury(self, agent: str | None = None) -> int:
        """Find what expired or was claimed too often, of one agent or of all, and return how many it was."""
        ground = self._ground
        with ground.write() as db:
            whose = None if agent is None else ground.agent(db, agent)
            return claims.BURY(db, agent=whose, project=ground.project, at=ground.clock()).rowcount

    def revive(self, agent: str, uid: str) -> None:
        """Make a dead message unread again, for five more attempts and without an expiry.

        Raises:
            NotFound: there is no such agent or message, or it is not dead.
            NotYours: the message is for others.

        """
        with self._ground.write() as db:
            about: dict[str, Any] = {"agent": self._ground.agent(db, agent), "project": self._ground.project}
            claims.BURY(db, at=self._ground.clock(), **about)
            if not claims.REVIVE(db, uid=uid, **about).rowcount:
                self._row(db, agent, uid)
                raise NotFound("dead message", uid, then="It is not dead.")

    # Inside ----------------------------------------------------------------------------------------------------------

    def _filled(self, agent: str) -> int:
        """Return the number of an agent whose inbox has all broadcasts."""
        ground, db = self._ground, self._ground.read()
        number_of = ground.agent(db, agent)
        if not ground.read_only and not heard(db, number_of):
            with ground.write() as writer:
                caught_up(writer, ground, number_of)
        return number_of

    def _change(self, statement: Statement, agent: str, uid: str, fence: int | None, **values: Any) -> None:  # noqa: ANN401
        number("fence", fence, 1, GREATEST)
        with self._ground.write() as db:
            about: dict[str, Any] = {"agent": self._ground.agent(db, agent), "project": self._ground.project}
            if not statement(db, uid=uid, fence=fence, at=self._ground.clock(), **about, **values).rowcount:
                self._explain(db, agent, uid, fence, acknowledging=False)

    def _row(self, db: sqlite3.Connection, agent: str, uid: str) -> sqlite3.Row:
        row = claims.ONE(db, agent=self._ground.agent(db, agent), uid=uid, project=self._ground.project).fetchone()
        if row is None:
            raise NotFound("message", uid, then="Read the inbox for those there are.")
        if row["state"] is None:
            raise NotYours(f"Message {uid} is not for {agent!r}; only who receives a message settles it.")
        return row

    def _explain(self, db: sqlite3.Connection, agent: str, uid: str, fence: int | None, *, acknowledging: bool) -> None:
        """Say why nothing was changed, unless nothing had to be."""
        row = self._row(db, agent, uid)
        if row["state"] == "acked" and acknowledging and fence in {None, row["attempts"]}:
            return
        if row["state"] == "claimed":
            until = spoken(row["lease_until"])
            what = f"{row['claimed_by']!r} has claimed message {uid} until {until}, with fence {row['attempts']}."
            if fence is None:
                raise Held(f"{what} If that is you, give the fence; else claim it after that time.")
        else:
            what = f"Message {uid} is {row['state']}, after {row['attempts']} claims."
        raise Stale(f"{what} This claim is not the present one; leave the message, or claim it again.")


def _holder(by: str) -> str:
    """Return the name of who claims: of a session, of a process."""
    if not by.strip() or len(by) > NAME or not by.isprintable():
        raise Refused("by", f"{by[:80]!r} is no name of who works.", then=f"Use one line of at most {NAME} characters.")
    return by
