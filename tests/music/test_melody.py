"""A melody cannot be built wrong, and says why when one tries."""

from dataclasses import FrozenInstanceError, replace
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.durations import DURATIONS_TICKS, is_sum_of_durations
from music.melody import (
    BAR_COUNTS,
    PICKUPS_TICKS,
    Header,
    Melody,
    MelodyError,
    Note,
    Segment,
)
from music.metre import BAR_TICKS, METERS

HEADER = Header("2/4", "major", "other", 4)  # four bars of 48 ticks
NOTES = tuple(Note(48 * bar, 48, bar) for bar in range(4))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("meter", "5/8", r"meter='5/8' is not known; choose one of \['2/2'"),
        ("meter", None, "meter=None is not known; choose one of"),
        ("mode", "ionian", r"mode='ionian' is not known; choose one of \['major'"),
        ("style", "Polka", r"style='Polka' is not a label; write 1 to 32 lower-case letters"),
        ("style", None, "style=None is not a label"),
        ("bars", 1, r"bars=1 is not in 2\.\.32; cut the melody into parts, or join parts"),
        ("bars", 33, r"bars=33 is not in 2\.\.32"),
        ("bars", "8", "bars='8' is not a whole number"),
        ("bars", 8.0, r"bars=8\.0 is not a whole number; round it"),
        ("pickup_ticks", 5, r"pickup_ticks=5 leaves a part of a bar of 2/4 .48 ticks. that is no"),
        ("pickup_ticks", 43, "pickup_ticks=43 leaves a part of a bar"),  # 5 ticks in the last bar
        ("pickup_ticks", -12, r"pickup_ticks=-12 is not in 0\.\.47; a pickup is shorter than a"),
        ("pickup_ticks", False, "pickup_ticks=False is not a whole number; round it"),
        ("pickup_ticks", 48, r"pickup_ticks=48 is not in 0\.\.47"),
    ],
)
def test_a_header_refuses_what_it_does_not_know(field, value, says):
    with pytest.raises(MelodyError, match=says):
        Header(**{"meter": "2/4", field: value})


def test_a_pickup_and_the_last_bar_can_be_filled_in_every_metre():
    for meter, bar_ticks in BAR_TICKS.items():
        for pickup in range(bar_ticks + 1):
            if not {pickup, bar_ticks - pickup} & {1, 2, 5} and pickup < bar_ticks:
                assert Header(meter, pickup_ticks=pickup).start_ticks == -pickup
                assert pickup in PICKUPS_TICKS[meter]
            else:
                with pytest.raises(MelodyError, match=r"is shorter than a bar|no sum of"):
                    Header(meter, pickup_ticks=pickup)


def test_times_of_a_header_by_hand():
    jig = Header("6/8", "dorian", "jig", 4, 12)
    assert (jig.bar_ticks, jig.beat_ticks) == (72, 36)
    assert (jig.start_ticks, jig.end_ticks) == (-12, 276)
    assert jig.barlines_ticks == (-12, 0, 72, 144, 216, 276)
    reel = Header("4/4", "major", "reel", 4)
    assert (reel.bar_ticks, reel.beat_ticks) == (96, 24)
    assert reel.barlines_ticks == (0, 96, 192, 288, 384)


@pytest.mark.parametrize(
    ("notes", "says"),
    [
        ((), r"notes=\(\): a melody has at least one note; add one"),
        (list(NOTES), "notes=list can change after the check; give a tuple"),
        (
            (Note(-6, 6, 0), *NOTES),
            "onset_ticks=-6 is before tick 0, where .* or the melody begins; .*: move or shorten",
        ),
        ((Note(0, 48, 0), Note(24, 24, 0)), "onset_ticks=24 is before tick 48.*one voice.*: move"),
        ((NOTES[1], NOTES[0]), "onset_ticks=0 is before tick 96"),
        ((Note(0, 0, 0), *NOTES), "duration_ticks=0 of the note at tick 0 is not positive; drop"),
        ((Note(48, -48, 0), *NOTES), "duration_ticks=-48 of the note at tick 48 is not positive"),
        ((Note(0, 48, -13), *NOTES[1:]), r"pitch=-13 is not within -12\.\.24 .*; shift the melody"),
        ((Note(0, 48, 25), *NOTES[1:]), r"pitch=25 is not within -12\.\.24 .*; shift the melody"),
        ((*NOTES, Note(192, 48, 0)), r"ends at tick 240, after the last bar \(192\); shorten it"),
        ((Note(0, 5, 0),), r"a note of 5 ticks in bar 1 is no sum of \[3, .*; quantise it"),
        ((Note(1, 47, 0),), "a rest of 1 ticks in bar 1 is no sum of"),
        ((NOTES[0], Note(48, 42, 0), Note(90, 4, 0)), "a rest of 2 ticks in bar 2 is no sum"),
        ((Note(0, 48.0, 0), *NOTES[1:]), r"duration_ticks=48\.0 is not a whole number; round it"),
        ((Note(0.0, 48, 0), *NOTES[1:]), r"onset_ticks=0\.0 is not a whole number; round it"),
        ((Note(0, 48, 0.5), *NOTES[1:]), r"pitch=0\.5 is not a whole number; round it"),
        ((Note(0, 48, True), *NOTES[1:]), "pitch=True is not a whole number; round it"),
        ((Note(0, 48, None), *NOTES[1:]), "pitch=None is not a whole number; round it"),
    ],
)
def test_a_melody_refuses_notes_that_break_a_rule(notes, says):
    with pytest.raises(MelodyError, match=says):
        Melody(HEADER, notes)


