"""Who listens to runs, logs and models is told when they change, and who lists resources when there are others."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from fronts import Front, front, host, kill
from journaled import claimed, ended, submitted
from mcp import Client
from mcp.client.session import IncomingMessage
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import ResourceListChangedNotification, ResourceUpdatedNotification
from served import TRAINED, Era, Served, served

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.core.journal import runs
from mcp_orchestrator.core.output import log_of
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.server import build
from mcp_orchestrator.server.looks import LIST as LIST_OF_RESOURCES
from mcp_orchestrator.server.looks import changes, look
from mcp_orchestrator.server.subscriptions import Watch
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
ERAS: list[Era] = ["auto", "legacy"]
LIST = "the list"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, workers=1)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_orchestrator.server.subscriptions.LOOK_EVERY", 0.02)


@asynccontextmanager
async def hearing(held: Orchestrator, *addresses: str, era: Era) -> AsyncGenerator[tuple[Served, list[str]]]:
    """Listen to addresses, and to the list of resources, and note what is told."""
    heard: list[str] = []

    async def note(message: IncomingMessage) -> None:
        if era == "legacy" and isinstance(message, ResourceUpdatedNotification):
            heard.append(message.params.uri)
        if era == "legacy" and isinstance(message, ResourceListChangedNotification):
            heard.append(LIST)

    held.executor = held.dispatcher.executor = Workers(held.settings, preload=False)
    async with Client(build(held), mode=era, message_handler=note) as client:
        server = Served(client, held, anyio.Event())
        if era == "legacy":
            await client.list_resources()
            for one in addresses:
                with pytest.warns(MCPDeprecationWarning):
                    await client.subscribe_resource(one)  # pyright: ignore[reportDeprecated]
            yield server, heard
            return
        listening = client.listen(resource_subscriptions=list(addresses), resources_list_changed=True)
        async with listening as stream, anyio.create_task_group() as group:
            assert stream.honored.resource_subscriptions == (list(addresses) or None)

            async def follow() -> None:
                async for event in stream:
                    if isinstance(event, ResourceUpdated):
                        heard.append(event.uri)
                    elif isinstance(event, ResourcesListChanged):
                        heard.append(LIST)

            group.start_soon(follow)
            yield server, heard
            group.cancel_scope.cancel()


async def told(heard: list[str], *wanted: str) -> None:
    """Wait until all these were told of, and nothing else; forget them."""
    with anyio.fail_after(60):
        while not set(wanted) <= set(heard):
            await anyio.sleep(0.01)
    assert set(heard) == set(wanted)
    heard.clear()


@pytest.mark.parametrize("era", ERAS)
async def test_a_run_its_log_and_a_model_are_told_of_when_they_change_and_only_then(
    settings: Settings, era: Era
) -> None:
    held, other = Orchestrator(settings=settings), Orchestrator(settings=settings)
    journal = other.journal  # another process is at work on the runs
    journal.owners.enter()
    mine, another = (claimed(journal, submitted(journal, data=name, target="y")) for name in "ab")
    held.versions.register("churn", TRAINED)
    log = log_of(settings.home, mine.id)
    log.parent.mkdir(exist_ok=True)
    run, lines, model = f"run://{mine.id}", f"run://{mine.id}/log", "model://churn"
    async with hearing(held, run, lines, model, era=era) as (_, heard):
        await at_rest(heard)
        log.write_text('{"time": "", "message": "begun"}\n')
        await told(heard, lines)
        journal.at_once(runs.progress, mine.id, 0.5, "half of it")
        await told(heard, run)
        journal.at_once(runs.progress, another.id, 0.5, "of another run")
        other.versions.promote("churn", 1)
        await told(heard, model)
        ended(journal, mine, Status.SUCCEEDED)
        await told(heard, run)
    journal.owners.leave()
    other.close()


async def at_rest(heard: list[str]) -> None:
    """Wait until nothing is told any more, and forget what was."""
    with anyio.fail_after(60):
        while True:
            heard.clear()
            await anyio.sleep(0.3)
            if not heard:
                return


@pytest.mark.parametrize("era", ERAS)
async def test_who_lists_resources_is_told_of_new_runs_and_models_and_of_nothing_else(
    settings: Settings, era: Era
) -> None:
    held, other = Orchestrator(settings=settings), Orchestrator(settings=settings)
    async with hearing(held, era=era) as (server, heard):
        run = submitted(other.journal, data="customers.csv", target="churned")
        await told(heard, LIST)
        listed = {str(one.uri): one for one in (await server.client.list_resources()).resources}
        assert listed[f"run://{run}"].title == "train customers.csv churned"
        other.versions.register("churn", TRAINED)
        await told(heard, LIST)
        assert "model://churn" in {str(one.uri) for one in (await server.client.list_resources()).resources}
        other.journal.at_once(runs.progress, run, 0.5, "half of it")
        other.versions.register("churn", TRAINED, run="again")
        other.versions.register("price", TRAINED)
        await told(heard, LIST)
    other.close()


@pytest.mark.parametrize("address", ["run://" + "0" * 32, "run://xyz", "model://nobody", "run://0000/steps/fit", ""])
async def test_what_does_not_change_or_is_not_there_cannot_be_subscribed_to(settings: Settings, address: str) -> None:
    async with served(settings, "legacy") as server:
        with pytest.warns(MCPDeprecationWarning), pytest.raises(MCPError, match="cannot be subscribed to") as refusal:
            await server.client.subscribe_resource(address)  # pyright: ignore[reportDeprecated]
        assert refusal.value.code == -32602


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_declared_of_changes_is_the_same_in_both_eras(settings: Settings, era: Era) -> None:
    async with served(settings, era) as server:
        known = server.client.server_capabilities
        assert known
        assert known.tools
        assert known.prompts
        assert known.resources
        assert (known.tools.list_changed, known.prompts.list_changed) == (True, True)
        assert (known.resources.list_changed, known.resources.subscribe) == (True, True)


async def test_what_is_gone_keeps_nobody_from_being_told_of_the_rest() -> None:
    there, published, number = {"a": 1, "b": 1}, list[str](), 0

    async def publish(event: object) -> None:
        assert isinstance(event, ResourceUpdated)
        published.append(event.uri)

    watch = Watch(lambda address: there[address], lambda: number, publish)
    async with anyio.create_task_group() as group, watch.following(["a", "b"]):
        group.start_soon(watch.run)
        del there["a"]
        there["b"], number = 2, 1
        with anyio.fail_after(60):
            while set(published) != {"a", "b"}:
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()


def test_the_memory_is_not_opened_for_who_listens_to_a_run(settings: Settings) -> None:
    held = Orchestrator(settings=settings)
    addresses = [f"run://{submitted(held.journal, data='a', target='y')}", LIST_OF_RESOURCES]
    before = changes(held, addresses)
    for one in addresses:
        look(held, one)
    held.versions.register("churn", TRAINED)
    assert changes(held, addresses) != before
    assert not held.remembers
    changes(held, [f"memory://{held.settings.project.name}/context"])
    assert held.remembers
    held.close()


# Through a front -----------------------------------------------------------------------------------------------------


def heard_of(client: Front, number: int) -> set[str]:
    """Return which lists a client was told of, once a request is answered."""
    client.seen.clear()
    client.answer(number)
    methods = (str(one.get("method", "")) for one in client.seen)
    return {one.split("/")[1] for one in methods if one.endswith("/list_changed")}


@pytest.mark.slow
@pytest.mark.usefixtures("unloaded")
def test_clients_are_told_that_the_lists_of_the_next_host_may_be_others(tmp_path: Path) -> None:
    lists = {"tools", "prompts", "resources"}
    with front(tmp_path, modern=True) as new, front(tmp_path) as old:
        new.begin()
        old.begin()
        wanted = {f"{one}ListChanged": True for one in lists}
        new.send("subscriptions/listen", {"notifications": wanted})
        assert heard_of(old, old.send("tools/list")) == set()
        assert heard_of(new, new.send("tools/list")) == set()
        before = kill(tmp_path)
        end = time.monotonic() + 60
        while (now := host(tmp_path)) is None or now == before:
            assert time.monotonic() < end
            time.sleep(0.01)
        for client in (old, new):
            told_of: set[str] = set()
            while told_of != lists:
                assert time.monotonic() < end, json.dumps(client.seen)
                told_of |= heard_of(client, client.send("prompts/list"))
