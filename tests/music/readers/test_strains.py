from fractions import Fraction

import pytest

from music.formats.abc import AbcNote
from music.readers import melodies_of
from music.readers.melodies import notices_of
from music.readers.strains import divided
from music.readers.tune import Bar, Section, Tune

BAR = Fraction(96)


def quarters(count=4, *, right="", tied=False, pitch=60):
    notes = [AbcNote(pitch + k, Fraction(24)) for k in range(count)]
    notes[-1].tied = tied
    return Bar(notes, right=right, number="1")


def tune_of(bars):
    return Tune("a.abc", "1", "", (Section(tuple(bars), "4/4", "major", 0),))


def lengths(bars):
    melodies, refused = melodies_of(tune_of(bars))
    assert refused == []
    return [(m.header.bars, m.header.pickup_ticks) for m in melodies]


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        (32, [32]),
        (33, [24, 9]),
        (36, [32, 4]),
        (40, [32, 8]),
        (70, [32, 32, 6]),
    ],
)
def test_a_long_strain_is_cut_into_pieces(bars, expected):
    assert lengths([quarters() for _ in range(bars)]) == [(n, 0) for n in expected]


def test_each_piece_of_a_strain_with_a_pickup_has_one():
    bars = [quarters(1), *(quarters() for _ in range(39)), quarters(3)]
    assert lengths(bars) == [(32, 24), (8, 24)]
    pitches = [60 + n.pitch for m in melodies_of(tune_of(bars))[0] for n in m.notes]
    assert pitches == [note.midi for bar in bars for note in bar.notes]
    assert [n.reason for n in notices_of(tune_of(bars))] == ["cut"]


def test_a_piece_ends_where_no_note_sounds_on():
    bars = [quarters() for _ in range(40)]
    bars[31] = quarters(tied=True, pitch=57)  # its last note is the first of the next bar
    assert lengths(bars) == [(24, 0), (16, 0)]


def test_a_strain_that_can_be_cut_nowhere_is_cut_through_a_note():
    bars = [Bar([AbcNote(60, BAR, tied=True)], number=str(k)) for k in range(40)]
    assert lengths(bars) == [(32, 0), (8, 0)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_strain_of_one_bar_is_joined_to_its_neighbour(place):
    sizes = [8, 8]
    sizes.insert(place, 1)
    bars = [quarters(right="||" if k == n else "") for n in sizes for k in range(1, n + 1)]
    assert [n for n, _ in lengths(bars)] == ([9, 8] if place < 2 else [8, 9])
    assert [n.reason for n in notices_of(tune_of(bars))] == ["strains joined"]


def test_a_strain_of_one_bar_that_fits_no_neighbour_is_refused():
    bars = [quarters(3, right="||"), *(quarters() for _ in range(4))]
    melodies, refused = melodies_of(tune_of(bars))
    assert [m.header.bars for m in melodies] == [4]
    assert [r.reason for r in refused] == ["number of bars"]


def test_a_bar_is_divided_through_a_note():
    bar = Bar([AbcNote(60, Fraction(72)), AbcNote(62, Fraction(24), tied=True)])
    before, after = divided(bar, Fraction(48))
    assert [(n.duration_ticks, n.tied) for n in before.notes] == [(48, True)]
    assert [(n.duration_ticks, n.tied) for n in after.notes] == [(24, False), (24, True)]


def numbered(count, odd=None):
    """Bars of quarters with their numbers; `odd` are others, by their number."""
    bars = [Bar(quarters().notes, number=str(k)) for k in range(1, count + 1)]
    for number, notes in (odd or {}).items():
        bars[number - 1] = Bar([AbcNote(m, Fraction(t)) for m, t in notes], number=str(number))
    return bars


FIFTHS = [(60 + k, Fraction(24, 5)) for k in range(5)] + [(60, 72)]
HIGH = [(110, 96)]
SHORT = [(60, 2), (62, 94)]


@pytest.mark.parametrize(
    ("odd", "rule"), [(FIFTHS, "off the grid"), (HIGH, "range"), (SHORT, "off the grid")]
)
def test_a_bar_that_no_melody_holds_is_refused_by_its_number_and_the_others_kept(odd, rule):
    """The whole strain was refused, as its first bar."""
    melodies, (refusal,) = melodies_of(tune_of(numbered(17, {9: odd})))
    assert [m.header.bars for m in melodies] == [8, 8]
    assert (refusal.bar, refusal.reason) == ("9", rule)
    assert "tick 7" not in str(refusal)
    melodies, (refusal,) = melodies_of(tune_of(numbered(17, {9: odd})), whole=True)
    assert (melodies, refusal.bar, refusal.reason) == ([], "9", rule)


def test_single_bars_beside_bad_ones_go_with_them():
    odd = {1: FIFTHS, 3: FIFTHS, 4: HIGH, 9: FIFTHS}
    melodies, refused = melodies_of(tune_of(numbered(10, odd)))
    assert [m.header.bars for m in melodies] == [4]
    assert [(r.bar, r.reason) for r in refused] == [("1", "off the grid"), ("9", "off the grid")]


def test_a_strain_of_bad_bars_is_refused_once():
    _, refused = melodies_of(tune_of(numbered(8, dict.fromkeys(range(1, 9), FIFTHS))))
    assert [(r.bar, r.reason) for r in refused] == [("1", "off the grid")]


def test_the_last_bar_of_a_wrong_length_is_named():
    bars = [*numbered(8), Bar(quarters(1).notes, number="9")]
    _, (refusal,) = melodies_of(tune_of(bars))
    assert (refusal.bar, refusal.reason) == ("9", "bar length")


def test_a_metre_that_no_melody_has_is_refused_as_such():
    bars = [Bar([AbcNote(60, Fraction(264))], number="1") for _ in range(4)]
    tune = Tune("a.abc", "1", "", (Section(tuple(bars), "11/4", "major", 0),))
    assert [(r.bar, r.reason) for r in melodies_of(tune)[1]] == [("1", "metre or mode")]
