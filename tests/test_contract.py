"""The promises of the component contract, crossed with every capability of every component."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel, Field

import mcp_orchestrator
from mcp_orchestrator.component import Capability, Check, Context, capability
from mcp_orchestrator.core import registry as registry_module
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.health import examine
from mcp_orchestrator.core.invoke import invoke
from mcp_orchestrator.core.registry import Component, Registry
from mcp_orchestrator.errors import InvalidInput, MissingLibrary, OrchestratorError, UnknownName
from mcp_orchestrator.settings import Settings

REGISTRY = Registry()
COMPONENTS = [pytest.param(one, id=one.name) for one in REGISTRY]
CAPABILITIES = [
    pytest.param(component, one, id=f"{component.name}.{one.name}")
    for component in REGISTRY
    for one in component.capabilities.values()
]
VARYING = {"seconds", "created", "at", "fit_seconds", "started", "ended"}
HEAVY = (
    "sklearn",
    "pandas",
    "numpy",
    "scipy",
    "mlflow",
    "optuna",
    "skops",
    "matplotlib",
    "pyarrow",
    "statsmodels",
    "lightgbm",
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """One home for all examples, so that a table is loaded once."""
    settings = Settings.load(tmp_path_factory.mktemp("contract"))
    return Context(settings=settings, artifacts=ArtifactStore(settings.home / "artifacts"))


def steady(value: Any) -> Any:
    """Leave out what may differ between two equal calls: times."""
    if isinstance(value, dict):
        return {key: steady(one) for key, one in value.items() if key not in VARYING}
    return [steady(one) for one in value] if isinstance(value, list) else value


def ask(ctx: Context, component: Component, one: Capability[..., Any], **changed: Any) -> Any:
    if one.before is not None:
        one.before(ctx)
    return invoke(REGISTRY, ctx, component.name, one.name, {**(one.example or {}), **changed})


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_says_what_it_is(component: Component) -> None:
    assert component.summary.endswith(".")
    assert 1 <= component.about.tier <= 6
    assert component.capabilities
    assert component.known_answer is not None
    assert REGISTRY.get(component.name) is component
    assert all(REGISTRY.get(alias) is component for alias in component.about.aliases)


@pytest.mark.requirement("component.*", "registry.health")
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_gives_its_known_answer(shared: Context, component: Component) -> None:
    assert component.known_answer is not None
    checks = list(component.known_answer(shared))
    assert checks
    assert not [check for check in checks if not check.passed]


@pytest.mark.parametrize(("component", "one"), CAPABILITIES)
def test_a_capability_describes_itself_and_bounds_its_parameters(
    component: Component, one: Capability[..., Any]
) -> None:
    assert one.summary.endswith("."), f"{component.name}.{one.name} needs a summary of one sentence"
    assert one.example is not None
    assert one.contrast
    assert issubclass(cast("type", one.returns._type), BaseModel)
    schema = one.schema
    assert schema["additionalProperties"] is False
    assert "title" not in json.dumps(schema.get("$defs", {})).split('"properties"')[0]
    for name, parameter in schema["properties"].items():
        assert parameter.get("description"), f"{name} has no description"
        for variant in parameter.get("anyOf", [parameter]):
            if variant.get("type") in {"integer", "number"} and "enum" not in variant:
                bounds = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
                assert bounds & set(variant), f"{name} is not bounded"


@pytest.mark.requirement("invoke.real")
@pytest.mark.parametrize(("component", "one"), CAPABILITIES)
def test_the_example_runs_repeatably_and_another_question_gets_another_answer(
    shared: Context,
    component: Component,
    one: Capability[..., Any],
) -> None:
    first = ask(shared, component, one)
    assert json.loads(json.dumps(first)) == first or any(math.isnan(x) for x in _numbers(first))
    assert steady(ask(shared, component, one)) == steady(first) or any(math.isnan(x) for x in _numbers(first))
    assert steady(ask(shared, component, one, **(one.contrast or {}))) != steady(first)


@pytest.mark.requirement("invoke.method")
@pytest.mark.parametrize(("component", "one"), CAPABILITIES)
def test_an_unknown_or_missing_parameter_is_refused_by_name(
    shared: Context,
    component: Component,
    one: Capability[..., Any],
) -> None:
    known = next(iter(one.parameters.model_fields), None)
    with pytest.raises(InvalidInput, match="no such parameter") as caught:
        ask(shared, component, one, **{f"{known or 'x'}x": 1})
    assert known is None or repr(known) in str(caught.value)
    required = [name for name, field in one.parameters.model_fields.items() if field.is_required()]
    if required:
        with pytest.raises(InvalidInput, match=f"{required[0]}: is required"):
            invoke(REGISTRY, shared, component.name, one.name, {})


@pytest.mark.parametrize(("component", "one"), CAPABILITIES)
def test_a_parameter_of_a_wrong_type_is_refused_by_name(
    shared: Context, component: Component, one: Capability[..., Any]
) -> None:
    for name in one.parameters.model_fields:
        with pytest.raises(OrchestratorError, match=name):
            ask(shared, component, one, **{name: {"not": {"what": object.__name__}, "x": [1, {}]}})
        break


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "find_spec", lambda _name: None)
    if not component.about.libraries:
        assert component.missing is None
        return
    with pytest.raises(MissingLibrary, match=f"{component.about.libraries[0]}.*pip install"):
        component.capability(next(iter(component.capabilities)))


@pytest.mark.requirement("registry.discovery")
def test_finding_and_describing_all_components_loads_no_ml_library() -> None:
    code = (
        "import sys, json\n"
        "from mcp_orchestrator.core.registry import Registry\n"
        "for one in Registry(): [c.schema for c in one.capabilities.values()]; one.missing\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=_environment())
    assert json.loads(done.stdout) == []


def test_the_names_and_tiers_are_those_of_the_mission() -> None:
    tiers = {one.name: one.about.tier for one in REGISTRY}
    assert tiers == {**tiers, "training_data_loader": 1, "ml_integration": 1, "production_registry": 1}
    assert tiers == {**tiers, "automl_orchestrator": 2, "automl_callbacks": 2, "advanced_statistical_validator": 3}
    assert tiers == {**tiers, "early_stopping": 4, "enhanced_scorer": 5, "performance_validation": 5}


@pytest.mark.requirement("invoke.registered_only")
@pytest.mark.parametrize(
    ("component", "name", "says"),
    [
        ("ml_integrations", "train", "'ml_integration'"),
        ("os", "system", "no component 'os'"),
        ("ml_integration", "trian", "'train'"),
        ("ml_integration", "__init__", "no capability"),
    ],
)
def test_what_is_not_registered_cannot_be_invoked(shared: Context, component: str, name: str, says: str) -> None:
    with pytest.raises(UnknownName, match=says):
        invoke(REGISTRY, shared, component, name, {})


@pytest.mark.requirement("components.foreign")
def test_foreign_code_joins_by_settings_without_being_touched(shared: Context) -> None:
    registry = Registry({"toys": "toys", "counter": "toys:Counter"})
    assert invoke(registry, shared, "toys", "add", {"a": 2}) == 3
    assert invoke(registry, shared, "counter", "up", {"start": 4}) == 5
    assert registry.get("toys").capabilities["add"].summary == "Add two numbers."
    assert "untyped" not in registry.get("toys").capabilities
    with pytest.raises(InvalidInput, match=r"b: .*valid integer"):
        invoke(registry, shared, "toys", "add", {"a": 2, "b": "x"})


@pytest.mark.requirement("components.foreign")
def test_foreign_code_joins_by_entry_point(tmp_path: Path) -> None:
    (tmp_path / "guest.py").write_text('def twice(x: int) -> int:\n    """Double a number."""\n    return 2 * x\n')
    (tmp_path / "guest-1.dist-info").mkdir()
    (tmp_path / "guest-1.dist-info/METADATA").write_text("Name: guest\nVersion: 1\n")
    (tmp_path / "guest-1.dist-info/entry_points.txt").write_text("[mcp_orchestrator.components]\nvisitor = guest\n")
    code = (
        "from mcp_orchestrator.core.registry import Registry\n"
        "print(Registry().get('visitor').capabilities['twice'](x=4))"
    )
    env = {**_environment(), "PYTHONPATH": f"{tmp_path}:{_environment()['PYTHONPATH']}"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    assert done.stdout == "8\n"


def test_a_foreign_component_with_the_name_of_one_of_ours_is_refused() -> None:
    with pytest.raises(InvalidInput, match="built-in component"):
        len(Registry({"ml_integration": "toys"}))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("no_such_module", "cannot be loaded: ModuleNotFoundError"),
        ("toys:Nothing", "cannot be loaded"),
        ("toys:add", "not a class"),
        ("broken_guest", "cannot be loaded: ValueError: no luck"),
    ],
)
@pytest.mark.anyio
async def test_a_foreign_component_that_cannot_be_loaded_says_so_and_the_others_work(
    target: str, says: str, shared: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_guest.py").write_text('raise ValueError("no luck")\n')
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry({"x": target, "toys": "toys"})
    assert invoke(registry, shared, "toys", "add", {"a": 1, "b": 2}) == 3
    assert len(registry) == len(REGISTRY) + 2
    assert says in (registry.get("x").missing or "")
    with pytest.raises(InvalidInput, match=says):
        invoke(registry, shared, "x", "add", {})
    [examined] = await examine([registry.get("x")], nobody)
    assert (examined.healthy, says in examined.detail) == (False, True)


async def nobody(component: str, capability: str, _params: dict[str, Any]) -> Any:
    raise AssertionError(f"{component}.{capability} was called")


@pytest.mark.parametrize("defect", ["import no_such_library", "def broken(:", "1 / 0"])
def test_a_component_whose_module_cannot_be_imported_says_so_and_the_others_work(defect: str, tmp_path: Path) -> None:
    shutil.copytree(Path(mcp_orchestrator.__file__).parent, tmp_path / "mcp_orchestrator")
    (tmp_path / "mcp_orchestrator/components/data/training_data_loader.py").write_text(defect + "\n")
    code = """
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.errors import NotReady
registry = Registry()
print([one.name for one in registry if one.missing and one.problem])
try:
    registry.get("training_data_loader").capability("load")
