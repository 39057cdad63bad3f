"""What is asked for is found, in an order that can be explained, within what was granted."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_memory import plan
from orchestrator_memory.errors import NotFound, Refused
from orchestrator_memory.store import MemoryStore

HERE = Path(__file__).parent
DAYS = 86_400


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Generator[MemoryStore]:
    with judged().remembered(tmp_path_factory.mktemp("recall") / "memory.db") as store:
        yield store


def judged() -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location("questions", HERE / "questions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(store: MemoryStore, *queries: str, **how: Any) -> list[str]:
    return [one.memory.body for one in store.memories.recall(list(queries), **how).hits]


# How well ------------------------------------------------------------------------------------------------------------


def test_of_the_answers_to_a_hundred_questions_asked_in_two_or_three_ways_85_percent_are_among_the_first_five(
    project: MemoryStore,
) -> None:
    questions = judged()
    assert len(questions.DATA["questions"]) >= 60
    assert len(questions.DATA["memories"]) >= 120
    assert questions.recall_at(project, 5)[0] >= 0.85


def test_asking_in_several_ways_finds_more_than_asking_in_one(project: MemoryStore) -> None:
    questions = judged()
    both, first, second = (questions.recall_at(project, 5, ways=slice(*ways))[0] for ways in ((0, 3), (0, 1), (1, 2)))
    assert both > max(first, second)


def test_other_words_of_the_field_find_what_the_words_of_a_question_do_not(
    project: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = judged()
    with_them = questions.recall_at(project, 5, ways=slice(0, 1))[0]
    monkeypatch.setattr(plan, "others", lambda _: {})
    assert questions.recall_at(project, 5, ways=slice(0, 1))[0] < with_them


# What is found -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "body"),
    [
        ("leaking columns", "The column is a leak."),
        ("area under the curve", "AUC was .91 on the holdout."),
        ("churn@champion", "churn@champion was promoted on Monday."),
        ("max_depth", "Values of max_depth above 8 overfit."),
        ("hist gradient boosting", "HistGradientBoostingClassifier won."),
        ("0.93", "The threshold is 0.93 since May."),
        ("run 4f9a2c1b77", "Best so far: run 4f9a2c1b77."),
        ("über straße", "Über die Straße kam nichts."),
        ("GROSSE STRAßE", "Die Straße war leer."),
        ("uber", "Über Nacht kam nichts."),
        ("pre-trained/precision", "Precision counts."),
        ("RandomForest", "A random forest lost."),
        ("model://churn/14", "See model://churn/14 for the card."),
        ("serialized how", "Serialisation is done by skops."),
        ("What did we do?", "What did we do, and how?"),
    ],
)
def test_forms_names_numbers_and_other_words_are_found(store: MemoryStore, question: str, body: str) -> None:
    for number in range(8):
        store.memories.remember(f"Something else altogether, number {number * 1000}.", agent="ann")
    store.memories.remember(body, agent="ann")
    assert found(store, question)[0] == body


@pytest.mark.parametrize(
    ("body", "question"),
    [
        ("训练数据中的目标泄漏必须先排除。", "目标泄漏怎么办"),
        ("モデルの劣化はデータの変化で起きた。", "データの変化"),
        ("모델드리프트가 발견되었다.", "드리프트 원인"),
    ],
    ids=["chinese", "japanese", "korean"],
)
def test_words_of_scripts_without_blanks_are_found_within_a_sentence(
    store: MemoryStore, body: str, question: str
) -> None:
    store.memories.remember(body, agent="ann")
    store.memories.remember("A sentence of another script: 完全.", agent="ann")
    assert found(store, question) == [body]
    assert found(store, "完全 complete") == ["A sentence of another script: 完全."]


def test_labels_aliases_reasons_and_evidence_are_searched(store: MemoryStore) -> None:
    store.memories.remember(
        "Call above .34.",
        agent="ann",
        kind="decision",
        tags=["campaign"],
        aliases=["telemarketing"],
        data={"rationale": "Calls are cheap in winter.", "alternatives": ["letters"]},
        evidence={"run": "run-77aa", "model": "churn@champion"},
    )
    for question in ("campaign", "telemarketing", "winter", "letters", "run-77aa", "churn@champion"):
        assert found(store, question) == ["Call above .34."], question


def test_only_what_is_wanted_is_looked_at(store: MemoryStore, clock: Any) -> None:
    store.memories.remember("leak one", agent="ann", kind="fact", area="churn", tags=["a", "b"])
    store.memories.remember("leak two", agent="bob", kind="lesson", area="fraud", tags=["a"])
    clock.pass_by(10)
    store.memories.remember("leak three", origin="tool", kind="note")
    assert found(store, "leak", kinds=["fact", "note"]) == ["leak three", "leak one"]
    assert found(store, "leak", agent="bob") == ["leak two"]
    assert found(store, "leak", area="Churn") == ["leak one"]
    assert sorted(found(store, "leak", tags=["a"])) == ["leak one", "leak two"]
    assert found(store, "leak", tags=["b", "A"]) == ["leak one"]
    assert found(store, "leak", since=clock()) == ["leak three"]
    assert sorted(found(store, "leak", trust=1)) == ["leak one", "leak two"]


def test_superseded_expired_and_future_memories_are_hidden(store: MemoryStore, clock: Any) -> None:
    old = store.memories.remember("The leak is in column a.", agent="ann").memory.uid
    store.memories.remember("No leak in column a.", agent="ann", supersedes=[old])
    store.memories.remember("A leak of yesterday.", agent="ann", expires=clock() + 1)
    store.memories.remember("A leak of tomorrow.", agent="ann", valid_from=clock() + DAYS * 1_000_000)
    clock.pass_by(1)
    assert found(store, "leak") == ["No leak in column a."]
    assert sorted(found(store, "leak", superseded=True)) == ["No leak in column a.", "The leak is in column a."]


def test_words_that_stand_everywhere_are_not_looked_for_where_there_are_rarer_ones(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        store.memories.remember(f"The churn model, note {number}.", agent="ann")
    store.memories.remember("The churn of segment zebra in spring.", agent="ann")
    assert len(store.memories.recall(["churn zebra spring"]).hits) == 6
    monkeypatch.setattr(plan, "LOOK", 20)
    assert found(store, "churn zebra spring") == ["The churn of segment zebra in spring."]
    assert len(store.memories.recall(["churn"]).hits) == 6


# In which order ------------------------------------------------------------------------------------------------------


def test_the_parts_of_a_score_are_those_that_are_documented_and_make_it(store: MemoryStore, clock: Any) -> None:
    for number in range(6):
        store.memories.remember(f"Filler {number}", agent="ann")
    one = store.memories.remember("Late labels", agent="ann", impact="critical").memory.uid
    store.memories.feedback(one, helpful=True, agent="ann")
    store.memories.feedback(one, helpful=True, agent="bob")
    clock.pass_by(30 * DAYS)
    (hit,) = store.memories.recall(["late labels"]).hits
    assert hit.parts["recency"] == pytest.approx(0.5 + 0.5 / math.e)
    assert hit.parts["importance"] == pytest.approx(1.4)
    assert hit.parts["feedback"] == pytest.approx(0.5 + 3 / 4)
    assert hit.parts["breadth"] == pytest.approx(math.sqrt(2))
    assert (hit.parts["trust"], hit.parts["pinned"]) == (1.0, 1.0)
    assert hit.score == pytest.approx(math.prod(hit.parts.values()))
    assert hit.why == "matched 'late', 'labels'; 30 days old; helped twice; important"


def test_text_is_the_sum_of_what_sqlite_says_for_the_words(store: MemoryStore) -> None:
    for body in ("red green", "red blue", "blue", "yellow", "white", "black"):
        store.memories.remember(body, agent="ann")
    bm25 = (
        "SELECT -bm25(memory_words, 3.0, 1.0, 2.0) FROM memory_words WHERE memory_words MATCH 'red OR green' ORDER BY 1"
    )
    expected = [row[0] for row in store.door.read().execute(bm25)]
    hits = store.memories.recall(["red green"]).hits
    assert sorted(one.parts["text"] for one in hits) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"title": "Zebra"}, {}),
        ({"impact": "critical"}, {"impact": "low"}),
        ({"origin": "run"}, {"origin": "tool"}),
        ({"pinned": True}, {}),
    ],
)
def test_what_counts_more_stands_before(store: MemoryStore, better: dict[str, Any], worse: dict[str, Any]) -> None:
    for number in range(6):
        store.memories.remember(f"Filler {number}", agent="ann")
    store.memories.remember("About the zebra, first.", agent="ann", **better)
    store.memories.remember("About the zebra, other.", agent="ann", **worse)
    assert found(store, "zebra") == ["About the zebra, first.", "About the zebra, other."]


def test_what_misled_sinks_and_what_is_new_rises(store: MemoryStore, clock: Any) -> None:
    for number in range(6):
        store.memories.remember(f"Filler {number}", agent="ann")
    old = store.memories.remember("The zebra is old.", agent="ann").memory.uid
    clock.pass_by(30 * DAYS)
    new = store.memories.remember("The zebra is new.", agent="ann").memory.uid
    assert found(store, "zebra") == ["The zebra is new.", "The zebra is old."]
    store.memories.feedback(new, helpful=False, agent="ann")
    store.memories.feedback(new, helpful=False, agent="ann")
    store.memories.feedback(old, helpful=True, agent="ann")
    assert found(store, "zebra") == ["The zebra is old.", "The zebra is new."]


def test_why_names_other_words_and_beginnings(store: MemoryStore) -> None:
    for number in range(6):
        store.memories.remember(f"Filler {number}", agent="ann")
    store.memories.remember("Isotonic regression helped, see the definition.", agent="ann", title="Honest figures")
    (hit,) = store.memories.recall(["calibration figures defined"]).hits
    assert (
        hit.why
        == "matched 'figures' in the title; matched 'defi'; has other words for 'calibration': 'isotonic'; of today"
    )


# Within the budget ---------------------------------------------------------------------------------------------------


def test_long_texts_are_cut_at_a_sentence_and_what_does_not_fit_is_counted(store: MemoryStore) -> None:
    sentence = "The zebra stands in the field and looks at number {}. "
    for number in range(6):
        store.memories.remember("".join(sentence.format(f"{number}.{one}") for one in range(60)), agent="ann")
    recalled = store.memories.recall(["zebra"], tokens=300)
    assert len(recalled.hits) + recalled.left == 6
    assert recalled.left >= 1
    assert recalled.tokens <= 300
    for hit in recalled.hits:
        assert hit.text.endswith(". …"), hit.text
        assert hit.memory.body.startswith(hit.text.removesuffix(" …"))


def test_short_texts_leave_their_room_to_long_ones(store: MemoryStore) -> None:
    store.memories.remember("zebra zebra zebra", agent="ann")
    store.memories.remember("zebra " + "word " * 400, agent="ann")
    recalled = store.memories.recall(["zebra"], tokens=500)
    assert sorted(len(one.text) > 1000 for one in recalled.hits) == [False, True]
    assert store.memories.recall(["zebra"], tokens=100_000).hits[-1].text.startswith("zebra")


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"queries": []}, "Give 1 to 8"),
        ({"queries": ["a"] * 9}, "Give 1 to 8"),
        ({"most": 0}, "most: 0 is outside 1 to 200"),
        ({"tokens": 0}, "tokens: 0 is outside"),
        ({"trust": 4}, "trust: 4 is outside"),
        ({"kinds": ["thought"]}, "Allowed: insight"),
    ],
)
def test_bad_questions_are_refused(store: MemoryStore, how: dict[str, Any], problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        store.memories.recall(**(dict[str, Any](queries=["zebra"]) | how))


def test_an_agent_that_nobody_knows_is_said(store: MemoryStore) -> None:
    with pytest.raises(NotFound, match="agent 'carl'"):
        store.memories.recall(["zebra"], agent="carl")


# Whatever is asked ---------------------------------------------------------------------------------------------------

NASTY = [
    '"',
    "'",
    "*",
    "NEAR(a b)",
    "AND",
    "a OR",
    "NOT",
    "title: x",
    "{",
    "^zebra",
    "-",
    "\0",
    "\ud800",
    "😀",
    "x" * 9999,
]


def test_a_recall_does_not_wait_for_who_is_writing(store: MemoryStore) -> None:
    store.memories.remember("About the zebra.", agent="ann")
    answers: list[list[str]] = []
    with store.door.write():
        reader = threading.Thread(target=lambda: answers.append(found(store, "zebra")))
        reader.start()
        reader.join(timeout=60)
        assert answers == [["About the zebra."]]


def test_in_a_turn_of_its_own_a_recall_knows_at_once_what_was_written_here_and_elsewhere(store: MemoryStore) -> None:
    with store.door.turn():
        assert found(store, "zebra", "okapi") == []
        store.memories.remember("About the zebra.", agent="ann")
        assert found(store, "zebra", "okapi") == ["About the zebra."]
        with store.door.write() as db:
            assert store.door.near() is not db, "what is read in a transaction is what was before"
        assert store.door.near() is db
    with MemoryStore.open(store.door.path, store.project) as other:
        other.memories.remember("About the okapi.", agent="ann")
    with store.door.turn():
        assert set(found(store, "zebra", "okapi")) == {"About the zebra.", "About the okapi."}


def test_how_frequent_words_are_is_counted_anew_after_a_minute(
    store: MemoryStore, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "LOOK", 3)
    for number in range(2):
        store.memories.remember(f"A drift of {number} points.", agent="ann")
    assert len(found(store, "drift calibration")) == 2
    for number in range(2, 6):
        store.memories.remember(f"A drift of {number} points.", agent="ann")
    store.memories.remember("Calibration helps.", agent="ann")
    store.memories.remember("So does a bigger sample, calibrated.", agent="ann")
    before = {one.memory.body for one in store.memories.recall(["drift calibration sample"], most=20).hits}
    clock.pass_by(61)
    after = {one.memory.body for one in store.memories.recall(["drift calibration sample"], most=20).hits}
    assert sum("drift" in one for one in before) == 6
    assert not any("drift" in one for one in after), "it stands everywhere, and the others tell more"
