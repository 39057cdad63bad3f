"""What nobody should send over HTTP: to the server as a client does, and below that, byte for byte."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fronts import HELLO, META
from fuzzing import FRAMES, nested
from served import SERVE, environment

__all__ = ["Broken", "Web", "broken", "half", "server"]

VERSION = "2026-07-28"
PATIENCE = 60
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
CALL = {**LIST, "method": "tools/call", "params": {"_meta": META, "name": "list_runs", "arguments": {}}}
USUAL = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": VERSION,
    "Mcp-Method": "tools/list",
}
OLDER = {"MCP-Protocol-Version": "2025-11-25"}
CALLING = {**USUAL, "Mcp-Method": "tools/call", "Mcp-Name": "list_runs"}
Broken = tuple[bytes, set[int]]
"""What is sent, and which statuses are right; 0 stands for a connection that is closed without an answer."""


@contextmanager
def server(project: Path, *options: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Start a server on a project, in a process of its own, and yield it with its address; bodies may take a second."""
    told = {**environment(), "MCP_ORCHESTRATOR_HTTP_SECONDS": "1", "MCP_ORCHESTRATOR_HTTP_BODY_MB": "1"}
    command = [sys.executable, *SERVE, "--http", "127.0.0.1:0", *options]
    log = project / "stderr"
    with log.open("w") as errors, subprocess.Popen(command, cwd=project, env=told, stderr=errors, text=True) as process:
        try:
            while len(said := log.read_text().splitlines()) < 2:  # the address, and whether a token is asked for
                assert process.poll() is None, said
                time.sleep(0.02)
            yield process, said[0].split()[-1]
        finally:
            process.kill()


