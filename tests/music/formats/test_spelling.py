"""Names of keys and letters of notes."""

import pytest

from music.formats.spelling import Spelling, key_of, signature
from music.melody import MODE_SCALES, MODES


@pytest.mark.parametrize(
    ("tonic_midi", "mode", "name", "fifths"),
    [
        (62, "major", "D", 2),
        (70, "major", "Bb", -2),
        (66, "major", "F#", 6),  # as good as Gb; melody.TONIC_NAMES decides
        (61, "minor", "C#", 4),  # Db minor would have eight flats
        (63, "minor", "Eb", -6),
        (69, "dorian", "A", 1),
        (61, "dorian", "C#", 5),
        (67, "mixolydian", "G", 0),
        (65, "lydian", "F", 0),
        (66, "lydian", "Gb", -5),
        (64, "phrygian", "E", 0),
        (63, "phrygian", "D#", 5),  # as Eb phrygian it would have seven flats
        (71, "locrian", "B", 0),
        (60, "locrian", "C", -5),
    ],
)
def test_keys_by_hand(tonic_midi, mode, name, fifths):
    key = key_of(tonic_midi, mode)
    assert (key.tonic_name, key.signature_fifths) == (name, fifths)


def test_signatures_by_hand():
    assert signature(3) == {"F": 1, "C": 1, "G": 1}
    assert signature(-2) == {"B": -1, "E": -1}
    assert signature(0) == {}


def test_notes_by_hand():
    assert key_of(69, "minor").spell(68) == Spelling("G", 1, 4)  # the leading note of A minor
    assert key_of(62, "major").spell(72) == Spelling("C", 0, 5)  # the flat seventh of D major
    assert key_of(71, "major").spell(70) == Spelling("A", 1, 4)
    # B sharp sounds in the octave above the one that it is written in.
    assert key_of(61, "minor").spell(72) == Spelling("B", 1, 4)
    assert Spelling("C", -1, 5).midi == 71


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tonic_midi", range(60, 72))
def test_every_spelling_sounds_its_pitch_and_the_scale_needs_no_accidental(tonic_midi, mode):
    key = key_of(tonic_midi, mode)
    altered = signature(key.signature_fifths)
    for midi in range(tonic_midi - 12, tonic_midi + 25):
        spelling = key.spell(midi)
        assert spelling.midi == midi
        assert abs(spelling.alter) <= 2
        in_scale = (midi - tonic_midi) % 12 in MODE_SCALES[mode]
        assert (altered.get(spelling.letter, 0) == spelling.alter) == in_scale


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode='hijaz' is not known; choose one of"):
        key_of(60, "hijaz")
