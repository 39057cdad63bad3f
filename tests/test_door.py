"""The write transaction of a database: committed whole, undone whole, and never left open."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator_memory.door import Busy, Door
from orchestrator_memory.sqlite import sqlite3

SCHEMA = ("CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(parent INTEGER REFERENCES parent(id))",)


@pytest.fixture
def door(tmp_path: Path) -> Generator[Door]:
    one = Door(tmp_path / "some.db", synchronous="NORMAL")
    one.migrate("test", SCHEMA)
    yield one
    one.close()


def parents(door: Door) -> list[int]:
    return [row[0] for row in door.read().execute("SELECT id FROM parent ORDER BY id")]


def write(door: Door, *statements: str, error: Exception | None = None) -> None:
    with door.write() as db:
        for one in statements:
            db.execute(one)
        if error is not None:
            raise error


def test_what_is_written_before_an_error_is_undone_and_the_next_transaction_works(door: Door) -> None:
    with pytest.raises(ValueError, match="a defect"):
        write(door, "INSERT INTO parent VALUES(1)", error=ValueError("a defect"))
    write(door, "INSERT INTO parent VALUES(2)")
    assert parents(door) == [2]


def test_what_cannot_be_committed_is_rolled_back_and_the_next_transaction_works(door: Door) -> None:
    wrong = ("PRAGMA defer_foreign_keys=ON", "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(7)")
    with pytest.raises(sqlite3.IntegrityError):
        write(door, *wrong)
    write(door, "INSERT INTO parent VALUES(2)")
    assert parents(door) == [2]


def test_who_does_not_want_to_wait_is_told_that_another_writes_and_comes_in_afterwards(
    door: Door, tmp_path: Path
) -> None:
    other = Door(tmp_path / "some.db", synchronous="NORMAL")
    with door.write() as db:
        db.execute("INSERT INTO parent VALUES(1)")
        with pytest.raises(Busy), other.write(wait=False):
            pytest.fail("it came in")
    write(other, "INSERT INTO parent VALUES(2)")
    other.close()
    assert parents(door) == [1, 2]


def test_a_database_whose_folder_is_gone_is_an_error_and_no_crash(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with closing(Door(home / "some.db", synchronous="NORMAL")) as door:
        for one in list(home.iterdir()):
            one.unlink()
        home.rmdir()
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            door.read()
