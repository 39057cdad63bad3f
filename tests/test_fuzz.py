"""What nobody should send is answered and changes nothing; benchmarks/fuzz.py sends much more of it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from fronts import front, host
from fuzzing import FRAMES, Fuzz

ROOM = 100 << 20
"""Bytes of memory that a process may have more than before."""


def taken(front_process: int, project: Path) -> list[int]:
    leader = host(project)
    assert leader is not None
    return [psutil.Process(pid).memory_info().rss for pid in (front_process, leader.pid)]


@pytest.mark.slow
@pytest.mark.parametrize("modern", [True, False], ids=["2026-07-28", "2025-11-25"])
def test_generated_calls_are_answered_and_the_refused_ones_change_nothing(modern: bool, tmp_path: Path) -> None:
    with front(tmp_path, modern=modern) as client:
        client.begin()
        fuzz = Fuzz(client, tmp_path)
        fuzz.run(150)
        fuzz.methods()
        assert not fuzz.crashes
        assert fuzz.refused > 50


def test_broken_frames_are_answered_or_passed_over_and_memory_is_given_back(tmp_path: Path) -> None:
    with front(tmp_path, modern=False) as client:
        client.begin()
        fuzz = Fuzz(client, tmp_path)
        before = taken(client.process.pid, tmp_path)
        for frame in FRAMES:
            fuzz.frame(frame)
        fuzz.frame(b'{"jsonrpc":"2.0","id":"long","method":"' + b"x" * (50 << 20) + b'"}')
        named = {str(one.get("id")): one for one in client.seen if isinstance(one.get("id"), str)}
        assert {"a", "b", "c", "d", "f", "j"} <= named.keys()
        assert all("error" in one or one["result"].get("isError") for one in named.values())
        assert not fuzz.crashes
        after = taken(client.process.pid, tmp_path)
        assert all(new < old + ROOM for old, new in zip(before, after, strict=True)), (before, after)
