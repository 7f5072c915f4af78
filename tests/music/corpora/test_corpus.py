"""The shipped corpus: what is in it and how it is split. test_books.py builds it anew."""

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from music.corpora.corpus import DATA, load_corpus, load_token_rows
from music.corpora.corpus_file import BOOKS, SPLITS, read_corpus
from music.styles import SHIPPED_STYLES, Styles
from music.tokens import ID, encode


@pytest.fixture(scope="module")
def strains():
    return load_corpus()


def test_the_shipped_file_is_small_and_holds_numbers_only():
    """No titles, no names, nothing pickled; the only text are our own labels and hashes."""
    assert DATA.stat().st_size < 300_000
    with np.load(DATA, allow_pickle=False) as data:
        kinds = {name: data[name].dtype for name in data.files}
        labels = bytes(data["labels"]).decode()
        assert str(data["fingerprint"]) == ""
    assert labels.startswith('["other", "reel", "jig"')
    assert {name: kind for name, kind in kinds.items() if kind.kind != "U"} == {
        "tokens": np.uint16, "lengths": np.uint16, "tonics": np.uint8, "labels": np.uint8,
        "books": np.uint8, "tunes": np.uint16, "splits": np.uint8, "earlier": np.uint8,
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if kind.kind == "U"} == {
        "vocabulary", "fingerprint"
    }  # fmt: skip


@pytest.mark.slow
def test_counts_of_the_shipped_corpus(strains):
    assert Counter(strain.split for strain in strains) == {
        "train": 5948, "validation": 274, "test": 413
    }  # fmt: skip
    assert {strain.book for strain in strains} == set(BOOKS)
    assert Counter(strain.melody.header.bars for strain in strains).most_common(1)[0][0] == 8


@pytest.mark.slow
def test_the_strains_of_the_earlier_version_are_in_it_on_their_sides(strains):
    """Bits a note on them are compared between versions."""
    corpus = read_corpus(DATA)
    counts = {"train": 5208, "validation": 253, "test": 376}
    for split, count in counts.items():
        earlier = corpus.melodies(split, earlier=True)
        assert len(earlier) == len(corpus.token_rows(split, earlier=True)) == count
    earlier = [strain for strain in strains if strain.earlier]
    assert strains[: len(earlier)] == earlier
    assert {strain.melody.header.bars for strain in earlier} == {4, 8, 16}
    later = {strain.tune for strain in strains if not strain.earlier}
    assert later & {strain.tune for strain in earlier}, "new strains of old tunes"


@pytest.mark.slow
def test_one_split_is_that_part_of_all(strains):
    for split in SPLITS:
        assert load_corpus(split) == [strain for strain in strains if strain.split == split]


@pytest.mark.parametrize("load", [load_corpus, load_token_rows])
def test_an_unknown_split_is_refused(load):
    with pytest.raises(ValueError, match=r"split='tests' is not known; choose one of \['train'"):
        load("tests")


def test_rows_are_those_of_the_melodies_for_the_styles_of_a_policy():
    corpus = read_corpus(DATA)
    melodies = corpus.melodies("validation")
    rows = corpus.token_rows("validation")
    assert all((encode(m) == row).all() for m, row in zip(melodies, rows, strict=True))
    own = Styles(("other", "jig"))
    for melody, row in zip(melodies, corpus.token_rows("validation", own), strict=True):
        assert row[3] == ID["STYLE_1" if melody.header.style == "jig" else "STYLE_0"]
        assert (row == encode(melody, own)).all()
    assert corpus.styles["jig"] > 900
    assert set(corpus.styles) <= set(SHIPPED_STYLES.labels)


def test_no_tune_is_in_two_splits(strains):
    splits = defaultdict(set)
    for strain in strains:
        splits[strain.tune].add(strain.split)
    assert max(map(len, splits.values())) == 1


def grams_of(strain):
    pitches = [note.pitch for note in strain.melody.notes]
    steps = tuple(b - a for a, b in pairwise(pitches))
    return {steps[i : i + 7] for i in range(len(steps) - 6)}


@pytest.mark.slow
def test_no_near_duplicates_within_or_across_splits(strains):
    """Counted anew here: 7-gram interval Jaccard below .5 for every pair of strains.

    And of what version 0.1.0 did not have, nothing in training has half of its 7-grams in common
    with a strain that is held out.
    """
    grams = [grams_of(strain) for strain in strains]
    assert all(grams)
    holders, nearest, part = defaultdict(list), 0.0, 0.0
    for index, mine in enumerate(grams):
        shared = Counter(other for gram in mine for other in holders[gram])
        for other, both in shared.items():
            nearest = max(nearest, both / len(mine | grams[other]))
            if strains[index].split != strains[other].split and not strains[index].earlier:
                part = max(part, both / min(len(mine), len(grams[other])))
        for gram in mine:
            holders[gram].append(index)
    assert 0.4 < nearest < 0.5
    assert 0.4 < part < 0.5


def test_every_strain_stands_in_its_own_key(strains):
    """Pitch 0 is the tonic: more than half of all strains end on it, and few anywhere else."""
    ends = Counter(strain.melody.notes[-1].pitch % 12 for strain in strains)
    assert ends.most_common(1)[0][0] == 0
    assert ends[0] > 0.6 * len(strains)


def test_a_strain_says_which_tune_it_is_of(strains):
    assert strains[0].source == "O'Neill 1903, tune 2 of the collection"
