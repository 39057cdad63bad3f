"""What somebody changed in the dictionary that all agents share, and messages between them, brought into the memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from orchestrator_memory import portrait
from orchestrator_memory.compiled import Statement, of, p
from orchestrator_memory.errors import NotFound, NotYours
from orchestrator_memory.merging import merged
from orchestrator_memory.saving import changed
from orchestrator_memory.shapes import listed, moment, required
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.tables import Message
from orchestrator_memory.values import Sent

__all__ = ["Sending"]

PRIORITIES = {"medium": "normal"}
APART = ("last_updated", "inter_agent_messages")
M = of(Message).c
DATED = Statement(update(of(Message)).where(M.uid == p("uid")).values(created_at=p("at")))


class Sending:
    """Writes what agents share and send each other, in their name or as an import."""

    def __init__(self, store: MemoryStore, *, imported: bool = False) -> None:
        """Write into ``store``; what is ``imported`` keeps its times, and may name agents who could not acknowledge."""
        self._store, self._imported = store, imported

    def shared(self, said: Mapping[str, Any], loaded: Mapping[str, Any] | None) -> dict[str, int]:
        """Bring in what was changed since the dictionary was ``loaded``; return how many keys and messages it were.

        The name of the project is that of its folder, whatever the dictionary says.

        Raises:
            Refused: something of it is not acceptable; nothing of it was written then.

        """
        told, before = required(said, "context_data"), dict(loaded or {})
        letters = changed(listed(told, "inter_agent_messages"), listed(before, "inter_agent_messages"))
        now, was = _placed(told), _placed(before)
        keys = 0
        with self._store.ground.together():
            for key, one in now.items():
                if one != was.get(key) and one not in ({}, [], None):
                    keys += self._share(key, was.get(key), one)
            new = sum(self.letter(one) for one in reversed(letters))
        return {"keys": keys, "messages": new}

    def send(
        self,
        sender: str,
        kind: str,
        content: str,
        *,
        to: list[str],
        metadata: Mapping[str, Any],
        key: str | None = None,
    ) -> Sent:
        """Send a message; of its metadata, ``priority``, ``expiry`` and ``task_id`` mean what they say.

        Raises:
            Refused: something is not acceptable.

        """
        about = required(metadata, "metadata")
        priority = str(about.get("priority") or "normal")
        return self._store.messages.send(
            sender,
            content,
            to=to,
            type=kind,
            priority=PRIORITIES.get(priority, priority),
            task=self._task(about.get("task_id")),
            details=about,
            expires=moment(about["expiry"], "metadata.expiry") if about.get("expiry") else None,
            key=key,
        )

    # Inside ----------------------------------------------------------------------------------------------------------

    def letter(self, one: Any) -> bool:  # noqa: ANN401 - whatever was given
        """Send a message that is not known, note who has acknowledged it, and return whether it was sent.

        Raises:
            Refused: a key is missing, or something is not acceptable.
            Conflict: another message of its id was sent.

        """
        told = required(one, "inter_agent_messages", "from_agent", "message_type", "content")
        uid = str(told.get("message_id") or "")
        new, at = not self._is_known(uid), told.get("timestamp")
        if new:
            to = [str(name) for name in listed(told, "target_agents")]
            sender, kind, content = (str(told[name]) for name in ("from_agent", "message_type", "content"))
            about: Any = told.get("metadata") or {}
            sent = self.send(sender, kind, content, to=to, metadata=about, key=f"message:{uid}" if uid else None)
            uid, new = sent.message.uid, sent.new
        if new and self._imported and at:
            with self._store.ground.write() as db:
                DATED(db, uid=uid, at=moment(at, "timestamp"))
        for by in listed(told, "acknowledged_by"):
            self._acknowledged(uid, str(required(by, "acknowledged_by", "agent")["agent"]))
        return new

    def _share(self, key: str, was: Any, said: Any) -> bool:  # noqa: ANN401 - JSON values
        def change(there: Any) -> Any:  # noqa: ANN401
            return merged(was, said, there, adding=self._imported)

        there = self._store.context.get(key).value
        if change(there) == there:
            return False
        self._store.context.merge(key, change)
        return True

    def _acknowledged(self, uid: str, name: str) -> None:
        try:
            self._store.agents.register(name)
            self._store.messages.ack(name, [uid])
        except NotYours:
            if not self._imported:
                raise

    def _is_known(self, uid: str) -> bool:
        try:
            return bool(uid and self._store.messages.get(uid))
        except NotFound:
            return False

    def _task(self, uid: Any) -> str | None:  # noqa: ANN401
        try:
            return None if uid is None else self._store.tasks.get(str(uid)).uid
        except NotFound:
            return None


def _placed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the dictionary holds, by the keys of the shared context."""
    left = {key: one for key, one in told.items() if key not in APART}
    project = dict(required(left.get("project_context") or {}, "project_context"))
    project.pop("project_name", None)
    left["project_context"] = project
    found: dict[str, Any] = {}
    for (*above, name), key in portrait.KEYS.items():
        found[key] = (project if above else left).pop(name, None)
    return left | found
