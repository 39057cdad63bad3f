"""Sources, roots, snapshots and their descriptions, and frames: what a table is before anything is learned from it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.errors import (
    DataRejected,
    InvalidInput,
    MissingLibrary,
    NotAllowed,
    OrchestratorError,
    StateUnavailable,
    Tampered,
    UnknownName,
)
from mcp_orchestrator.methods import tables
from mcp_orchestrator.methods.tables import datasets, server, snapshot
from mcp_orchestrator.methods.tables.profile import profiled
from mcp_orchestrator.settings import Settings

ROWS = [
    {"n": 1, "x": 0.5, "word": "red", "day": "2024-01-05", "ok": True},
    {"n": 2, "x": -1.25, "word": "green", "day": "2024-02-06", "ok": False},
    {"n": 3, "x": None, "word": None, "day": None, "ok": None},
]
Write = Callable[[Path], None]


def csv_file(path: Path) -> None:
    path.write_text("n,x,word,day,ok\n1,0.5,red,2024-01-05,true\n2,-1.25,green,2024-02-06,false\n3,,,,\n")


def tsv_file(path: Path) -> None:
    path.write_text(
        "n\tx\tword\tday\tok\n1\t0.5\tred\t2024-01-05\tTRUE\n2\t-1.25\tgreen\t2024-02-06\tFALSE\n3\tNA\tNA\tNA\tNA\n"
    )


def json_lines(path: Path) -> None:
    path.write_text("\n".join(json.dumps(row) for row in ROWS))


def json_array(path: Path) -> None:
    path.write_text(json.dumps(ROWS, indent=2))


def arrow_table() -> Any:
    import pyarrow as pa

    days = [datetime(2024, 1, 5, tzinfo=UTC), datetime(2024, 2, 6, tzinfo=UTC), None]
    return pa.table(
        {
            "n": pa.array([1, 2, 3], pa.int16()),
            "x": pa.array([Decimal("0.50"), Decimal("-1.25"), None]),
            "word": pa.array(["red", "green", None]).dictionary_encode(),
            "day": pa.array(days, pa.timestamp("ns", tz="Europe/Berlin")),
            "ok": pa.array([True, False, None]),
        },
    )


def parquet_file(path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(arrow_table(), path)


def feather_file(path: Path) -> None:
    from pyarrow import feather

    feather.write_feather(arrow_table(), str(path))


def arrow_stream(path: Path) -> None:
    import pyarrow as pa

    table = arrow_table()
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def workbook(path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(ROWS[0]))
    for row in ROWS:
        day = datetime.fromisoformat(str(row["day"])) if row["day"] else None
        sheet.append([day if name == "day" else value for name, value in row.items()])
    book.save(path)


def sqlite_file(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE colors(n INTEGER, x REAL, word TEXT, day TEXT, ok TEXT)")
    rows = [tuple(str(value).lower() if isinstance(value, bool) else value for value in row.values()) for row in ROWS]
    connection.executemany("INSERT INTO colors VALUES(?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()


SOURCES = [
    ("table.csv", csv_file),
    ("table.tsv", tsv_file),
    ("table.jsonl", json_lines),
    ("table.json", json_array),
    ("table.parquet", parquet_file),
    ("table.feather", feather_file),
    ("table.arrow", arrow_stream),
    ("table.xlsx", workbook),
    ("table.db", sqlite_file),
]


@pytest.mark.requirement("data.sources", "data.versioned")
@pytest.mark.parametrize(("name", "write"), SOURCES)
def test_the_same_table_has_the_same_digest_whatever_it_was_read_from(ctx: Context, name: str, write: Write) -> None:
    write(ctx.settings.project / name)
    found = tables.freeze(ctx, name)
    assert found.sha256 == tables.freeze(ctx, ROWS).sha256
    assert (found.rows, found.columns, found.source) == (3, 5, name)
    assert found.uri == f"dataset://{found.name}@{found.sha256}"
    stored = ctx.artifacts.path(found.sha256).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == found.sha256
    assert found.bytes == len(stored)


def test_the_types_of_a_frame_are_those_of_the_table(ctx: Context) -> None:
    frame = tables.frame(ctx, ROWS)
    kinds = {str(name): str(kind) for name, kind in frame.dtypes.items()}
    assert kinds == {**kinds, "n": "int64", "x": "float64", "day": "datetime64[us]", "ok": "boolean"}
    assert frame["word"].tolist()[:2] == ["red", "green"]
    assert frame["day"].tolist()[1] == datetime(2024, 2, 6)  # noqa: DTZ001 - times are UTC without a zone
    assert frame["x"].isna().tolist() == [False, False, True]


def test_a_url_of_a_sqlite_file_is_the_file(ctx: Context) -> None:
    sqlite_file(ctx.settings.project / "table.db")
    by_path = tables.freeze(ctx, "table.db", query="SELECT n, word FROM colors WHERE n < 3")
    by_url = tables.freeze(
        ctx, f"sqlite:///{ctx.settings.project}/table.db", query="SELECT n, word FROM colors WHERE n < 3;"
    )
    assert (
        by_path.sha256
        == by_url.sha256
        == tables.freeze(ctx, [{"n": 1, "word": "red"}, {"n": 2, "word": "green"}]).sha256
    )


def test_a_pandas_frame_is_frozen_without_its_index(ctx: Context) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1.5, None], "b": pd.Categorical(["x", "y"])}, index=[7, 8])
    frozen = tables.freeze_frame(ctx, frame, name="mine", target="b")
    assert (frozen.name, frozen.rows, frozen.columns, frozen.profile.target) == ("mine", 2, 2, "b")
    assert frozen.sha256 == tables.freeze(ctx, [{"a": 1.5, "b": "x"}, {"a": None, "b": "y"}]).sha256
    with pytest.raises(DataRejected, match="several types") as caught:
        tables.freeze_frame(ctx, pd.DataFrame({"a": [1, "x"]}))
    assert caught.value.column == "a"


@pytest.mark.parametrize(
    ("name", "rows", "columns", "classes"),
    [
        ("iris", 150, 5, {"setosa": 50, "versicolor": 50, "virginica": 50}),
        ("wine", 178, 14, {"class_0": 59, "class_1": 71, "class_2": 48}),
        ("breast_cancer", 569, 31, {"benign": 357, "malignant": 212}),
        (
            "digits",
            1797,
            65,
            {"0": 178, "1": 182, "2": 177, "3": 183, "4": 181, "5": 182, "6": 181, "7": 179, "8": 174, "9": 180},
        ),
        ("diabetes", 442, 11, {}),
    ],
)
def test_a_builtin_table_is_that_of_scikit_learn(
    ctx: Context, name: str, rows: int, columns: int, classes: dict[str, int]
) -> None:
    import numpy as np
    from sklearn import datasets as originals

    frozen = tables.freeze(ctx, f"builtin:{name}", target="target")
    assert (frozen.rows, frozen.columns, frozen.profile.classes) == (rows, columns, classes)
    assert frozen.profile.task == ("classification" if classes else "regression")
    original: Any = getattr(originals, f"load_{name}")()
    assert np.array_equal(tables.frame(ctx, frozen.uri).drop(columns="target").to_numpy(), original.data)
    assert set(tables.BUILTINS) == {"iris", "wine", "breast_cancer", "digits", "diabetes"}


# Roots ---------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("safety.roots")
@pytest.mark.parametrize(
    "given",
    [
        "/etc/passwd",
        "../secret.csv",
        "sub/../../secret.csv",
        "/dev/zero",
        "~/secret.csv",
        "out.csv",
        "sub/out.csv",
        "sqlite:////etc/passwd",
    ],
)
def test_nothing_outside_the_roots_is_read(ctx: Context, given: str) -> None:
    project = ctx.settings.project
    outside = project.parent / "secret.csv"
    outside.write_text("password\nhunter2\n")
    (project / "sub").symlink_to(project.parent)
    (project / "out.csv").symlink_to(outside)
    with pytest.raises(NotAllowed, match=re.escape(str(project))) as caught:
        tables.freeze(ctx, given.replace("sub/out", "sub/secret"))
    assert "MCP_ORCHESTRATOR_ROOTS" in str(caught.value)
    assert not ctx.settings.home.exists()


def test_a_file_below_another_root_is_read(ctx: Context, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    csv_file(other / "table.csv")
    with pytest.raises(NotAllowed):
        tables.freeze(ctx, str(other / "table.csv"))
    settings = Settings.load(ctx.settings.project, roots=(ctx.settings.project, other))
    wider = Context(settings=settings, artifacts=ctx.artifacts)
    assert tables.freeze(wider, str(other / "table.csv")).source == str(other / "table.csv")


def test_a_link_to_a_file_within_the_roots_is_read(ctx: Context) -> None:
    csv_file(ctx.settings.project / "table.csv")
    (ctx.settings.project / "link.csv").symlink_to("table.csv")
    assert tables.freeze(ctx, "link.csv").rows == 3


@pytest.mark.requirement("safety.roots")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_regular_file_is_refused_without_being_opened(
    ctx: Context, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ctx.settings.project / "odd.csv"
    monkeypatch.chdir(ctx.settings.project)  # the name of a socket has to be short
    if kind == "pipe":
        os.mkfifo(path)
        with pytest.raises(NotAllowed, match="not a regular file"):
            tables.freeze(ctx, "odd.csv")
    else:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("odd.csv")
            with pytest.raises(NotAllowed, match="not a regular file"):
                tables.freeze(ctx, "odd.csv")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.csv",
        "http://x/a",
        "s3://bucket/key.parquet",
        "file:///etc/passwd",
        "gs://b/k",
        "FTP://h/f",
    ],
)
def test_an_address_is_refused_with_what_to_do_instead(ctx: Context, url: str) -> None:
    with pytest.raises(NotAllowed, match="Download the file") as caught:
        tables.freeze(ctx, url)
    assert str(ctx.settings.project) in str(caught.value)


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib", "array.npy"])
def test_a_pickle_is_refused_unopened(ctx: Context, name: str) -> None:
    (ctx.settings.project / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(NotAllowed, match="can run code"):
        tables.freeze(ctx, name)


def test_the_state_home_holds_no_sources(ctx: Context) -> None:
    ctx.settings.home.mkdir()
    sqlite_file(ctx.settings.home / "orchestrator.db")
    with pytest.raises(NotAllowed, match="state home"):
        tables.freeze(ctx, ".mcp-orchestrator/orchestrator.db")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("tabel.csv", r"data: there is no file 'tabel.csv'. Did you mean 'table.csv'\?"),
        ("other.parquet", "Tables in that folder: table.csv"),
        ("no/where.csv", "no folder 'no'"),
        ("iris", "Did you mean 'builtin:iris'"),
        (".", "is a folder.*table.csv"),
        ("notes.docx", r"Allowed: \.csv"),
        ("", "is not a path"),
        ("a\0b.csv", "is not a path"),
        ("x" * 5000, "is not a path"),
        ("loop.csv", "cannot be (resolved|read)"),
        ("dataset://x@123", "dataset://name@digest"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_could(ctx: Context, given: str, says: str) -> None:
    csv_file(ctx.settings.project / "table.csv")
    (ctx.settings.project / "notes.docx").write_bytes(b"x")
    (ctx.settings.project / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(InvalidInput, match=says) as caught:
        tables.freeze(ctx, given)
    assert caught.value.field == "data"


def test_a_table_larger_than_allowed_is_refused(ctx: Context) -> None:
    csv_file(ctx.settings.project / "table.csv")
    for change, says in (({"max_bytes": 20}, "MCP_ORCHESTRATOR_MAX_BYTES"), ({"max_rows": 2}, "max_rows")):
        small = Context(settings=ctx.settings.model_copy(update=change), artifacts=ctx.artifacts)
        with pytest.raises(InvalidInput, match=says):
            tables.freeze(small, "table.csv")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "has no rows"),
        ([{"a": 1}] * 201, "more than 200"),
        ([{"a": 1}, [1]], "row 2 is not an object"),
        ([{"": 1}], "row 1"),
    ],
)
def test_inline_rows_are_few_and_objects(ctx: Context, rows: list[Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        tables.freeze(ctx, rows)


# Databases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        ("DELETE FROM colors", InvalidInput, "Begin it with SELECT"),
        ("WITH x AS (SELECT 1) DELETE FROM colors", NotAllowed, "only read the tables of this file"),
        ("SELECT * FROM colors; DROP TABLE colors", InvalidInput, "one statement"),
        ("ATTACH '/etc/passwd' AS other", InvalidInput, "Begin it with SELECT"),
        ("SELECT load_extension('x')", NotAllowed, "only read"),
        ("SELECT * FROM pragma_database_list", NotAllowed, "only read"),
        ("SELECT absent FROM colors", InvalidInput, "no such column: absent. Tables: colors"),
        ("SELECT n, n FROM colors", DataRejected, "column 'n': the query gives two"),
        ("SELECT n FROM colors WHERE n > 99", DataRejected, "no rows"),
        ("SELECT x'00ff' AS raw", DataRejected, "column 'raw', row 1: holds bytes"),
    ],
)
def test_a_query_of_a_file_can_only_read_it(
    ctx: Context, query: str, error: type[OrchestratorError], says: str
) -> None:
    path = ctx.settings.project / "table.db"
    sqlite_file(path)
    before = path.read_bytes()
    with pytest.raises(error, match=says):
        tables.freeze(ctx, "table.db", query=query)
    assert path.read_bytes() == before


def test_a_database_with_several_tables_asks_which(ctx: Context) -> None:
    path = ctx.settings.project / "table.db"
    sqlite_file(path)
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE "odd ""name" AS SELECT 5 AS five')
    connection.close()
    with pytest.raises(InvalidInput, match='Allowed: colors, odd "name'):
        tables.freeze(ctx, "table.db")
    with pytest.raises(InvalidInput, match="Did you mean 'colors'"):
        tables.freeze(ctx, "table.db", table="color")
    assert tables.frame(ctx, tables.freeze(ctx, "table.db", table='odd "name').uri)["five"].tolist() == [5]
    with pytest.raises(InvalidInput, match="query: cannot be given together with table"):
        tables.freeze(ctx, "table.db", table="colors", query="SELECT 1")


def test_rows_that_another_process_has_just_committed_are_seen(ctx: Context) -> None:
    path = ctx.settings.project / "table.db"
    sqlite_file(path)
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=WAL")
    assert tables.freeze(ctx, "table.db").rows == 3
    writer.execute("INSERT INTO colors(n) VALUES(4)")
    writer.commit()
    assert tables.freeze(ctx, "table.db").rows == 4
    writer.close()


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("mysql+nosuchdriver://u:s3cret@h/db", InvalidInput, "no database dialect"),
        ("snowflake://u:s3cret@h/db", MissingLibrary, "pip install snowflake-sqlalchemy"),
        ("oracle://u:s3cret@h/db", MissingLibrary, "pip install oracledb"),
        ("mysql://u:s3cret@h/db?token=s3cret", MissingLibrary, "pip install mysqlclient"),
        ("duckdb:///s3cret.db", NotAllowed, "any file"),
        ("postgresql://u:s3cret@h:port/db", InvalidInput, "cannot be read"),
        ("sqlite://", InvalidInput, "sqlite:///folder/file.db"),
        ("sqlite:///:memory:", InvalidInput, "sqlite:///folder/file.db"),
        ("sqlite:///table.db?mode=rwc&vfs=s3cret", InvalidInput, "names a file and nothing else"),
    ],
)
def test_a_database_that_cannot_be_asked_says_why_and_keeps_the_password(
    ctx: Context,
    url: str,
    error: type[OrchestratorError],
    says: str,
) -> None:
    with pytest.raises(error, match=says) as caught:
        tables.freeze(ctx, url, query="SELECT 1")
    assert "s3cret" not in repr(caught.value).replace("'s3cret.db'", "")
    assert caught.value.__cause__ is None or "s3cret" not in repr(caught.value.__cause__)


@pytest.mark.requirement("data.sources")
def test_a_server_is_asked_through_sqlalchemy_and_nothing_is_committed(tmp_path: Path) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine, make_url

    path = tmp_path / "table.db"
    sqlite_file(path)
    url = make_url(f"sqlite:///{path}")
    ended: list[str] = []
    watched = {"commit": lambda _: ended.append("commit"), "rollback": lambda _: ended.append("rollback")}
    for way, note in watched.items():
        event.listen(Engine, way, note)
    for given in ({"query": "SELECT n, word FROM colors ORDER BY n"}, {"table": "colors"}):
        blocks = list(server.open_server(url, query=given.get("query"), table=given.get("table")).blocks)
        assert blocks[0].column(0).to_pylist() == ["1", "2", "3"]
    for way, note in watched.items():
        event.remove(Engine, way, note)
    assert set(ended) == {"rollback"}
    with pytest.raises(InvalidInput, match="Begin it with SELECT"):
        server.open_server(url, query="UPDATE colors SET n = 1", table=None)
    with pytest.raises(InvalidInput, match="query: is required"):
        server.open_server(url, query=None, table=None)


def test_what_a_server_says_is_passed_on_without_the_password(tmp_path: Path) -> None:
    from sqlalchemy.engine import make_url

    sqlite_file(tmp_path / "table.db")
    with pytest.raises(InvalidInput, match=r"sqlite at this machine answered: no such column: absent"):
        server.open_server(make_url(f"sqlite:///{tmp_path}/table.db"), query="SELECT absent FROM colors", table=None)
    refused = server._refused(ValueError("s3cret is wrong for ann"), make_url("postgresql://ann:s3cret@host/db"))
    assert str(refused) == "query: postgresql at host answered: *** is wrong for ann"
    shown = server.masked(make_url("postgresql://ann:s3cret@host/db?sslpassword=s3cret&sslmode=require"))
    assert shown == "postgresql://ann:***@host/db?sslmode=require&sslpassword=hidden"


# Workbooks -----------------------------------------------------------------------------------------------------------


def sheets(path: Path, **named: list[list[Any]]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in named.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def test_a_sheet_is_chosen_by_name_and_titles_are_passed_over(ctx: Context) -> None:
    first = [["Report of 2024"], [], ["a", "b"], [1, "NA"], [2, "#N/A"], [None, None], [3, "z"]]
    sheets(ctx.settings.project / "book.xlsx", empty=[], first=first, second=[[None, "q"], [0, 5], [1, 6]])
    found = tables.freeze(ctx, "book.xlsx")
    assert tables.frame(ctx, found.uri)["a"].tolist() == [1, 2, 3]
    assert found.profile.columns[1].missing == 2
    assert any("'first' was read" in one and "'second'" in one for one in found.profile.warnings)
    assert any("Report of 2024" in one for one in found.profile.warnings)
    second = tables.freeze(ctx, "book.xlsx", table="second")
    assert [column.name for column in second.profile.columns] == ["column_1", "q"]
    with pytest.raises(InvalidInput, match=r"table: there is no sheet 'secnd'.*Did you mean 'second'"):
        tables.freeze(ctx, "book.xlsx", table="secnd")


@pytest.mark.parametrize(
    ("rows", "column", "row", "says"),
    [
        ([["a", "a"], [1, 2]], "a", None, "2 columns have this name"),
        ([["a", "b"], [1, 2], [1, 2, "note"]], None, 2, "'note' has no column"),
        ([["a", "b"]], None, None, "no rows"),
        ([], None, None, "is empty"),
    ],
)
def test_a_broken_sheet_is_refused_by_column_and_row(
    ctx: Context,
    rows: list[list[Any]],
    column: str | None,
    row: int | None,
    says: str,
) -> None:
    sheets(ctx.settings.project / "book.xlsx", only=rows)
    with pytest.raises(DataRejected, match=says) as caught:
        tables.freeze(ctx, "book.xlsx")
    assert (caught.value.column, caught.value.row) == (column, row)


def test_one_column_of_words_is_no_row_of_titles(ctx: Context) -> None:
    sheets(ctx.settings.project / "book.xlsx", only=[["word"], *[[f"w{place}"] for place in range(30)]])
    assert tables.freeze(ctx, "book.xlsx").rows == 30


# Typed sources -------------------------------------------------------------------------------------------------------


def test_every_type_of_a_parquet_file_becomes_one_of_five(ctx: Context) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    east = timezone(timedelta(hours=2))
    table = pa.table(
        {
            "u": pa.array([1, 2], pa.uint64()),
            "f": pa.array([0.5, float("inf")], pa.float32()),
            "took": pa.array([timedelta(hours=1), None]),
            "clock": pa.array([time(1, 2), None]),
            "zone": pa.array([datetime(2024, 1, 1, tzinfo=east), None]),
            "none": pa.nulls(2),
            "text": pa.array(["NA", "7"], pa.large_string()),
        },
    )
    parquet.write_table(table, ctx.settings.project / "table.parquet")
    found = tables.freeze(ctx, "table.parquet")
    assert [column.dtype for column in found.profile.columns] == [
        "int64", "double", "double", "string", "timestamp[us]", "double", "string",
    ]  # fmt: skip
    frame = tables.frame(ctx, found.uri)
    assert frame["took"].tolist()[0] == 3600
    assert frame["zone"].tolist()[0] == datetime(2023, 12, 31, 22)  # noqa: DTZ001
    assert frame["text"].tolist() == ["NA", "7"]
    assert found.profile.columns[1].missing == 1
    assert any("'f': 1 infinite" in one for one in found.profile.warnings)


@pytest.mark.parametrize("kind", ["list", "binary", "huge", "twice", "empty", "far"])
def test_a_parquet_column_that_no_feature_can_be_made_of_is_refused_by_name(ctx: Context, kind: str) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    made = {
        "list": pa.table({"a": [1], "bad": [[1, 2]]}),
        "binary": pa.table({"bad": [b"x"]}),
        "huge": pa.table({"bad": pa.array([2**63], pa.uint64())}),
        "twice": pa.table([[1], [2]], names=["bad", "bad"]),
        "empty": pa.table({"bad": pa.array([], pa.int64())}),
        "far": pa.table({"bad": pa.array([2**62], pa.int64()).cast(pa.timestamp("us"))}),
    }
    parquet.write_table(made[kind], ctx.settings.project / "table.parquet")
    with pytest.raises(DataRejected) as caught:
        tables.freeze(ctx, "table.parquet")
    assert caught.value.column == (None if kind == "empty" else "bad")


@pytest.mark.parametrize(
    ("name", "write"), [one for one in SOURCES if not one[0].endswith(("csv", "tsv", "json", "jsonl"))]
)
def test_a_damaged_file_is_refused_in_our_words(ctx: Context, name: str, write: Write) -> None:
    path = ctx.settings.project / name
    write(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"no table"):
        path.write_bytes(damaged)
        with pytest.raises(DataRejected, match=f"{name}|damaged"):
            tables.freeze(ctx, name)
    place = len(whole) // 3
    path.write_bytes(whole[:place] + bytes(200) + whole[place + 200 :])
    with suppress(DataRejected, InvalidInput):  # the gap may have hit what nobody reads
        tables.freeze(ctx, name)


# Snapshots and their descriptions ------------------------------------------------------------------------------------


def test_a_description_is_found_again_by_another_process(ctx: Context) -> None:
    csv_file(ctx.settings.project / "table.csv")
    frozen = tables.freeze(ctx, "table.csv", name="colors", target="ok")
    assert tables.describe(ctx, frozen.uri) == frozen
    assert frozen.uri.startswith("dataset://colors@")
    code = (
        "import sys\nfrom mcp_orchestrator.component import Context\n"
        "from mcp_orchestrator.core.artifacts import ArtifactStore\n"
        "from mcp_orchestrator.methods import tables\nfrom mcp_orchestrator.settings import Settings\n"
        "settings = Settings.load(sys.argv[1])\n"
        "ctx = Context(settings=settings, artifacts=ArtifactStore(settings.home / 'artifacts'))\n"
        "print(tables.describe(ctx, sys.argv[2]).model_dump_json())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ctx.settings.project), frozen.uri],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(one for one in sys.path if one)},
    )
    assert type(frozen).model_validate_json(done.stdout) == frozen


def test_a_description_that_was_lost_is_made_again_from_the_table(ctx: Context) -> None:
    frozen = tables.freeze(ctx, ROWS, target="ok")
    for record in (ctx.settings.home / "datasets").iterdir():
        record.unlink()
    again = tables.describe(ctx, frozen.uri)
    assert (again.sha256, again.rows, again.profile.columns[0]) == (frozen.sha256, 3, frozen.profile.columns[0])


def test_a_reference_can_be_frozen_again_with_a_target_and_another_name(ctx: Context) -> None:
    plain = tables.freeze(ctx, ROWS)
    named = tables.freeze(ctx, plain.uri, target="word", name="colors")
    assert (named.name, named.sha256, named.profile.target) == ("colors", plain.sha256, "word")
    assert tables.describe(ctx, named.uri) == named
    assert tables.describe(ctx, plain.uri) == plain
    with pytest.raises(InvalidInput, match=r"target: the table has no column 'wrod'. Did you mean 'word'"):
        tables.freeze(ctx, plain.uri, target="wrod")
    with pytest.raises(InvalidInput, match="name: 'a b' may hold"):
        tables.freeze(ctx, plain.uri, name="a b")


def test_what_was_noticed_in_the_source_survives_another_target(ctx: Context) -> None:
    (ctx.settings.project / "table.csv").write_text("when,x,y\n03/04/2024,?,a\n05/06/2024,2,b\n")
    first = tables.freeze(ctx, "table.csv", target="x")
    second = tables.freeze(ctx, "table.csv", target="y")
    third = tables.freeze(ctx, first.uri, target="y")
    for one in (first, second, third):
        assert sum("day/month or month/day" in warning for warning in one.profile.warnings) == 1
        assert "'?' (1)" in one.profile.columns[1].note
    assert second == third


def test_an_unchanged_file_is_read_once_and_a_changed_one_again(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ctx.settings.project / "table.csv"
    csv_file(path)
    readings: list[str] = []
    original = datasets.write
    monkeypatch.setattr(
        datasets, "write", lambda *args, **named: (readings.append("read"), original(*args, **named))[1]
    )
    first = tables.freeze(ctx, "table.csv")
    assert tables.freeze(ctx, "table.csv") == first
    assert tables.freeze(ctx, "table.csv", target="ok").sha256 == first.sha256
    assert readings == ["read"]
    path.write_text(path.read_text() + "4,1,blue,2024-03-07,true\n")
    assert tables.freeze(ctx, "table.csv").rows == 4
    assert readings == ["read", "read"]


def test_a_name_given_once_does_not_stick_to_the_file(ctx: Context) -> None:
    csv_file(ctx.settings.project / "table.csv")
    assert [tables.freeze(ctx, "table.csv", name=name).name for name in ("colors", None, "hues")] == [
        "colors",
        "table",
        "hues",
    ]


def test_a_frame_of_a_file_does_not_undo_what_is_known_about_it(ctx: Context) -> None:
    csv_file(ctx.settings.project / "table.csv")
    frozen = tables.freeze(ctx, "table.csv", target="ok")
    datasets._known.clear()  # as in another process
    assert len(tables.frame(ctx, "table.csv")) == 3
    assert tables.reference(ctx, "table.csv") == frozen.uri
    assert tables.describe(ctx, frozen.uri) == frozen


def test_a_cleared_home_makes_the_source_be_read_again(ctx: Context) -> None:
    csv_file(ctx.settings.project / "table.csv")
    frozen = tables.freeze(ctx, "table.csv")
    ctx.artifacts.path(frozen.sha256).unlink()
    with pytest.raises(UnknownName, match=r"no dataset .*Load its source again"):
        tables.describe(ctx, frozen.uri)
    assert tables.freeze(ctx, "table.csv").uri == frozen.uri
    assert tables.describe(ctx, frozen.uri) == frozen


@pytest.mark.requirement("data.versioned")
def test_a_changed_snapshot_is_not_believed(ctx: Context) -> None:
    frozen = tables.freeze(ctx, ROWS)
    path = ctx.artifacts.path(frozen.sha256)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(Tampered, match="was changed"):
        tables.frame(ctx, frozen.uri)


def test_a_stored_file_that_is_no_table_is_refused(ctx: Context) -> None:
    other = ctx.artifacts.put(b"words", name="words.txt")
    with pytest.raises(DataRejected, match="not a table"):
        tables.describe(ctx, f"dataset://x@{other.sha256}")


def test_a_missing_target_is_refused_before_anything_is_stored(ctx: Context) -> None:
    for name, write in SOURCES:
        write(ctx.settings.project / name)
        with pytest.raises(InvalidInput, match=r"target: the table has no column 'wrd'. Did you mean 'word'"):
            tables.freeze(ctx, name, target="wrd")
    assert not (ctx.settings.home / "artifacts").exists()
    assert not (ctx.settings.home / "datasets").exists()
    assert not list((ctx.settings.home / "scratch").iterdir())


def test_what_a_killed_process_left_is_cleared_a_day_later(ctx: Context) -> None:
    scratch = ctx.settings.home / "scratch"
    for name, age in (("table-old", 2 * snapshot.STALE), ("table-new", 0)):
        (scratch / name).mkdir(parents=True)
        (scratch / name / "part-0.arrow").write_bytes(b"x")
        changed = (scratch / name).stat().st_mtime - age
        os.utime(scratch / name, (changed, changed))
    tables.freeze(ctx, ROWS)
    assert [left.name for left in scratch.iterdir()] == ["table-new"]


def test_a_full_disk_is_named(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot.Writer, "write", full)
    with pytest.raises(StateUnavailable, match=r"No space left on device.*MCP_ORCHESTRATOR_HOME"):
        tables.freeze(ctx, ROWS)


def test_progress_is_reported_up_to_the_end(settings: Settings) -> None:
    (settings.project / "table.csv").write_text("a,b\n" + "1,some words\n" * 400_000)
    told: list[float] = []
    ctx = Context(
        settings=settings,
        artifacts=ArtifactStore(settings.home / "artifacts"),
        report=lambda fraction, _message: told.append(fraction or 0),
    )
    tables.freeze(ctx, "table.csv")
    assert told == sorted(told)
    assert len(set(told)) > 4
    assert told[-1] == 1


# Frames --------------------------------------------------------------------------------------------------------------


def test_what_is_done_to_a_frame_stays_with_the_caller(ctx: Context) -> None:
    first = tables.frame(ctx, ROWS)
    first.loc[0, "n"] = 99
    first["more"] = 1
    del first["word"]
    second = tables.frame(ctx, ROWS)
    assert second["n"].tolist() == [1, 2, 3]
    assert list(second.columns) == list(ROWS[0])


def test_a_frame_can_be_a_few_columns_in_the_order_asked(ctx: Context) -> None:
    uri = tables.freeze(ctx, ROWS).uri
    for _ in range(2):  # from the file, and from memory
        assert list(tables.frame(ctx, uri, ["word", "n"]).columns) == ["word", "n"]
        with pytest.raises(InvalidInput, match=r"columns: the table has no column 'wodr'\. Did you mean 'word'"):
            tables.frame(ctx, uri, ["wodr"])
        tables.frame(ctx, uri)


def test_only_the_last_few_frames_stay_in_memory(ctx: Context) -> None:
    from mcp_orchestrator.methods.tables import frames

    uris = [tables.freeze(ctx, [{"a": place}, {"a": 2}]).uri for place in range(10)]
    for uri in uris:
        tables.frame(ctx, uri)
    assert list(frames._frames) == [uri.rpartition("@")[2] for uri in uris[-frames.KEPT :]]


# Profiles ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def customers(ctx: Context) -> Any:
    """A table with one column of each kind, and planted faults."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    rows = 400
    gone = draw.random(rows) < 0.3
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows) + 1000,
            "email": [f"user{place}@example.org" for place in range(rows)],
            "age": draw.integers(18, 80, rows),
            "balance": draw.normal(size=rows).round(3),
            "segment": draw.choice(["basic", "gold", "free"], rows),
            "remark": [f"called us on day {place} about the bill" for place in range(rows)],
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 900, rows), "D"),
            "vip": draw.random(rows) < 0.5,
            "region_id": draw.integers(0, 20, rows),
            "country": "DE",
            "empty": None,
            "rare": ["x" if one < 0.2 else None for one in draw.random(rows)],
            "age_again": 0,
            "status": np.where(gone, "closed", "open"),
            "cancelled_on": ["2024-01-05" if one else None for one in gone],
            "points": np.where(gone, 10, -10) + draw.normal(size=rows),
            "reason": np.where(gone, draw.choice(["price", "moved"], rows), "none given"),
            "churned": np.where(gone, "yes", "no"),
        },
    )
    frame["age_again"] = frame["age"]
    frame.to_csv(ctx.settings.project / "customers.csv", index=False)
    return frame


