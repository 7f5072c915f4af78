"""Mode: by what sounds, and by the header where no third does."""

from dataclasses import replace

import pytest

from music.descriptors.mode import brightness, five_note_share, minor_third_share
from music.melody import TONIC_MIDI_MIN


def test_the_thirds_that_sound_decide(tune):
    """Two beats of the minor third and one of the major one, and a beat of the header's."""
    notes = ((3, 48), (4, 24), (0, 120))
    assert minor_third_share(tune(*notes)) == pytest.approx([2 / 4])
    assert minor_third_share(tune(*notes, mode="dorian")) == pytest.approx([3 / 4])
    assert minor_third_share(tune((15, 48), (-8, 24), (0, 120))) == pytest.approx([2 / 4])


def test_without_a_third_the_header_speaks(tune):
    for mode, share in (("major", 0), ("lydian", 0), ("minor", 1), ("locrian", 1)):
        assert minor_third_share(tune((0, 96), (7, 96), mode=mode)) == pytest.approx([share])


def test_a_beat_is_the_metres(tune):
    """In 6/8 the header's third weighs as much as a dotted quarter that sounds."""
    assert minor_third_share(tune((3, 36), (0, 252), meter="6/8")) == pytest.approx([1 / 2])


def test_brightness_is_the_mean_place_on_the_line_of_fifths(tune):
    """Fifth 1, sixth 3, lowered seventh -2; thirds and rests are left out."""
    assert brightness(tune((7, 24), (9, 48), (10, 24), (4, 48), (None, 48))) == pytest.approx(
        [(24 * 1 + 48 * 3 - 24 * 2) / 96]
    )
    assert brightness(tune((4, 96), (3, 96))) == pytest.approx([0])


def test_a_five_note_scale_leaves_out_half_steps(tune):
    notes = ((0, 24), (5, 24), (2, 48), (7, 24), (None, 24), (4, 48))
    assert five_note_share(tune(*notes)) == pytest.approx([144 / 168])
    # With a minor third: the fourth is in, the second and the major third are not.
    assert five_note_share(tune(*notes, mode="dorian")) == pytest.approx([72 / 168])


def test_modes_are_in_order_of_brightness(tune):
    def scale(sharp_fourth, flat_seventh, flat_sixth, flat_second):
        degrees = (0, 2 - flat_second, 5 + sharp_fourth, 7, 9 - flat_sixth, 11 - flat_seventh)
        return tune(*[(pitch, 24) for pitch in degrees], (12, 48))

    lydian, major, mixolydian, minor, phrygian = brightness(
        [scale(1, 0, 0, 0), scale(0, 0, 0, 0), scale(0, 1, 0, 0), scale(0, 1, 1, 0),
         scale(0, 1, 1, 1)]
    )  # fmt: skip
    assert lydian > major > mixolydian > minor > phrygian


def test_the_tonic_on_which_it_is_played_does_not_matter(real_melodies):
    some = real_melodies[:20]
    moved = [replace(melody, tonic_midi=TONIC_MIDI_MIN) for melody in some]
    for measure in (minor_third_share, five_note_share, brightness):
        assert measure(moved) == pytest.approx(measure(some))
