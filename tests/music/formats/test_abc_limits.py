"""ABC that is made to be slow or to grow is read in one pass, or refused in a line."""

from fractions import Fraction
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from music.formats import abc_melody
from music.formats.abc import AbcBar, AbcError, AbcNote
from music.formats.abc_reader import read_tune
from music.formats.abc_tokens import MOST_PARTS_OF_A_TICK, TOKEN
from music.formats.notation import read_melody
from music.limits import TUNE_CHARACTERS
from music.melody import MelodyError

HEADER = "X:1\nM:4/4\nL:1/8\nK:C\n"
PRIMES = [n for n in range(101, 1000) if all(n % k for k in range(2, 32))]


def test_a_run_of_colons_is_one_token():
    """Each colon was looked at once for every colon before it."""
    for sign in ("::", ":" * 1000, ":" * 1000 + "|]", ":" * 999 + "||:"):
        match = TOKEN.match(sign + "A")
        assert match is not None
        assert match.end() == len(sign)
        assert match["bar"] == sign
    assert TOKEN.match(":A")["bar"] is None, "one colon alone is no barline"
    assert len(read_tune(HEADER + ":" * 40_000 + "A4 A4|").bars) == 1


def test_barlines_without_notes_do_not_pile_up():
    bars = read_tune(HEADER + "A8" + "| " * 20_000 + "B8|").bars
    assert len(bars) == 2
    assert len(bars[1].left) <= 32


def test_an_open_bracket_in_a_chord_is_not_looked_for_to_the_end_of_the_line():
    assert TOKEN.match("[" + "[" * 200 + "]") is not None
    assert TOKEN.match("[" + "[" * 201 + "]") is None
    with pytest.raises(AbcError, match="cannot read"):
        read_tune(HEADER + "[" + "{" * 20_000 + "A]")


def test_broken_rhythm_does_not_multiply():
    """7,000 signs made a fraction of 10,000 digits, which Python does not print."""
    for signs in (">" * 7000, "> >", "><", "<<<<"):
        with pytest.raises(AbcError, match="stands after another"):
            read_tune(HEADER + f"A{signs}B")
    assert read_tune(HEADER + "A>>>B").bars[0].notes[0].duration_ticks == Fraction(45, 2)


def test_lengths_do_not_add_up_to_endless_fractions():
    with pytest.raises(AbcError, match="divided too finely"):
        read_tune(HEADER + " ".join(f"A/{prime}" for prime in PRIMES))
    with pytest.raises(AbcError, match="divided too finely"):
        read_tune(HEADER + "|".join(f"[M:1/{prime}]Z" for prime in PRIMES))
    finest = read_tune(HEADER + "A/128 B/96 (7c/4d/4e/4f/4g/4a/4b/4").bars[0]
    assert finest.duration_ticks.denominator <= MOST_PARTS_OF_A_TICK * 7


def test_an_ending_has_each_number_once():
    bars = read_tune(HEADER + "A8|[" + "-".join(["1", "9"] * 5000) + " B8|]").bars
    assert bars[1].endings == tuple(range(1, 10))


def test_the_end_of_the_first_strain_is_found_in_one_pass(monkeypatch):
    """The length of each bar was added up again for every bar after it."""
    asked = count()
    written = AbcBar.duration_ticks.fget

    def counted(bar):
        next(asked)
        return written(bar)

    monkeypatch.setattr(AbcBar, "duration_ticks", property(counted))
    bars = [AbcBar([AbcNote(60, Fraction(12))], "|", "|") for _ in range(500)]
    assert abc_melody.first_strain(bars, 96) == bars
    assert next(asked) <= 500


def test_a_tune_is_of_limited_length():
    long = HEADER + "\n".join(["CDEF GABc|" * 5] * 1200)
    assert len(long) > TUNE_CHARACTERS
    with pytest.raises(AbcError, match="more than 50,000 characters"):
        read_tune(long)
    after = read_tune(HEADER + "CDEF GABc|\n\n" + "X:2\n" * TUNE_CHARACTERS)
    assert after.tunes_after == TUNE_CHARACTERS, "what comes after the first tune is only counted"


@pytest.mark.parametrize(
    "text",
    [
        HEADER.replace("4/4", "x" * 5000) + "CDEF|" * 4,
        HEADER.replace("4/4", "x" * 5000) + "Z|" * 4,
        HEADER + "A" + "'" * 20_000 + "8|B8|c8|d8|",
        HEADER + "A" + "9" * 5000 + "|",
        HEADER + "[AC]9999" * 4000,
        HEADER.replace("K:C", "K:" + "C" * 5000) + "A|",
        HEADER + "!" * 4001,
        HEADER + '"' * 4001,
        "M:9999/1\nL:9999/1\nK:C\n" + "[CE9999]9999" * 2000,
    ],
    ids=["M:", "M: and Z", "octaves", "digits", "chords", "K:", "marks", "quotes", "huge"],
)
def test_messages_stay_short(text):
    with pytest.raises((AbcError, MelodyError)) as told:
        read_melody(text[:20_000])
    assert len(str(told.value)) < 400
    assert "\n" not in str(told.value)


SIGNS = "ABCDEFGabcdefgzxZX|:[]()<>/~!{}\"'`,^_=-+%.0123456789 \n\\&#@;*$?yHT"
WORDS = (
    '|: :| :: [1 [2 |] || >> (3 (5: [K:D] [M:3/4] !trill! {ab} "Am" K:G M:C| L:1/16 V:1 '
    "%%MIDI transpose I: X:2 w: %%begintext [ace] A,,, c''"
)
PIECES = st.sampled_from([*SIGNS, *WORDS.split(" ")])


def refusal(text):
    """Why a text is refused; '' when it is read."""
    try:
        read_melody(text)
    except (AbcError, MelodyError) as error:
        return str(error)
    return ""


@settings(deadline=None)
@example("[1-9]" * 10)
@example("(9:1:99A" + "B/3" * 20)
@given(st.lists(PIECES, max_size=80).map("".join) | st.text(max_size=60))
def test_any_text_is_read_or_refused_in_a_line(music):
    told = refusal(HEADER + music)
    assert len(told) < 400
    assert "\n" not in told
