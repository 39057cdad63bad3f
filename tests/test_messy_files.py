"""Files as people have them: each is read for what it means, or refused by the name of the column and the row."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.errors import DataRejected, OrchestratorError
from mcp_orchestrator.methods import tables
from mcp_orchestrator.methods.tables import delimited, spool
from mcp_orchestrator.methods.tables.shapes import MISSING
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import Dataset

Read = Callable[..., dict[str, list[Any]]]


@pytest.fixture
def freeze(ctx: Context) -> Callable[..., Dataset]:
    """Write a file into the project and freeze it."""

    def written(content: str | bytes, name: str = "table.csv", **given: str) -> Dataset:
        path = ctx.settings.project / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tables.freeze(ctx, name, **given)

    return written


@pytest.fixture
def read(ctx: Context, freeze: Callable[..., Dataset]) -> Read:
    """Write a file into the project and return what was read, with None for what is missing."""

    def columns(content: str | bytes, name: str = "table.csv", **given: str) -> dict[str, list[Any]]:
        return values(ctx, freeze(content, name, **given))

    return columns


def values(ctx: Context, dataset: Dataset) -> dict[str, list[Any]]:
    frame = tables.frame(ctx, dataset.uri).astype(object)
    return {str(name): [plain(one) for one in column] for name, column in frame.items()}


def plain(value: Any) -> Any:
    import pandas as pd

    if pd.isna(value):
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


@pytest.mark.requirement("data.messy")
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "größe,ort\n1,Köln\n2,Łódź\n"),
        ("utf-8-sig", "größe,ort\n1,Köln\n2,Łódź\n"),
        ("utf-16", "größe,ort\n1,Köln\n2,Łódź\n"),
        ("utf-16-le", "size,place\n1,Koeln\n2,Ulm\n"),
        ("utf-32", "größe,ort\n1,Köln\n2,Łódź\n"),
        ("latin-1", "größe,ort\n1,Köln\n2,Besançon\n"),
        ("latin-1", "größe,ort\n1,Köln\n2,Besançon\x81\n"),
        ("cp1252", "preis,ort\n1,„Köln“ … 5 €\n2,Straße\n"),
        ("cp1250", "nr,miasto\n1,Łódź\n2,Kraków i Żółć\n3,Gdańsk\n"),
        ("cp1251", "номер,город\n1,Москва\n2,Санкт-Петербург\n"),
        ("cp1253", "αριθμός,πόλη\n1,Αθήνα\n2,Θεσσαλονίκη\n"),
    ],
)
def test_an_encoding_is_recognized(read: Read, encoding: str, text: str) -> None:
    head, *rows = csv.reader(text.splitlines())
    found = read(text.encode(encoding))
    assert list(found) == head
    assert found[head[0]] == [int(row[0]) for row in rows]
    assert found[head[1]] == [row[1] for row in rows]


def test_a_guessed_encoding_is_said(freeze: Callable[..., Dataset]) -> None:
    assert any("cp1252" in one for one in freeze("a,b\n1,Köln\n2,Ulm\n".encode("cp1252")).profile.warnings)
    assert not any("cp1252" in one for one in freeze("a,b\n1,Köln\n2,Ulm\n").profile.warnings)


def test_a_letter_that_shows_the_encoding_may_come_late(read: Read) -> None:
    text = "a,b\n" + "1,plain\n" * 800_000 + "2,Köln\n"
    assert read(text.encode("cp1252"))["b"][-1] == "Köln"


@pytest.mark.requirement("data.messy")
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.txt"])
def test_a_delimiter_is_recognized_around_quoted_ones(read: Read, delimiter: str, name: str) -> None:
    rows = [["id", "text"], ["1", "a,b;c\td|e"], ["2", 'say "x"'], ["3", "two\nlines"]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    assert read(out.getvalue(), name) == {"id": [1, 2, 3], "text": ["a,b;c\td|e", 'say "x"', "two\nlines"]}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_line_ending_ends_a_line(read: Read, ending: str) -> None:
    assert read(ending.join(["a,b", "1,x", "2,y", ""])) == {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.requirement("data.messy")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b\n1,5;x\n-2,25;y\n", [1.5, -2.25]),
        ("a;b\n1.234,56;x\n1.000.000,5;y\n", [1234.56, 1000000.5]),
        ('a,b\n"1,234.5",x\n"1,234,567.25",y\n', [1234.5, 1234567.25]),
        ('a,b\n"1,234,567",x\n"12,345",y\n', [1234567, 12345]),
        ("a,b\n1 234 567,x\n12,y\n", [1234567, 12]),
        ("a;b\n1\u00a0234,5;x\n12,5;y\n", [1234.5, 12.5]),
        ("a,b\n1'234.50,x\n12.25,y\n", [1234.5, 12.25]),
        ("a,b\n+5,x\n-3,y\n", [5, -3]),
        ("a,b\n1e3,x\n2.5E-3,y\n", [1000.0, 0.0025]),
        ("a,b\n.5,x\n5.,y\n", [0.5, 5.0]),
        ('a,b\n"$1,234.50",x\n$7.25,y\n', [1234.5, 7.25]),
        ("a;b\n12,5 %;x\n3 %;y\n", [12.5, 3.0]),
        ("a,b\n€5,x\n€6,y\n", [5, 6]),
        ("a,b\n 1 ,x\n  2,y\n", [1, 2]),
        ("a,b\n0,x\n1,y\n", [0, 1]),
        ("a,b\n9007199254740993,x\n1,y\n", [9007199254740993, 1]),
    ],
)
def test_a_number_is_read_in_the_form_of_its_country(read: Read, text: str, expected: list[float]) -> None:
    found = read(text)["a"]
    assert found == expected
    assert [type(one) for one in found] == [type(one) for one in expected]


def test_thousands_with_points_are_told_by_the_decimal_commas_of_another_column(freeze: Callable[..., Dataset]) -> None:
    alone = freeze("a;b\n1.234;x\n999;y\n")
    beside = freeze("a;b\n1.234;1,5\n999;2,5\n")
    assert alone.profile.columns[0].maximum == 999
    assert beside.profile.columns[0].maximum == 1234
    assert any("'1.234' was read as a whole number" in one for one in beside.profile.warnings)


def test_a_doubtful_comma_is_read_and_said(freeze: Callable[..., Dataset]) -> None:
    alone = freeze('a,b\n"1,234",x\n"2,500",y\n').profile
    beside = freeze("a;b\n1,234;1,5\n2,500;2,5\n").profile
    assert (alone.columns[0].maximum, beside.columns[0].maximum) == (2500, 2.5)
    assert any("'1,234' was read with a comma between thousands" in one for one in alone.warnings)


@pytest.mark.requirement("data.messy")
@pytest.mark.parametrize(
    ("values_", "expected"),
    [
        (["2024-01-05", "2024-12-31"], [(2024, 1, 5), (2024, 12, 31)]),
        (["2024-01-05 10:30", "2024-12-31"], [(2024, 1, 5, 10, 30), (2024, 12, 31)]),
        (["2024-01-05T10:30:15.25", "2024-12-31T00:00:00"], [(2024, 1, 5, 10, 30, 15, 250000), (2024, 12, 31)]),
        (["2024-01-05T10:00:00Z", "2024-01-05T10:00:00+02:00"], [(2024, 1, 5, 10), (2024, 1, 5, 8)]),
        (["2024/1/5", "2024/12/31"], [(2024, 1, 5), (2024, 12, 31)]),
        (["05/01/2024", "31/12/2024"], [(2024, 1, 5), (2024, 12, 31)]),
        (["1/5/2024", "12/31/2024"], [(2024, 1, 5), (2024, 12, 31)]),
        (["1/5/2024 3:45 PM", "12/31/2024 12:05 AM"], [(2024, 1, 5, 15, 45), (2024, 12, 31, 0, 5)]),
        (["5.1.2024", "06.02.2024"], [(2024, 1, 5), (2024, 2, 6)]),
        (["5 Jan 2024", "31-December-2024"], [(2024, 1, 5), (2024, 12, 31)]),
        (["1850-01-01", "9999-12-31"], [(1850, 1, 1), (9999, 12, 31)]),
    ],
)
def test_a_date_is_read_where_it_can_mean_one_day_only(
    read: Read,
    values_: list[str],
    expected: list[tuple[int, ...]],
) -> None:
    text = "when,x\n" + "".join(f"{value},{place}\n" for place, value in enumerate([*values_, "NA"]))
    assert read(text)["when"] == [*(datetime(*parts) for parts in expected), None]  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("values_", "says"),
    [
        (["03/04/2024", "05/06/2024"], "can be day/month or month/day"),
        (["31/12/2024", "12/31/2024"], "row 1) and as month/day ('12/31/2024', row 2"),
        (["1/15/24", "2/16/24"], "have two digits"),
        ([*["2024-01-05"] * 9, "soon"], "9 of 10 values are dates, but row 10 holds 'soon'"),
    ],
)
def test_a_date_that_can_mean_two_days_stays_text_and_is_said(
    ctx: Context,
    freeze: Callable[..., Dataset],
    values_: list[str],
    says: str,
) -> None:
    found = freeze("when,x\n" + "".join(f"{value},{place}\n" for place, value in enumerate(values_)))
    assert values(ctx, found)["when"] == values_
    assert any("'when'" in one and says in one for one in found.profile.warnings)


@pytest.mark.parametrize(
    ("text", "row", "shown"),
    [
        ("when,x\n2024-01-05,1\n2024-02-30,2\n", 2, "2024-02-30"),
        ("when,x\n13/02/2024,1\n14/02/2024,2\n31/02/2024,3\n", 3, "31/02/2024"),
        ("when,x\n2024-01-05 10:00,1\n2024-01-05 25:00,2\n", 2, "25:00"),
    ],
)
def test_a_day_that_does_not_exist_is_refused_by_column_and_row(read: Read, text: str, row: int, shown: str) -> None:
    with pytest.raises(DataRejected, match=shown) as caught:
        read(text)
    assert (caught.value.column, caught.value.row) == ("when", row)


@pytest.mark.parametrize(
    ("yes", "no"),
    [("true", "false"), ("True", "FALSE")],
)
def test_truth_values_are_read_in_any_writing(read: Read, yes: str, no: str) -> None:
    assert read(f"a,b\n{yes},1\n{no},2\n,3\n") == {"a": [True, False, None], "b": [1, 2, 3]}


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("Yes", "No"), ("t", "f"), ("Y", "N")])
def test_words_for_yes_and_no_stay_as_they_are(read: Read, yes: str, no: str) -> None:
    assert read(f"a,b\n{yes},1\n{no},2\n,3\n") == {"a": [yes, no, None], "b": [1, 2, 3]}


@pytest.mark.parametrize(
    ("values_", "type_"), [(["0", "1"], int), (["t", "t"], str), (["yes", "maybe"], str), (["true", "1"], str)]
)
def test_what_is_no_pair_of_truth_values_is_none(read: Read, values_: list[str], type_: type) -> None:
    assert {type(one) for one in read("a,b\n" + "".join(f"{one},x\n" for one in values_))["a"]} == {type_}


@pytest.mark.parametrize(
    "marker", ["", "NA", "N/A", "n/a", "null", "NULL", "None", "-", "?", "nan", "NaN", "#N/A", r"\N", " ", "<NA>"]
)
def test_what_stands_for_a_missing_value_is_missing_in_any_column(read: Read, marker: str) -> None:
    found = read(f"n,w,d\n1,x,2024-01-01\n{marker},{marker},{marker}\n2,y,2024-01-02\n" + f"3,{marker},2024-01-03\n")
    assert found["n"] == [1, 2, 3]
    assert found["w"] == ["x", "y", None]
    assert found["d"][0] == datetime(2024, 1, 1)  # noqa: DTZ001


def test_how_missing_values_were_written_is_noted(freeze: Callable[..., Dataset]) -> None:
    column = freeze("a,b\n1,x\n?,y\n?,z\nNA,z\n").profile.columns[0]
    assert column.missing == 3
    assert "'?' (2), 'NA' (1)" in column.note


def test_a_column_of_numbers_with_a_word_stays_text_and_the_row_is_said(
    ctx: Context, freeze: Callable[..., Dataset]
) -> None:
    text = "age,x\n" + "".join(f"{place},1\n" for place in range(98)) + "unknown,1\n99,1\n"
    found = freeze(text)
    assert values(ctx, found)["age"][96:] == ["96", "97", "unknown", "99"]
    assert found.profile.columns[0].kind == "text"
    assert any(
        "'age': 99 of 100 values are numbers, but row 99 holds 'unknown'" in one for one in found.profile.warnings
    )


@pytest.mark.parametrize(
    "values_",
    [
        ["01234", "90210"],
        ["007", "008"],
        ["12345678901234567890", "12345678901234567891"],
        ["0x1A", "0x1B"],
        ["1.2.3", "1.2.4"],
    ],
)
def test_a_name_made_of_digits_is_not_made_a_number(read: Read, values_: list[str]) -> None:
    assert read("a,b\n" + "".join(f"{one},x\n" for one in values_))["a"] == values_


def test_infinite_values_become_missing_and_are_said(ctx: Context, freeze: Callable[..., Dataset]) -> None:
    found = freeze("a,b\n1.5,x\ninf,y\n-Infinity,z\n")
    assert values(ctx, found)["a"] == [1.5, None, None]
    assert any("'a': 2 infinite" in one for one in found.profile.warnings)


@pytest.mark.requirement("data.messy")
@pytest.mark.parametrize(
    ("content", "column", "row", "says"),
    [
        ("", None, None, "is empty"),
        ("\n\n  \n", None, None, "is empty"),
        ("a,b\n", None, None, "header but no rows"),
        ("a,b,a\n1,2,3\n", "a", None, r"columns 1 and 3"),
        ("a, a \n1,2\n", "a", None, r"columns 1 and 2"),
        ("a,b\n1,2\n1,2,3\n", None, 2, "3 fields where the header has 2"),
        ("a,b,c\n1,2,3\n\n1,2\n", None, 2, "2 fields where the header has 3"),
        ('"a\nb",c\n1,2\n"x\ny",2\n1,2,3\n', None, 3, "3 fields where the header has 2"),
        ("sep=;\na;b\n1;2\n1;2;3\n", None, 2, "3 fields where the header has 2"),
        ("a,b\n1,x\x00y\n", None, 1, "NUL"),
        ('a,b\n1,x\n2,"y\n3,z\n', None, 2, "never closed"),
        ('a,b\n1,x\n2,"y\n', None, 2, "never closed"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n4.7,3.2,virginica\n", None, None, "looks like data"),
        ("39, Private,77516\n50, Private,83311\n38, State,215646\n", None, None, "looks like data"),
        ("a,b\n" + "é,ü\n" * 40 + "\udcff,x\n", None, None, "UTF-8 with damaged bytes"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_by_the_place_of_the_fault(  # noqa: PLR0917 - what pytest passes
    ctx: Context,
    read: Read,
    content: str,
    column: str | None,
    row: int | None,
    says: str,
) -> None:
    with pytest.raises(DataRejected, match=says) as caught:
        read(content.encode("utf-8", "surrogateescape"))
    assert (caught.value.column, caught.value.row) == (column, row)
    assert not any((ctx.settings.home / "scratch").glob("*"))
    assert not (ctx.settings.home / "artifacts").exists()


def test_a_fault_far_down_is_named_by_its_row(read: Read) -> None:
    with pytest.raises(DataRejected) as caught:
        read("a,b\n" + "1,2\n" * 400_000 + "1,2,3\n" + "1,2\n" * 10)
    assert caught.value.row == 400_001


def test_a_quote_that_is_never_closed_in_a_large_file_is_named_by_its_row(read: Read) -> None:
    with pytest.raises(DataRejected, match="never closed") as caught:
        read("a,b\n" + "1,2\n" * 40_000 + '"1,2\n' + "1,2\n" * 400_000)
    assert caught.value.row == 40_001


def test_a_row_longer_than_a_block_is_read_and_no_row_comes_twice(read: Read) -> None:
    text = "x" * (3 * delimited.BLOCK)
    found = read("a,b\n" + "1,y\n" * 400_000 + f'2,"{text}"\n' + "3,z\n" * 1000)
    assert len(found["a"]) == 401_001
    assert sum(found["a"]) == 400_000 + 2 + 3000
    assert found["b"][400_000] == text


def test_columns_without_a_name_get_one_and_empty_ones_are_left_out(freeze: Callable[..., Dataset]) -> None:
    found = freeze(",a,\n0,x,\n1,y,\n").profile
    assert [column.name for column in found.columns] == ["column_1", "a"]
    assert any("column_1" in one for one in found.warnings)


def test_rows_without_a_value_are_left_out_and_counted(ctx: Context, freeze: Callable[..., Dataset]) -> None:
    found = freeze("a,b\n1,x\n,\n\n2,y\nNA,-\n")
    assert values(ctx, found) == {"a": [1, 2], "b": ["x", "y"]}
    assert any("2 row(s) without any value" in one for one in found.profile.warnings)


@pytest.mark.parametrize(
    "above", ["# made by a program, on a day\n", "Report of the year\n\n", "\n\n", "Report\n\n# x\n"]
)
def test_titles_and_comments_above_the_header_are_passed_over(read: Read, above: str) -> None:
    assert read(above + "a,b,c\n1,2,x\n3,4,y\n") == {"a": [1, 3], "b": [2, 4], "c": ["x", "y"]}


def test_numbers_can_be_names_of_columns(read: Read) -> None:
    assert list(read("item,2019,2020\nx,1,2\ny,2,3\n")) == ["item", "2019", "2020"]
    assert list(read("item,mean,0.1,0.9\nx,1,2,3\ny,2,3,4\n")) == ["item", "mean", "0.1", "0.9"]


def test_spaces_after_the_delimiter_do_not_count(read: Read) -> None:
    found = read('"Month", "1958", "1959"\n"JAN",  340,  360\n"FEB",  318,  342\n')
    assert found == {"Month": ["JAN", "FEB"], "1958": [340, 318], "1959": [360, 342]}


def test_inch_marks_are_part_of_a_value(read: Read) -> None:
    assert read('a,b\n5" pipe,1\n6 pipe,2\n')["a"] == ['5" pipe', "6 pipe"]


def test_a_packed_file_is_unpacked(ctx: Context, freeze: Callable[..., Dataset]) -> None:
    plain_, packed = b"a,b\n1,x\n2,y\n", gzip.compress(b"a,b\n1,x\n2,y\n")
    assert freeze(packed, "one.csv.gz").sha256 == freeze(plain_, "one.csv").sha256
    with pytest.raises(DataRejected, match="not a whole gzip file"):
        freeze(packed[:-10], "two.csv.gz")
    small = Context(settings=ctx.settings.model_copy(update={"max_bytes": 1000}), artifacts=ctx.artifacts)
    (ctx.settings.project / "bomb.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,x\n" * 10_000))
    with pytest.raises(DataRejected, match="unpacks to more than 1,000 bytes"):
        tables.freeze(small, "bomb.csv.gz")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1, "b": "x"}\n\n{"a": 2.5, "b": null}\n', {"a": [1.0, 2.5], "b": ["x", None]}),
        ('\ufeff[{"a": 1}, {"a": 2, "c": true}]', {"a": [1, 2], "c": [None, True]}),
        ('[\n  {"a": {"b": 1, "c": {"d": "x"}}},\n  {"a": {"b": 2}}\n]', {"a.b": [1, 2], "a.c.d": ["x", None]}),
        ('{"a": "2024-01-05"}\n{"a": "2024-01-06"}', {"a": [datetime(2024, 1, 5), datetime(2024, 1, 6)]}),  # noqa: DTZ001
        ('[{"a": 0.1}, {"a": NaN}, {"a": 123456789.123}]', {"a": [0.1, None, 123456789.123]}),
    ],
)
def test_json_is_read_as_lines_or_as_an_array(read: Read, content: str, expected: dict[str, list[Any]]) -> None:
    assert read(content, "table.json") == expected
    assert read(content, "table.jsonl") == expected


@pytest.mark.parametrize(
    ("content", "column", "row", "says"),
    [
        ('{"a": 1}\n{"a": 2,}\n', None, 2, "not valid JSON"),
        ('{"a": 1}\n{"a": [1]}\n', "a", 2, "holds a list"),
        ('[{"a": 1}, {"a": 2}', None, 2, "not valid JSON"),
        ('[{"a": 1} {"a": 2}]', None, 1, "in place of a comma"),
        ("[1, 2]", None, 1, "is not an object"),
        ('{\n"a": {"0": 1}\n}', None, 1, "to_json"),
        ('{"a": 1, "a": 2}', "a", None, "twice"),
        ('{"a.b": 1, "a": {"b": 2}}', "a.b", 1, "two values"),
        ("[" * 50_000, None, None, "nested too deeply"),
        ("[]", None, None, "no rows"),
    ],
)
def test_broken_json_is_refused_by_column_and_row(
    read: Read,
    content: str,
    column: str | None,
    row: int | None,
    says: str,
) -> None:
    with pytest.raises(DataRejected, match=says) as caught:
        read(content, "table.json")
    assert (caught.value.column, caught.value.row) == (column, row)


def test_a_long_array_is_read_piece_by_piece(read: Read) -> None:
    rows = [{"n": place, "text": "x" * (place % 300) + "[{,}]"} for place in range(5000)]
    assert read(json.dumps(rows, indent=1), "table.json") == {
        name: [row[name] for row in rows] for name in ("n", "text")
    }


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_text_comes_back_as_it_was_written(
    ctx: Context, rows: list[tuple[str, str]], delimiter: str, encoding: str
) -> None:
    whole = [("first word", "second word"), ("some words", "more words"), *rows]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(whole)
    path = ctx.settings.project / "any.csv"
    path.write_bytes(out.getvalue().encode(encoding))
    found = values(ctx, _again(ctx, path))
    expected = [pair for pair in ((_kept(one), _kept(two)) for one, two in whole[1:]) if pair != (None, None)]
    assert list(zip(*found.values(), strict=True)) == expected


def _again(ctx: Context, path: Path) -> Dataset:
    """Freeze a file that may have the size and, on a coarse clock, the time of the one before it."""
    from mcp_orchestrator.methods.tables import datasets

    datasets._known.clear()
    return tables.freeze(ctx, path.name)


def _kept(text: str) -> str | None:
    import pyarrow as pa
    from pyarrow import compute

    trimmed = compute.utf8_trim_whitespace(pa.scalar(text)).as_py()
    return None if trimmed.lower() in MISSING else trimmed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(
        st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17), min_size=1, max_size=20
    )
)
def test_any_number_comes_back_as_the_same_number(ctx: Context, numbers: list[float]) -> None:
    path = ctx.settings.project / "numbers.csv"
    path.write_text("n,w\n" + "".join(f"{number!r},x\n" for number in numbers))
    found = values(ctx, _again(ctx, path))["n"]
    whole = all(isinstance(one, int) for one in numbers)
    assert all(math.isclose(one, two, rel_tol=0) for one, two in zip(found, numbers, strict=True))
    assert all(isinstance(one, int) for one in found) is whole


def test_a_table_that_outgrows_the_memory_gives_the_same_bytes(
    ctx: Context,
    freeze: Callable[..., Dataset],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    lines = [
        json.dumps({"n": place, "w": f"word {place % 7}"} | ({"late": place / 8} if place > 40_000 else {}))
        for place in range(60_000)
    ]
    within = freeze("\n".join(lines), "within.jsonl")
    monkeypatch.setattr(spool, "MOST", 1 << 16)
    monkeypatch.setattr(spool.Spool.__init__, "__defaults__", (1 << 16,))
    spilled: list[Path] = []
    original = spool.Spool._spill
    monkeypatch.setattr(spool.Spool, "_spill", lambda self: (spilled.append(self._folder), original(self))[1])
    elsewhere = Settings.load(ctx.settings.project, home=tmp_path / "other")
    beyond = tables.freeze(
        Context(settings=elsewhere, artifacts=ArtifactStore(elsewhere.home / "artifacts")), "within.jsonl"
    )
    assert spilled
    assert not spilled[0].exists()
    assert beyond.sha256 == within.sha256
    assert beyond.profile == within.profile


MEASURE = """
import resource, sys
from pathlib import Path
from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.methods import tables
from mcp_orchestrator.settings import Settings

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

