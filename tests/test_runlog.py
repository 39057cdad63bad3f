"""The log of a run: what a worker says is kept by step and level, read in pages, and never grows beyond its limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_orchestrator.core.output import OLDER, log_of
from mcp_orchestrator.core.runlog import Line, read, remove
from mcp_orchestrator.errors import InvalidInput

RUN = "0123456789abcdef"
SAYING = """
import logging, os, subprocess, sys, warnings
from pathlib import Path
from mcp_orchestrator.core.output import Recorder
recorder = Recorder(Path(sys.argv[1]), int(sys.argv[2]))
recorder.install("WARNING")
run = sys.argv[3]
"""
EVERYTHING = """
with recorder.step(run, "load", 1, "toys.load"):
    print("printed", "words")
    print("an unfinished line", end="", flush=True)
with recorder.step(run, "fit", 2, "toys.fit"):
    logging.getLogger("foreign").warning("careful with %s", "this")
    logging.getLogger("foreign").info("too small to be kept")
    logging.getLogger("mcp_orchestrator.x").info("ours counts from here")
    warnings.warn("of old")
    os.write(1, b"from native code\\n")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    sys.stderr.write("10 %\\r20 %\\r30 %\\n")
    sys.stdout.buffer.write(b"bytes \\xff\\n")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("foreign").exception("failed")
"""


def say(home: Path, program: str, *, limit: int = 0, run: str = RUN) -> None:
    """Let a process do what a worker does."""
    paths = os.pathsep.join(one for one in sys.path if one)
    command = [sys.executable, "-W", "always", "-c", SAYING + program, str(home), str(limit), run]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", ""), "all that is said goes to the log"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a log in which everything was said."""
    made = tmp_path_factory.mktemp("home")
    say(made, EVERYTHING)
    return made


def said(home: Path, **chosen: str) -> list[tuple[str, str, str]]:
    lines = read(home, RUN, most=1000, **chosen).lines  # type: ignore[arg-type]  # only texts are given
    return [(one.level, one.logger, one.message) for one in lines if not one.event]


def test_what_is_printed_logged_and_written_by_native_code_stands_under_its_step(home: Path) -> None:
    lines = [one for one in read(home, RUN).lines if not one.event]
    assert {(one.step, one.attempt) for one in lines} == {("load", 1), ("fit", 2)}
    assert said(home, step="load") == [("INFO", "stdout", "printed words"), ("INFO", "stdout", "an unfinished line")]
    messages = [message for _, _, message in said(home, step="fit")]
    assert "careful with this" in messages
    assert "ours counts from here" in messages
    assert {"from native code", "from a child", "30 %", "bytes \ufffd"} <= set(messages)
    assert not [one for one in messages if "too small" in one or "10 %" in one]
    assert [one.logger for one in lines if one.message.startswith("from ")] == ["output", "output"]
    assert all(one.time for one in lines)
    assert [one.time for one in lines] == sorted(one.time for one in lines)


def test_lines_below_a_level_are_left_out(home: Path) -> None:
    found = said(home, level="warning")
    assert {level for level, _, _ in found} == {"WARNING", "ERROR"}
    assert any("of old" in message for _, logger, message in found if logger == "py.warnings")
    [(_, _, message)] = said(home, level="error")
    assert message.startswith("failed\nTraceback")
    assert message.endswith("ZeroDivisionError: division by zero")
    assert said(home, step="load", level="warning") == []


def test_a_line_of_the_file_is_json_for_other_programs_too(home: Path) -> None:
    first, *_ = log_of(home, RUN).read_bytes().splitlines()
    line = json.loads(first)
    assert {"time", "level", "run", "step", "attempt", "logger", "message"} <= line.keys()
    assert (line["run"], line["step"], line["event"]) == (RUN, "load", "begin")
    assert (log_of(home, RUN).stat().st_mode & 0o777) == 0o600


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_pages_join_to_the_whole(home: Path, most: int) -> None:
    whole = read(home, RUN, most=1000)
    assert not whole.more
    lines: list[Line] = []
    cursor, more = "", True
    while more:
        page = read(home, RUN, cursor=cursor, most=most)
        assert len(page.lines) <= most
        lines, cursor, more = [*lines, *page.lines], page.cursor, page.more
    assert lines == whole.lines
    assert read(home, RUN, cursor=cursor).lines == []


def test_what_native_code_wrote_has_the_time_of_the_record_before_it_in_every_page(tmp_path: Path) -> None:
    records = [
        json.dumps({"time": f"2026-01-0{day}", "level": "INFO", "logger": "l", "message": "m"}) for day in (1, 2)
    ]
    path = log_of(tmp_path, RUN)
    path.parent.mkdir(parents=True)
    path.write_text("\n".join([*records, "one", "two", "three"]) + "\n")
    cursor = ""
    times: list[str] = []
    for _ in range(5):
        page = read(tmp_path, RUN, cursor=cursor, most=1)
        times, cursor = [*times, page.lines[0].time], page.cursor
    assert times == ["2026-01-01", *["2026-01-02"] * 4]


def test_what_is_not_yet_a_whole_line_waits_for_the_next_page(tmp_path: Path) -> None:
    path = log_of(tmp_path, RUN)
    path.parent.mkdir()
    path.write_bytes(b'one\n{"time": "2026-01-01T00:00:00.000Z", "lev')
    page = read(tmp_path, RUN)
    assert [one.message for one in page.lines] == ["one"]
    with path.open("ab") as file:
        file.write(b'el": "ERROR", "logger": "a", "message": "two"}\n')
    page = read(tmp_path, RUN, cursor=page.cursor)
    assert [(one.level, one.message) for one in page.lines] == [("ERROR", "two")]


