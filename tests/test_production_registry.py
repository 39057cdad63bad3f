"""The registry through its capabilities: register, promote, roll back, verify, and what MLflow shows of it."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import MlflowClient

from mcp_orchestrator.component import Context, checks
from mcp_orchestrator.components.training import production_registry
from mcp_orchestrator.core.invoke import invoke
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName
from mcp_orchestrator.methods.models import load
from mcp_orchestrator.methods.models.examples import example_model
from mcp_orchestrator.methods.models.manifests import MODEL, read
from mcp_orchestrator.tracking.experiments import prepare

REGISTRY = Registry()


def call(ctx: Context, capability: str, **params: Any) -> dict[str, Any]:
    return invoke(REGISTRY, ctx, "production_registry", capability, params)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return prepare(tmp_path_factory.mktemp("template")).read_bytes()


@pytest.fixture(autouse=True)
def migrated(ctx: Context, template: bytes) -> None:
    """Put a database that was migrated before into the home: a second less for each test."""
    ctx.settings.home.mkdir()
    (ctx.settings.home / "mlflow.db").write_bytes(template)


@pytest.fixture
def flowers(ctx: Context) -> tuple[Context, list[str]]:
    """A context with two versions of ``flowers``, and their digests."""
    refs = [example_model(ctx, strength)[0] for strength in (1.0, 0.0001)]
    for ref in refs:
        call(ctx, "register", model=ref.uri, name="flowers")
    return ctx, [ref.sha256 for ref in refs]


def mlflow(ctx: Context) -> dict[str, str]:
    """Return the digest behind each alias as MLflow's own client reads it."""
    client = MlflowClient(tracking_uri=f"sqlite:///{ctx.settings.home / 'mlflow.db'}")
    aliases = client.get_registered_model("flowers").aliases
    return {
        alias: client.get_model_version("flowers", str(at)).tags["orchestrator.sha256"] for alias, at in aliases.items()
    }


def test_it_gives_its_known_answer_and_leaves_nothing_behind(ctx: Context) -> None:
    told = checks(production_registry.known_answer, ctx)
    assert len(told) == 5
    assert [check for check in told if not check.passed] == []
    assert [place.name for place in ctx.settings.home.rglob("*")] == ["mlflow.db"]


@pytest.mark.requirement("rollback.version", "versions.rollback", "deploy.registry")
def test_promotions_and_rollbacks_change_what_the_name_predicts_and_what_mlflow_shows(
    flowers: tuple[Context, list[str]],
) -> None:
    ctx, digests = flowers
    rows = example_model(ctx, 1.0)[1]
    first, second = (load(ctx, f"flowers@{number}").predict(rows).tolist() for number in (1, 2))
    assert first != second
    for action, params, expected, digest in (
        ("promote", {"version": 1}, first, digests[0]),
        ("promote", {"version": 2}, second, digests[1]),
        ("rollback", {}, first, digests[0]),
    ):
        answer = call(ctx, action, name="flowers", why="a test", **params)
        assert answer["shown"] == {"status": "done", "reason": ""}
        assert load(ctx, "flowers").predict(rows).tolist() == expected
        assert mlflow(ctx) == {"champion": digest}
    assert [one["why"] for one in call(ctx, "history", name="flowers")["changes"]] == ["a test"] * 3


def test_an_action_that_is_repeated_changes_nothing(flowers: tuple[Context, list[str]]) -> None:
    ctx, _ = flowers
    assert call(ctx, "promote", name="flowers", version=1) == call(ctx, "promote", name="flowers", version=1)
    again = call(ctx, "register", model="flowers@1", name="flowers")
    assert (again["version"], again["aliases"]) == (1, ["champion"])
    call(ctx, "alias", name="flowers", alias="challenger", version=2)
    call(ctx, "alias", name="flowers", alias="challenger", version=2)
    assert len(call(ctx, "history", name="flowers")["changes"]) == 2


def test_what_a_run_measured_stands_with_the_version(ctx: Context) -> None:
    ref = example_model(ctx, 1.0)[0]
    metrics = {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}}
    answer = call(ctx, "register", model=ref.uri, name="flowers", metrics=metrics)
    assert answer["metrics"] == metrics
    assert answer["mlflow"]["version"] == "1"
    found = call(ctx, "find", query="LogisticRegression target")["versions"]
    assert [(one["name"], one["sha256"]) for one in found] == [("flowers", ref.sha256)]
    assert call(ctx, "find", query="flowers regression-tree")["versions"] == []