class Web:
    """A client's end of a server over HTTP, as `fronts.Front` is of a front."""

    def __init__(self, url: str, *, modern: bool) -> None:
        """Take the address; the older era begins a session."""
        place = urlsplit(url)
        self.host, self.port, self.modern = place.hostname or "", place.port or 0, modern
        self._connection = HTTPConnection(self.host, self.port, timeout=PATIENCE)
        self._last, self._session = 0, ""
        self._said: dict[int, dict[str, Any]] = {}
        if not modern:
            assert "result" in self.answer(self.send("initialize", HELLO))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request, and keep its answer; what is no message is kept as an error with its status."""
        self._last += 1
        given = {**(params or {}), **({"_meta": META} if self.modern else {})}
        said = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": given}
        headers = {name: one for name, one in USUAL.items() if self.modern or not name.startswith(("Mcp", "MCP"))}
        named = given.get("name") or given.get("uri") or given.get("taskId")
        if self.modern:
            headers["Mcp-Method"] = method if method.isprintable() else "odd"
            headers |= {"Mcp-Name": named} if isinstance(named, str) and named.isprintable() else {}
        elif self._session:
            headers |= {"Mcp-Session-Id": self._session, **OLDER}
        try:
            self._connection.request("POST", "/mcp", json.dumps(said), headers)
            answer = self._connection.getresponse()
        except (HTTPException, ConnectionError):  # a server may close a connection that it has refused something on
            self._connection.close()
            self._connection.request("POST", "/mcp", json.dumps(said), headers)
            answer = self._connection.getresponse()
        self._session = answer.headers.get("mcp-session-id") or self._session
        self._said[self._last] = _message(answer.read(), answer.status)
        return self._last

    def answer(self, number: int) -> dict[str, Any]:
        """Return the answer to a request."""
        return self._said.pop(number)

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return its result."""
        answer = self.answer(self.send(method, params))
        assert "result" in answer, answer
        return answer["result"]

    def raw(self, sent: bytes, *, cut: bool = False) -> tuple[int, bytes]:
        """Send bytes on a connection of their own; return status and answer, 0 when it is closed without one.

        With ``cut``, reset the connection instead of waiting for an answer.
        """
        with socket.create_connection((self.host, self.port), timeout=PATIENCE) as connection:
            said = b""
            with contextlib.suppress(ConnectionError, BrokenPipeError):
                for at in range(0, len(sent), 1 << 16):
                    connection.sendall(sent[at : at + (1 << 16)])
                if cut:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return 0, b""
            with contextlib.suppress(ConnectionError):
                while more := connection.recv(1 << 16):
                    said += more
                    if _complete(said):
                        break
        return (int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.1 ") else 0), said

    def refused(self, what: str, sent: bytes, statuses: set[int]) -> None:
        """Send what is wrong, and see to it that it is refused as it must be and that the server goes on."""
        status, said = self.raw(sent)
        assert status in statuses, (what, status, said[:500])
        assert b"Traceback" not in said, (what, said)
        assert b".py" not in said, (what, said)
        self.ask("resources/templates/list")

    def begin(self) -> int:
        """Begin another session of the older era that nobody ends, and return the status of the answer."""
        self._connection.request(
            "POST", "/mcp", json.dumps({**LIST, "method": "initialize", "params": HELLO}), {**USUAL, **OLDER}
        )
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def held(self, sent: bytes, count: int) -> list[bytes]:
        """Send the same on so many connections at once, and return how each answer begins; the server goes on."""
        with contextlib.ExitStack() as stack:
            open_ = [
                stack.enter_context(socket.create_connection((self.host, self.port), timeout=PATIENCE))
                for _ in range(count)
            ]
            for one in open_:
                one.sendall(sent)
            self.ask("tools/list")
            return [one.recv(12) for one in open_]


def _message(said: bytes, status: int) -> dict[str, Any]:
    """Return the last message of an answer, which may be a stream of them."""
    lines = [one[5:] for one in said.splitlines() if one.startswith(b"data:")] or [said]
    try:
        message: Any = json.loads(lines[-1])
    except ValueError:
        message = None
    if isinstance(message, dict):
        return message
    return {"error": {"code": status, "message": said.decode("utf-8", "replace")}}


def _complete(said: bytes) -> bool:
    """Whether an answer is there: all of a declared length, or the last piece of one in pieces."""
    head, there, body = said.partition(b"\r\n\r\n")
    if not there:
        return False
    fields = dict(one.lower().split(b": ", 1) for one in head.split(b"\r\n")[1:] if b": " in one)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(fields.get(b"content-length", b"0"))


def broken(host: str) -> dict[str, Broken]:
    """Return requests that must be refused, by what is wrong with them; ``host`` is the server's own name."""
    at, length = f"Host: {host}\r\n".encode(), b"Content-Length: "

    def post(body: bytes, told: dict[str, str], *more: bytes, path: bytes = b"/mcp", verb: bytes = b"POST") -> bytes:
        lines = [verb + b" " + path + b" HTTP/1.1", at[:-2], length + str(len(body)).encode(), *more]
        lines += [f"{name}: {value}".encode("latin-1") for name, value in told.items()]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def but(told: dict[str, str], **changed: str | None) -> dict[str, str]:
        changes = {name.replace("_", "-"): value for name, value in changed.items()}
        return {name: one for name, one in {**told, **changes}.items() if one is not None}

    good, call = json.dumps(LIST).encode(), json.dumps(CALL).encode()
    ping, older = b'{"jsonrpc":"2.0","id":1,"method":"ping"}', {**USUAL, **OLDER}
    bad, none = {400}, {400, 0}
    found: dict[str, Broken] = {
        f"body {number}": (post(frame, USUAL), {200, 202, 400, 404}) for number, frame in enumerate(FRAMES)
    }
    found |= {
        "no body": (post(b"", USUAL), bad),
        "a body nested without end": (post(b'{"a":' * 150_000, USUAL), bad),
        "a number without end": (post(good.replace(b'"id": 1', b'"id": ' + b"9" * 500_000), USUAL), bad),
        "arguments nested without end": (post(call.replace(b"{}}", nested(100_000).encode() + b"}"), CALLING), bad),
        "another type": (post(good, but(USUAL, Content_Type="text/plain")), {400, 415}),
        "no type": (post(good, but(USUAL, Content_Type=None)), {400, 415}),
        "a zip": (post(gzip.compress(good), USUAL, b"Content-Encoding: gzip"), {400, 415}),
        "takes pages": (post(good, but(USUAL, Accept="text/html")), {406}),
        "another method": (post(good, but(USUAL, Mcp_Method="tools/call")), bad),
        "no method": (post(good, but(USUAL, Mcp_Method=None)), bad),
        "another name": (post(call, but(CALLING, Mcp_Name="get_run")), bad),
        "no name": (post(call, but(CALLING, Mcp_Name=None)), bad),
        "a name that is not ASCII": (post(call, but(CALLING, Mcp_Name="list_r\xfcns")), bad),
        "a name in two": (post(call, CALLING, b"Mcp-Name: get_run"), bad),
        "another version": (post(good, but(USUAL, MCP_Protocol_Version="1999-01-01")), bad),
        "an older version": (post(good, but(USUAL, MCP_Protocol_Version="2025-11-25")), bad),
        "no version, no session": (post(good, but(USUAL, MCP_Protocol_Version=None)), bad),
        "a session that there is not": (post(ping, {**older, "Mcp-Session-Id": "0" * 32}), {404}),
        "a session of odd letters": (post(ping, {**older, "Mcp-Session-Id": "\xff../"}), {400, 404}),
        "a stream of nobody's": (post(b"", {**older, "Last-Event-ID": "5"}, verb=b"GET"), {400, 404, 405}),
        "another path": (post(good, USUAL, path=b"/mcp/../../etc/passwd"), {404}),
        "a path in code": (post(good, USUAL, path=b"/%2e%2e/%2e%2e/etc/passwd"), {404}),
        "two slashes": (post(good, USUAL, path=b"//mcp"), {404}),
        "another verb": (post(good, USUAL, verb=b"PUT"), {405}),
        "a verb that there is not": (post(good, USUAL, verb=b"A" * 300), {405, *none}),
        "a tunnel": (b"CONNECT example.org:443 HTTP/1.1\r\n" + at + b"\r\n", {404, *none}),
        "a foreign host": (post(good, USUAL).replace(at, b"Host: example.org\r\n"), {421}),
        "two hosts": (post(good, USUAL, b"Host: example.org"), {421, *none}),
        "no host": (post(good, USUAL).replace(at, b""), {421, *none}),
        "a foreign origin": (post(good, USUAL, b"Origin: http://example.org"), {403}),
        "no origin": (post(good, USUAL, b"Origin: null"), {403}),
        "two lengths": (post(good, USUAL, length + b"5"), none),
        "a length below nothing": (post(b"", USUAL).replace(length + b"0", length + b"-1"), none),
        "a length in words": (post(b"", USUAL).replace(length + b"0", length + b"many"), none),
        "a length of 50 MB": (post(b"", USUAL).replace(length + b"0", length + b"52428800"), {413}),
        "a length without end": (post(b"", USUAL).replace(length + b"0", length + b"9" * 400), {413, *none}),
        "50 MB": (post(b"0" * (50 << 20), USUAL), {413}),
        "pieces without size": (post(b"xyz\r\n", USUAL, b"Transfer-Encoding: chunked"), {408, *none}),
        "a piece without end": (post(b"f" * 40 + b"\r\n", USUAL, b"Transfer-Encoding: chunked"), {408, 413, *none}),
        "a line of 1 MB": (b"POST /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n" + at + b"\r\n", {404, 414, 431, *none}),
        "a head of 1 MB": (post(good, USUAL, b"X: " + b"x" * (1 << 20)), {431, *none}),
        "ten thousand heads": (post(good, USUAL, *[b"X-%d: 1" % one for one in range(10_000)]), {431, *none}),
        "NUL in the head": (post(good, USUAL, b"X: a\0b"), none),
        "no HTTP": (b"\x16\x03\x01\x02\0" + b"\xff" * 600 + b"\r\n\r\n", none),
        "half a body": (post(good, USUAL)[:-20], {408}),
    }
    return found


def half(host: str) -> bytes:
    """Return a request whose body does not come to its end."""
    sent, _ = broken(host)["half a body"]
    return sent
