"""Building the shipped corpus from books of ABC, by hand and as a whole."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from music.corpora.books import build_corpus, find_books
from music.corpora.corpus import load_corpus
from music.corpora.corpus_file import BOOKS, SPLITS, CorpusError, write_corpus
from music.styles import SHIPPED_STYLES
from music.tokens import encode

HEAD = "T:A title\nZ:A transcriber\nM:2/4\nL:1/8\nK:C\n"
SCALE, LEAPS, TURNS = "CDEF|GABc|cBAG|FEDC", "CGEc|GcCG|cECG|EGcC", "EFGA|BcdB|AGFE|DEFC"


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


def test_building_by_hand(tmp_path):
    """Of two tunes with the same strain in other keys one strain stays; what fails is counted."""
    up_a_fifth = "GABc|defg|gfed|cBAG"  # the key signature sharpens F
    books = book(
        tmp_path,
        [
            f"{HEAD}{SCALE}|]",
            f"{HEAD.replace('K:C', 'K:G')}{up_a_fifth}|]",
            f"{HEAD}{LEAPS}||{TURNS}|]",
            f"{HEAD}C4|C4|C4|]",
            f"{HEAD.replace('M:2/4', 'M:11/8')}C11|C11|C11|C11|]",
        ],
    )
    counts = build_corpus(books, tmp_path / "made" / "strains.npz", earlier=None)
    assert counts["tunes"] == 5
    assert counts["strains"] == 3
    assert counts["near-duplicate strains"] == 1
    assert counts["strains of fewer than 4 bars"] == 1
    assert counts["refused: metre or mode"] == 1
    made = load_corpus(path=tmp_path / "made" / "strains.npz")
    assert [strain.tune for strain in made] == [0, 2, 2]
    assert [strain.melody.notes[1].pitch for strain in made] == [2, 7, 5]
    assert {strain.melody.tonic_midi for strain in made} == {60}
    assert sum(counts[f"{split} strains"] for split in SPLITS) == 3
    assert b"title" not in (tmp_path / "made" / "strains.npz").read_bytes()


def test_the_metres_of_the_books(tmp_path):
    """C| is read as 4/4, and 2/4 in sixteenths is doubled."""
    books = book(
        tmp_path,
        [
            f"M:C|\nL:1/8\nK:C\n{'|'.join(['CDEF GABc', 'cBAG FEDC'] * 2)}|]",
            f"M:2/4\nL:1/16\nK:C\n{'|'.join(['CGEc GcCG', 'cECG EGcC'] * 2)}|]",
            f"R:waltz\nM:3/4\nL:1/4\nK:C\n{'EGc|BAG|FDC|' * 2}]",
        ],
    )
    build_corpus(books, tmp_path / "made.npz", earlier=None)
    made = [strain.melody for strain in load_corpus(path=tmp_path / "made.npz")]
    assert [melody.header.meter for melody in made] == ["4/4", "4/4", "3/4"]
    assert [{note.duration_ticks for note in melody.notes} for melody in made] == [{12}, {12}, {24}]
    assert made[2].header.style == "waltz"


def test_only_whole_strains_are_taken(tmp_path):
    """Not what stands beside a bar that cannot be read, or begins as no strain does."""
    books = book(
        tmp_path,
        [
            f"{HEAD}{LEAPS}||{SCALE}|C|{SCALE}||{TURNS}|]",
            f"{HEAD}CDE|{SCALE}|F|]",
            f"{HEAD}z4|{TURNS}|]",
        ],
    )
    counts = build_corpus(books, tmp_path / "made.npz", earlier=None)
    made = load_corpus(path=tmp_path / "made.npz")
    assert [strain.melody.notes[1].pitch for strain in made] == [7, 5]
    assert counts["parts of strains beside unread bars"] == 2
    assert counts["strains with a pickup of more than half a bar"] == 1
    assert counts["strains that begin with a bar of silence"] == 1


def earlier_corpus(folder: Path, texts: list[str]) -> tuple[Path, list]:
    """A corpus file as of version 0.1.0, one strain a tune; its strains."""
    made = folder / "made.npz"
    build_corpus(book(folder, [f"{HEAD}{text}|]" for text in texts]), made, earlier=None)
    strains = load_corpus(path=made)
    columns = {
        "books": np.zeros(len(strains), np.uint8),
        "earlier": np.ones(len(strains), np.uint8),
    }
    write_corpus(
        folder / "earlier.npz",
        [encode(strain.melody) for strain in strains],
        tonics=[strain.melody.tonic_midi for strain in strains],
        tunes=[strain.tune for strain in strains],
        splits=[SPLITS.index(strain.split) for strain in strains],
        labels=SHIPPED_STYLES,
        more=columns,
    )
    return folder / "earlier.npz", strains


def test_strains_of_the_earlier_version_stay_and_new_ones_follow_their_tune(tmp_path):
    """Each of 40 tunes had a strain; now each has two, and five tunes have a copy of an old one."""
    rng = np.random.default_rng(0)
    texts = [strain_of(rng) for _ in range(40)]
    earlier, old = earlier_corpus(tmp_path / "old", texts)
    sides = {strain.tune: strain.split for strain in old}
    assert {"train", "test"} <= set(sides.values())
    tunes = [f"{HEAD}{text}||{strain_of(rng)}|]" for text in reversed(texts)]
    tunes += [f"{HEAD}{strain_of(rng)}||{text}|]" for text in texts[:5]]
    counts = build_corpus(book(tmp_path / "new", tunes), tmp_path / "2.npz", earlier=earlier)
    now = load_corpus(path=tmp_path / "2.npz")
    assert [strain.earlier for strain in now] == [True] * 40 + [False] * 45
    assert [s.melody for s in now[:40]] == [s.melody for s in old]
    assert counts["near-duplicate strains"] == 45
    assert [s.tune for s in now[40:]] == [*reversed(range(40)), *range(5)]
    assert all(strain.split == sides[strain.tune] for strain in now)


def test_a_strain_that_holds_a_held_out_one_is_not_trained_on(tmp_path):
    """A strain of eight bars is no near-duplicate of its first four."""
    rng = np.random.default_rng(1)
    texts = [strain_of(rng) for _ in range(60)]
    earlier, old = earlier_corpus(tmp_path / "old", texts)
    wholes = [f"{HEAD}{text}|{strain_of(rng)}|]" for text in texts]
    build_corpus(book(tmp_path / "new", wholes), tmp_path / "2.npz", earlier=earlier)
    side = {strain.melody.notes[:12]: strain.split for strain in old}
    later = [strain for strain in load_corpus(path=tmp_path / "2.npz") if not strain.earlier]
    assert len(later) > 50
    assert {"train", "test"} <= {strain.split for strain in later}
    assert all(strain.split == side[strain.melody.notes[:12]] for strain in later)


def test_a_corpus_goes_on_with_the_tunes_that_can_be_read(tmp_path):
    """A header without notes ended it with an error; so did 7,000 signs of broken rhythm."""
    books = book(
        tmp_path,
        [
            HEAD,
            f"{HEAD}z8|z8|z8|z8|",
            f"{HEAD}A{'>' * 7000}B|",
            f"{HEAD}{'x' * 60_000}",
            "T:no key\nCDEF",
            f"{HEAD}CDEF|GABc|c" + "'" * 3000 + "BAG|FEDC|]",
            f"{HEAD.replace('K:C', 'K:Q')}{SCALE}|]",
            f"{HEAD}{SCALE}|]",
        ],
    )
    folder = tmp_path / next(iter(BOOKS))
    (folder / "a-folder.abc").mkdir()
    (folder / "no-text.abc").write_bytes(bytes(range(256)) * 20)
    counts = build_corpus(books, tmp_path / "made.npz", earlier=None)
    assert counts["strains"] == 1
    assert counts["tunes"] >= 8
    assert counts["files left out: Is a directory"] == 1
    assert counts["refused: no notes"] >= 1
    assert counts["refused: damaged"] >= 4
    assert len(load_corpus(path=tmp_path / "made.npz")) == 1


def test_books_without_a_strain_leave_the_corpus_as_it_is(tmp_path):
    made = tmp_path / "made.npz"
    made.write_bytes(b"as it was")
    books = book(tmp_path, [HEAD, f"{HEAD}CDEF|"])
    with pytest.raises(CorpusError, match=r"no strain of .* can be used \(2 tunes; 1 "):
        build_corpus(books, made, earlier=None)
    with pytest.raises(CorpusError, match="it has no books"):
        build_corpus(tmp_path / "nowhere", made, earlier=None)
    assert made.read_bytes() == b"as it was"
    assert [path.name for path in tmp_path.glob("*made*")] == ["made.npz"]


def test_tunes_that_share_a_strain_are_on_one_side(tmp_path):
    """60 pairs of tunes, each with a strain in common and one of its own."""
    rng = np.random.default_rng(0)
    firsts = [(strain_of(rng), strain_of(rng)) for _ in range(60)]
    seconds = [(common, strain_of(rng)) for common, _ in firsts]
    tunes = [f"{HEAD}{common}||{own}|]" for common, own in firsts + seconds]
    counts = build_corpus(book(tmp_path, tunes), tmp_path / "strains.npz", earlier=None)
    assert counts["near-duplicate strains"] == 60
    sides = {s.tune: s.split for s in load_corpus(path=tmp_path / "strains.npz")}
    assert [sides[tune] for tune in range(60)] == [sides[tune + 60] for tune in range(60)]
    assert set(sides.values()) == set(SPLITS)


@pytest.mark.slow
def test_the_shipped_corpus_is_made_anew(tmp_path):
    """Its old strains exactly; of the others almost all, since our readers may learn to read more.

    The shipped file stays as it is then, because the shipped policy was trained on it.
    """
    path = tmp_path / "strains.npz"
    build_corpus(find_books(), path)
    shipped, made = load_corpus(), load_corpus(path=path)
    earlier = sum(strain.earlier for strain in shipped)
    assert made[:earlier] == shipped[:earlier]
    known = {strain.melody: strain.split for strain in made[earlier:]}
    again = [strain for strain in shipped[earlier:] if strain.melody in known]
    assert len(again) > 0.95 * (len(shipped) - earlier)
    same_side = sum(known[strain.melody] == strain.split for strain in again)
    assert same_side > 0.9 * len(again)


def test_without_music21_building_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"not installed; run: pip install 'tastemaker\["):
        find_books()