@pytest.mark.requirement("data.profile")
def test_a_profile_says_what_each_column_is(ctx: Context, customers: Any) -> None:
    profile = tables.freeze(ctx, "customers.csv").profile
    kinds = {column.name: column.kind for column in profile.columns}
    assert kinds == {
        "customer_id": "identifier",
        "email": "identifier",
        "age": "numeric",
        "balance": "numeric",
        "segment": "categorical",
        "remark": "text",
        "since": "date",
        "vip": "boolean",
        "region_id": "numeric",
        "country": "constant",
        "empty": "empty",
        "rare": "categorical",
        "age_again": "numeric",
        "status": "categorical",
        "cancelled_on": "date",
        "points": "numeric",
        "reason": "categorical",
        "churned": "categorical",
    }
    balance = next(column for column in profile.columns if column.name == "balance")
    assert balance.minimum == customers["balance"].min()
    assert balance.maximum == customers["balance"].max()
    assert balance.mean == pytest.approx(customers["balance"].mean())
    assert balance.distinct == customers["balance"].nunique()
    assert balance.sample == customers["balance"].tolist()[:3]
    rare = next(column for column in profile.columns if column.name == "rare")
    assert rare.missing == customers["rare"].isna().sum()


def test_a_profile_warns_in_sentences(ctx: Context, customers: Any) -> None:
    profile = tables.freeze(ctx, "customers.csv").profile
    assert profile.likely_target == "churned"
    assert (profile.target, profile.task) == (None, "classification")
    assert profile.classes == {
        "no": int((customers["churned"] == "no").sum()),
        "yes": int((customers["churned"] == "yes").sum()),
    }
    said = "\n".join(profile.warnings)
    for words in (
        "no value at all.*empty",
        "same value in each row.*country",
        "identifiers.*customer_id, email",
        "missing in: .*rare",
        "same values: age, age_again",
    ):
        assert re.search(words, said), words
    assert all(warning.endswith(".") for warning in profile.warnings)
    assert "rows may belong together" in next(column.note for column in profile.columns if column.name == "region_id")