import pandas, pyarrow.csv, pyarrow.compute, pyarrow.parquet, sklearn.tree
settings = Settings.load(sys.argv[1])
ctx = Context(settings=settings, artifacts=ArtifactStore(settings.home / "artifacts"))
before = peak()
frozen = tables.freeze(ctx, "large.csv", target="answer")
print(frozen.rows, frozen.profile.classes["yes"], frozen.profile.columns[0].maximum, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process is read through resource")
def test_a_large_file_is_frozen_in_bounded_memory(tmp_path: Path) -> None:
    # To read this file, pandas takes 290 (2.3) to 410 MB (3.1), pyarrow 380 to 440; here it is 120 to 160.
    piece = "".join(
        f"{place},{place * 0.37:.5f},2024-01-{place % 28 + 1:02d},word {place % 10007},{'yes' if place % 3 else 'no'}\n"
        for place in range(50_000)
    ).encode()
    pieces = -(-150_000_000 // len(piece))
    with (tmp_path / "large.csv").open("wb") as file:
        file.write(b"n,x,day,text,answer\n")
        file.writelines(piece for _ in range(pieces))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env={**__import__("os").environ, "PYTHONPATH": ":".join(one for one in sys.path if one)},
    )
    rows, positive, maximum, grown = done.stdout.split()
    assert int(rows) == 50_000 * pieces
    assert int(positive) == 33_333 * pieces
    assert float(maximum) == 49_999
    assert int(grown) < 230_000_000


def test_bytes_that_mean_nothing_raise_none_but_our_errors(ctx: Context) -> None:
    import random

    draw = random.Random(0)  # noqa: S311 - noise for a test
    for ending in ("csv", "tsv", "json", "jsonl", "parquet", "feather", "arrow", "xlsx", "db", "csv.gz"):
        for size in (1, 10, 1000):
            path = ctx.settings.project / f"noise-{size}.{ending}"
            path.write_bytes(draw.randbytes(size))
            with suppress(OrchestratorError):
                tables.freeze(ctx, path.name)
