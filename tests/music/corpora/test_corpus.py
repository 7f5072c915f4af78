"""The corpus: what is shipped, how it is split, how near-duplicates are kept apart.

That `build_corpus` makes the shipped file anew from the books is in test_strains.py.
"""

import importlib.util
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from music.corpora import corpus
from music.corpora.corpus import (
    BOOKS,
    DATA,
    SPLITS,
    CorpusError,
    build_corpus,
    find_books,
    interval_grams,
    load_corpus,
    load_token_rows,
)


@pytest.fixture(scope="module")
def strains():
    return load_corpus()


def test_the_shipped_file_is_small_and_holds_numbers_only():
    """No text, no titles, nothing pickled."""
    assert DATA.stat().st_size < 300_000
    with np.load(DATA, allow_pickle=False) as data:
        kinds = {name: data[name].dtype for name in data.files}
    assert kinds == {
        "tokens": np.uint16, "lengths": np.uint16, "tonics": np.uint8,
        "books": np.uint8, "tunes": np.uint16, "splits": np.uint8,
    }  # fmt: skip


@pytest.mark.slow
def test_counts_of_the_shipped_corpus(strains):
    assert Counter(strain.split for strain in strains) == {
        "train": 5208, "validation": 253, "test": 376
    }  # fmt: skip
    assert {strain.book for strain in strains} == set(BOOKS)
    assert Counter(strain.melody.header.bars for strain in strains).most_common(1)[0][0] == 8


@pytest.mark.slow
def test_one_split_is_that_part_of_all(strains):
    for split in SPLITS:
        assert load_corpus(split) == [strain for strain in strains if strain.split == split]


@pytest.mark.parametrize("load", [load_corpus, load_token_rows])
def test_an_unknown_split_is_refused(load):
    with pytest.raises(ValueError, match=r"split='tests' is not known; choose one of \['train'"):
        load("tests")


def test_no_tune_is_in_two_splits(strains):
    splits = defaultdict(set)
    for strain in strains:
        splits[strain.tune].add(strain.split)
    assert max(map(len, splits.values())) == 1


@pytest.mark.slow
def test_no_near_duplicates_within_or_across_splits(strains):
    """Counted anew here: 7-gram interval Jaccard below .5 for every pair of strains."""
    grams = []
    for strain in strains:
        pitches = [note.pitch for note in strain.melody.notes]
        steps = tuple(b - a for a, b in pairwise(pitches))
        grams.append({steps[i : i + 7] for i in range(len(steps) - 6)})
        assert grams[-1]
    holders, nearest = defaultdict(list), 0.0
    for index, mine in enumerate(grams):
        shared = Counter(other for gram in mine for other in holders[gram])
        for other, both in shared.items():
            nearest = max(nearest, both / len(mine | grams[other]))
        for gram in mine:
            holders[gram].append(index)
    assert 0.4 < nearest < 0.5


def test_interval_grams_by_hand(tune):
    melody = tune(*[(pitch, 24) for pitch in (0, 2, 4, 5, 7, 5, 4, 2)])
    assert interval_grams(melody) == {(2, 2, 1, 2, -2, -1, -2)}
    assert interval_grams(melody, 6) == {(2, 2, 1, 2, -2, -1), (2, 1, 2, -2, -1, -2)}
    assert interval_grams(tune(*[(0, 48)] * 4)) == frozenset()


def book(folder: Path, tunes: list[str]) -> Path:
    """A folder of books, with these tunes in the first."""
    place = folder / next(iter(BOOKS))
    place.mkdir(parents=True)
    text = "\n".join(f"X:{number}\n{tune}\n" for number, tune in enumerate(tunes, start=1))
    (place / "tunes.abc").write_text(text, encoding="latin-1")
    return folder


def strain_of(rng: np.random.Generator) -> str:
    """Four random bars of 2/4 in eighths."""
    return "|".join("".join(rng.choice(list("CDEFGABcdefg"), 4)) for _ in range(4))


HEAD = "T:A title\nZ:A transcriber\nM:2/4\nL:1/8\nK:C\n"


def test_building_by_hand(tmp_path):
    """Of two tunes with the same strain in other keys one strain stays; what fails is counted."""
    scale, leap, other = "CDEF|GABc|cBAG|FEDC", "CGEc|GcCG|cECG|EGcC", "EFGA|BcdB|AGFE|DEFC"
    up_a_fifth = "GABc|defg|gfed|cBAG"  # the key signature sharpens F
    books = book(
        tmp_path,
        [
            f"{HEAD}{scale}|]",
            f"{HEAD.replace('K:C', 'K:G')}{up_a_fifth}|]",
            f"{HEAD}{leap}||{other}|]",
            f"{HEAD}C4|C4|C4|C4|]",  # too few notes to tell from others
            f"{HEAD}C4|C4|C4|]",
            f"{HEAD.replace('M:2/4', 'M:5/8')}C5|C5|C5|C5|]",
        ],
    )
    counts = build_corpus(books, tmp_path / "made" / "strains.npz")
    assert counts["tunes"] == 6
    assert counts["strains"] == 3
    assert counts["near-duplicate strains"] == 2
    assert counts["strain: bars"] == 1
    assert counts["tunes in other metres or modes, or changing"] == 1
    made = load_corpus(path=tmp_path / "made" / "strains.npz")
    assert [strain.tune for strain in made] == [0, 2, 2]
    assert [strain.melody.notes[1].pitch for strain in made] == [2, 7, 5]
    assert {strain.melody.tonic_midi for strain in made} == {60}
    assert sum(counts[f"{split} strains"] for split in SPLITS) == 3
    assert b"title" not in (tmp_path / "made" / "strains.npz").read_bytes()


