"""From the bars of a tune to strains, and the corpus made anew."""

from collections import Counter

import numpy as np
import pytest

from music.corpora.corpus import DATA, build_corpus, find_books
from music.corpora.strains import strains_of
from music.formats.abc_melody import melody_of_bars, type_of_tune
from music.formats.abc_reader import read_tune
from music.melody import Header, MelodyError


def strains(music: str, header: str = "M:2/4\nL:1/4\nK:C") -> list[list[int]]:
    """Pitches of each strain."""
    tune = read_tune(f"X:1\n{header}\n{music}\n")
    return [[note.pitch for note in melody.notes] for melody in strains_of(tune)]


def test_a_tune_is_cut_at_repeats_and_double_bars():
    assert strains("C2|C2|C2|C2:|D2|D2|D2|D2||E2|E2|E2|E2|]") == [[0] * 4, [2] * 4, [4] * 4]


def test_of_two_endings_the_second_stays():
    assert strains("|:C2|C2|C2|1 D2:|2 E2||F2|F2|F2|F2|]") == [[0, 0, 0, 4], [5] * 4]


def test_what_does_not_fit_is_counted_by_reason():
    counts: Counter[str] = Counter()
    tune = read_tune("M:2/4\nL:1/4\nK:C\nC2|C2|C2||C2|C|C2|C2||C,,2|C2|C2|C2|]")
    assert list(strains_of(tune, counts)) == []
    assert counts == {"strain: bars": 1, "strain: ticks": 1, "strain: pitch": 1}


def test_two_four_in_sixteenths_is_doubled():
    (melody,) = strains_of(read_tune("M:2/4\nL:1/16\nK:C\n" + "CDEF GABc|" * 4))
    assert melody.header.meter == "4/4"
    assert {note.duration_ticks for note in melody.notes} == {12}


def test_a_last_bar_is_mended_only_when_asked():
    header = Header("2/4")

    def read(last, *, mend):
        bars = read_tune(f"M:2/4\nL:1/8\nK:C\nG|C4|C4|C4|{last}|]").bars
        return melody_of_bars(bars, header, 60, mend_last_bar=mend).notes[-1].duration_ticks

    assert read("C3", mend=False) == 36
    assert read("C4", mend=True) == 36
    assert read("C2", mend=True) == 36
    for last in ("C4", "C2"):
        with pytest.raises(MelodyError, match=r"with a pickup of 12 ticks it has 36.* change its"):
            read(last, mend=False)
    with pytest.raises(MelodyError, match="last bar ticks=6"):
        read("C/", mend=True)


@pytest.mark.parametrize(
    ("fields", "meter", "tune_type"),
    [
        ("R:Double Jig", "6/8", "jig"),
        ("R:jig", "9/8", "slipjig"),
        ("T:The Rocky Road, a Hop Jig", "9/8", "slipjig"),
        ("R:Highland Fling", "4/4", "strathspey"),
        ("T:Nameless", "4/4", "other"),
        ("T:Nameless", "9/8", "slipjig"),
    ],
)
def test_tune_types(fields, meter, tune_type):
    assert type_of_tune(read_tune(f"X:1\n{fields}\nK:C\nc"), meter) == tune_type


@pytest.mark.slow
def test_the_corpus_is_made_anew_byte_for_byte(tmp_path):
    path = tmp_path / "strains.npz"
    counts = build_corpus(find_books(), path)
    assert counts["strains"] == 5837
    with np.load(DATA) as shipped, np.load(path) as made:
        assert sorted(shipped.files) == sorted(made.files)
        for name in shipped.files:
            assert shipped[name].dtype == made[name].dtype
            np.testing.assert_array_equal(shipped[name], made[name], err_msg=name)
