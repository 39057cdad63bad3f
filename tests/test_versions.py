"""Versions never change, aliases move by compare-and-set, and the history says who moved them and why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_orchestrator.errors import InvalidInput, NotReady, OrchestratorError, UnknownName
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Estimate, Trained


def model(number: int) -> Trained:
    digest = f"{number:064x}"
    return Trained(
        uri=f"model://{digest}",
        sha256=digest,
        bytes=1,
        estimator="LogisticRegression",
        task="classification",
        target="species",
        features=["width"],
        classes=["a", True, 3],
    )


@pytest.fixture
def versions(tmp_path: Path) -> Iterator[Versions]:
    with Versions(tmp_path) as opened:
        yield opened


@pytest.fixture
def flower(versions: Versions) -> Versions:
    """Three versions of one model, none with an alias."""
    for number in (1, 2, 3):
        versions.register("flower", model(number))
    return versions


def test_versions_are_numbered_by_name_and_keep_what_was_recorded(versions: Versions) -> None:
    metrics = {"accuracy": Estimate(value=0.9, low=0.8, high=0.95)}
    first = versions.register("flower", model(1), metrics=metrics, run="r1")
    assert [versions.register("flower", model(2)).version, versions.register("tree", model(1)).version] == [2, 1]
    found = versions.get("flower@1")
    assert found == first
    assert (found.uri, found.sha256, found.classes) == (model(1).uri, model(1).sha256, ["a", True, 3])
    assert (found.metrics, found.run, found.aliases) == (metrics, "r1", [])


def test_the_same_model_of_the_same_run_is_registered_once(versions: Versions) -> None:
    first = versions.register("flower", model(1), run="r1")
    assert versions.register("flower", model(1), run="r1") == first
    assert versions.register("flower", model(1), run="r2").version == 2
    assert len(versions.list("flower")) == 2


@pytest.mark.requirement("versions.aliases")
def test_a_name_alone_means_its_champion_or_the_newest_version(flower: Versions) -> None:
    assert flower.get("flower").version == 3
    flower.promote("flower", 1)
    assert [flower.get(ref).version for ref in ("flower", "flower@champion", "flower@latest", "flower@v2")] == [
        1,
        1,
        3,
        2,
    ]
    assert flower.get(f"model://{2:064x}").version == 2


def test_what_was_registered_is_there_after_a_restart(tmp_path: Path) -> None:
    with Versions(tmp_path) as before:
        before.register("flower", model(1))
        before.promote("flower", 1)
    with Versions(tmp_path) as after:
        assert after.get("flower@champion").sha256 == model(1).sha256


@pytest.mark.parametrize("name", ["", "-flower", "a b", "a/b", "a@b", "x" * 81, "../x", "é", "0" * 64])
def test_a_name_that_cannot_be_written_in_a_reference_is_refused(versions: Versions, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a model"):
        versions.register(name, model(1))
    assert versions.names() == []


@pytest.mark.parametrize("alias", ["", "3", "v3", "latest", "a b", "a@b", "x" * 41])
def test_an_alias_that_could_be_taken_for_a_version_is_refused(flower: Versions, alias: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be an alias"):
        flower.set_alias("flower", alias, 1)


@pytest.mark.parametrize(
    ("ref", "named"),
    [
        ("flowr", "'flower'"),
        ("flower@chmpion", "'champion'"),
        ("flower@challenger", "champion"),
        ("flower@4", "1 to 3"),
        ("model://" + "f" * 64, "ffff"),
    ],
)
def test_an_unknown_reference_is_answered_with_what_there_is(flower: Versions, ref: str, named: str) -> None:
    flower.promote("flower", 1)
    with pytest.raises(UnknownName, match=named):
        flower.get(ref)


def test_an_empty_registry_says_so(versions: Versions) -> None:
    with pytest.raises(UnknownName, match="No model is registered yet"):
        versions.get("flower")


@pytest.mark.requirement("versions.aliases")
def test_each_move_of_an_alias_is_kept_with_who_and_why(flower: Versions) -> None:
    flower.set_alias("flower", "challenger", 2, by="ann", why="better recall")
    flower.set_alias("flower", "challenger", 3, by="bob", why="faster")
    flower.remove_alias("flower", "challenger", by="ann", why="enough")
    told = [
        (c.action, c.previous, c.version, c.generation, c.by, c.why) for c in flower.history("flower", "challenger")
    ]
    assert told == [
        ("set", None, 2, 1, "ann", "better recall"),
        ("set", 2, 3, 2, "bob", "faster"),
        ("remove", 3, None, 3, "ann", "enough"),
    ]
    with pytest.raises(UnknownName, match="challenger"):
        flower.get("flower@challenger")


def test_a_promotion_records_the_old_champion_and_ends_the_challenge(flower: Versions) -> None:
    flower.promote("flower", 1)
    flower.set_alias("flower", "challenger", 2)
    change = flower.promote("flower", 2, by="ann", why="gate passed")
    assert (change.previous, change.version, change.why) == (1, 2, "gate passed")
    assert [flower.get(f"flower@{number}").aliases for number in (1, 2)] == [[], ["champion"]]
    assert flower.history("flower")[-1].alias == "challenger"


@pytest.mark.requirement("versions.rollback")
def test_rollbacks_go_back_one_holder_at_a_time_and_then_refuse(flower: Versions) -> None:
    for number in (1, 2, 3):
        flower.promote("flower", number)
    assert [flower.rollback("flower").version for _ in range(2)] == [2, 1]
    with pytest.raises(NotReady, match="nothing to go back to"):
        flower.rollback("flower")
    flower.promote("flower", 3)
    assert flower.rollback("flower").version == 1
    assert flower.get("flower").version == 1


def test_setting_the_same_version_again_leaves_the_rollback_as_it_was(flower: Versions) -> None:
    flower.promote("flower", 1)
    flower.promote("flower", 2)
    flower.promote("flower", 2)
    assert flower.rollback("flower").version == 1


def test_a_decision_on_an_older_state_is_refused_and_changes_nothing(flower: Versions) -> None:
    seen = flower.generation("flower", "champion")
    assert seen == 0
    flower.promote("flower", 1, expected=seen)
    for move in (flower.promote, lambda n, v, **k: flower.set_alias(n, "champion", v, **k)):
        with pytest.raises(NotReady, match="moved by somebody else"):
            move("flower", 2, expected=seen)
    with pytest.raises(NotReady, match="moved by somebody else"):
        flower.rollback("flower", expected=7) if flower.promote("flower", 2) else None
    assert flower.get("flower").version == 2
    assert flower.generation("flower", "champion") == 2


def test_an_alias_cannot_point_at_a_version_that_is_not_there(flower: Versions) -> None:
    with pytest.raises(UnknownName, match="1 to 3"):
        flower.promote("flower", 4)
    with pytest.raises(UnknownName, match="'flower'"):
        flower.promote("flwer", 1)
    assert flower.history("flower") == []


def test_where_mlflow_shows_a_version_is_kept(flower: Versions) -> None:
    flower.record("flower", 2, {"run": "abc"})
    flower.record("flower", 2, {"version": "7"})
    assert flower.get("flower@2").mlflow == {"run": "abc", "version": "7"}


RACER = """
import sys
from pathlib import Path
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Trained

