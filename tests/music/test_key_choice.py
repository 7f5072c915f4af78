"""Keys and compasses as they are asked for, the tonics that follow, and one key for a pair."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music.key_choice import (
    Compass,
    KeyChoice,
    KeyChoiceError,
    in_one_key,
    octaves_from_middle,
    parse_key,
    parse_range,
)
from music.melody import HIGHEST_TONIC_MIDI, LOWEST_TONIC_MIDI


@pytest.mark.parametrize(
    ("text", "tonic_class"),
    [
        ("G", 7),
        ("g", 7),
        ("Bb", 10),
        ("b", 11),
        ("bb", 10),
        ("F#", 6),
        ("E♭", 3),
        ("Cb", 11),
        ("B#", 0),
        (" any ", None),
        ("Any", None),
    ],
)
def test_keys_by_hand(text, tonic_class):
    assert parse_key(text) == tonic_class


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Gm", "key='Gm' names a mode.*--key G --mode minor$"),
        ("G minor", "--key G --mode minor$"),
        ("Bb-major", "--key Bb --mode major$"),
        ("Ador", "--key A --mode dorian$"),
        ("Flyd", "--key F --mode lydian$"),
        ("E phrygian", "--key E --mode phrygian$"),
        ("H", "key='H' is not a key; write a letter from A to G.*--key Bb"),
        ("", "is not a key"),
        ("G7", "is not a key"),
        ("x" * 5000, "is not a key"),
        ("G\nA", "is not a key"),
    ],
)
def test_what_is_no_key_is_told_in_a_line(text, says):
    with pytest.raises(KeyChoiceError, match=says) as error:
        parse_key(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("A3-E5", 57, 76),
        ("a3 - e5", 57, 76),
        ("E2-C4", 40, 60),
        ("B#3-Cb5", 60, 71),
        ("A0–C8", 21, 108),
        ("C-1-G9", 0, 127),
        ("Bb2..F4", 46, 65),
        ("A4 to A5", 69, 81),
    ],
)
def test_ranges_by_hand(text, low, high):
    assert parse_range(text) == Compass(low, high)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("E5-A3", "range=E5-A3 is empty.*write A3-E5$"),
        ("A3-C4", "range=A3-C4 spans 3 semitones; a melody needs a fifth.*such as to A3-A4$"),
        ("A3", "range='A3' is not two notes.*--range A3-E5$"),
        ("A-E", "is not two notes"),
        ("C-1-G-1", "range=C-1-G-1 is out of reach.*from B0 to C7; move it by octaves$"),
        ("C8-C9", "out of reach"),
        ("A3-E5" * 1000, "is not two notes"),
    ],
)
def test_what_is_no_range_is_told_in_a_line(text, says):
    with pytest.raises(KeyChoiceError, match=says) as error:
        parse_range(text)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("compass", "tonic_class", "tonic"),
    [
        (None, 2, 62),
        (None, 11, 71),
        ("A3-E5", 2, 62),
        ("E2-C4", 2, 50),
        ("A0-C8", 2, 62),
        ("G3-A7", 7, 67),
        ("E1-G3", 9, 33),
        ("A4-D6", 2, 74),
    ],
)
def test_the_octave_of_the_tonic_by_hand(compass, tonic_class, tonic):
    asked = parse_range(compass) if compass else None
    assert KeyChoice(tonic_class=tonic_class, compass=asked).tonics(1, 0).tolist() == [tonic]


@given(
    low=st.integers(0, 127),
    width=st.integers(7, 60),
    tonic_class=st.none() | st.integers(0, 11),
    seed=st.integers(0, 2**31 - 1),
    count=st.integers(0, 30),
)
def test_in_every_compass_every_key_has_a_fifth_to_write_in(low, width, tonic_class, seed, count):
    try:
        compass = Compass(low, low + width)
    except KeyChoiceError:
        return
    keys = KeyChoice(tonic_class=tonic_class, compass=compass)
    tonics = keys.tonics(count, seed)
    assert len(tonics) == count
    for tonic, (lowest, highest) in zip(tonics, keys.pitch_bounds(tonics), strict=True):
        assert LOWEST_TONIC_MIDI <= tonic <= HIGHEST_TONIC_MIDI
        assert tonic_class in (None, tonic % 12)
        assert -12 <= lowest <= highest - 7 <= highest <= 24
        assert low <= tonic + lowest <= tonic + highest <= low + width


@pytest.mark.parametrize("compass", [None, Compass(57, 76), Compass(40, 47)])
def test_any_key_is_even(compass):
    keys = KeyChoice(tonic_class=None, compass=compass)
    tonics = keys.tonics(1200, seed=4)
    assert Counter((tonics % 12).tolist()) == dict.fromkeys(range(12), 100)
    assert tonics.tolist() != keys.tonics(1200, seed=5).tolist()
    assert keys.tonics(50, seed=4).tolist() == tonics[:50].tolist()


def test_a_motif_stays_in_its_octave_where_it_can():
    motif = (-5, 0, 7)
    keys = KeyChoice(tonic_class=2, compass=Compass(45, 76), near_midi=62)
    assert keys.tonics(1, 0, motif).tolist() == [62]
    assert replace(keys, near_midi=50).tonics(1, 0, motif).tolist() == [50]
    assert replace(keys, compass=Compass(40, 60)).tonics(1, 0, motif).tolist() == [50]
    fitting = KeyChoice(tonic_class=None, compass=Compass(57, 70)).tonics(200, 0, motif)
    assert set(fitting) == {62, 63}


def test_a_motif_beyond_the_compass_is_told():
    with pytest.raises(KeyChoiceError, match="range=A3-A4 does not hold the motif, which spans 14"):
        KeyChoice(tonic_class=None, compass=Compass(57, 69)).tonics(1, 0, (0, 14))
    with pytest.raises(KeyChoiceError, match="in D; widen the range, or let --key any"):
        KeyChoice(tonic_class=2, compass=Compass(57, 70)).tonics(1, 0, (0, 12))


@pytest.mark.parametrize(
    ("pitches", "octaves"),
    [
        ((0, 12), 0),
        ((-13, 0), -1),
        ((-30, -20), -3),
        ((-24, -20, -17), -2),
        ((0, 25), 1),
        ((-13, 30), 0),
    ],
)
def test_what_is_written_low_or_high_is_read_in_its_own_octave(pitches, octaves):
    assert octaves_from_middle(pitches) == octaves


def test_a_pair_is_put_in_one_key(tune):
    low, high = tune(*[(0, 48)] * 4, tonic_midi=60), tune(*[(0, 48)] * 4, tonic_midi=67)
    assert [m.tonic_midi for m in in_one_key(high, low)] == [60, 60]
    assert [m.tonic_midi for m in in_one_key(low, high)] == [60, 60]
    assert in_one_key(low, low) == (low, low)
    # At 60 both lie within 60..72, where they were written; at 70 one would reach 82.
    wide = tune((0, 48), (12, 48), (0, 48), (0, 48), tonic_midi=60)
    down = tune((-10, 48), (0, 48), (0, 48), (0, 48), tonic_midi=70)
    assert {m.tonic_midi for m in in_one_key(wide, down)} == {60}
    deep = tune((-12, 48), (0, 48), (0, 48), (0, 48), tonic_midi=71)
    climbs = tune((0, 48), (1, 48), (0, 48), (0, 48), tonic_midi=60)
    # At 60 one would sink from 59 to 48, 11 semitones; at 71 the other rises by 1 beyond 71.
    assert {m.tonic_midi for m in in_one_key(climbs, deep)} == {71}


def test_only_the_tonic_of_a_pair_changes(random_melodies):
    melodies = [replace(m, tonic_midi=60 + n % 12) for n, m in enumerate(random_melodies(60))]
    for one, other in zip(melodies[::2], melodies[1::2], strict=True):
        both = in_one_key(one, other)
        assert both[0].tonic_midi == both[1].tonic_midi
        assert both[0].tonic_midi in (one.tonic_midi, other.tonic_midi)
        assert [(m.header, m.notes) for m in both] == [(m.header, m.notes) for m in (one, other)]
        assert in_one_key(other, one) == both[::-1]
