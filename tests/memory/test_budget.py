"""Texts are made to fit: whole where they can be, cut at the end of a sentence where not, never over the budget."""

from __future__ import annotations

import pytest

from orchestrator_memory.budget import LEAST, cut, fitted, tokens

SENTENCES = "One sentence stands here. Another one follows it. A third one ends the text."


@pytest.mark.parametrize(
    ("text", "size", "kept"),
    [
        (SENTENCES, 60, "One sentence stands here. Another one follows it. …"),
        (SENTENCES, 40, "One sentence stands here. …"),
        (SENTENCES, 20, "One sentence …"),
        ("word " * 20, 24, "word word word word …"),
        ("x" * 50, 20, "x" * 16 + " …"),
        ("é" * 50, 21, "é" * 8 + " …"),
        ("Line one\nline two\nline three", 22, "Line one\nline two …"),
    ],
)
def test_a_text_is_cut_at_a_sentence_at_a_word_or_at_a_letter(text: str, size: int, kept: str) -> None:
    assert cut(text, size) == kept
    assert len(kept.encode()) <= size


def test_what_fits_is_left_whole() -> None:
    assert fitted(["short", SENTENCES], 1000) == ["short", SENTENCES]
    assert fitted([], 10) == []


def test_long_texts_share_what_short_ones_leave() -> None:
    long = "word " * 400
    short, one, other = fitted(["short", long, long], 250)
    assert short == "short"
    assert len(one) == len(other)
    assert 900 <= len(short) + len(one.encode()) + len(other.encode()) <= 1000


def test_the_last_are_left_out_rather_than_cut_to_nothing() -> None:
    long = "word " * 400
    texts = fitted([long] * 6, LEAST * 3 // 4)
    assert len(texts) == 3
    assert all(LEAST - 10 <= len(one.encode()) <= LEAST for one in texts)
    assert len(fitted([long] * 6, 5)) == 1


def test_four_bytes_are_a_token() -> None:
    assert [tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
