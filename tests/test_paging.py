"""Large answers: what is shown of them says what is left out, and the pages together are the whole."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import bulks
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journaled import submitted
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from served import TRAINED, Era, Served, served

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.server import paging
from mcp_orchestrator.server.concise import paged
from mcp_orchestrator.server.paging import Pages
from mcp_orchestrator.server.results import RunAnswer
from mcp_orchestrator.server.shrinking import BUDGET, Part, fitting, lightened, page, shrunk, weight
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import Estimate
from mcp_orchestrator.view import RunView

pytestmark = pytest.mark.anyio
LARGE = bulks.rows(1500)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=40,
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, components={"bulks": "bulks"}, workers=1)


def joined(parts: list[dict[str, Any]]) -> Any:
    """Put the parts of all pages together again."""
    whole: Any = None
    places: dict[str, Any] = {}

    def place(at: str, kind: type) -> Any:
        nonlocal whole
        if at not in places:
            made = places[at] = kind()
            if not at:
                whole = made
            else:
                above, _, name = at.rpartition("/")
                put(above, name.replace("~1", "/").replace("~0", "~"), made)
        return places[at]

    def put(at: str, name: str, value: Any) -> None:
        holder = places.get(at)
        if holder is None:
            holder = place(at, list if name.isdecimal() else dict)
        if isinstance(holder, list):
            assert len(holder) == int(name), "in order, and nothing is missing"
            holder.append(value)
        else:
            holder[name] = value

    for part in parts:
        if "entries" in part:
            place(part["at"], dict).update(part["entries"])
        elif "items" in part:
            known = place(part["at"], list)
            assert len(known) == part["begin"]
            known.extend(part["items"])
        else:
            above, _, name = part["at"].rpartition("/")
            before = "" if part["begin"] == 0 else places[above][name]
            assert len(before) == part["begin"]
            place(above, dict)[name] = before + part["text"]
    return whole


# Shrinking -----------------------------------------------------------------------------------------------------------


def test_what_fits_is_shown_as_it_is() -> None:
    small = bulks.rows(20)
    assert shrunk(small) == (small, [])


def test_of_what_is_too_large_the_first_is_shown_and_the_rest_counted() -> None:
    shown, left = shrunk(LARGE)
    assert weight(shown) <= BUDGET < weight(LARGE)
    assert shown["verdict"] == "fine"
    assert shown["rows"] == LARGE["rows"][: len(shown["rows"])]
    assert shown["report"].removesuffix("…") == LARGE["report"][: len(shown["report"]) - 1]
    told = {one.at: (one.kind, one.total, one.shown) for one in left}
    assert told["/rows"] == ("list", 1500, len(shown["rows"]))
    assert told["/report"] == ("text", len(LARGE["report"]), len(shown["report"]) - 1)


def test_the_places_of_the_entries_of_a_list_are_told_as_one() -> None:
    folds = {"folds": [{"scores": list(range(900))} for _ in range(30)]}
    shown, left = shrunk(folds)
    told = {one.at: (one.total, one.shown) for one in left}
    assert told["/folds/*/scores"] == (900 * len(shown["folds"]), sum(len(one["scores"]) for one in shown["folds"]))


@pytest.mark.parametrize(
    "value",
    [
        "x" * 100_000,
        [[[["deep" * 200] * 9] * 9] * 9] * 9,
        {f"key {number}": "x" * 300 for number in range(3000)},
        {"k" * 50_000: 1, "short": "x" * 50_000},
        {f"{number}/~": [{"a": ["y" * 500] * 30}] * 30 for number in range(100)},
    ],
    ids=["text", "deep", "wide", "key", "mixed"],
)
def test_whatever_it_is_it_fits_and_says_what_is_missing(value: Any) -> None:
    shown, left = shrunk(value)
    assert weight(shown) <= BUDGET
    assert left
    assert all(one.shown < one.total for one in left)
    assert len(left) <= 21


def test_the_heaviest_of_several_facts_is_shrunk_and_what_must_be_whole_is_kept() -> None:
    facts = {"metrics": {f"m{number}": "x" * 90 for number in range(100)}, "steps": LARGE["rows"], "error": "no"}
    shown, left = lightened(facts, ["metrics"])
    assert shown["metrics"] == facts["metrics"]
    assert shown["error"] == "no"
    assert weight(shown) <= BUDGET
    assert [one.at for one in left] == ["/steps"]


def test_at_least_the_first_of_a_list_is_shown() -> None:
    assert fitting(["x" * 2 * BUDGET, "y"]) == 1
    assert fitting(["x" * 1000] * 100) == 15
    assert fitting([]) == 0


# Pages ---------------------------------------------------------------------------------------------------------------


def through(value: Any, budget: int) -> list[Part]:
    """Return the parts of all pages."""
    found: list[Part] = []
    begin: int | None = 0
    while begin is not None:
        parts, following = page(value, begin, budget)
        assert following is None or following > begin
        found += parts
        begin = following
    return found


def test_the_pages_together_are_the_whole() -> None:
    parts = through(LARGE, BUDGET)
    assert joined([one.model_dump(exclude_none=True) for one in parts]) == LARGE


@hypothesis.settings(deadline=None, max_examples=25, database=None, derandomize=True)
@given(st.dictionaries(st.text(max_size=8).filter(lambda name: not name.isdecimal()), JSON, min_size=1, max_size=6))
def test_pages_of_any_result_lose_nothing(value: dict[str, Any]) -> None:
    value["long"] = [{"text": "z" * 3000, "a/b~c": list(range(900))}, "tail"]
    parts = through(value, 700)
    assert joined([one.model_dump(exclude_unset=True) for one in parts]) == value


def test_a_run_of_many_large_steps_comes_in_smaller_pages() -> None:
    facts = {"run_id": "1", "leaderboard": [{"trial": number, "params": "p" * 900} for number in range(60)]}
    seen: list[Any] = []
    begin: int | None = 0
    while begin is not None:
        shown, following = paged(facts, begin)
        assert weight(shown) <= BUDGET
        seen += shown["leaderboard"]
        begin = following
    assert seen == facts["leaderboard"]


def test_a_run_that_is_too_large_says_what_is_left_out_and_where_it_is() -> None:
    run = RunView(run_id="a" * 32, workflow="custom", status="succeeded", outputs={"told": "x" * 90_000})  # type: ignore[arg-type]
    for detail in ("concise", "full"):
        facts = RunAnswer.of(run, detail).facts()
        assert weight(facts) <= BUDGET + 1000
        [left] = facts["left_out"]
        assert (left["at"], left["kind"], left["total"]) == ("/outputs/told", "text", 90_000)
        assert f"run://{run.run_id} " in facts["next"][-1]
    assert RunAnswer.whole(run).facts()["outputs"] == {"told": "x" * 90_000}


# Cursors -------------------------------------------------------------------------------------------------------------


def test_a_cursor_is_good_for_who_got_it_and_what_it_is_of_also_after_a_restart(tmp_path: Path) -> None:
    cursor = Pages(tmp_path, "ann").keep("toys.rows", LARGE)
    name, found, begin = Pages(tmp_path, "ann").find("toys.rows", cursor)
    assert (found, begin) == (LARGE, 0)
    further = Pages(tmp_path, "ann").cursor(name, 17)
    assert Pages(tmp_path, "ann").find("toys.rows", further)[2] == 17
    assert (tmp_path / "results" / name).stat().st_mode & 0o777 == 0o600
    for who, about, given_, said in (
        ("bob", "toys.rows", cursor, "not one that was given to you"),
        (None, "toys.rows", cursor, "not one that was given to you"),
        ("ann", "toys.rows", cursor.replace(".0.", ".1."), "not one that was given to you"),
        ("ann", "toys.rows", "../../orchestrator.db", "not one that was given to you"),
        ("ann", "toys.rows", "", "not one that was given to you"),
        ("ann", "toys.other", cursor, r"is of toys\.rows"),
    ):
        with pytest.raises(InvalidInput, match=said):
            Pages(tmp_path, who).find(about, given_)


def test_results_are_kept_for_a_day_and_not_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(tmp_path, None)
    old = pages.keep("toys.rows", [1])
    before = time.time() - 90_000
    os.utime(tmp_path / "results" / old.partition(".")[0], (before, before))
    young = pages.keep("toys.rows", [2])
    with pytest.raises(InvalidInput, match=r"expired.*Call again without cursor"):
        pages.find("toys.rows", old)
    assert pages.find("toys.rows", young)[1] == [2]
    monkeypatch.setattr(paging, "MOST", 3)
    for number in range(6):
        pages.keep("toys.rows", number)
    assert len(list((tmp_path / "results").iterdir())) == 3


# Through the server --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_large_result_is_shrunk_and_its_pages_are_had_without_calling_again(
    settings: Settings, era: Era
) -> None:
    call = {"component": "bulks", "capability": "rows"}
    async with served(settings, era) as server:
        small = await server.call("invoke_ml_component", **call, params={"count": 3})
        assert small == {**call, "result": bulks.rows(3)}
        empty = await server.call("invoke_ml_component", component="bulks", capability="nothing")
        assert empty["result"] is None
        shown = await server.call("invoke_ml_component", **call, params={"count": 1500})
        assert weight(shown) <= BUDGET + 1000
        assert {one["at"] for one in shown["left_out"]} == {"/rows", "/report"}
        full = await server.call("invoke_ml_component", **call, params={"count": 1500}, detail="full")
        assert "result" not in full
        parts = full["parts"]
    async with served(settings, era) as server:
        executor = server.orchestrator.dispatcher.executor
        executor.submit = None  # type: ignore[method-assign,assignment] # nothing is called from here on
        while cursor := full.get("next_cursor"):
            full = await server.call("invoke_ml_component", **call, cursor=cursor)
            assert weight(full) <= BUDGET + 1000
            parts += full["parts"]
        assert joined(parts) == LARGE
        assert await pages_of(server, call, shown["next_cursor"]) == LARGE
        other = {**call, "capability": "nothing", "cursor": shown["next_cursor"]}
        assert "is of bulks.rows" in await server.refusal("invoke_ml_component", **other)
        assert "cursor: is not one" in await server.refusal("invoke_ml_component", **call, cursor="50")


async def test_a_cursor_is_of_no_use_to_another_subject(settings: Settings) -> None:
    call = {"component": "bulks", "capability": "rows"}
    cursors: dict[str, str] = {}
    for name in ("ann", "bob"):
        token = AccessToken(token=name * 8, client_id="test", subject=name, scopes=["ml:run"])
        before = auth_context_var.set(AuthenticatedUser(token))
        try:
            async with served(settings) as server:
                shown = await server.call("invoke_ml_component", **call, params={"count": 1500})
                cursors[name] = shown["next_cursor"]
                assert (await server.call("invoke_ml_component", **call, cursor=cursors[name]))["parts"]
                if name == "bob":
                    refusal = await server.refusal("invoke_ml_component", **call, cursor=cursors["ann"])
                    assert "cursor: is not one that was given to you" in refusal
        finally:
            auth_context_var.reset(before)


async def pages_of(server: Served, call: dict[str, Any], cursor: str | None) -> Any:
    """Return what the pages from a cursor on are together."""
    parts: list[dict[str, Any]] = []
    while cursor:
        one = await server.call("invoke_ml_component", **call, cursor=cursor)
        parts += one["parts"]
        cursor = one.get("next_cursor")
    return joined(parts)


async def test_long_lists_of_components_runs_and_models_come_in_pages(settings: Settings) -> None:
    trained = TRAINED.model_copy(update={"features": [f"column {number}" for number in range(400)]})
    async with served(settings) as server:
        held = server.orchestrator
        for number in range(12):
            held.versions.register(
                "churn", trained, metrics={"auc": Estimate(value=0.9, low=0, high=1)}, run=f"{number}"
            )
        numbers = [one["version"] for one in await listed(server, "find_models", "models", name="churn")]
        assert numbers == list(range(12, 0, -1))
        held.versions.register("wide", trained.model_copy(update={"features": ["x" * 50] * 5000}))
        [wide] = (found := await server.call("find_models", name="wide"))["models"]
        assert found["left_out"] == [
            {"at": "/models/*/features", "kind": "list", "total": 5000, "shown": len(wide["features"])}
        ]
        assert "model://wide@1 has all of it" in found["next"]
        whole = (await server.client.read_resource("model://wide@1")).contents[0]
        assert len(json.loads(whole.text)["features"]) == 5000  # type: ignore[union-attr]

        for number in range(30):
            submitted(held.journal, data=f"{number}" + "d" * 1500, target="y")
        runs = await listed(server, "list_runs", "runs")
        assert len({one["run_id"] for one in runs}) == len(runs) == 30

        many = {f"bulks{number}": "bulks" for number in range(90)}
        held.registry = Registry(many)
        names = [one["name"] for one in await listed(server, "find_ml_components", "components")]
        assert set(many) < set(names)
        assert len(names) == len(set(names))


async def listed(server: Served, tool: str, what: str, **arguments: Any) -> list[dict[str, Any]]:
    """Return all that a tool lists, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor:
        one = await server.call(tool, **arguments, **({"cursor": cursor} if cursor else {}))
        assert weight(one) <= BUDGET + 1000
        found += one[what]
        cursor = one.get("next_cursor")
        pages += 1
    assert pages > 1
    return found


async def test_of_a_component_that_is_too_large_one_capability_is_had_by_its_name(tmp_path: Path) -> None:
    async with served(Settings.load(tmp_path)) as server:
        found = await server.call("find_ml_components", name="automl_orchestrator")
        assert weight(found) <= BUDGET + 1000
        [whole] = found["components"]
        known: dict[str, Capability[..., Any]] = dict(Orchestrator(tmp_path).registry.get(whole["name"]).capabilities)
        assert whole["capabilities"].keys() == known.keys()
        short = [name for name, one in whole["capabilities"].items() if "params" not in one]
        assert short, "else the test is about nothing"
        assert f'name="automl_orchestrator.{short[0]}"' in found["next"][-1]
        [one] = (await server.call("find_ml_components", name=f"automl_orchestrator.{short[0]}"))["components"]
        assert one["capabilities"][short[0]]["params"] == known[short[0]].schema
        refusal = await server.refusal("find_ml_components", name="automl_orchestrator.tun")
        assert "There is no capability of automl_orchestrator 'tun'" in refusal