@pytest.mark.requirement("data.leakage")
def test_columns_that_give_the_target_away_are_named_and_no_others(ctx: Context, customers: Any) -> None:
    profile = tables.freeze(ctx, "customers.csv", target="churned").profile
    assert profile.leakage_suspects == ["status", "cancelled_on", "points", "reason"]
    said = "\n".join(profile.warnings)
    for words in (
        "'status' gives 'churned' away: it is the target under other labels",
        "'cancelled_on' gives 'churned' away: whether it is missing",
        "'points' gives 'churned' away: it alone",
        "'reason' gives 'churned' away: it alone",
    ):
        assert words in said


def test_a_row_number_of_sorted_classes_gives_them_away(ctx: Context) -> None:
    frame = tables.frame(ctx, "builtin:iris")
    frame.insert(0, "Id", range(1, 151))
    assert tables.freeze_frame(ctx, frame, target="target").profile.leakage_suspects == ["Id"]
    shuffled = frame.assign(Id=frame["Id"].sample(150, random_state=0).to_numpy())
    assert tables.freeze_frame(ctx, shuffled, target="target").profile.leakage_suspects == []


def test_a_quantity_in_another_unit_gives_it_away_and_a_noisy_one_does_not(ctx: Context) -> None:
    import numpy as np

    frame = tables.frame(ctx, "builtin:diabetes")
    frame["scaled"] = 1.8 * frame["target"] + 32
    frame["upside_down"] = 1 / frame["target"]
    frame["copy"] = frame["target"]
    frame["noisy"] = frame["target"] + np.random.default_rng(0).normal(size=len(frame)) * 20
    profile = tables.freeze_frame(ctx, frame, target="target").profile
    assert profile.leakage_suspects == ["scaled", "upside_down", "copy"]
    assert any("'copy' gives 'target' away: it is a copy" in one for one in profile.warnings)


