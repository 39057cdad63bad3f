"""Stands between an agent's own client and the server: notes the calls, ends them at the limit, and is the person.

Usage: python -m tests.evals.tap LOG ASKS MOST COMMAND... The client starts this in place of the server; COMMAND is the
server. Forms are answered here, whatever the client can show, in both eras of the protocol. Standard library alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from .person import Person

__all__ = ["Tap", "main"]

CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
FORMS: dict[str, Any] = {"form": {}}


class Tap:
    """What passes between the two, line by line; each line is a message."""

    def __init__(self, log: IO[str], person: Person, most: int) -> None:
        """Note what is called in ``log``; after ``most`` calls, refuse further ones."""
        self._log, self._person, self._most = log, person, most
        self._asked: dict[Any, dict[str, Any]] = {}
        self._calls = 0

    def up(self, message: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what a message of the client becomes: what the server gets, and what the client is answered here."""
        params: dict[str, Any] = message.get("params") or {}
        if message.get("method") == "initialize":
            params.setdefault("capabilities", {})["elicitation"] = FORMS
        elif CAPABILITIES in params.get("_meta", {}):
            params["_meta"][CAPABILITIES] = {**params["_meta"][CAPABILITIES], "elicitation": FORMS}
        if message.get("method") == "tools/call":
            if self._calls >= self._most:
                said = f"The evaluation allows {self._most} calls of tools. Stop here."
                self._note(tool=params.get("name"), arguments={}, said=said, good=False)
                result = {"content": [{"type": "text", "text": said}], "isError": True, "resultType": "complete"}
                return [], [{"jsonrpc": "2.0", "id": message["id"], "result": result}]
            self._calls += 1
            self._asked[message["id"]] = message
        return [message], []

    def down(self, message: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what a message of the server becomes: what the server gets back, and what the client gets."""
        if message.get("method") == "elicitation/create" and "id" in message:
            said = self._answered(message["params"])
            return [{"jsonrpc": "2.0", "id": message["id"], "result": said}], []
        if "method" in message or message.get("id") not in self._asked:
            return [], [message]
        asked, result = self._asked[message["id"]], message.get("result") or {}
        if result.get("resultType") == "input_required" and _forms(result.get("inputRequests")):
            answers = {key: self._answered(one["params"]) for key, one in result["inputRequests"].items()}
            again = {**asked["params"], "inputResponses": answers}
            if "requestState" in result:
                again["requestState"] = result["requestState"]
            return [{**asked, "params": again}], []
        del self._asked[message["id"]]
        said = "\n".join(one.get("text", "") for one in result.get("content", ())) or json.dumps(message.get("error"))
        good = "error" not in message and not result.get("isError")
        about = asked["params"]
        self._note(tool=about.get("name"), arguments=about.get("arguments") or {}, said=said, good=good)
        return [], [message]

    def _answered(self, params: dict[str, Any]) -> dict[str, Any]:
        said = self._person.form(params.get("message", ""), params.get("requestedSchema") or {})
        question, yes = self._person.heard[-1]
        self._note(question=question, yes=yes)
        return said

    def _note(self, **what: Any) -> None:
        self._log.write(json.dumps(what) + "\n")
        self._log.flush()


def _forms(requests: Any) -> bool:
    """Whether what is asked are forms alone."""
    listed: list[Any] = list(requests.values()) if isinstance(requests, dict) else []
    return bool(listed) and all(one.get("method") == "elicitation/create" for one in listed)


def main(log: str, asks: str, most: str, *command: str) -> int:
    """Pass lines until the client ends."""
    with (
        Path(log).open("a", encoding="utf-8") as file,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
    ):
        assert server.stdin
        assert server.stdout
        tap = Tap(file, Person(tuple(map(tuple, json.loads(asks)))), int(most))
        lock, to_server, to_client = threading.Lock(), server.stdin, sys.stdout.buffer

        def send(pair: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
            for to, messages in zip((to_server, to_client), pair, strict=True):
                for one in messages:
                    to.write(json.dumps(one).encode() + b"\n")
                to.flush()

        def back() -> None:
            for line in server.stdout or ():
                with lock:
                    send(tap.down(json.loads(line)))

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        for line in sys.stdin.buffer:
            if line.strip():
                with lock:
                    send(tap.up(json.loads(line)))
        with lock:
            to_server.close()
        thread.join()
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