@pytest.mark.requirement("versions.integrity")
@pytest.mark.parametrize("name", [MODEL, "manifest.json"])
def test_a_changed_byte_is_found_in_the_file_that_holds_it(flowers: tuple[Context, list[str]], name: str) -> None:
    ctx, digests = flowers
    call(ctx, "promote", name="flowers", version=2)
    assert call(ctx, "verify", name="flowers")["intact"] is True
    place = ctx.artifacts.path({**read(ctx, digests[1]).files, "manifest.json": digests[1]}[name])
    held = place.read_bytes()
    place.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    verdict = call(ctx, "verify", name="flowers")
    assert (verdict["intact"], verdict["differing"], verdict["version"]) == (False, [name], 2)
    assert call(ctx, "verify", name="flowers", alias="1")["intact"] is True


def test_a_decision_on_an_older_state_is_refused(flowers: tuple[Context, list[str]]) -> None:
    ctx, _ = flowers
    call(ctx, "promote", name="flowers", version=1)
    with pytest.raises(NotReady, match="version 1 does"):
        call(ctx, "promote", name="flowers", version=2, instead_of=7)
    with pytest.raises(NotReady, match="nothing to go back to"):
        call(ctx, "rollback", name="flowers")
    assert call(ctx, "promote", name="flowers", version=2, instead_of=1)["previous"] == 1
    with pytest.raises(NotReady, match="version 2 does"):
        call(ctx, "rollback", name="flowers", instead_of=1)


@pytest.mark.parametrize(
    ("capability", "params", "error", "named"),
    [
        ("promote", {"name": "flowrs", "version": 1}, UnknownName, "'flowers'"),
        ("promote", {"name": "flowers", "version": 9}, UnknownName, "1 to 2"),
        ("verify", {"name": "flowers", "alias": "champion"}, UnknownName, "champion"),
        ("register", {"model": "model://" + "0" * 64, "name": "x"}, UnknownName, "0000"),
        ("register", {"model": "flowers@1", "name": "a/b"}, InvalidInput, "a/b"),
        ("alias", {"name": "flowers", "alias": "v1", "version": 1}, InvalidInput, "alias"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_name(
    flowers: tuple[Context, list[str]], capability: str, params: dict[str, Any], error: type[Exception], named: str
) -> None:
    ctx, _ = flowers
    with pytest.raises(error, match=named):
        call(ctx, capability, **params)
    assert call(ctx, "history", name="flowers")["changes"] == []


def test_a_broken_mlflow_is_told_and_the_registry_works_on(flowers: tuple[Context, list[str]]) -> None:
    ctx, _ = flowers
    for place in ctx.settings.home.glob("mlflow.db*"):
        place.unlink()
    (ctx.settings.home / "mlflow.db").write_bytes(b"no database at all" * 100)
    answer = call(ctx, "promote", name="flowers", version=1)
    assert answer["shown"]["status"] == "failed"
    assert "not a database" in answer["shown"]["reason"]
    assert call(ctx, "find", name="flowers")["versions"][1]["aliases"] == ["champion"]


def test_mlflow_shows_a_deleted_version_no_more_and_keeps_no_copy_of_its_model(
    flowers: tuple[Context, list[str]],
) -> None:
    ctx, digests = flowers
    tracked = call(ctx, "track", model="flowers@2", name="flowers")
    ids = {"mlflow_run": tracked["mlflow_run"], "mlflow_model": tracked["mlflow_model"]}
    call(ctx, "register", model="flowers@2", name="tracked", **ids)
    folder = ctx.settings.home / "mlartifacts" / "models" / tracked["mlflow_model"]
    assert (folder / "artifacts" / MODEL).exists()
    client = MlflowClient(tracking_uri=f"sqlite:///{ctx.settings.home / 'mlflow.db'}")
    assert len(client.search_model_versions("name = 'tracked'")) == 1
    done = call(ctx, "delete", name="tracked", version=1, why="a test")
    assert (done["shown"], done["finished"]) == ({"status": "done", "reason": ""}, True)
    assert list(client.search_model_versions("name = 'tracked'")) == []
    assert client.search_logged_models([tracked["experiment"]], f"model_id = '{tracked['mlflow_model']}'") == []
    assert not folder.exists()
    assert load(ctx, "flowers@2").sha256 == digests[1], "the same model under another name stays"
    assert client.get_run(tracked["mlflow_run"]).info.status == "FINISHED", "the run and its figures stay"
    again = call(ctx, "track", model="flowers@2", name="flowers")
    assert again["mlflow_run"] == tracked["mlflow_run"]
    assert again["mlflow_model"] != tracked["mlflow_model"], "what is gone is not referred to again"
