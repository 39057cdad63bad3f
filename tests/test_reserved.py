"""What agents have reserved is left alone by workflows and components, unless its fence is given."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from mcp_orchestrator.component import Context
from mcp_orchestrator.components.training import production_registry
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.methods.models.examples import example_model
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.tracking.reserved import MEMORY, guard
from mcp_orchestrator.tracking.versions import Versions
from orchestrator_memory.store import MemoryStore


@pytest.fixture
def memory(settings: Settings) -> Generator[MemoryStore]:
    with MemoryStore.open(settings.home / MEMORY, settings.project.name) as store:
        yield store


def test_what_nobody_has_reserved_is_free_and_no_memory_is_made_for_the_question(settings: Settings) -> None:
    guard(settings, "model:churn", alone=True)
    assert not (settings.home / MEMORY).exists()


def test_who_changes_something_finds_it_free_of_everybody_else(settings: Settings, memory: MemoryStore) -> None:
    mine = memory.reservations.reserve("model:churn", "trainer", mode="shared")
    theirs = memory.reservations.reserve("model:churn", "reviewer", mode="shared", reason="it is being tested")
    with pytest.raises(NotReady, match=r"reserved by reviewer \(it is being tested\)"):
        guard(settings, "model:churn", mine.fence, alone=True)
    guard(settings, "model:churn", alone=False)
    memory.reservations.release(theirs.fence)
    guard(settings, "model:churn", mine.fence, alone=True)
    guard(settings, "model:other", alone=True)


def test_who_holds_something_alone_is_in_the_way_of_readers_too(settings: Settings, memory: MemoryStore) -> None:
    memory.reservations.reserve("dataset:sales.csv", "data-engineer", reason="it is being rewritten")
    with pytest.raises(NotReady, match=r"dataset:sales\.csv is reserved by data-engineer"):
        guard(settings, "dataset:sales.csv", alone=False)


def test_a_fence_whose_reservation_is_over_is_refused(settings: Settings, memory: MemoryStore) -> None:
    held = memory.reservations.reserve("model:churn", "trainer")
    memory.reservations.release(held.fence)
    with pytest.raises(NotReady, match="Reserve it again"):
        guard(settings, "model:churn", held.fence, alone=True)


def test_an_alias_is_moved_under_the_fence_of_who_has_reserved_the_model(ctx: Context, memory: MemoryStore) -> None:
    with Versions(ctx.settings.home) as versions:
        versions.register("churn", example_model(ctx, 1.0)[0])
    held = memory.reservations.reserve("model:churn", "release-manager")
    asked = {"name": "churn", "version": 1}
    for name, more in (("promote", {}), ("alias", {"alias": "challenger"})):
        with pytest.raises(NotReady, match="reserved by release-manager"):
            getattr(production_registry, name).call(ctx, {**asked, **more})
    with Versions(ctx.settings.home) as versions:
        assert versions.get("churn@1").aliases == []
    assert production_registry.promote.call(ctx, {**asked, "fence": held.fence}).version == 1
