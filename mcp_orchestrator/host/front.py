"""The thin front: what a client starts on stdio. It passes lines between client and host, and survives the host.

When the host dies, the front reaches the next one (starting it if need be), introduces the client again without its
noticing, and sends again what was not answered, marked as sent again: the host then does nothing twice. Standard
library only; two threads, one for each direction.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading

from mcp_orchestrator.host.reach import Unreachable, ours, place, reach, there

TYPE_CHECKING = False  # as typing has it, whose import would cost a quarter of the time to the first answer
if TYPE_CHECKING:
    import socket
    from typing import IO, Any

__all__ = ["Front", "serve"]

MARK = "mcp-orchestrator/"
ENDING = f"notifications/{MARK}ending"
TOO_OFTEN = 3
LINGER = 2.0
LEAVE_WITHIN = 10.0
LOOK_EVERY = 1.0
LISTENING = "subscriptions/listen"
LONGEST = 32 << 20
"""Bytes of a message of a client; what is longer is not read into memory."""
UNREADABLE, INVALID = -32700, -32600
ANSWER = re.compile(rb'\{"jsonrpc":"2\.0","id":(\d+|"[^"\\]*"),"(?:result|error)":')
"""How an answer begins, of which no more has to be understood here."""
KEPT = {"logging/setLevel": "", "resources/subscribe": "uri"}


class _Asked:
    """A request of the client that is not answered; ``sent`` is the number of the connection that has it."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.message = message
        self.sent = 0

    def line(self) -> bytes:
        if self.sent and self.message["method"] in {"tools/call", LISTENING}:
            about = _params(self.message).get("_meta", {})
            if _is(about, dict):
                about[f"{MARK}resent"] = True
        return json.dumps(self.message, separators=(",", ":")).encode() + b"\n"