def test_a_note_that_is_cut_by_a_barline_off_the_grid_is_refused():
    # 48 ticks are on the grid, but 5 of them in bar 1 are no sum of durations.
    before = (Note(0, 24, 0), Note(24, 16, 0), Note(40, 3, 0))
    with pytest.raises(MelodyError, match="a note of 5 ticks in bar 1"):
        Melody(HEADER, (*before, Note(43, 48, 0), *NOTES[2:]))


def test_a_message_names_the_pickup():
    header = Header("2/4", bars=4, pickup_ticks=12)
    with pytest.raises(MelodyError, match="a rest of 2 ticks in the pickup"):
        Melody(header, (Note(-10, 10, 0), *NOTES[:3], Note(144, 36, 0)))


def test_a_rest_may_cross_barlines():
    assert [s.duration_ticks for s in Melody(HEADER, NOTES[:1]).segments()] == [48] * 4
    header = Header("2/4", bars=4, pickup_ticks=12)
    melody = Melody(header, (Note(24, 24, 0), *NOTES[1:3], Note(144, 36, 0)))
    assert list(melody.segments())[:2] == [
        Segment(-1, 12, None, held=False),
        Segment(0, 24, None, held=False),
    ]


@pytest.mark.parametrize(
    ("tonic", "says"),
    [
        (23, r"tonic_midi=23 is not in 24\.\.83; shift it by octaves"),
        (84, "tonic_midi=84 is not in"),
        (62.5, r"tonic_midi=62\.5 is not a whole number; round it"),
        ("D", "tonic_midi='D' is not a whole number"),
    ],
)
def test_a_tonic_is_one_of_twelve(tonic, says):
    with pytest.raises(MelodyError, match=says):
        Melody(HEADER, NOTES, tonic)


def test_numbers_of_numpy_are_whole_numbers_too():
    notes = tuple(Note(*map(np.int64, (note.onset_ticks, 48, note.pitch))) for note in NOTES)
    assert Melody(HEADER, notes, np.uint8(62)) == Melody(HEADER, NOTES, 62)


def test_segments_by_hand():
    """A pickup, a note held over two barlines, a rest, and a last bar short by the pickup."""
    header = Header("2/4", bars=4, pickup_ticks=12)
    notes = (Note(-12, 6, 7), Note(-6, 6, 5), Note(0, 24, 0), Note(36, 72, 2), Note(144, 36, 4))
    assert list(Melody(header, notes).segments()) == [
        Segment(-1, 6, 7, held=False),
        Segment(-1, 6, 5, held=False),
        Segment(0, 24, 0, held=False),
        Segment(0, 12, None, held=False),
        Segment(0, 12, 2, held=False),
        Segment(1, 48, 2, held=True),
        Segment(2, 12, 2, held=True),
        Segment(2, 36, None, held=False),
        Segment(3, 36, 4, held=False),
    ]


def test_keys_are_named():
    named = [Melody(HEADER, NOTES, midi).key for midi in (60, 61, 66, 71)]
    assert named == ["C major", "Db major", "F# major", "B major"]
    assert Melody(replace(HEADER, mode="dorian"), NOTES).key == "D dorian"


def test_a_melody_is_a_value():
    melody = Melody(HEADER, NOTES)
    assert {melody: "found"}[Melody(HEADER, tuple(NOTES), 62)] == "found"
    assert melody != replace(melody, tonic_midi=63)
    for thing, field in ((melody, "notes"), (melody.header, "bars"), (melody.notes[0], "pitch")):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field, 1)
    with pytest.raises(MelodyError, match="at least one note"):
        replace(melody, notes=())


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_segments_fill_every_bar_and_join_to_the_notes(data, any_melody):
    melody = data.draw(any_melody)
    header, segments = melody.header, list(melody.segments())
    lengths = [sum(s.duration_ticks for s in bar) for _, bar in groupby(segments, lambda s: s.bar)]
    assert lengths == [b - a for a, b in pairwise(header.barlines_ticks)]
    assert all(is_sum_of_durations(segment.duration_ticks) for segment in segments)
    at, notes = header.start_ticks, []
    for segment in segments:
        if segment.held:
            notes[-1] = replace(
                notes[-1], duration_ticks=notes[-1].duration_ticks + segment.duration_ticks
            )
        elif segment.pitch is not None:
            notes.append(Note(at, segment.duration_ticks, segment.pitch))
        at += segment.duration_ticks
    assert tuple(notes) == melody.notes


def test_the_strategy_reaches_every_corner(any_melody):
    """Guards the property tests: what they draw has every metre, length, rests, holds, pickups."""
    seen = set()

    @settings(deadline=None, max_examples=600, database=None, derandomize=True)
    @given(any_melody)
    def look(melody):
        seen.update((melody.header.meter, melody.header.bars, bool(melody.header.pickup_ticks)))
        seen.update("rest" for segment in melody.segments() if segment.pitch is None)
        seen.update("hold" for segment in melody.segments() if segment.held)
        seen.update("split" for s in melody.segments() if s.duration_ticks not in DURATIONS_TICKS)
        seen.update(
            "rest over a barline"
            for one, other in pairwise(melody.segments())
            if one.pitch is None and other.pitch is None
        )

    look()
    assert seen == {
        *METERS, *BAR_COUNTS, True, False, "rest", "hold", "split", "rest over a barline"
    }  # fmt: skip
