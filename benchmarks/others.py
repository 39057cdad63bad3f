"""Other engines, each in an environment of its own, doing the workflows of `engine.py`; their scripts are in ``peers``.

Their telemetry is off, and what they started ends with them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["NEEDED", "peer"]

HERE = Path(__file__).parent
NEEDED = {"dbos": ["dbos>=3.4,<4"], "prefect": ["prefect==3.8.8", "fastapi<0.155"]}
SILENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}


def environment(name: str) -> Path:
    """Return the Python of the environment of another engine, which is made by uv on the first call."""
    folder = HERE.parent / f".venv-{name}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run(["uv", "venv", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run(["uv", "pip", "install", "--python", python, *NEEDED[name]], check=True)
        (folder / "ready").touch()
    return python


def peer(name: str, steps: int, items: int, place: Path | None) -> dict[str, float]:
    """Return the seconds a step that another engine takes for each of the workflows; nothing of it stays running."""
    python = environment(name)
    with tempfile.TemporaryDirectory(dir=place) as folder, Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(
            [python, HERE / "peers" / f"{name}_.py", folder, str(steps), str(items)],
            env={**os.environ, **SILENT, "HOME": folder, "PREFECT_HOME": folder},
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
        try:
            said, _ = process.communicate(timeout=900)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            raise SystemExit(f"{name} ended with exit code {process.returncode}:\n{Path(folder, 'log').read_text()}")
    return json.loads(said.splitlines()[-1])
