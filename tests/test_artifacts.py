"""Files under their digests: alone, and shared with other machines."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.shared import Folder, shared_at
from mcp_orchestrator.errors import InvalidInput, MissingLibrary, Tampered, UnknownName
from mcp_orchestrator.methods.tables import describe, freeze
from mcp_orchestrator.settings import Settings

CONTENT = b"some bytes"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def store(folder: Path, url: str) -> ArtifactStore:
    return ArtifactStore(folder, shared_at(url))


@pytest.fixture(params=["path", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a shared store of each kind."""
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return f"memory://{tmp_path.name}"
    return str(tmp_path / "shared") if request.param == "path" else (tmp_path / "shared").as_uri()


def test_what_one_machine_stores_another_finds_by_its_digest(tmp_path: Path, url: str) -> None:
    kept = store(tmp_path / "a", url).put(CONTENT, name="x")
    there = store(tmp_path / "b", url).path(kept.sha256)
    assert kept.sha256 == DIGEST
    assert there.is_relative_to(tmp_path / "b")
    assert there.read_bytes() == CONTENT
    assert not list((tmp_path / "b").rglob(".part-*"))


def test_what_nobody_stored_is_an_error_that_names_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(UnknownName, match=DIGEST):
        store(tmp_path / "a", url).path(DIGEST)
    assert not list((tmp_path / "a").rglob(".part-*"))


def test_changed_bytes_of_the_shared_store_are_not_taken(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    store(tmp_path / "a", str(shared)).put(CONTENT, name="x")
    (shared / "artifacts" / DIGEST[:2] / DIGEST).write_bytes(b"other bytes")
    with pytest.raises(Tampered, match="another digest"):
        store(tmp_path / "b", str(shared)).path(DIGEST)
    assert not list((tmp_path / "b").rglob("*" + DIGEST))


def test_a_small_file_that_changes_is_brought_anew(tmp_path: Path, url: str) -> None:
    here, there = store(tmp_path / "a", url), store(tmp_path / "b", url)
    source, copy = tmp_path / "one.json", tmp_path / "b" / "notes" / "one.json"
    there.refresh("notes/one.json", copy)
    assert not copy.exists()
    for text in ("first", "second"):
        source.write_text(text)
        here.share("notes/one.json", source)
        there.refresh("notes/one.json", copy)
        assert copy.read_text() == text


def test_a_store_alone_shares_nothing(tmp_path: Path) -> None:
    alone = ArtifactStore(tmp_path / "a")
    alone.put(CONTENT, name="x")
    (tmp_path / "one").write_text("1")
    alone.share("one", tmp_path / "one")
    assert {one.name for one in tmp_path.rglob("*") if one.is_file()} == {DIGEST, "one"}


def test_the_setting_makes_the_store(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    ArtifactStore.of(Settings.load(tmp_path, artifacts=str(shared))).put(CONTENT, name="x")
    assert (shared / "artifacts" / DIGEST[:2] / DIGEST).read_bytes() == CONTENT
    assert Folder(shared).get(f"artifacts/{DIGEST[:2]}/{DIGEST}", tmp_path / "copy")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no absolute path"):
        shared_at("some/folder")


def test_an_address_of_an_unknown_kind_is_refused() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(InvalidInput, match="nonsense"):
        shared_at("nonsense://bucket/x")


def test_a_missing_library_is_named_with_the_line_that_installs_it() -> None:
    pytest.importorskip("fsspec")
    try:
        shared_at("s3://bucket/x")
    except MissingLibrary as error:
        assert "pip install s3fs" in str(error)  # noqa: PT017 - the library may be there
    else:
        pytest.skip("s3fs is installed")


def test_a_table_is_described_elsewhere_as_it_is_here(tmp_path: Path, url: str) -> None:
    contexts: list[Context] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        settings = Settings.load(tmp_path / name, artifacts=url)
        contexts.append(Context(settings=settings, artifacts=ArtifactStore.of(settings)))
    (tmp_path / "a" / "t.csv").write_text("x,y\n1,a\n2,b\n2,b\n")
    here = freeze(contexts[0], "t.csv", target="y")
    assert describe(contexts[1], here.uri) == here
    again = freeze(contexts[0], here.uri, target="x")
    assert describe(contexts[1], here.uri) == again