except NotReady as error:
    print(error)
print(len(registry), len(registry.get("early_stopping").capabilities) > 0)
"""
    environment = {**_environment(), "PYTHONPATH": f"{tmp_path}:{_environment()['PYTHONPATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    names, reason, rest = done.stdout.splitlines()
    assert names == "['training_data_loader']"
    assert "cannot be loaded: " in reason
    assert reason.endswith("Mend mcp_orchestrator/components/data/training_data_loader.py.")
    assert rest == f"{len(REGISTRY)} True"


@pytest.mark.requirement("registry.search")
def test_searching_ranks_a_name_before_a_mention() -> None:
    assert REGISTRY.find("early stopping")[0].name == "early_stopping"
    assert REGISTRY.find("no such thing at all") == []


class Doubled(BaseModel):
    value: int


def test_a_stub_with_a_constant_answer_fails_the_contrast(shared: Context) -> None:
    @capability(example={"x": 1}, contrast={"x": 2})
    def stub(x: Annotated[int, Field(ge=0, description="A number.")]) -> Doubled:
        """Double a number."""
        return Doubled(value=2 + 0 * x)

    answers = [stub.call(shared, {**(stub.example or {}), **change}) for change in ({}, stub.contrast or {})]
    assert answers[0] == answers[1]


def test_a_check_knows_a_wrong_answer_and_a_nan() -> None:
    assert Check("x", 1.001, 1, 0.01).passed
    assert not Check("x", 1.1, 1, 0.01).passed
    assert not Check("x", math.nan, 1, 10).passed
    assert not Check("x", "a", "b").passed


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, float):
        yield value


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": ":".join(one for one in sys.path if one)}
