"""Finding melodies by a few notes: letters, ABC and steps, by hand and against plain loops."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.corpora.tune_search import TunePattern, TuneSearchError, find_tunes, read_pattern
from music.formats.notation import to_abc
from music.note_table import note_table


@pytest.fixture
def scale(tune):
    """D E F# G A B c# d in D major."""
    return tune(*((pitch, 24) for pitch in (0, 2, 4, 5, 7, 9, 11, 12)))


def finds(text, melody):
    by_loop, by_table = (
        bool(find_tunes(read_pattern(text), [melody], table)[0])
        for table in (None, note_table([melody]))
    )
    assert by_loop == by_table
    return by_loop


@pytest.mark.parametrize(
    ("text", "is_there"),
    [
        ("D E F# G", True), ("d e f g", True), ("DEFG", True), ("D, E, F♯", True),
        ("E F G", False), ("D E Fb", False), ("D E F♮", False), ("D E F G A B C D E", False),
        ("|EFGA", True), ("e^fga'", True), ("e=fg", False), ("fga", True), ("gfe", False),
        ("K:C cdef", True), ("M:4/4\nL:1/8\nK:C\nc2 de f4", True), ("K:C c'bag", False),
        ("K:Am Bcdef", False), ("K:Ddor abc'd'", True), ("K:Cloc cdefga", False),
        ("K:C lydian cdefgab", False), ("K:Fmaj fgab", True), ("K:E phrygian cdef", True),
        ("K:Bloc cdef", True), ("K:Flyd cdef", True),
        ("K:C c^d^e", False), ("K:C c ^d =d", False),
        ("+2 +2 +1", True), ("2 2 1", True), ("2,2,1,2,2,2,1", True), ("-2 -2", False),
        ("2 2 1 2 2 2 1 2", False), ("−1", False),
    ],
)  # fmt: skip
def test_by_hand(scale, text, is_there):
    assert finds(text, scale) is is_there


def test_an_accidental_lasts_to_the_end_of_its_bar():
    assert read_pattern("K:C ^FGF|F").steps == (1, -1, -1)
    assert read_pattern("K:D F=F|F").steps == (-1, 1)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "what?", "|a|", "<b>bold</b>", "K:Q dfa", "K:Dlydianish dfa", "+200", "D" * 201],
)
def test_what_asks_for_no_notes_is_told_in_a_line(text):
    with pytest.raises(TuneSearchError) as told:
        read_pattern(text)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["b" * 199 + "!", "Bb" * 99 + "!", "b " * 99 + "?", "# " * 100])
def test_a_search_does_not_try_every_way_to_read_flats(text):
    """199 letters b can be split into letters and flats in more ways than can be tried."""
    with pytest.raises(TuneSearchError):
        read_pattern(text)


def test_a_run_of_b_is_letters_and_their_flats():
    assert read_pattern("Bbb Bb B").letters == (("B", -2), ("B", -1), ("B", None))
    assert read_pattern("BBBB bbbb").letters == (("B", None),) * 4 + (("B", -2), ("B", None))


def refusal(text):
    """Why a search is refused; '' when it is read."""
    try:
        read_pattern(text)
    except TuneSearchError as error:
        return str(error)
    return ""


@settings(deadline=None)
@given(st.text(alphabet="ABCDEFGabcdefg#♯♭♮ |,;-+K:[]'\"!{}0123456789xyz", max_size=200))
def test_any_search_is_read_or_refused_in_a_line(text):
    assert "\n" not in refusal(text)


def test_a_melody_is_found_by_what_is_printed_of_it_and_in_other_keys(real_melodies):
    pool = real_melodies[:150]
    table = note_table(pool)
    for place, melody in enumerate(pool[:20]):
        body = to_abc(melody).split("K:")[1]
        if "(" in body:
            continue  # triplets print digits, that is all
        key, music = body.split("\n", 1)
        music = "".join(music.split("\n"))[:60].rsplit("|", 1)[0]
        assert find_tunes(read_pattern(f"|{music}"), pool, table)[place]
        elsewhere = [replace(m, tonic_midi=60 + (m.tonic_midi + 5) % 12) for m in pool]
        assert find_tunes(read_pattern(f"K:{key} {music}"), elsewhere, table)[place]


def test_an_exported_tune_may_be_pasted(tune):
    melody = tune((0, 24), (2, 24), (6, 48), (5, 48), (0, 48))
    text = to_abc(melody, title="A bag")
    assert text.startswith("%abc-2.1")
    assert read_pattern(text).steps == (2, 4, -1, -5)


def test_steps_agree_with_a_plain_loop(random_melodies):
    pool = random_melodies(80)
    for steps in ((0,), (1,), (2, -2), (0, 0, 0), (5, -5, 0)):
        expected = [
            any(
                tuple(b.pitch - a.pitch for a, b in pairwise(m.notes[at : at + len(steps) + 1]))
                == steps
                for at in range(len(m.notes) - len(steps))
            )
            for m in pool
        ]
        for table in (None, note_table(pool)):
            assert find_tunes(TunePattern(steps=steps), pool, table).tolist() == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("d f# a", "begins D F# A"),
        ("|_e=d", "has the notes Eb D♮"),
        ("2 -4", "has the steps +2 -4"),
    ],
)
def test_in_words(text, words):
    assert read_pattern(text).in_words() == words
