"""Where the database lies, and what happens where it cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_memory import place
from orchestrator_memory.door import Door, NetworkPlace
from orchestrator_memory.errors import Unavailable
from orchestrator_memory.place import network
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.store import MemoryStore


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of which the machine says that ``far`` in it lies elsewhere, and ``far/near`` here again."""
    (tmp_path / "far" / "near").mkdir(parents=True)
    (tmp_path / "far away").mkdir()
    lines = [
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        f"31 22 0:41 / {tmp_path}/far rw,relatime shared:9 - nfs4 server:/export rw,vers=4.2",
        f"32 31 8:2 / {tmp_path}/far/near rw shared:10 master:2 - xfs /dev/sdb1 rw",
        f"33 22 0:42 / {str(tmp_path).replace(' ', chr(92) + '040')}/far\\040away rw - fuse.sshfs me@there: rw",
        "broken",
        "34 22 - cifs",
    ]
    table = tmp_path / "mountinfo"
    table.write_text("\n".join(lines))
    monkeypatch.setattr(place, "MOUNTS", table)
    return tmp_path


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("", None),
        ("far", "nfs4"),
        ("far/deep/er", "nfs4"),
        ("far/near", None),
        ("far away", "fuse.sshfs"),
        ("farther", None),
    ],
)
def test_a_path_lies_where_the_nearest_mount_above_it_says(mounted: Path, inside: str, kind: str | None) -> None:
    assert network(mounted / inside / "memory.db") == kind


def test_where_that_cannot_be_told_a_path_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "none")
    assert network(tmp_path) is None


def test_a_link_lies_where_it_leads(mounted: Path) -> None:
    (mounted / "link").symlink_to(mounted / "far")
    assert network(mounted / "link" / "memory.db") == "nfs4"


def test_the_memory_is_not_made_on_another_machine_s_disk_unless_that_is_said(mounted: Path) -> None:
    path = mounted / "far" / "memory.db"
    with pytest.raises(NetworkPlace, match=r"nfs4.*Choose a folder"):
        MemoryStore.open(path, "project")
    assert not path.exists()
    with MemoryStore.open(path, "project", anywhere=True) as store:
        store.agents.register("one")
    door = Door(path, anywhere=True)
    assert door.read().execute("SELECT name FROM agent").fetchone()["name"] == "one"
    door.close()


def most(store: MemoryStore, pages: int) -> None:
    """Let the database grow by so many pages and no more, as on a disk that is nearly full."""
    with store.door.write() as db:
        now = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={now + pages}")


def send(store: MemoryStore, many: int) -> None:
    for number in range(many):
        store.messages.send("one", f"{number} " * 8000, to=["two"])


def test_a_write_that_the_disk_has_no_room_for_changes_nothing_and_says_so(store: MemoryStore) -> None:
    kept = store.memories.remember("kept before", agent="one").memory.uid
    most(store, 3)
    with pytest.raises(Unavailable, match=r"the disk, or its quota, is full\. What was there is as it was\. Make room"):
        send(store, 50)
    sent = store.door.read().execute("SELECT count(*) FROM message").fetchone()[0]
    delivered = store.door.read().execute("SELECT count(*) FROM delivery").fetchone()[0]
    assert sent == delivered < 50
    with pytest.raises(Unavailable):
        store.memories.remember("x " * 8000, agent="one")
    assert store.memories.get(kept).body == "kept before"
    assert [hit.memory.uid for hit in store.memories.recall(["kept"]).hits] == [kept]
    assert store.door.read().execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    most(store, 10_000)
    assert store.memories.remember("x " * 8000, agent="one").new


def test_an_error_of_a_statement_stays_what_it_is(store: MemoryStore) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), store.ground.write() as db:
        db.execute("SELECT * FROM nowhere")


def test_a_file_that_may_not_be_written_is_said(store: MemoryStore) -> None:
    with store.door.write() as db:
        db.execute("PRAGMA query_only=ON")
    with pytest.raises(Unavailable, match="may not be written"):
        store.memories.remember("anything", agent="one")
    store.door._writer.execute("PRAGMA query_only=OFF")
    assert store.memories.remember("anything", agent="one").new
