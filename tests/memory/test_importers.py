"""What the mission's own memory manager kept in files is imported once, at its times and without trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator_memory.errors import Refused
from orchestrator_memory.importers import import_folder, is_folder
from orchestrator_memory.memory_manager import AgentMemoryManager
from orchestrator_memory.shapes import moment, stamp
from orchestrator_memory.store import MemoryStore

ME = "ml-orchestrator"
BAD_ZONE = "2025-08-28T10:00:00.123456+00:00Z"
"""As the original writes times."""
AT = 1_756_375_200_123_456


def an_agent(**more: Any) -> dict[str, Any]:
    parts = [{"to_agent": "performance-engineer", "reason": "Measure", "outcome": "success"}]
    return {
        "agent_name": ME,
        "last_updated": BAD_ZONE,
        "task_history": [
            {
                "task_id": f"t{number}",
                "timestamp": BAD_ZONE if number else "2025-08-27T10:00:00Z",
                "task_description": f"Task {number}",
                "outcome": "success",
                "key_insights": ["One"],
                "delegations": parts,
            }
            for number in (1, 0)
        ],
        "domain_knowledge": {
            "common_patterns": [{"pattern_name": "leak", "description": "A target leaks", "frequency": 3}],
            "project_specific_context": {
                "architecture_patterns": ["Layers"],
                "performance_baselines": {"auc": 0.9},
                "configuration_insights": [],
            },
        },
        "optimization_insights": [
            {"area": "training", "insight": "Scale", "impact": "high", "confidence": 0.9, "discovered_at": BAD_ZONE}
        ],
        "collaboration_patterns": {
            "frequent_collaborators": [
                {
                    "agent_name": "performance-engineer",
                    "collaboration_frequency": 4,
                    "success_rate": 0.75,
                    "common_tasks": ["serving"],
                }
            ],
            "delegation_effectiveness": {},
        },
        **more,
    }


def a_message(number: int, **more: Any) -> dict[str, Any]:
    return {
        "message_id": f"m{number}",
        "from_agent": ME,
        "target_agents": ["performance-engineer"],
        "message_type": "insight",
        "content": f"Message {number}",
        "metadata": {},
        "timestamp": BAD_ZONE,
        "acknowledged_by": [],
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / ".claude" / "memory"
    (place / "agents").mkdir(parents=True)
    (place / "agents" / f"{ME}.json").write_text(json.dumps(an_agent()))
    acked = [{"agent": "performance-engineer", "timestamp": BAD_ZONE}, {"agent": "outsider", "timestamp": BAD_ZONE}]
    shared = {
        "last_updated": BAD_ZONE,
        "project_context": {"project_name": "another", "current_phase": "testing", "active_objectives": ["Fast"]},
        "inter_agent_messages": [a_message(2), a_message(1, acknowledged_by=acked)],
        "global_insights": ["Small models suffice"],
        "architectural_decisions": [],
        "performance_baselines": {"auc": 0.8},
    }
    (place / "shared_context.json").write_text(json.dumps(shared))
    return place


def test_a_folder_is_imported_with_its_times_and_without_trust(store: MemoryStore, folder: Path) -> None:
    done = import_folder(store, folder)
    assert done.model_dump() == {
        "agents": 1, "tasks": 2, "insights": 1, "patterns": 1, "collaborations": 4, "keys": 4, "messages": 2,
        "skipped": (), "dry": False,
    }  # fmt: skip
    tasks = store.tasks.list(agent=ME)
    assert [(one.description, one.ended) for one in tasks] == [("Task 1", AT), ("Task 0", moment("2025-08-27T10", ""))]
    assert tasks[0].delegations[0].to == "performance-engineer"
    (insight,) = store.memories.list(kinds=("insight",))
    assert (insight.origin, insight.trust, insight.created, insight.valid_from) == ("import", 0, AT, AT)
    assert [hit.memory.uid for hit in store.memories.recall(["scale"]).hits] == [insight.uid]
    (partner,) = store.collaboration.of(ME)
    assert (partner.type, partner.attempts, partner.successes) == ("serving", 4, 3)
    (unread,) = store.messages.inbox("performance-engineer")
    assert (unread.body, unread.created) == ("Message 2", AT)
    assert store.context.get("phase").value == "testing"
    shown = AgentMemoryManager(store=store).load_agent_memory(ME)
    wanted = an_agent(agent_name=ME)
    assert [one["task_id"] for one in shown["task_history"]] == ["t1", "t0"]
    assert shown["optimization_insights"][0] | {"discovered_at": ""} == wanted["optimization_insights"][0] | {
        "discovered_at": ""
    }
    assert shown["domain_knowledge"] == wanted["domain_knowledge"]
    assert (
        shown["collaboration_patterns"]["frequent_collaborators"]
        == (wanted["collaboration_patterns"]["frequent_collaborators"])
    )


def test_a_folder_that_is_imported_again_brings_only_what_is_new(store: MemoryStore, folder: Path) -> None:
    import_folder(store, folder)
    before = AgentMemoryManager(store=store)
    was = (before.load_agent_memory(ME), before.load_shared_context())
    again = import_folder(store, folder)
    assert {name for name, one in again if one} == set()
    assert (before.load_agent_memory(ME), before.load_shared_context()) == was
    grown = an_agent()
    grown["task_history"].insert(0, {"task_description": "Without id", "outcome": "failure", "timestamp": BAD_ZONE})
    partner = grown["collaboration_patterns"]["frequent_collaborators"][0]
    partner |= {"collaboration_frequency": 6, "success_rate": 0.5}
    grown["domain_knowledge"]["project_specific_context"]["architecture_patterns"].append("Ports")
    (folder / "agents" / f"{ME}.json").write_text(json.dumps(grown))
    store.collaboration.record(ME, "performance-engineer", success=True, type="serving")
    store.context.patch("phase", "serving", expected=1)
    for new in ((1, 2), (0, 0)):
        done = import_folder(store, folder)
        assert (done.tasks, done.collaborations, done.keys, done.messages, done.skipped) == (*new, 0, 0, ())
    (counted,) = store.collaboration.of(ME)
    assert (counted.attempts, counted.successes) == (7, 4)
    (folder / "agents" / f"{ME}.json").write_text(json.dumps(an_agent()))  # as it was at first
    assert import_folder(store, folder).skipped == ()
    assert store.context.get("phase").value == "serving"
    knowledge = before.load_agent_memory(ME)["domain_knowledge"]["project_specific_context"]
    assert knowledge["architecture_patterns"] == ["Layers", "Ports"]


def test_a_dry_import_tells_the_same_and_keeps_nothing(store: MemoryStore, folder: Path) -> None:
    dry = import_folder(store, folder, dry=True)
    assert (store.agents.list(), store.tasks.list(), store.memories.list(), store.context.all()) == ([], [], [], [])
    assert dry.model_copy(update={"dry": False}) == import_folder(store, folder)


def test_what_cannot_be_understood_is_skipped_by_file_and_the_rest_is_kept(store: MemoryStore, folder: Path) -> None:
    wrong = an_agent()
    wrong["task_history"] += [
        {"outcome": "success"},
        {"task_description": "When", "outcome": "failure", "timestamp": "-"},
    ]
    wrong["optimization_insights"].append({"insight": "Half of one"})
    wrong["collaboration_patterns"]["frequent_collaborators"].append({"agent_name": "third"})
    (folder / "agents" / f"{ME}.json").write_text(json.dumps(wrong))
    (folder / "agents" / "broken.json").write_text('{"agent_name": "broken"')
    (folder / "agents" / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (folder / "agents" / "list.json").write_text("[]")
    (folder / "agents" / "outside.json").write_text(json.dumps(an_agent(agent_name="../../x")))
    done = import_folder(store, folder)
    assert (done.agents, done.tasks, done.insights, done.patterns, done.collaborations, done.messages) == (
        1,
        2,
        1,
        1,
        4,
        2,
    )
    places = [one.split(":")[0] for one in done.skipped]
    assert places == [
        "agents/broken.json",
        "agents/bytes.json",
        "agents/list.json",
        *[f"agents/{ME}.json"] * 4,
        "agents/outside.json",
    ]
    assert "has no task_description" in " ".join(done.skipped)
    assert "is no time" in " ".join(done.skipped)


def test_an_item_that_is_refused_half_way_leaves_nothing(store: MemoryStore, folder: Path) -> None:
    half = a_message(3, acknowledged_by=[{"agent": "../../x"}])
    (folder / "shared_context.json").write_text(json.dumps({"inter_agent_messages": [half]}))
    done = import_folder(store, folder)
    assert (done.messages, len(done.skipped)) == (0, 1)
    assert store.messages.inbox("performance-engineer") == []


def test_a_folder_without_such_files_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    assert not is_folder(tmp_path)
    with pytest.raises(Refused, match=r"\.claude/memory"):
        import_folder(store, tmp_path)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01+00:00Z", 1_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.000001", 1),
        ("1970-01-02", 86_400_000_000),
        ("1969-12-31T23:59:59Z", -1_000_000),
    ],
)
def test_times_are_read_as_they_are_written(text: str, at: int) -> None:
    assert moment(text, "timestamp") == at
    assert moment(stamp(at), "timestamp") == at