home, me = Path(sys.argv[1]), int(sys.argv[2])
digest = f"{me + 100:064x}"
facts = {"bytes": 1, "estimator": "E", "task": "regression", "target": "y", "features": []}
trained = Trained(uri=f"model://{digest}", sha256=digest, **facts)
lost = 0
with Versions(home) as versions:
    mine = versions.register("flower", trained).version
    shared = versions.register("flower", trained.model_copy(update={"sha256": "f" * 64})).version
    for _ in range(40):
        seen = versions.generation("flower", "champion")
        versions.set_alias("flower", "challenger", mine)
        try:
            versions.promote("flower", mine, expected=seen, by=str(me))
        except NotReady:
            lost += 1
print(lost, mine, shared)
"""


@pytest.mark.requirement("versions.race")
def test_processes_that_race_lose_no_move_and_leave_no_torn_state(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), str(me)], stdout=subprocess.PIPE, text=True)
        for me in range(3)
    ]
    told = [racer.communicate()[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert len({shared for _, _, shared in told}) == 1
    assert len({mine for _, mine, _ in told}) == 3
    with Versions(tmp_path) as versions:
        moves = versions.history("flower", "champion")
        won = 3 * 40 - sum(int(lost) for lost, _, _ in told)
        assert [move.generation for move in moves] == list(range(1, won + 1))
        assert [move.previous for move in moves[1:]] == [move.version for move in moves[:-1]]
        assert {move.by for move in moves} == {"0", "1", "2"}
        holders = [version for version in versions.list("flower") if "champion" in version.aliases]
        assert [holder.version for holder in holders] == [moves[-1].version]


def test_every_refusal_is_one_of_ours(flower: Versions) -> None:
    for call in (lambda: flower.get("a/b"), lambda: flower.list("x"), lambda: flower.history("x")):
        with pytest.raises(OrchestratorError):
            call()