@pytest.mark.parametrize("name", tables.BUILTINS)
def test_an_honest_table_has_no_suspects(ctx: Context, name: str) -> None:
    assert tables.freeze(ctx, f"builtin:{name}", target="target").profile.leakage_suspects == []


def test_noise_is_not_suspected(ctx: Context) -> None:
    import numpy as np
    import pandas as pd

    for seed in range(5):
        draw = np.random.default_rng(seed)
        frame = pd.DataFrame(draw.normal(size=(60, 30)), columns=[f"x{place}" for place in range(30)])
        frame["y"] = draw.integers(0, 2, 60)
        assert tables.freeze_frame(ctx, frame, target="y").profile.leakage_suspects == []


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"x": [1.5, 2.5, 3.5], "Target": [0, 1, 0]}, "Target"),
        ({"label": ["a", "b", "a"], "x": [1, 2, 3], "class": ["u", "v", "u"]}, "label"),
        ({"a": [1.5, 2.5, 3.5], "b": [2, 3, 5], "kind": ["u", "v", "u"]}, "kind"),
        ({"a": [1.5, 2.5, 3.5], "b": ["p", "q", "q"], "kind": ["u", "v", "u"]}, None),
        ({"a": [1.5, 2.5, 3.5], "b": [2.5, 3.5, 9.5]}, None),
        ({"target": [None, None, None], "a": [1.5, 2.5, 3.5]}, None),
    ],
)
def test_a_likely_target_is_named_only_where_it_is_clear(
    ctx: Context, columns: dict[str, list[Any]], expected: str | None
) -> None:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    assert tables.freeze(ctx, rows).profile.likely_target == expected


