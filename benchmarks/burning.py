"""Steps that never end, each in another way; `cancel.py` ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def loop(mark: str) -> int:
    """Use a processor in Python code."""
    _begun(mark)
    while True:
        pass


def product(mark: str) -> int:
    """Use a processor in one call of a library, which takes a minute or more."""
    import numpy as np

    matrix = np.ones((12_000, 12_000), dtype=np.float32)
    _begun(mark)
    return int((matrix @ matrix)[0, 0])


def deaf(mark: str) -> int:
    """Use two processors, in this process and a child in a session of its own, neither of which hears a signal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    _begun(mark, child.pid)
    while True:
        pass


def fits(mark: str) -> int:
    """Fit models in two processes of joblib's."""
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    features, target = make_classification(2000, 20, random_state=0)
    _begun(mark)
    while True:
        cross_val_score(RandomForestClassifier(400, random_state=0), features, target, cv=4, n_jobs=2)


def _begun(mark: str, *children: int) -> None:
    Path(mark).write_text(" ".join(map(str, (os.getpid(), *children))))
