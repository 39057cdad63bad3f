"""Graphs sent as JSON: checked whole before anything starts, then run side by side."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import InProcess
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.errors import InvalidInput, UnknownName
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.workflows import custom
from mcp_orchestrator.workflows.catalog import Catalog
from mcp_orchestrator.workflows.checking import check
from mcp_orchestrator.workflows.conditions import holds
from mcp_orchestrator.workflows.graph import read
from mcp_orchestrator.workflows.ordering import order
from mcp_orchestrator.workflows.references import Bad, Reference, parse
from mcp_orchestrator.workflows.schemas import NoSuchPath, at, clash
from mcp_orchestrator.workflows.templates import template, templates

pytestmark = pytest.mark.anyio
FOREIGN = {"toys": "toys"}
Json = dict[str, Any]


class Twice(BaseModel):
    model_config = {"extra": "forbid"}
    n: int


class Doubled(BaseModel):
    value: int


async def double(run: Run, spec: Twice) -> Doubled:
    if spec.n < 0:
        raise InvalidInput("n", "is negative.")
    await run.note("doubling", "done")
    return Doubled(value=2 * spec.n)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, components=FOREIGN, workers=4)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    settings = Settings.load(tmp_path_factory.mktemp("project"), components=FOREIGN)
    registry = Registry(FOREIGN)
    below = Workflow("double", Twice, double, ("doubling",))
    ours = custom.workflow(settings, registry, {"double": below})
    return Catalog(registry, {"double": below, "custom": ours})


@asynccontextmanager
async def engine_of(settings: Settings) -> AsyncGenerator[Engine]:
    registry = Registry(settings.components)
    dispatcher = Dispatcher(InProcess(settings, registry), Resources(Capacity(cpus=4)))
    below = Workflow("double", Twice, double, ("doubling",))
    workflows = [below, custom.workflow(settings, registry, {"double": below})]
    async with Engine(Journal(settings.home), dispatcher, workflows).running() as engine:
        yield engine


async def done(engine: Engine, graph: Json, **inputs: Any) -> RunRow:
    with anyio.fail_after(60):
        return await engine.wait(await engine.submit("custom", {"graph": graph, "inputs": inputs}))


def outputs(row: RunRow) -> Json:
    assert row.result is not None, row.error
    return row.result["outputs"]


def reasons(engine: Engine, row: RunRow) -> dict[str, tuple[str, str]]:
    return {one.name: (one.status, one.reason) for one in engine.journal.steps(row.id)}


def add(name: str, a: Any, b: Any = 1, **more: Any) -> Json:
    return {"name": name, "component": "toys", "capability": "add", "params": {"a": a, "b": b}, **more}


def fail(name: str, **more: Any) -> Json:
    return {"name": name, "component": "toys", "capability": "fail", "params": {"reason": "broken"}, **more}


def of(*steps: Json, **more: Any) -> Json:
    return {"steps": list(steps), **more}


def from_(text: str, **more: Any) -> Json:
    return {"$from": text, **more}


def problems(catalog: Catalog, graph: Json, **inputs: Any) -> list[str]:
    return [str(one) for one in check(read(graph), catalog, inputs)]


# Checked before anything starts --------------------------------------------------------------------------------------

LOAD: Json = {
    "name": "load",
    "component": "training_data_loader",
    "capability": "load",
    "params": {"source": "builtin:iris"},
}


@pytest.mark.parametrize(
    ("graph", "place", "text"),
    [
        (of(add("a", 1, component="toyz")), "steps[0]", "no component 'toyz'. Did you mean 'toys'?"),
        (of(add("a", 1, capability="ad")), "steps[0]", "no capability of toys 'ad'. Did you mean 'add'"),
        (of({"name": "a", "workflow": "dubble"}), "steps[0]", "no workflow 'dubble'. Did you mean 'double'?"),
        (of({"name": "a", "workflow": "double"}), "steps[0].spec.n", "is required."),
        (of({"name": "a", "workflow": "double", "spec": {"n": "x"}}), "steps[0].spec.n", "valid integer"),
        (of({"name": "a"}), "steps[0]", "one of: component and capability, workflow, approval"),
        (of({"name": "a", "approval": "Go?", "workflow": "double"}), "steps[0]", "exactly one"),
        (of({"name": "a", "approval": "Go?", "timeout": 5}), "steps[0].timeout", "belongs to a step with capability"),
        (of({**add("a", 1), "params": {"a": 1, "bb": 2}}), "steps[0].params.bb", "is unknown. Did you mean 'b'?"),
        (of({**add("a", 1), "params": {"b": 1}}), "steps[0].params.a", "is required."),
        (of(add("a", "one")), "steps[0].params.a", "valid integer"),
        (of(add("a", {"$input": "n"}), inputs={"n": {"type": "integer"}}), "inputs.n", "is required."),
        (of(add("a", {"$input": "m"})), "steps[0].params.a", "there is no input 'm'. Declare it in inputs."),
        (of(add("a", from_("bb")), add("b", 1)), "steps[0].params.a", "no step 'bb'. Did you mean 'b'?"),
        (of(add("a", 1, after=["c"]), add("b", 1)), "steps[0].after", "no step 'c'."),
        (of(add("a", 1), add("a", 2)), "steps[1].name", "the name of steps[0] already"),
        (of(add("a", from_("b")), add("b", from_("c")), add("c", 1, after=["a"])), "steps", "a -> b -> c -> a"),
        (of(add("a", from_("a"))), "steps", "a -> a"),
        (of(add("a", {"$form": "b"})), "steps[0].params.a", "no reference '$form'. Did you mean '$from'?"),
        (of(add("a", {"$from": "b", "or": 1}), add("b", 1)), "steps[0].params.a", "take away or"),
        (of(add("a", from_("b..x")), add("b", 1)), "steps[0].params.a", "cannot be read"),
        (of(add("a", {"$item": ""})), "steps[0].params.a", "only inside a step with each"),
        (of(LOAD, add("a", from_("load.rowz"))), "steps[1].params.a", "no 'rowz'. Did you mean 'rows'?"),
        (of(LOAD, add("a", from_("load.profile.columns[0].nam"))), "steps[1].params.a", "no 'nam'. Did you mean"),
        (of(LOAD, add("a", from_("load.rows[0]"))), "steps[1].params.a", "this is no list but integer"),
        (of(LOAD, add("a", from_("load.uri"))), "steps[1].params.a", "gives string, and integer is taken"),
        (of(LOAD, add("a", {"$item": ""}, each=from_("load.uri"))), "steps[1].each", "gives string, and array"),
        (
            of(LOAD, add("a", {"$item": "name"}, each=from_("load.profile.columns"))),
            "steps[1].params.a",
            "gives string",
        ),
        (of(LOAD, add("a", {"$item": "nam"}, each=from_("load.profile.columns"))), "steps[1].params.a", "no 'nam'"),
        (of(add("a", {"$item": ""}, each=[1, "x"])), "steps[0].params.a", "valid integer"),
        (of(add("a", {"$item": ""}, each="x")), "steps[0].each", "is a list, or a reference to one"),
        (of(add("a", 1, when={"left": 1, "op": "=>", "right": 2})), "steps[0].when.op", "'=>' is no comparison"),
        (of(add("a", 1, when={"and": []})), "steps[0].when.and", "one at least"),
        (of(add("a", 1, when={"not": {"eval": "1"}})), "steps[0].when.not", "is no condition"),
        (of(add("a", 1, when={"left": from_("z"), "op": "==", "right": 2})), "steps[0].when.left", "no step 'z'"),
        (of(add("a", 1), outputs={"x": from_("b")}), "outputs.x", "no step 'b'"),
        (of(add("a", 1), outputs={"x": 3}), "outputs.x", "refers to nothing"),
        (of(add("a", from_("b", **{"else": from_("zz")})), add("b", 1)), "steps[0].params.a.else", "no step 'zz'"),
        (of(add("a", 1), inputs={"n": {"type": "integer", "default": "x"}}), "graph.inputs.n.default", "gives string"),
    ],
)
def test_what_is_wrong_with_a_graph_is_said_with_its_place(
    catalog: Catalog, graph: Json, place: str, text: str
) -> None:
    found = [one for one in problems(catalog, graph) if one.startswith(f"{place}: ")]
    assert any(text in one for one in found), (found, problems(catalog, graph))
    assert len(problems(catalog, graph)) == len(set(problems(catalog, graph)))


@pytest.mark.parametrize(
    ("value", "text"),
    [("x", "gives string"), (0, "at least 1"), (9, "at most 5"), (3, "not allowed. Allowed: 1, 2"), (None, "integer")],
)
def test_a_given_input_is_held_to_what_the_graph_declares(catalog: Catalog, value: Any, text: str) -> None:
    declared = {"type": "integer", "minimum": 1, "maximum": 5, **({"enum": [1, 2]} if value == 3 else {})}
    graph = of(add("a", {"$input": "n"}), inputs={"n": declared})
    assert any(text in one for one in problems(catalog, graph, n=value))
    assert not problems(catalog, graph, n=2)
    assert any("no such input. Did you mean 'n'" in one or "Known: n" in one for one in problems(catalog, graph, nn=1))


def test_a_value_given_for_an_input_is_checked_where_it_is_used(catalog: Catalog) -> None:
    graph = of(add("a", {"$input": "n"}), inputs={"n": {}})
    assert not problems(catalog, graph, n=4)
    assert problems(catalog, graph, n="four")[0].startswith("steps[0].params.a: ")


def test_all_problems_are_listed_at_once(catalog: Catalog) -> None:
    graph = of(add("a", "one"), add("b", from_("c")), {"name": "d", "component": "toys", "capability": "nope"})
    with pytest.raises(InvalidInput) as error:
        catalog.workflows["custom"].checked({"graph": graph})
    assert "3 problems" in str(error.value)
    assert all(f"steps[{number}]" in str(error.value) for number in range(3))


def test_all_that_is_wrong_with_the_form_is_listed_at_once() -> None:
    with pytest.raises(InvalidInput, match="3 problems") as error:
        read({"steps": [{"name": "1st"}, {"name": "b", "atempts": 2}, {"name": "c", "timeout": -1}]})
    for text in ("steps[0].name", "steps[1].atempts: is unknown. Did you mean 'attempts'", "steps[2].timeout"):
        assert text in str(error.value)
    with pytest.raises(InvalidInput, match=r"steps: .* at most 200"):
        read(of(*(add(f"a{number}", 1) for number in range(201))))


async def test_a_refused_graph_leaves_no_trace(settings: Settings) -> None:
    async with engine_of(settings) as engine:
        with pytest.raises(InvalidInput, match=r"steps\[0\]\.params\.a"):
            await engine.submit("custom", {"graph": of(add("a", "x"))})
        assert engine.journal.runs() == []


def test_a_graph_of_which_nothing_is_known_yet_is_taken_as_far_as_it_can_be_judged(catalog: Catalog) -> None:
    taken = of(LOAD, {**LOAD, "name": "b", "params": {"source": [{"x": from_("load.rows")}]}})
    assert not problems(catalog, taken)
    inner = of(add("x", {"$input": "n"}), inputs={"n": {"type": "integer"}})
    nested = of(
        add("a", 1),
        {"name": "b", "workflow": "custom", "spec": {"graph": {"$literal": inner}, "inputs": {"n": from_("a")}}},
    )
    assert not problems(catalog, nested)
    inner["steps"][0]["params"]["a"] = "x"
    assert "steps[0].params.a" in problems(catalog, nested)[0]


def test_an_order_puts_each_step_after_those_that_it_needs() -> None:
    graph = read(of(add("c", from_("b")), add("b", 1, after=["a"]), add("d", {"$done": "c"}), add("a", 1)))
    assert order(graph.steps) == ["a", "b", "c", "d"]


# Their parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ()),
        ("a.b", ("b",)),
        ("a[0].b", (0, "b")),
        ("a[-1][2]", (-1, 2)),
        ('a["petal length (cm)"].x', ("petal length (cm)", "x")),
    ],
)
def test_a_path_is_read(text: str, path: tuple[str | int, ...]) -> None:
    assert parse({"$from": text}) == Reference("$from", "a", path)


@pytest.mark.parametrize("text", ["", ".a", "a.", "a[x]", "a b", "[0]", "a[0]b", 'a["b]'])
def test_a_path_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Bad):
        parse({"$from": text})


@pytest.mark.parametrize(
    ("left", "op", "right", "expected"),
    [
        (1, "==", 1.0, True),
        (True, "==", 1, False),
        (True, "!=", 1, True),
        (2, ">", 1, True),
        ("a", "<", "b", True),
        ("a", "in", ["a"], True),
        ("b", "not in", ["a"], True),
        (None, "==", None, True),
        (3, "<=", 2, False),
        (3, ">=", 3, True),
    ],
)
def test_a_comparison_is_what_it_says(left: Any, op: str, right: Any, expected: bool) -> None:
    def look(_reference: Reference) -> Any:
        raise AssertionError

    one = {"left": left, "op": op, "right": right}
    assert holds(one, look) is expected
    assert holds({"not": one}, look) is not expected
    assert holds({"and": [one, one]}, look) is expected
    assert holds({"or": [{"not": one}, one]}, look) is True


def test_what_cannot_be_compared_is_an_error_and_not_false() -> None:
    with pytest.raises(InvalidInput, match="cannot be compared"):
        holds({"left": None, "op": "<", "right": 1}, lambda _reference: None)


def test_schemas_tell_what_can_be_there_and_what_can_fit() -> None:
    class Inner(BaseModel):
        score: float | None

    class Outer(BaseModel):
        inner: Inner | None
        many: dict[str, Inner]

    schema = Outer.model_json_schema()
    assert clash(at(schema, ("inner", "score")), {"type": "integer"}) == ""
    assert "number" in clash(at(schema, ("many", "any", "score")), {"type": "string"})
    with pytest.raises(NoSuchPath, match="Did you mean 'score'"):
        at(schema, ("inner", "scor"))
    assert clash({"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"type": "number"}})
    assert "'score'" in clash({"type": "object", "properties": {"x": {}}}, Inner.model_json_schema())
    assert clash({"type": "array", "items": {"type": "string"}}, {"type": "array"}) == ""
    assert clash({}, {"type": "array"}) == ""


# Run -----------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("custom.graph")
async def test_answers_travel_from_step_to_step_in_whatever_order_they_are_written(settings: Settings) -> None:
    graph = of(
        add("last", from_("left"), from_("right")),
        add("left", from_("first"), 10),
        add("right", from_("first"), {"$input": "n"}),
        add("first", 1, 1),
        inputs={"n": {"type": "integer", "default": 100}},
        outputs={"sum": from_("last"), "parts": [from_("left"), from_("right")]},
    )
    async with engine_of(settings) as engine:
        assert outputs(await done(engine, graph)) == {"sum": 114, "parts": [12, 102]}
        row = await done(engine, graph, n=5)
        assert outputs(row) == {"sum": 19, "parts": [12, 7]}
        assert row.status is Status.SUCCEEDED
        del graph["outputs"]
        assert outputs(await done(engine, graph)) == {"first": 2, "left": 12, "right": 102, "last": 114}


async def test_independent_steps_are_at_work_at_the_same_time(settings: Settings, tmp_path: Path) -> None:
    def meet(name: str) -> Json:
        params = {"folder": str(tmp_path), "name": name, "others": 3}
        return {"name": name, "component": "toys", "capability": "meet", "params": params}

    async with engine_of(settings) as engine:
        row = await done(engine, of(*(meet(name) for name in "abc"), outputs={"b": from_("b")}))
        assert outputs(row) == {"b": 3}


async def test_a_required_failure_stops_what_needs_it_alone_and_fails_the_run_with_the_cause(
    settings: Settings,
) -> None:
    graph = of(fail("broken"), add("needs", 1, after=["broken"]), add("more", from_("needs")), add("apart", 1))
    async with engine_of(settings) as engine:
        row = await done(engine, graph)
        assert row.status is Status.FAILED
        assert "Step 'broken' failed: RuntimeError: broken" in (row.error or "")
        seen = reasons(engine, row)
        assert seen["apart"][0] == "done"
        assert seen["needs"] == ("skipped", "'broken' failed")
        assert seen["more"] == ("skipped", "'needs' was skipped: 'broken' failed")


async def test_an_optional_failure_degrades_the_run_and_its_absence_has_a_substitute(settings: Settings) -> None:
    graph = of(
        fail("broken", optional=True),
        add("instead", from_("broken", **{"else": 7})),
        add("without", from_("broken")),
        add("later", 1, after=["broken"]),
        outputs={"instead": from_("instead"), "without": from_("without"), "there": {"$done": "broken"}},
    )
    async with engine_of(settings) as engine:
        row = await done(engine, graph)
        assert row.status is Status.DEGRADED
        assert outputs(row) == {"instead": 8, "without": None, "there": False}
        assert row.result is not None
        assert row.result["missing"] == {"without": "'without' was skipped: 'broken' failed"}
        assert reasons(engine, row)["later"][0] == "done"


@pytest.mark.parametrize(("n", "expected"), [(1, {"big": None, "then": None}), (5, {"big": 6, "then": 7})])
async def test_a_step_whose_condition_does_not_hold_is_skipped_with_what_needs_it(
    settings: Settings, n: int, expected: Json
) -> None:
    graph = of(
        add("first", {"$input": "n"}, 0),
        add("big", from_("first"), when={"left": from_("first"), "op": ">=", "right": 3}),
        add("then", from_("big")),
        inputs={"n": {"type": "integer"}},
        outputs={"big": from_("big"), "then": from_("then")},
    )
    async with engine_of(settings) as engine:
        row = await done(engine, graph, n=n)
        assert outputs(row) == expected
        assert row.status is Status.SUCCEEDED
        if n == 1:
            assert reasons(engine, row)["big"] == ("skipped", "its condition does not hold")


async def test_a_step_is_done_for_each_item_with_the_item_in_its_parameters(settings: Settings) -> None:
    graph = of(
        add("each", {"$item": "a"}, {"$from": "one"}, each={"$input": "pairs"}, at_once=2),
        add("one", 0, 1),
        add("again", {"$item": ""}, 10, each=from_("each")),
        add("none", {"$item": ""}, each=[]),
        inputs={"pairs": {"type": "array"}},
    )
    async with engine_of(settings) as engine:
        row = await done(engine, graph, pairs=[{"a": 1}, {"a": 2}, {"a": 3}])
        assert outputs(row) == {"one": 1, "each": [2, 3, 4], "again": [12, 13, 14], "none": []}
        assert {"each[0]", "each[2]", "again[1]"} <= reasons(engine, row).keys()


async def test_a_failing_item_fails_its_step(settings: Settings) -> None:
    graph = of(fail("each", each=[1, 2], params={"reason": "broken"}, attempts=1), add("after", 1, after=["each"]))
    async with engine_of(settings) as engine:
        row = await done(engine, graph)
        assert row.status is Status.FAILED
        assert "RuntimeError: broken" in (row.error or "")
        assert reasons(engine, row)["each"][0] == "failed"
        assert reasons(engine, row)["after"][0] == "skipped"


async def test_any_failure_is_tried_again_where_that_was_asked_for(settings: Settings, tmp_path: Path) -> None:
    flaky = {"component": "toys", "capability": "flaky", "params": {"folder": str(tmp_path), "times": 2}}
    graph = of({"name": "a", **flaky, "attempts": 3, "retry": "failed", "backoff": 0})
    async with engine_of(settings) as engine:
        assert outputs(await done(engine, graph)) == {"a": 3}


async def test_a_value_that_turns_out_wrong_is_a_failed_step_with_its_reason(settings: Settings) -> None:
    graph = of(
        {**LOAD, "params": {"source": from_("a.outputs.n")}},
        {
            "name": "a",
            "workflow": "custom",
            "spec": {"graph": {"$literal": of(add("x", 1), outputs={"n": from_("x")})}},
        },
    )
    async with engine_of(settings) as engine:
        row = await done(engine, graph)
        assert row.status is Status.FAILED
        assert row.error_code == "invalid_input"
        assert reasons(engine, row)["load"][0] == "failed"
        assert "source" in reasons(engine, row)["load"][1]


@pytest.mark.parametrize(
    ("given", "text"),
    [({"each": from_("a.outputs.n")}, "no list"), ({"when": {"left": from_("a.outputs"), "op": "<", "right": 1}}, "<")],
)
async def test_what_only_an_answer_can_show_to_be_wrong_fails_the_step_and_names_it(
    settings: Settings, given: Json, text: str
) -> None:
    inner = of(add("x", 1), outputs={"n": from_("x")})
    below = {"name": "a", "workflow": "custom", "spec": {"graph": {"$literal": inner}}}
    async with engine_of(settings) as engine:
        row = await done(engine, of(below, add("b", 1, **given)))
        assert (row.status, row.error_code) == (Status.FAILED, "invalid_input")
        assert (row.error or "").startswith("Step 'b' failed: ")
        assert text in (row.error or "")
        assert reasons(engine, row)["b"][0] == "failed"


async def test_a_workflow_below_is_a_run_of_its_own_whose_result_can_be_used(settings: Settings) -> None:
    graph = of(
        add("first", 3, 1),
        {"name": "below", "workflow": "double", "spec": {"n": from_("first")}},
        add("last", from_("below.value")),
        outputs={"last": from_("last")},
    )
    async with engine_of(settings) as engine:
        row = await done(engine, graph)
        assert outputs(row) == {"last": 9}
        [child] = engine.journal.runs(parent=row.id)
        assert (child.workflow, child.result) == ("double", {"value": 8})
        graph["steps"][1]["spec"]["n"] = -1
        failed = await done(engine, graph)
        assert failed.status is Status.FAILED
        assert "is negative" in (failed.error or "")


@pytest.mark.parametrize("approved", [True, False])
async def test_a_run_waits_for_a_person_and_does_what_depends_on_the_word(
    settings: Settings, tmp_path: Path, approved: bool
) -> None:
    def mark(name: str, **more: Any) -> Json:
        params = {"folder": str(tmp_path), "name": name}
        return {"name": name, "component": "toys", "capability": "mark", "params": params, **more}

    graph = of(
        mark("before"),
        {"name": "ask", "approval": "Shall it go on?", "details": {"name": "x", "n": from_("before")}},
        mark("gated", after=["ask", "before"]),
        mark("either", when={"left": from_("ask.approved"), "op": "==", "right": approved}),
        fail("optional", optional=True),
        add("instead", from_("optional", **{"else": 1})),
        outputs={"by": from_("ask.by"), "gated": from_("gated"), "instead": from_("instead")},
    )
    async with engine_of(settings) as engine:
        row = await done(engine, graph)
        assert row.status is Status.WAITING
        [asked] = engine.journal.approvals(row.id)
        assert (asked.question, asked.details) == ("Shall it go on?", {"name": "x", "n": 1})
        before = {one.name: one.attempt for one in engine.journal.steps(row.id)}
        await engine.decide(row.id, "ask", approved=approved, by="ada", note="seen")
        with anyio.fail_after(60):
            row = await engine.wait(row.id)
        assert row.status is Status.DEGRADED
        assert outputs(row) == {"by": "ada", "gated": 1 if approved else None, "instead": 2}
        after = {one.name: one.attempt for one in engine.journal.steps(row.id)}
        assert before.items() - {("ask", 1)} <= after.items(), "what had ended was done again"
        assert len((tmp_path / "before").read_text().splitlines()) == 1
        assert reasons(engine, row)["either"][0] == "done"
        if not approved:
            assert reasons(engine, row)["gated"] == ("skipped", "'ask' was refused: it was refused by ada: seen")


async def test_a_run_that_has_failed_does_not_wait_for_a_person(settings: Settings) -> None:
    graph = of({"name": "ask", "approval": "Shall it go on?"}, fail("broken"), add("gated", 1, after=["ask"]))
    async with engine_of(settings) as engine:
        row = await done(engine, graph)
        assert row.status is Status.FAILED


async def test_a_failed_graph_is_tried_again_from_its_finished_steps(settings: Settings, tmp_path: Path) -> None:
    mark = {"name": "mark", "component": "toys", "capability": "mark"}
    graph = of(
        {**mark, "params": {"folder": str(tmp_path), "name": "marks"}},
        {
            "name": "flaky",
            "component": "toys",
            "capability": "flaky",
            "after": ["mark"],
            "attempts": 1,
            "params": {"folder": str(tmp_path), "times": 1},
        },
        add("last", from_("flaky")),
    )
    async with engine_of(settings) as engine:
        row = await done(engine, graph)
        assert row.status is Status.FAILED
        again = await engine.resume(row.id)
        with anyio.fail_after(60):
            again = await engine.wait(again.id)
        assert outputs(again) == {"mark": 1, "flaky": 2, "last": 3}


async def test_a_paused_graph_goes_on_after_its_finished_steps(settings: Settings, tmp_path: Path) -> None:
    slow = {"component": "toys", "capability": "await_file", "params": {"folder": str(tmp_path), "name": "go"}}
    graph = of({"name": "slow", **slow}, add("next", from_("slow")), outputs={"next": from_("next")})
    async with engine_of(settings) as engine:
        run = await engine.submit("custom", {"graph": graph})
        with anyio.fail_after(60):
            while not (tmp_path / "go.waiting").exists():
                await anyio.sleep(0.005)
            await engine.pause(run)
            (tmp_path / "go").touch()
            assert (await engine.wait(run)).status is Status.PAUSED
            await engine.resume(run)
            row = await engine.wait(run)
        assert outputs(row) == {"next": 2}


async def test_a_graph_that_was_cut_off_goes_on_elsewhere_and_repeats_nothing_that_was_done(
    settings: Settings, tmp_path: Path
) -> None:
    def at(name: str, capability: str, **more: Any) -> Json:
        params = {"folder": str(tmp_path), "name": name}
        return {"name": name, "component": "toys", "capability": capability, "params": params, **more}

    graph = of(
        at("first", "mark"),
        fail("optional", optional=True),
        at("go", "await_file", after=["first", "optional"]),
        at("last", "mark", after=["go"]),
        add("sum", from_("optional", **{"else": 1}), from_("last")),
    )
    async with engine_of(settings) as engine:
        run = await engine.submit("custom", {"graph": graph})
        with anyio.fail_after(60):
            while not (tmp_path / "go.waiting").exists():
                await anyio.sleep(0.005)
    (tmp_path / "go").touch()
    async with engine_of(settings) as engine:
        with anyio.fail_after(60):
            row = await engine.wait(run)
        assert row.status is Status.DEGRADED
        assert outputs(row) == {"first": 1, "go": 1, "last": 1, "sum": 2}
        assert {one.name: one.attempt for one in engine.journal.steps(run)}["optional"] == 1


def expected(graph: Json) -> dict[str, int | None]:
    """Do a graph of additions step by step, as slowly and plainly as can be; None is a step that was not done."""
    steps = {one["name"]: one for one in graph["steps"]}
    found: dict[str, int | None] = {}

    def value(part: Any) -> int | None:
        if not isinstance(part, dict):
            return part
        got = of_step(part["$from"])
        return value(part["else"]) if got is None and "else" in part else got

    def of_step(name: str) -> int | None:
        if name not in found:
            one = steps[name]
            before = [of_step(other) is not None or steps[other].get("optional", False) for other in one["after"]]
            left = value(one["when"]["left"]) if "when" in one else 1
            asked = left is not None and ("when" not in one or left >= one["when"]["right"])
            given = [value(part) for part in one["params"].values()]
            runs = all(before) and asked and None not in given and one["capability"] == "add"
            found[name] = sum(part for part in given if part is not None) if runs else None
        return found[name]

    return {name: of_step(name) for name in steps}


def random_graph(chance: random.Random) -> Json:
    """Return a graph of additions, conditions, substitutes and failures, written in any order."""
    steps: list[Json] = []
    for number in range(chance.randint(3, 12)):
        names = [one["name"] for one in steps]

        def value(names: list[str] = names) -> Any:
            if not names or chance.random() < 0.3:
                return chance.randint(0, 9)
            more = {"else": value(names[:-1])} if chance.random() < 0.4 else {}
            return from_(chance.choice(names), **more)

        broken = chance.random() < 0.15
        one = fail(f"s{number}", optional=True) if broken else add(f"s{number}", value(), value())
        one["after"] = chance.sample(names, min(len(names), chance.randint(0, 1)))
        if not broken and chance.random() < 0.2:
            one["optional"] = True
        if names and chance.random() < 0.3:
            one["when"] = {"left": from_(chance.choice(names)), "op": ">=", "right": chance.randint(0, 15)}
        steps.append(one)
    chance.shuffle(steps)
    return of(*steps, outputs={one["name"]: from_(one["name"]) for one in steps})


async def test_any_graph_comes_to_what_doing_it_step_by_step_comes_to(settings: Settings) -> None:
    chance, undone, done_ = random.Random(3), 0, 0  # noqa: S311 - a seed, and not a secret
    async with engine_of(settings) as engine:
        for _ in range(40):
            graph = random_graph(chance)
            found = outputs(await done(engine, graph))
            assert found == expected(graph), json.dumps(graph)
            undone, done_ = undone + sum(one is None for one in found.values()), done_ + len(found)
    assert 0.1 < undone / done_ < 0.9, "the graphs are no test of both"


# Templates and names -------------------------------------------------------------------------------------------------


def test_a_template_is_a_graph_that_can_be_run_read_and_changed(catalog: Catalog) -> None:
    for name, graph in templates().items():
        assert not check(graph, catalog), name
        assert read(json.loads(graph.model_dump_json())) == graph
    changed = template("train").model_dump(mode="json")
    changed["steps"] = [one for one in changed["steps"] if one["name"] != "split"]
    assert any("there is no step 'split'" in one for one in problems(catalog, changed, data="x", target="y"))
    with pytest.raises(UnknownName, match="Did you mean 'template:train'"):
        template("template:trai")


@pytest.mark.parametrize(("workflow", "graph"), [(None, None), ("train", {})])
def test_a_name_or_a_graph_is_asked_for_and_not_both(workflow: str | None, graph: Json | None) -> None:
    with pytest.raises(InvalidInput, match="either the name of a workflow, or a graph"):
        custom.asked(workflow, graph, {})


def test_a_name_stands_for_a_workflow_or_a_template() -> None:
    assert custom.asked("double", None, {"n": 1}) == ("double", {"n": 1})
    name, spec = custom.asked("template:evaluate", None, {"model": "m", "data": "d"})
    assert (name, read(spec["graph"]), spec["inputs"]) == ("custom", template("evaluate"), {"model": "m", "data": "d"})
