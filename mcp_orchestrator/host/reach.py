"""Finding the host of a project, and starting it where there is none.

Standard library only, and little of it: a front must answer sooner than a library takes to import.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time

from mcp_orchestrator.core.address import address

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOG", "SOCKET", "Unreachable", "ours", "place", "reach", "there"]

SOCKET, LOCK, LOG = "host.sock", "host.lock", "host.log"
LOOK_EVERY = 0.004
PATIENCE = 60.0
TRIES = 2
SHOWN = 12


class Unreachable(Exception):
    """There is no host, and none can be started; the message says why and what to do."""


def place(project: str | None) -> tuple[str, str]:
    """Return the project folder and its state home, found as `Settings.load` finds them."""
    base = os.path.realpath(project or os.environ.get("MCP_ORCHESTRATOR_PROJECT") or os.getcwd())  # noqa: PTH109
    home = os.environ.get("MCP_ORCHESTRATOR_HOME")
    file = os.path.join(base, "orchestrator.toml")  # noqa: PTH118
    if not home and os.path.isfile(file):  # noqa: PTH113
        import tomllib

        try:
            with open(file, "rb") as settings:  # noqa: PTH123
                home = tomllib.load(settings).get("home")
        except (OSError, ValueError):  # the host reads it too, and says what is wrong with it
            home = None
    return base, os.path.join(base, home if isinstance(home, str) and home else ".mcp-orchestrator")  # noqa: PTH118


def ours() -> str:
    """Return the version of this package, read off the name of its metadata: importlib.metadata costs 15 ms."""
    begins, ends = "mcp_ml_orchestrator-", ".dist-info"
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            if name.startswith(begins) and name.endswith(ends):
                return name[len(begins) : -len(ends)]
    return "0.0.0"


def reach(base: str, home: str, over: Callable[[], bool] = lambda: False) -> socket.socket:
    """Return a connection to the host, which is started if there is none; give up once it is ``over``.

    Raises:
        Unreachable: it cannot be started or does not answer, or nobody wants it any more.

    """
    try:
        path = address(home, SOCKET)
    except OSError as error:
        raise Unreachable(str(error)) from error
    until = time.monotonic() + PATIENCE  # a length of time, which no change of the clock alters
    started: _Started | None = None
    tries = 0
    while time.monotonic() < until:
        if over():
            raise Unreachable("Nobody wants it any more.")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            connection.close()  # nobody listens, or a dead host left its socket
        except OSError as error:
            connection.close()
            raise Unreachable(f"{path} cannot be used: {error.strerror}. It belongs to another user.") from error
        else:
            return connection
        if _taken(os.path.join(home, LOCK)):  # noqa: PTH118 - it starts, or it ends
            time.sleep(LOOK_EVERY)
        elif started is None or started.ended:
            if tries == TRIES:
                raise Unreachable(started.problem() if started else "")
            started, tries = _Started(base, home), tries + 1
        else:
            time.sleep(LOOK_EVERY)
    raise Unreachable(
        f"The host of {base} does not answer, and holds {os.path.join(home, LOCK)}. "  # noqa: PTH118
        "End it with: mcp-orchestrator host stop; or kill the process that the file names."
    )


class _Started:
    """A host that was started here, in a session of its own."""

    def __init__(self, base: str, home: str) -> None:
        self._base, self._log = base, os.path.join(home, "logs", LOG)  # noqa: PTH118
        self._code: int | None = None
        command = [sys.executable, "-m", "mcp_orchestrator", "host", "run", "--background", base]
        try:
            os.makedirs(home, 0o700, exist_ok=True)  # noqa: PTH103
            os.makedirs(os.path.dirname(self._log), 0o700, exist_ok=True)  # noqa: PTH103, PTH120
            self._said, theirs = os.pipe()
            try:
                os.set_inheritable(theirs, True)  # noqa: FBT003 - the standard library's signature
                files = (
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                )
                given = [*command, str(theirs)]
                self._pid = os.posix_spawn(sys.executable, given, os.environ, file_actions=files, setsid=True)
            finally:
                os.close(theirs)
        except OSError as error:
            text = f"The state home {home} cannot be used: {error}. Choose another with MCP_ORCHESTRATOR_HOME."
            raise Unreachable(text) from error

    @property
    def ended(self) -> bool:
        if self._code is None:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self._pid, 0
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code is not None

    def problem(self) -> str:
        """Return why it ended: what it said to us, else the end of its log."""
        with open(self._said, "rb") as said:  # noqa: PTH123
            text = said.read().decode("utf-8", "replace").strip()
        if not text:
            text = f"It ended with code {self._code}. {self._log} ends with:\n{_end(self._log)}"
        return f"The host of {self._base} cannot be started. {text}"


def there(home: str) -> bool:
    """Whether a state home has a host that takes clients; one that ends has its lock, and takes none."""
    try:
        path = address(home, SOCKET)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
    except OSError:
        return False
    return True


def _taken(lock: str) -> bool:
    """Whether a host, or one that starts, holds the lock."""
    try:
        handle = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _end(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            file.seek(max(0, os.path.getsize(path) - 8192))  # noqa: PTH202
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        return str(error)
    return "\n".join(lines[-SHOWN:]) or "nothing"