def test_a_corpus_goes_on_with_the_tunes_that_can_be_read(tmp_path, monkeypatch):
    """A header without notes ended it with an error; so did 7,000 signs of broken rhythm."""
    good = f"{HEAD}CDEF|GABc|cBAG|FEDC|]"
    books = book(
        tmp_path,
        [
            HEAD,
            f"{HEAD}z8|z8|z8|z8|",
            f"{HEAD}A{'>' * 7000}B|",
            f"{HEAD}{'x' * 60_000}",
            "T:no key\nCDEF",
            f"{HEAD}CDEF|GABc|c" + "'" * 3000 + "BAG|FEDC|]",
            f"{HEAD.replace('K:C', 'K:Q')}CDEF|GABc|cBAG|FEDC|]",
            good,
        ],
    )
    folder = tmp_path / next(iter(BOOKS))
    (folder / "a-folder.abc").mkdir()
    (folder / "no-text.abc").write_bytes(bytes(range(256)) * 20)
    counts = build_corpus(books, tmp_path / "made.npz")
    assert counts["strains"] == 1
    assert counts["tunes"] == 8
    assert counts["tunes without notes"] == 1
    assert counts["files left out: Is a directory"] == 1
    left_out = {what: number for what, number in counts.items() if what.startswith("unreadable")}
    assert sum(left_out.values()) == 4, left_out
    assert len(load_corpus(path=tmp_path / "made.npz")) == 1
    (folder / "another.abc").write_text(f"X:1\n{good}")
    monkeypatch.setattr(corpus, "ABC_BOOK_BYTES", 2**16)
    counts = build_corpus(books, tmp_path / "made.npz")
    assert counts["files left out: larger than 64 KiB"] == 1
    assert counts["strains"] == 1


def test_books_without_a_strain_leave_the_corpus_as_it_is(tmp_path):
    made = tmp_path / "made.npz"
    made.write_bytes(b"as it was")
    books = book(tmp_path, [HEAD, f"{HEAD}CDEF|"])
    with pytest.raises(CorpusError, match=r"no strain of .* can be used \(2 tunes; 1 "):
        build_corpus(books, made)
    with pytest.raises(CorpusError, match="it has no books"):
        build_corpus(tmp_path / "nowhere", made)
    assert made.read_bytes() == b"as it was"
    assert [path.name for path in tmp_path.glob("*made*")] == ["made.npz"]


def test_a_book_of_copies_is_compared_with_the_first_of_them_only(tmp_path, monkeypatch):
    """Every copy was compared with all copies before it."""
    compared = 0

    class Counted(corpus.Counter):
        def __init__(self, *arguments, **options):
            nonlocal compared
            some = [list(argument) for argument in arguments]
            compared += sum(map(len, some))
            super().__init__(*some, **options)

    monkeypatch.setattr(corpus, "Counter", Counted)
    strain, other = "CDEF|GABc|cBAG|FEDC", "CGEc|GcCG|cECG|EGcC"
    tunes = [f"{HEAD}{strain}|]"] * 100 + [f"{HEAD}{other}||{strain}|]"]
    counts = build_corpus(book(tmp_path, tunes), tmp_path / "made.npz")
    assert counts["strains"] == 2
    assert compared < 100
    sides = {strain.split for strain in load_corpus(path=tmp_path / "made.npz")}
    assert len(sides) == 1, "tunes that share a strain are on one side"


def test_tunes_that_share_a_strain_are_on_one_side(tmp_path):
    """60 pairs of tunes, each with a strain in common and one of its own."""
    rng = np.random.default_rng(0)
    firsts = [(strain_of(rng), strain_of(rng)) for _ in range(60)]
    seconds = [(common, strain_of(rng)) for common, _ in firsts]
    tunes = [f"{HEAD}{common}||{own}|]" for common, own in firsts + seconds]
    counts = build_corpus(book(tmp_path, tunes), tmp_path / "strains.npz")
    assert counts["near-duplicate strains"] == 60
    sides = {s.tune: s.split for s in load_corpus(path=tmp_path / "strains.npz")}
    assert [sides[tune] for tune in range(60)] == [sides[tune + 60] for tune in range(60)]
    assert set(sides.values()) == set(SPLITS)


def test_every_strain_stands_in_its_own_key(strains):
    """Pitch 0 is the tonic: more than half of all strains end on it, and few anywhere else."""
    ends = Counter(strain.melody.notes[-1].pitch % 12 for strain in strains)
    assert ends.most_common(1)[0][0] == 0
    assert ends[0] > 0.6 * len(strains)


def test_without_music21_building_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"not installed; run: pip install 'tastemaker\["):
        find_books()