def test_native_output_beside_another_step_is_marked_as_a_guess(tmp_path: Path) -> None:
    line = {"time": "t", "level": "INFO", "logger": "worker", "message": ""}
    records = [{**line, "step": step, "event": event} for step, event in STEPS]
    texts = [f"{json.dumps(one)}\nraw {place}\n" for place, one in enumerate(records)]
    log_of(tmp_path, RUN).parent.mkdir()
    log_of(tmp_path, RUN).write_text("".join(texts))
    raw = [(one.message, one.step, one.guessed) for one in read(tmp_path, RUN).lines if not one.event]
    assert raw == [("raw 0", "a", False), ("raw 1", "b", True), ("raw 2", "b", False), ("raw 3", "b", False)]


STEPS = [("a", "begin"), ("b", "begin"), ("a", "end"), ("b", "end")]


def test_a_record_behind_a_line_that_was_not_ended_is_not_lost(tmp_path: Path) -> None:
    say(
        tmp_path,
        """
with recorder.step(run, "a", 1, "toys.a"):
    os.write(1, b"not ended")
with recorder.step(run, "b", 1, "toys.b"):
    os.write(1, b'{"time": "no record"}\\n')
""",
    )
    lines = read(tmp_path, RUN).lines
    ends = [("a", "begin"), ("a", ""), ("a", "end"), ("b", "begin"), ("b", ""), ("b", "end")]
    assert [(one.step, one.event) for one in lines] == ends
    assert not any(one.guessed for one in lines)
    first = read(tmp_path, RUN, most=2)
    assert first.lines[1].message == "not ended"
    assert read(tmp_path, RUN, cursor=first.cursor).lines == lines[2:]


def test_a_log_turns_over_at_its_limit_and_is_read_from_what_is_left(tmp_path: Path) -> None:
    say(tmp_path, TALKING, limit=1)
    path = log_of(tmp_path, RUN)
    older = path.with_name(path.name + OLDER)
    assert 0 < path.stat().st_size + older.stat().st_size <= (1 << 20) + 4096
    numbers = [int(one.message.split()[0]) for one in read(tmp_path, RUN, most=10**6).lines if not one.event]
    assert numbers == list(range(numbers[0], 30_000))
    assert numbers[0] > 0
    middle = read(tmp_path, RUN, most=10)
    say(tmp_path, "with recorder.step(run, 'talk', 1, 'toys.talk'): print('30000 x')")
    after = read(tmp_path, RUN, cursor=middle.cursor, most=10**6).lines
    assert int(after[0].message.split()[0]) == numbers[0] + 10
    assert after[-2].message == "30000 x"


TALKING = """
with recorder.step(run, "talk", 1, "toys.talk"):
    for number in range(30_000):
        print(number, "x" * 50)
"""


def test_two_workers_that_fill_one_log_lose_no_line_that_fits(tmp_path: Path) -> None:
    paths = os.pathsep.join(one for one in sys.path if one)
    talking = TALKING.replace('"talk"', "sys.argv[4]")
    command = [sys.executable, "-c", SAYING + talking, str(tmp_path), "4", RUN]
    both = [subprocess.Popen([*command, name], env={**os.environ, "PYTHONPATH": paths}) for name in ("a", "b")]
    assert [one.wait() for one in both] == [0, 0]
    lines = read(tmp_path, RUN, most=10**6).lines
    for name in ("a", "b"):
        numbers = [int(one.message.split()[0]) for one in lines if one.step == name and not one.event]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) == len(numbers)
        assert numbers[-1] == 29_999
    path = log_of(tmp_path, RUN)
    assert path.stat().st_size + path.with_name(path.name + OLDER).stat().st_size <= (4 << 20) + 8192


def test_a_step_goes_on_where_nothing_can_be_written_and_nothing_goes_to_another_log(tmp_path: Path) -> None:
    log_of(tmp_path, "other").mkdir(parents=True)
    say(tmp_path, WANDERING)
    assert said(tmp_path, step="a") == [("INFO", "stdout", "here"), ("INFO", "output", "raw")]
    assert said(tmp_path, step="c") == [("INFO", "stdout", "here again")]
    assert "nowhere" not in log_of(tmp_path, RUN).read_text()
    assert (tmp_path / "went on").exists()


WANDERING = """
with recorder.step(run, "a", 1, "toys.a"):
    print("here")
    os.write(1, b"raw\\n")
with recorder.step("other", "b", 1, "toys.b"):
    print("nowhere")
    os.write(1, b"nowhere\\n")
    (Path(sys.argv[1]) / "went on").touch()
with recorder.step(run, "c", 1, "toys.c"):
    print("here again")
"""


def test_a_log_that_was_removed_while_a_worker_had_it_is_begun_again(tmp_path: Path) -> None:
    say(
        tmp_path,
        """
with recorder.step(run, "a", 1, "toys.a"):
    print("gone")
(Path(sys.argv[1]) / "logs" / f"{run}.log").unlink()
with recorder.step(run, "b", 1, "toys.b"):
    print("kept")
""",
    )
    assert said(tmp_path) == [("INFO", "stdout", "kept")]


def test_a_log_that_there_is_not_is_empty_and_removing_it_frees_what_it_took(tmp_path: Path) -> None:
    assert read(tmp_path, "unknown").lines == []
    assert remove(tmp_path, "unknown") == 0
    say(tmp_path, EVERYTHING)
    assert remove(tmp_path, RUN) > 500
    assert read(tmp_path, RUN).lines == []


@pytest.mark.parametrize(("chosen", "says"), [({"level": "loud"}, "warning"), ({"cursor": "12"}, "cursor of the page")])
def test_a_level_or_a_cursor_that_is_none_is_refused(home: Path, chosen: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        said(home, **chosen)
