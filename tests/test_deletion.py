"""A deleted version: gone with the bytes that nothing else needs, its number never used again, its history kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from test_approvals import YES, Person, at_client, happened

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.invoke import invoke
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.errors import Deleted, InvalidInput, NotReady, UnknownName
from mcp_orchestrator.methods.models import load
from mcp_orchestrator.methods.models.examples import example_model
from mcp_orchestrator.methods.models.manifests import read
from mcp_orchestrator.server.moves import plan
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Estimate, Trained
from orchestrator_memory.store import MemoryStore

REGISTRY = Registry()
NAME, WHY = "flowers", "trained on rows that must go"
ACCURACY = Estimate(value=0.95, low=0.92, high=0.97)


def call(ctx: Context, capability: str, **params: Any) -> dict[str, Any]:
    return invoke(REGISTRY, ctx, "production_registry", capability, params)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show nothing in MLflow, which takes seconds to load; what it shows is in test_production_registry."""
    monkeypatch.setattr("mcp_orchestrator.methods.models.exports.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Trained]]:
    """Two models in one folder of artifacts: they share the sample of their training part."""
    settings = Settings.load(tmp_path_factory.mktemp("stored"))
    ctx = Context(settings=settings, artifacts=ArtifactStore(settings.home / "artifacts"))
    return settings.home, [example_model(ctx, strength)[0] for strength in (1.0, 0.0001)]


@pytest.fixture
def flowers(ctx: Context, stored: tuple[Path, list[Trained]]) -> list[Trained]:
    """Two versions of a model, of which the first is the champion."""
    home, models = stored
    for place in home.rglob("*"):
        if place.is_file():
            target = ctx.settings.home / place.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(place.read_bytes())
    with Versions(ctx.settings.home) as versions:
        for model in models:
            versions.register(NAME, model, metrics={"accuracy": ACCURACY}, run="r")
        versions.promote(NAME, 1, why="the first")
    return models


def lies(ctx: Context, *digests: str) -> list[bool]:
    held = {place.name for place in ctx.settings.home.rglob("*")}
    return [one in held for one in digests]


def parts(ctx: Context, model: Trained) -> tuple[str, str, str]:
    """Return the digests of a model, of its estimator and of its sample."""
    files = read(ctx, model.sha256).files
    return model.sha256, files["model.skops"], files["reference.parquet"]


def test_a_deleted_version_is_gone_with_its_bytes_and_says_so_and_its_history_stays(
    ctx: Context, flowers: list[Trained]
) -> None:
    whole = parts(ctx, flowers[1])
    assert parts(ctx, flowers[0])[2] == whole[2]
    freed = sum(ctx.artifacts.path(one).stat().st_size for one in whole[:2])
    done = call(ctx, "delete", name=NAME, version=2, why=WHY)
    assert (done["version"], done["by"], done["left"], done["finished"]) == (2, "a call", [1], True)
    assert done["freed"] == freed
    assert done["kept"] == "1 of its 2 files belong to other models or tables too"
    assert lies(ctx, *whole) == [False, False, True], "the other version needs the sample"
    said = rf'Version 2 of model \'flowers\' was deleted on 20.* UTC by a call, because: "{WHY}". It has 1\.$'
    for ref in (f"{NAME}@2", flowers[1].uri):
        for asked in (lambda ref=ref: load(ctx, ref), lambda ref=ref: call(ctx, "register", model=ref, name="x")):
            with pytest.raises(Deleted, match=said):
                asked()
    with pytest.raises(Deleted, match=said):
        call(ctx, "promote", name=NAME, version=2)
    with pytest.raises(Deleted, match=said):
        call(ctx, "delete", name=NAME, version=2, why="again")
    assert [one["version"] for one in call(ctx, "find", name=NAME)["versions"]] == [1]
    [kept] = call(ctx, "history", name=NAME)["deleted"]
    assert (kept["version"], kept["why"], kept["by"], kept["run"]) == (2, WHY, "a call", "r")
    assert kept["metrics"] == {"accuracy": ACCURACY.model_dump()}
    assert kept["model"]["sha256"] == flowers[1].sha256
    assert load(ctx, NAME).sha256 == flowers[0].sha256


def test_its_number_is_never_used_again_and_a_name_without_versions_keeps_its_history(
    ctx: Context, flowers: list[Trained]
) -> None:
    call(ctx, "delete", name=NAME, version=2, why=WHY)
    with Versions(ctx.settings.home) as versions:
        versions.remove_alias(NAME, "champion", why="it goes too")
    gone = parts(ctx, flowers[0])
    assert call(ctx, "delete", name=NAME, version=1, why=WHY)["kept"] == ""
    assert not any(lies(ctx, *gone)), "now nothing needs the sample"
    with Versions(ctx.settings.home) as versions:
        assert (versions.names(), versions.list(NAME)) == ([], [])
        for ref in (NAME, f"{NAME}@latest"):
            with pytest.raises(Deleted, match="No version of it is left; train one"):
                versions.get(ref)
        with pytest.raises(UnknownName, match="no model 'roses'"):
            versions.list("roses")
        assert [one.alias for one in versions.history(NAME)] == ["champion"] * 2
        assert versions.register(NAME, example_model(ctx)[0], run="r").version == 3
        assert versions.get(NAME).version == 3
    assert load(ctx, f"{NAME}@3").sha256 == flowers[0].sha256, "what is trained again is a version again"


def test_what_an_alias_points_to_or_somebody_has_reserved_is_not_deleted(ctx: Context, flowers: list[Trained]) -> None:
    with Versions(ctx.settings.home) as versions:
        versions.set_alias(NAME, "production", 1)
    with pytest.raises(NotReady, match=r"is 'champion' and 'production'; nothing was deleted\. First give these"):
        call(ctx, "delete", name=NAME, version=1, why=WHY)
    with MemoryStore.open(ctx.settings.home / "memory.db", ctx.settings.project.name) as memory:
        memory.agents.register("ann", role="releases")
        held = memory.reservations.reserve(f"model:{NAME}", "ann")
        with pytest.raises(NotReady, match="reserved by ann"):
            call(ctx, "delete", name=NAME, version=2, why=WHY)
        assert all(lies(ctx, *parts(ctx, flowers[1])))
        assert call(ctx, "delete", name=NAME, version=2, why=WHY, fence=held.fence)["finished"]
    with pytest.raises(InvalidInput, match="why: is required"):
        call(ctx, "delete", name=NAME, version=1)


def test_the_bytes_stay_while_another_version_or_who_stored_them_again_needs_them(
    ctx: Context, flowers: list[Trained]
) -> None:
    whole = parts(ctx, flowers[1])
    call(ctx, "register", model=f"{NAME}@2", name="copy")
    done = call(ctx, "delete", name=NAME, version=2, why=WHY)
    assert (done["freed"], done["kept"], done["finished"]) == (0, "copy@1 is the same model", True)
    assert load(ctx, "copy").sha256 == flowers[1].sha256
    example_model(ctx, 0.0001)  # as a run that is repeated does before it registers it
    done = call(ctx, "delete", name="copy", version=1, why=WHY)
    assert (done["freed"], done["kept"]) == (0, "the model was stored again since it was registered")
    assert all(lies(ctx, *whole))
    assert call(ctx, "register", model=flowers[1].uri, name="copy")["version"] == 2


def journaled(versions: Versions, run: str, status: str, **fields: str) -> None:
    with versions.door.write() as db:
        known = {"id": run, "workflow": "train", "spec": "{}", "status": status, **fields}
        marks = ", ".join(f":{name}" for name in known)
        db.execute(f"INSERT INTO run({', '.join(known)}, created) VALUES({marks}, 1)", known)


def test_a_run_that_may_go_on_keeps_the_bytes_until_it_has_ended(ctx: Context, flowers: list[Trained]) -> None:
    with Versions(ctx.settings.home) as versions:
        Journal(ctx.settings.home).close()
        run = "a" * 32
        journaled(versions, run, "failed", spec=f'{{"model": "{flowers[1].uri}"}}')
        done = call(ctx, "delete", name=NAME, version=2, why=WHY)
        assert (done["freed"], done["finished"]) == (0, False)
        assert done["kept"] == f"run {run} (failed) may go on with the model; it is removed when that is over or pruned"
        assert load(ctx, flowers[1].uri).sha256 == flowers[1].sha256
        journaled(versions, "b" * 32, "succeeded", forked_from=run)
    [cleared] = call(ctx, "clear")["deletions"]
    assert cleared["finished"]
    assert lies(ctx, flowers[1].sha256) == [False]
    assert call(ctx, "clear") == {"deletions": []}


def test_the_verdict_and_the_card_of_the_run_that_made_it_are_kept(ctx: Context, flowers: list[Trained]) -> None:
    assert flowers
    with Versions(ctx.settings.home) as versions:
        Journal(ctx.settings.home).close()
        journaled(versions, "r", "failed")
        journaled(versions, "s", "succeeded", origin="r", result='{"verdict": "better than the baseline"}')
        journaled(versions, "t", "paused", spec=f'{{"model": "{NAME}@2", "against": "{NAME}@21"}}')
        with versions.door.write() as db:
            row = ("c", "artifact://c", "model_card.md", "text/markdown", 1, "r", "report", 1)
            db.execute("INSERT INTO artifact VALUES(?, ?, ?, ?, ?, ?, ?, ?)", row)
        asked = {"component": "production_registry", "capability": "delete", "params": {"name": NAME, "version": 2}}
        assert "It is still referred to by run t (paused)." in plan(versions, asked).text
    call(ctx, "delete", name=NAME, version=2, why=WHY)
    [kept] = call(ctx, "history", name=NAME)["deleted"]
    assert (kept["summary"], kept["card"]) == ("better than the baseline", "artifact://c")


@pytest.mark.anyio
@pytest.mark.parametrize("cut", ["_remove", "hide"])
async def test_a_crash_after_the_mark_leaves_no_half_state_and_the_next_leader_finishes_it(
    ctx: Context, flowers: list[Trained], monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    whole = parts(ctx, flowers[1])

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as now:
        now.setattr(f"mcp_orchestrator.methods.models.deleting.{cut}", crash)
        with pytest.raises(KeyboardInterrupt):
            call(ctx, "delete", name=NAME, version=2, why=WHY)
    assert lies(ctx, whole[0]) == [cut == "_remove"]
    with pytest.raises(Deleted, match="was deleted on"):
        load(ctx, f"{NAME}@2")
    orchestrator = Orchestrator(settings=ctx.settings, in_process=True)
    assert [one.version for one in orchestrator.versions.deletions(NAME, unfinished=True)] == [2]
    async with orchestrator.running():
        with anyio.fail_after(60):
            while orchestrator.versions.deletions(unfinished=True):
                await anyio.sleep(0.02)
    assert lies(ctx, *whole) == [False, False, True]


def test_a_file_that_was_put_aside_by_who_died_then_is_removed_by_the_next(ctx: Context) -> None:
    store = ctx.artifacts
    kept = store.put(b"some bytes", name="x")
    place = store.path(kept.sha256)
    place.replace(place.with_name(f".gone-{kept.sha256}"))
    assert store.remove(kept.sha256, since=2**62) == len(b"some bytes")
    assert list(place.parent.iterdir()) == []
    assert store.remove(kept.sha256, since=2**62) == 0


def test_a_rollback_passes_by_what_was_deleted(tmp_path: Path) -> None:
    with Versions(tmp_path) as versions:
        for number in (1, 2, 3):
            digest = f"{number:064x}"
            facts: dict[str, Any] = {"bytes": 1, "estimator": "E", "task": "regression", "target": "y", "features": []}
            versions.register("m", Trained(uri=f"model://{digest}", sha256=digest, **facts))
            versions.promote("m", number)
        versions.delete("m", 2)
        assert versions.rollback("m").version == 1
        versions.promote("m", 3)
        assert versions.rollback("m").version == 1
        with pytest.raises(NotReady, match="nothing to go back to"):
            versions.rollback("m")


@pytest.mark.anyio
async def test_an_agent_s_deletion_is_shown_to_a_person_first_and_done_after_their_yes(
    ctx: Context, flowers: list[Trained]
) -> None:
    person = Person([YES])
    asked = {"component": "production_registry", "capability": "delete"}

    async def told(client: Client, tool: str, **arguments: Any) -> Any:
        return (await client.call_tool(tool, arguments)).structured_content

    async with at_client(ctx.settings, person=person) as client:
        refused = await client.call_tool(
            "invoke_ml_component", {**asked, "params": {"name": NAME, "version": 1, "why": WHY}}
        )
        assert "is 'champion'; nothing was deleted" in str(refused.content)
        params = {"name": NAME, "version": 2, "why": WHY}
        done = (await told(client, "invoke_ml_component", **asked, params=params))["result"]
        assert done["by"] == "a call, approved by the person at mcp (form)"
        assert [one["version"] for one in (await told(client, "find_models", name=NAME))["models"]] == [1]
        gone = await client.call_tool("predict", {"model": f"{NAME}@2", "records": [{"x": 1}]})
        assert "was deleted on" in str(gone.content)
        history = await told(client, "invoke_ml_component", **{**asked, "capability": "history"}, params={"name": NAME})
        assert history["result"]["deleted"][0]["by"] == done["by"]
        assert [one["status"] for one in history["result"]["asked"]] == ["approved"]
        twice = await client.call_tool("invoke_ml_component", {**asked, "params": params})
        assert "was deleted on" in str(twice.content)
        assert f"model://{NAME}" in {str(one.uri) for one in (await client.list_resources()).resources}
        with Versions(ctx.settings.home) as versions:
            versions.remove_alias(NAME, "champion")
            versions.delete(NAME, 1, by="ann", why=WHY)
        assert f"model://{NAME}" not in {str(one.uri) for one in (await client.list_resources()).resources}
        found = await told(client, "find_models", name=NAME)
        assert found["models"] == []
        assert 'capability="history"' in found["next"][1]
    size = f"{flowers[1].bytes / 1e3:.1f} kB"
    [question] = person.read
    assert question.endswith(
        f"Deletion, for good: version 2 of model 'flowers' (LogisticRegression, {size}, no alias; versions left: 1). "
        "accuracy: version 2 0.95 (0.92 to 0.97). No run or schedule that is still to work names it. "
        f'The reason that was given: "{WHY}".'
    )
    assert happened(ctx.settings) == ["consent_asked", "consent_approved"]
