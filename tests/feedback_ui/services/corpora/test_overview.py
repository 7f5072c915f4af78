"""What is told of a corpus, whatever its files hold."""

import json

import pytest

from feedback_ui.services.corpora.overview import MOST_REFUSALS, REASONS, CorpusOverviews
from music.readers import REASONS as READERS_REASONS
from tests.support.small_corpus import CARD, make_corpus


@pytest.fixture
def root(tmp_path):
    make_corpus("mine", root=tmp_path)
    return tmp_path


def test_the_shipped_corpus_has_a_licence_and_styles(tmp_path):
    books = CorpusOverviews(tmp_path).of("books")
    facts = dict(books.facts)
    assert facts["Licence"].startswith("public domain")
    assert {"reel", "jig"} <= set(facts["Styles"].split(", "))
    assert CorpusOverviews(tmp_path).refusals("books") == ([], 0)


def test_each_reason_of_the_readers_is_told_in_words():
    assert set(REASONS) == set(READERS_REASONS)


def test_a_corpus_that_is_built_anew_is_read_anew(root):
    overviews = CorpusOverviews(root)
    assert overviews.of("mine").tunes == 12
    make_corpus("mine", root=root, count=20)
    assert overviews.of("mine").tunes == 20


@pytest.mark.parametrize(
    "card",
    [
        {},
        {"licence": 3, "styles": [1], "meters": {"4/4": "x"}, "splits": [], "refused": None},
        {"files": True, "tunes": None, "tunes_kept": "1", "splits": {"test": 3}},
        {**CARD, "licence": "x" * 10_000, "keys": {"k" * 10_000: 10**20}, "near_duplicates": -1},
        {**CARD, "splits": {"test": {"tunes": "three"}}, "built_at": {"a": 1}},
    ],
)
def test_a_card_of_another_hand_is_told_as_far_as_it_is_one(root, card):
    (root / "mine.json").write_text(json.dumps(card))
    found = CorpusOverviews(root).of("mine")
    assert (found.tunes, found.trouble) == (12, "")
    told = [*found.facts, *found.refused, (found.reading, "")]
    assert all(isinstance(text, str) and len(text) < 1000 for row in told for text in row)


def test_a_damaged_card_or_file_is_told(root):
    (root / "mine.json").write_text("{")
    found = CorpusOverviews(root).of("mine")
    assert (found.tunes, "data card" in found.trouble) == (12, True)
    (root / "mine.npz").write_bytes(b"x")
    found = CorpusOverviews(root).of("mine")
    assert "is damaged" in found.trouble
    assert not found.is_built


def test_of_many_refusals_the_first_are_shown_and_all_counted(root):
    row = "a.abc,1,2,bar length,too long\r\n"
    file = root / "mine.refused.csv"
    file.write_text(f"file,tune,bar,reason,detail\r\n{row * (MOST_REFUSALS + 7)}", newline="")
    lines, count = CorpusOverviews(root).refusals("mine")
    assert (len(lines), count) == (MOST_REFUSALS, MOST_REFUSALS + 7)
    assert lines[0] == "a.abc, tune 1, bar 2: too long"
    file.write_text(f"file,tune,bar,reason,detail\r\n{row}too,few\r\n", newline="")
    assert CorpusOverviews(root).refusals("mine") == ([lines[0]], 1)
