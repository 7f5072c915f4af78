"""Corpora by their names."""

import json

import pytest

from music.corpora.catalogue import (
    checked_name,
    corpora_named,
    corpus_names,
    data_card,
    melodies_of_corpora,
    open_corpus,
    reading_decisions,
    refused_passages,
    strains_of_corpora,
    styles_of_corpora,
)
from music.corpora.corpus import DATA
from music.corpora.corpus_file import CorpusError, write_corpus
from music.styles import SHIPPED_STYLES, Styles
from music.tokens import ID, encode
from tests.support.small_corpus import CARD


@pytest.fixture
def root(tmp_path, random_melodies):
    """Two corpora, of four and of two strains, and what is none."""
    for name, count in (("mine", 4), ("tangos", 2)):
        labels = Styles(("other", name))
        melodies = random_melodies(count, seed=count)
        rows = [encode(melody, Styles()) for melody in melodies]
        for row in rows:
            row[3] = ID["STYLE_1"]
        write_corpus(
            tmp_path / f"{name}.npz",
            rows,
            tonics=[62] * count,
            tunes=range(count),
            splits=[number % 3 for number in range(count)],
            labels=labels,
            sources=[("a.abc", str(number), name) for number in range(count)],
        )
    (tmp_path / "Not a name.npz").write_text("")
    return tmp_path


def test_names_of_corpora(root, tmp_path):
    assert corpus_names(root) == ["books", "mine", "tangos"]
    assert corpus_names(tmp_path / "nowhere") == ["books"]
    assert (open_corpus("books").name, open_corpus("books").path) == ("books", DATA)
    assert open_corpus("mine", root).name == "mine"
    assert len(open_corpus(str(root / "tangos.npz"))) == 2


@pytest.mark.parametrize(
    "name", ["", "-a", "A", "a b", "a/b", "..", "a.npz", "x" * 33, "books", "é", "a\n"]
)
def test_what_is_no_name_of_an_own_corpus(name):
    with pytest.raises(CorpusError) as told:
        checked_name(name)
    assert "\n" not in str(told.value)


def test_a_corpus_that_is_not_there_is_told_with_those_that_are(root):
    with pytest.raises(
        CorpusError, match=r"no corpus 'yours' .* there are: books, mine, tangos. B"
    ):
        open_corpus("yours", root)
    with pytest.raises(CorpusError, match="no corpus file"):
        open_corpus("no/where.npz", root)
    with pytest.raises(CorpusError, match="no corpus is named"):
        corpora_named([], root)


def test_strains_of_several_corpora_stand_one_after_the_other(root):
    corpora = corpora_named(["mine", "tangos", "mine"], root)
    assert [corpus.name for corpus in corpora] == ["mine", "tangos"]
    strains = strains_of_corpora(corpora, "train")
    assert [(s.book, s.tune) for s in strains] == [("mine", 0), ("mine", 3), ("tangos", 0)]
    held_out = strains_of_corpora(corpora, "validation", "test")
    assert [(s.book, s.tune) for s in held_out] == [("mine", 1), ("mine", 2), ("tangos", 1)]
    assert len(melodies_of_corpora(corpora)) == 6
    assert melodies_of_corpora(corpora, "train") == [strain.melody for strain in strains]


def test_styles_of_several_corpora_follow_those_that_a_policy_knows(root):
    corpora = corpora_named(["mine", "tangos"], root)
    assert styles_of_corpora(corpora) == Styles(("other", "mine", "tangos"))
    known = styles_of_corpora(corpora, SHIPPED_STYLES)
    assert known.labels == (*SHIPPED_STYLES.labels, "mine", "tangos")
    assert styles_of_corpora(corpora, known) == known
    many = Styles(("other", *(f"style {number}" for number in range(30))))
    assert styles_of_corpora(corpora, many).labels == (*many.labels, "mine")


def test_a_data_card_that_is_damaged_is_told(root):
    assert data_card("mine", root) is None
    (root / "mine.json").write_text(json.dumps(CARD))
    assert data_card("mine", root) == CARD
    lacking = [{key: CARD[key] for key in CARD if key != left_out} for left_out in CARD]
    lacking = [card for card in lacking if "card_version" in card]
    wrong = [{**CARD, key: [[CARD[key]]]} for key in CARD if key != "card_version"]
    odd = [{**CARD, "refused": {"bar length": None}}, {**CARD, "splits": {"train": 3}}]
    for text in ("[", "[]", '{"a": NaN}', *map(json.dumps, [*lacking, *wrong, *odd])):
        (root / "mine.json").write_text(text)
        with pytest.raises(CorpusError, match=r"the data card .* build the corpus anew"):
            data_card("mine", root)


@pytest.mark.parametrize(
    ("rows_of", "ending"), [(refused_passages, "refused"), (reading_decisions, "decisions")]
)
def test_a_table_of_passages_that_is_damaged_is_told(root, rows_of, ending):
    assert list(rows_of("mine", root)) == []
    table = root / f"mine.{ending}.csv"
    table.write_text("file,tune,bar,reason,detail\r\na.abc,1,2,bar length,too long\r\n")
    (row,) = rows_of("mine", root)
    assert row == {
        "file": "a.abc", "tune": "1", "bar": "2", "reason": "bar length", "detail": "too long"
    }  # fmt: skip
    for text in ("", "x,y\r\n", "file,tune,bar,reason,detail\r\na,b\r\n"):
        table.write_text(text)
        with pytest.raises(CorpusError, match=r"the table .* is damaged"):
            list(rows_of("mine", root))
