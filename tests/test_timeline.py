"""The timeline of a run: what stands in its lanes, and what is drawn of them, as text and as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.image import imread

from mcp_orchestrator.core import picture as picture_module
from mcp_orchestrator.core.gantt import gantt
from mcp_orchestrator.core.picture import picture
from mcp_orchestrator.core.rows import Approval, AttemptRow, RunRow, Status, StepRow
from mcp_orchestrator.core.timeline import duration, folded, timeline
from mcp_orchestrator.errors import StepFailed
from mcp_orchestrator.methods.plots import timeline as drawn
from mcp_orchestrator.values import Lane, Span, Timeline

SECOND = 1_000_000
BLUE = (0x25, 0x63, 0xEB)
PINK = (0xD6, 0x33, 0x6C)


def run(*, begun: float | None = 0.0, ended: float | None = 12.0, status: str = "succeeded") -> RunRow:
    return RunRow(
        id="3f2a9c1b00112233",
        workflow="train",
        spec={},
        status=Status(status),
        created=5 * SECOND,
        started=_at(begun),
        ended=_at(ended),
    )


def step(name: str, begin: float, end: float | None, status: str = "done") -> StepRow:
    moments = {"started": _at(begin), "ended": _at(end)}
    component = "workflow" if name == "approve" else "c"
    return StepRow.model_validate(
        {"name": name, "component": component, "capability": "d", "inputs": "", "status": status, **moments}
    )


def attempt(name: str, number: int, times: Sequence[float | None], status: str = "done") -> AttemptRow:
    asked, started, ended = (_at(one) for one in times)
    return AttemptRow.model_validate(
        {"step": name, "number": number, "status": status, "asked": asked, "started": started, "ended": ended}
    )


def _at(seconds: float | None) -> int | None:
    return None if seconds is None else int((5 + seconds) * SECOND)


def lane(shown: Timeline, name: str) -> Lane:
    return next(one for one in shown.lanes if one.name == name)


def line(text: str, name: str) -> str:
    return next(one for one in text.splitlines() if one.startswith(name))


@pytest.fixture
def shown() -> Timeline:
    """A run with a retry, a question, a step that was left out, and one that ran out of time."""
    steps = [
        step("load", 0, 1),
        step("tune", 1, 7),
        step("approve", 7, 9),
        step("skip", 9, 9, "skipped"),
        step("fit", 9, 12, "timed_out"),
    ]
    attempts = [
        attempt("load", 1, (0, 0, 1)),
        attempt("tune", 1, (1, 2, 4), "lost"),
        attempt("tune", 2, (5, 5, 7)),
        attempt("fit", 1, (9, 10, 12), "timed_out"),
    ]
    asked = Approval(run="x", name="approve", question="?", status="approved", asked=12 * SECOND, decided=14 * SECOND)
    return timeline(run(status="timed_out"), steps, attempts, [asked], now=10**12)


def test_waiting_running_and_pauses_are_told_apart(shown: Timeline) -> None:
    spans = [(one.kind, one.begin, one.end) for one in lane(shown, "tune").spans]
    assert sorted(spans, key=lambda one: one[1]) == [
        ("waiting", 1, 2),
        ("lost", 2, 4),
        ("pause", 4, 5),
        ("done", 5, 7),
    ]
    assert [(one.kind, one.at) for one in lane(shown, "tune").marks] == [("retry", 5)]
    assert lane(shown, "tune").took == "6.0 s"
    assert [(one.kind, one.at) for one in lane(shown, "approve").marks] == [("asked", 7), ("approved", 9)]
    assert [one.kind for one in lane(shown, "skip").marks] == ["skipped"]
    assert (shown.seconds, shown.ended) == (12, True)
    assert "4 attempts" in shown.subtitle


def test_what_has_not_ended_goes_on_to_the_moment_of_the_look() -> None:
    going = run(ended=None, status="running")
    rows = [attempt("fit", 1, (1, 2, None), "running"), attempt("wait", 1, (3, None, None), "running")]
    steps = [step("fit", 1, None, "running"), step("wait", 3, None, "running")]
    shown = timeline(going, steps, rows, [], now=(5 + 30) * SECOND)
    assert (shown.seconds, shown.ended) == (30, False)
    assert [(one.kind, one.end) for one in lane(shown, "fit").spans] == [("waiting", 2), ("running", 30)]
    assert [(one.kind, one.begin, one.end) for one in lane(shown, "wait").spans] == [("waiting", 3, 30)]
    assert line(gantt(shown), "fit").split()[-3].endswith("▶")


def test_time_in_the_queue_and_steps_of_another_run_are_seen() -> None:
    shown = timeline(run(begun=6), [step("old", -4, -2), step("new", 6, 12)], [], [], now=0)
    assert [one.name for one in shown.lanes] == ["(in the queue)", "old", "new"]
    assert shown.lanes[0].spans == [Span(kind="queued", begin=0, end=6)]
    assert [one.kind for one in lane(shown, "old").marks] == ["copied"]
    assert lane(shown, "old").spans == []
    assert lane(shown, "new").spans == [Span(kind="done", begin=6, end=12)]


@pytest.mark.parametrize("width", [50, 80, 100, 200])
def test_the_text_is_as_wide_as_wanted_and_its_bars_are_to_scale(shown: Timeline, width: int) -> None:
    text = gantt(shown, width)
    assert max(map(len, text.splitlines())) <= max(width, len(text.splitlines()[0]))
    bar = line(text, "tune")
    chart = len(bar) - len("approve  ") - len("  6.0 s (2 attempts)")
    for sign, seconds in (("░", 1), ("┄", 1)):
        assert abs(bar.count(sign) - chart * seconds / 12) <= 1
    assert abs(bar.count("━") + 2 - chart * 4 / 12) <= 3
    for sign in ("†", "↻"):
        assert sign in bar
        assert sign in text.partition("\n\n")[2].rpartition("\n\n")[2], "what is drawn is explained"
    assert "◇" in line(text, "approve")
    assert line(text, "fit").split()[-3].endswith("◷")
    assert "⊘" not in text


def test_names_that_are_long_keep_their_beginning_and_their_end() -> None:
    name = "a step with a name that is much too long for a line of a terminal, number 17"
    text = gantt(timeline(run(), [step(name, 0, 12)], [], [], now=0), 80)
    shortened = next(one for one in text.splitlines() if one.startswith("a step"))
    assert "…" in shortened
    assert "number 17  ━" in shortened
    assert len(shortened) <= 80


def test_many_items_of_a_map_share_a_lane_and_many_steps_are_cut_in_the_middle() -> None:
    items = [step(f"score[{number}]", number / 100, number / 100 + 2) for number in range(1000)]
    items[500] = items[500].model_copy(update={"status": "failed"})
    whole = timeline(run(), [step("load", 0, 1), *items], [], [], now=0)
    assert len(whole.lanes) == 1001
    few = folded(whole)
    assert [one.name for one in few.lanes] == ["load", "score[1000 items]"]
    assert few.lanes[1].note == "999 done, 1 failed"
    assert few.lanes[1].status == "failed"
    several = timeline(run(), [step(f"step_{number}", number / 100, 12) for number in range(250)], [], [], now=0)
    cut = folded(several, 100)
    assert len(cut.lanes) == 100
    assert cut.lanes[49].name == "(151 steps more)"
    assert (cut.lanes[0].name, cut.lanes[-1].name) == ("step_0", "step_249")
    assert folded(several, 250) == several


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0025, "2.5 ms"),
        (0.25, "250 ms"),
        (59.94, "59.9 s"),
        (61, "1 min 1 s"),
        (3 * 3600 + 125, "3 h 2 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_length_of_time_is_in_its_natural_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("seconds", [0.0007, 0.05, 1.0, 3.0, 100.0, 119.0, 121.0, 5000.0, 90_000.0, 3e6, 4e8])
def test_ticks_are_round_few_and_within_the_run(seconds: float) -> None:
    ticks = timeline(run(ended=seconds), [], [], [], now=0).ticks
    moments = [at for at, _ in ticks]
    assert 2 <= len(ticks) <= 14
    assert moments[0] == 0
    assert moments[-1] <= seconds * (1 + 1e-6)
    assert np.allclose(np.diff(moments), moments[1])
    assert len({label for _, label in ticks}) == len(ticks)


@pytest.mark.anyio
async def test_the_picture_shows_bars_to_scale_and_is_drawn_by_a_process_of_its_own() -> None:
    lanes = [
        Lane(name="long", status="done", spans=[Span(kind="done", begin=0, end=9)]),
        Lane(name="short", status="failed", spans=[Span(kind="failed", begin=9, end=12)]),
    ]
    shown = Timeline(title="train 1", subtitle="", seconds=12, ended=True, ticks=[(0, "0")], lanes=lanes)
    image = await picture(shown)
    blue, pink = pixels(image, BLUE), pixels(image, PINK)
    assert blue > 5000
    assert blue / pink == pytest.approx(3, rel=0.05)
    assert image == drawn(shown), "the same timeline is the same picture"


def pixels(image: bytes, color: tuple[int, int, int]) -> int:
    """Return how many pixels of the bars have a color: the legend below them does not count."""
    shades = (imread(io.BytesIO(image), format="png")[:, :, :3] * 255).round().astype(int)
    return int((shades[: len(shades) * 7 // 10] == color).all(axis=2).sum())


@pytest.mark.anyio
async def test_a_picture_that_cannot_be_drawn_is_an_error_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, shown: Timeline
) -> None:
    monkeypatch.setattr(picture_module, "DRAWS", "mcp_orchestrator.methods.plots.nothing")
    with pytest.raises(StepFailed, match="No module named"):
        await picture(shown)


@pytest.mark.parametrize("count", [0, 1, 30, 100])
def test_a_picture_of_any_number_of_steps_has_a_bounded_size(count: int) -> None:
    steps = [step(f"step {number} with $ and a name that is rather long", number / 10, 12) for number in range(count)]
    image = imread(io.BytesIO(drawn(timeline(run(), steps, [], [], now=0))), format="png")
    assert 150 <= len(image) <= 2100
    assert 700 <= len(image[0]) <= 1500


def test_every_kind_of_span_and_mark_is_drawn(shown: Timeline) -> None:
    kinds = ["queued", "waiting", "pause", "approval", "done", "running", "failed", "lost", "timed_out", "cancelled"]
    signs = ["retry", "asked", "approved", "refused", "skipped", "held", "copied", "point", "of tomorrow"]
    spans = [Span(kind=kind, begin=place, end=place + 1) for place, kind in enumerate([*kinds, "of tomorrow"])]
    marks = [{"kind": kind, "at": place + 0.5} for place, kind in enumerate(signs)]
    every = Lane.model_validate({"name": "all", "status": "done", "spans": spans, "marks": marks})
    whole = shown.model_copy(update={"lanes": [every]})
    assert drawn(whole) != drawn(shown.model_copy(update={"lanes": [every.model_copy(update={"marks": []})]}))
    bar = line(gantt(whole, 400), "all")
    assert not [sign for sign in "░┄┈━▶✗†◷⊘↻◇◆╌‖↩•" if sign not in bar]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