@pytest.mark.requirement("build.problem")
@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 20, "classification"),
        ([True, False] * 20, "classification"),
        ([1, 2, 3, 4] * 10, "classification"),
        ([float(one) for one in (0, 1)] * 20, "classification"),
        ([one / 7 for one in range(40)], "regression"),
        (list(range(0, 400, 10)), "regression"),
        (["2024-01-01", "2024-01-02"] * 20, None),
        ([None] * 40, None),
    ],
)
def test_the_task_follows_from_the_target(ctx: Context, values: list[Any], task: str | None) -> None:
    rows = [{"x": place, "y": value} for place, value in enumerate(values)]
    assert tables.freeze(ctx, rows, target="y").profile.task == task


def test_copies_of_rows_are_counted(ctx: Context) -> None:
    assert tables.freeze(ctx, "builtin:iris").profile.duplicate_rows == 1
    assert tables.freeze(ctx, [{"a": 1, "b": None}] * 4 + [{"a": 1, "b": "x"}]).profile.duplicate_rows == 3


def test_a_large_table_is_judged_by_a_sample_but_counted_whole(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    import pandas as pd

    from mcp_orchestrator.methods.tables import look

    rows = 100_000
    frame = pd.DataFrame(
        {"n": np.arange(rows), "x": np.arange(rows) / 8, "y": np.where(np.arange(rows) % 1000, "no", "yes")}
    )
    frame.loc[::4, "x"] = np.nan
    whole = tables.freeze_frame(ctx, frame, target="y")
    monkeypatch.setattr(look, "ROWS", 2000)
    part = profiled(ctx.artifacts.path(whole.sha256), target="y")
    for profile in (whole.profile, part):
        assert profile.rows == rows
        assert profile.classes == {"no": 99_900, "yes": 100}
        assert (profile.columns[1].missing, profile.columns[0].maximum) == (25_000, rows - 1)
        assert profile.columns[1].mean == pytest.approx(frame["x"].mean())
    assert any(
        "judged from 2,000 of 100,000 rows" in one.replace("1,999", "2,000").replace("2,001", "2,000")
        for one in part.warnings
    )
    assert part == profiled(ctx.artifacts.path(whole.sha256), target="y")