class Front:
    """One client's way to the host of a project."""

    def __init__(self, base: str, home: str, given: IO[bytes], to: IO[bytes], *, read_only: bool = False) -> None:
        """Take the project folder, its state home, and the client's two ends; nothing is connected yet."""
        self._read_only = read_only
        self._base, self._home, self._given, self._to = base, home, given, to
        self._name = os.urandom(8).hex()
        self._version = ours()
        self._asked: dict[Any, _Asked] = {}
        self._introduction: list[bytes] = []
        self._kept: dict[str, dict[str, Any]] = {}
        self._connection: socket.socket | None = None
        self._number = 0
        self._silent = 0
        self._losses = 0
        self._noted: set[str] = set()
        self._ended = False
        self._sending = threading.Lock()
        self._changed = threading.Condition()

    def run(self) -> None:
        """Pass lines until the client ends its side."""
        down = threading.Thread(target=self._down, name="down", daemon=True)
        down.start()
        try:
            while line := self._given.readline(LONGEST + 1):
                if len(line) > LONGEST:
                    self._refuse(INVALID, f"A message may have {LONGEST} bytes. Name a file in the project folder.")
                    while line and not line.endswith(b"\n"):
                        line = self._given.readline(LONGEST)  # the rest of it
                elif line.strip():
                    self._take(line)
        finally:
            with self._changed:  # what was asked through a pipe that ends at once is answered all the same
                self._changed.wait_for(lambda: not self._waits(), LINGER)
                self._ended = True
                self._changed.notify_all()
            with self._sending, contextlib.suppress(OSError):
                if self._connection is not None:
                    self._connection.shutdown(1)  # SHUT_WR: the host sees the end and answers what it can
        down.join(LEAVE_WITHIN)

    # From the client ---------------------------------------------------------------------------------------------

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._refuse(UNREADABLE, "A line must be a message in JSON, not nested too deeply.")
            return
        if not _is_message(message):
            self._refuse(INVALID, "This is no message of JSON-RPC 2.0.", message)
            return
        asked = None
        if "method" in message:
            if "id" in message:
                asked = self._request(message)
            else:
                self._notification(message, line)
        with self._sending:
            if self._connection is not None and (asked is None or asked.sent != self._number):
                if asked is not None:
                    line, asked.sent = asked.line(), self._number
                with contextlib.suppress(OSError):  # the other thread sees the loss too, and mends it
                    self._connection.sendall(line)

    def _refuse(self, code: int, text: str, message: object = None) -> None:
        """Answer what the host is not told, since who knows for whom it would take it."""
        said = {"jsonrpc": "2.0", "id": _id(message), "error": {"code": code, "message": text}}
        self._say(json.dumps(said).encode() + b"\n")

    def _request(self, message: dict[str, Any]) -> _Asked:
        if message["method"] == "tools/call":
            params = message["params"] = _params(message)
            if not _is(params.get("_meta"), dict):
                params["_meta"] = {}
            params["_meta"][f"{MARK}request"] = (
                f"{self._name}:{message['id']}"  # whatever the client says: it is who speaks
            )
        asked = _Asked(message)
        with self._changed:
            if message["method"] == "initialize":
                self._introduction = [json.dumps({**message, "id": f"{MARK}introduction"}).encode() + b"\n"]
            if message["method"] in KEPT:
                what = _params(message).get(KEPT[message["method"]], "")
                self._kept[f"{message['method']} {what}"] = message
            elif message["method"] == "resources/unsubscribe":
                self._kept.pop(f"resources/subscribe {message.get('params', {}).get('uri', '')}", None)
            self._asked[message["id"]] = asked
            self._changed.notify_all()
        return asked

    def _notification(self, message: dict[str, Any], line: bytes) -> None:
        with self._changed:
            if message["method"] == "notifications/initialized":
                self._introduction = [*self._introduction[:1], line]
            elif message["method"] == "notifications/cancelled":
                self._asked.pop(_id(_params(message), "requestId"), None)

    # From the host -----------------------------------------------------------------------------------------------

    def _down(self) -> None:
        while not self._ended:
            try:
                connection = reach(self._base, self._home, lambda: self._ended)
            except Unreachable as error:
                if self._ended:
                    return
                self._give_up(str(error))
                self._wait()
                continue
            try:
                with self._sending:
                    self._introduce(connection)
                orderly = self._pump(connection)
            except OSError:
                orderly = False
            except Unreachable as error:  # it does not speak with this user
                self._give_up(str(error))
                orderly = True
            with self._sending:
                self._connection = None
                connection.close()
            if orderly:
                self._wait()
            elif not self._ended:
                self._lost()

    def _introduce(self, connection: socket.socket) -> None:
        """Greet the host, introduce a client that it has not met, and send what is not answered."""
        self._number += 1
        hello = {"kind": "front", "version": self._version, "pid": os.getpid()}
        if self._read_only:
            hello["read_only"] = True
        lines = [json.dumps({"hello": hello}).encode() + b"\n"]
        with self._changed:
            waiting = list(self._asked.values())
            if not any(one.message["method"] == "initialize" for one in waiting):
                lines += self._introduction
                for message in self._kept.values():
                    if message["id"] not in self._asked:
                        self._silent += 1
                        again = {**message, "id": f"{MARK}{self._silent}"}
                        lines.append(json.dumps(again).encode() + b"\n")
            for one in waiting:
                lines.append(one.line())
                one.sent = self._number
            if self._ended:
                waiting.clear()
        connection.sendall(b"".join(lines))
        self._connection = connection
        if self._ended:
            connection.shutdown(1)

    def _pump(self, connection: socket.socket) -> bool:
        """Pass on what the host says until it ends; return whether it ended in good order."""
        with connection.makefile("rb") as said:
            self._greeted(json.loads(said.readline() or b"{}"))
            for line in said:
                short = ANSWER.match(line)
                message = {"id": json.loads(short[1])} if short else json.loads(line)
                if message.get("method") == ENDING:
                    return True
                if "id" in message and "method" not in message:
                    if isinstance(message["id"], str) and message["id"].startswith(MARK):
                        continue
                    with self._changed:
                        self._asked.pop(message["id"], None)
                        self._changed.notify_all()
                    self._losses = 0
                self._say(line)
        return self._ended

    def _greeted(self, said: dict[str, Any]) -> None:
        if "refused" in said:
            raise Unreachable(str(said["refused"]))
        theirs = said.get("hello", {}).get("version", self._version)
        if theirs != self._version and theirs not in self._noted:
            self._noted.add(theirs)
            newer = "it hands over to this one when it is idle, if it is the older" if theirs else ""
            _note(f"the host is of version {theirs}, this front of {self._version}; {newer}.")

    def _say(self, line: bytes) -> None:
        try:
            self._to.write(line)
            self._to.flush()
        except (OSError, ValueError):  # the client has gone
            self._ended = True

    def _lost(self) -> None:
        self._losses += 1
        _note("the host ended unexpectedly; going on with the next one.")
        if self._losses >= TOO_OFTEN:
            self._give_up(
                f"The orchestrator ended {self._losses} times over what was asked. "
                f"Its log is {os.path.join(self._home, 'logs')}; mcp-orchestrator doctor looks for the cause."  # noqa: PTH118
            )
            self._losses = 0
            self._wait()

    def _give_up(self, text: str) -> None:
        """Answer all that is asked with an error."""
        _note(text)
        with self._changed:
            given, self._asked = self._asked, {}
            self._changed.notify_all()
        for one in given:
            error = {"code": -32603, "message": text}
            self._say(json.dumps({"jsonrpc": "2.0", "id": one, "error": error}).encode() + b"\n")

    def _wait(self) -> None:
        """Wait until the client asks for something, or ends; one who listens is glad of a host that others started."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._ended or self._waits(), LOOK_EVERY):
                listens = self._asked or any(one.startswith("resources/") for one in self._kept)
                if listens and there(self._home):
                    return

    def _waits(self) -> bool:
        """Whether the client waits for an answer; who only listens does not."""
        return any(one.message["method"] != LISTENING for one in self._asked.values())


def _is_message(message: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether that is a request, a notification or an answer as far as the front must understand it."""
    if not _is(message, dict):
        return False
    named = "id" not in message or _id(message) is not None
    return named and _is(message.get("method", ""), str) and _is(message.get("params") or {}, dict)


def _id(message: Any, name: str = "id") -> Any:  # noqa: ANN401 - a text or a number, or None
    given = message.get(name) if _is(message, dict) else None
    return given if type(given) in {str, int} else None


def _params(message: dict[str, Any]) -> dict[str, Any]:
    return message.get("params") or {}


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _note(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"mcp-orchestrator: {text}\n")
        sys.stderr.flush()


def serve(project: str | None, *, read_only: bool = False) -> None:
    """Serve the client on stdin and stdout until it ends, and end this process."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Front(*place(project), sys.stdin.buffer, sys.stdout.buffer, read_only=read_only).run()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)  # the other thread may wait for a host that does not end
