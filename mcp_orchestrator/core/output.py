"""What a worker says, in the log of the run that it works for.

A log record, and a line that Python code prints, is one line of JSON: time, level, run, step, attempt, logger, message.
What native code or a child process writes to the outputs of the process stands between them as it is. A log that is
full becomes the older half (``.1``), and the older half before it is gone; so a log never holds much more than its
limit, however much is printed. What cannot be written is lost, and the step goes on.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if os.name == "posix":
    import fcntl

__all__ = ["OLDER", "Recorder", "log_of"]

OLDER = ".1"
LONGEST = 100_000
OUTPUTS = (1, 2)


def log_of(home: Path, run: str) -> Path:
    """Return where the log of a run lies; calls that belong to no run share one."""
    return home / "logs" / f"{run or 'calls'}.log"


class Recorder(logging.Handler):
    """Writes to the log of the run whose step is being done; there is one in each worker process."""

    def __init__(self, home: Path, limit_mb: int = 0) -> None:
        """Write below ``home``; a log holds at most ``limit_mb`` megabytes (0 means no limit)."""
        super().__init__()
        self._home, self._limit = home, (limit_mb << 20) // 2
        self._path = log_of(home, "")
        self._handle = -1
        self._place: dict[str, Any] = {}

    def install(self, level: str) -> None:
        """Take over the logging, the warnings and the printing of this process; our own records count from INFO on."""
        logging.basicConfig(level=level.upper(), handlers=[self], force=True)
        ours = logging.getLogger("mcp_orchestrator")
        ours.setLevel(min(logging.INFO, logging.getLogger().level))
        logging.captureWarnings(capture=True)
        sys.stdout, sys.stderr = _Printed(self, "stdout"), _Printed(self, "stderr")

    @contextmanager
    def step(self, run: str, step: str, attempt: int, what: str) -> Generator[None]:
        """Send the outputs of this process to the log of ``run`` while ``what`` is done."""
        self._place = {"run": run, "step": step, "attempt": attempt}
        if (path := log_of(self._home, run)) != self._path or self._handle < 0 or not os.fstat(self._handle).st_nlink:
            self._path = path
            self._open()
        self.say("INFO", "worker", f"{what} begins in process {os.getpid()}.", event="begin")
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
                with contextlib.suppress(OSError, ValueError, AttributeError):  # foreign code may have closed it
                    stream.close() if isinstance(stream, _Printed) else stream.flush()  # type: ignore[union-attr]
            self.say("INFO", "worker", f"{what} ends.", event="end")
            self._place = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record."""
        text = record.getMessage().rstrip()
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        self.say(record.levelname, record.name, text)

    def say(self, level: str, logger: str, message: str, **more: str) -> None:
        """Write a line; outside of a step it goes to where the outputs of the process go."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        line = {"time": time, "level": level, **self._place, "logger": logger, "message": message[:LONGEST], **more}
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with contextlib.suppress(OSError):  # a full disk must not end the step that reports it
            os.write(self._handle if self._handle >= 0 else 2, data)
            self._turn()

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            handle = os.open(os.devnull, os.O_WRONLY)  # never into the log of the run before
        for output in OUTPUTS:
            os.dup2(handle, output)
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = handle

    def _turn(self) -> None:
        """Begin a new log when this one is full, or when another worker has begun one."""
        if not self._limit or self._handle < 0 or os.fstat(self._handle).st_size < self._limit:
            return
        with contextlib.suppress(FileNotFoundError, BlockingIOError):  # removed; or turned over by another worker
            if os.name == "posix":
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # freed when the handle is closed
            if self._path.stat().st_ino == os.fstat(self._handle).st_ino:
                self._path.replace(self._path.with_name(self._path.name + OLDER))
        self._open()


class _Printed(io.TextIOBase):
    """What Python code prints, line by line; a progress bar that returns to its beginning counts as its last state."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder, self._name = recorder, name
        self._rest = ""
        self._mutex = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute in the standard library's stubs
        return "utf-8"

    @property
    def buffer(self) -> Any:  # noqa: ANN401 - bytes go past us, as they are
        return getattr(sys, f"__{self._name}__").buffer

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return OUTPUTS[self._name == "stderr"]

    def write(self, text: str) -> int:
        with self._mutex:
            *lines, self._rest = (self._rest + text).split("\n")
            if len(self._rest) > LONGEST:
                lines, self._rest = [*lines, self._rest], ""
            for line in lines:
                self._say(line)
        return len(text)

    def close(self) -> None:
        """Write what is left of a line that was not ended; printing can go on."""
        with self._mutex:
            rest, self._rest = self._rest, ""
            if rest:
                self._say(rest)

    def _say(self, line: str) -> None:
        if shown := line.rstrip("\r").rpartition("\r")[2]:
            self._recorder.say("INFO", self._name, shown)
