"""Messages about errors: long values are cut, and what to do is kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.messages import MOST_CHARACTERS, MOST_VALUE_CHARACTERS, one_line, shorten

REMEDY = "is not a number; give one such as 3, as in tastemaker studio --port 8502"


@pytest.mark.parametrize("value", ["x" * 10_000, "'" + "a word " * 2_000 + "'", f'"{"y" * 999}"'])
def test_a_long_value_is_cut_and_the_remedy_kept(value):
    said = shorten(f"--port={value} {REMEDY}")
    assert len(said) < MOST_VALUE_CHARACTERS + 120
    assert said.startswith(f"--port={value[:50]}")
    assert said.endswith(REMEDY)
    assert "…" in said


def test_much_that_is_no_single_value_is_cut_in_the_middle():
    said = shorten(f"{'1, 2, 3, ' * 1_000}{REMEDY}")
    assert len(said) == MOST_CHARACTERS + len(" … ")
    assert said.startswith("1, 2, 3, ")
    assert said.endswith(REMEDY)


def test_a_message_of_usual_length_stays_as_it_is():
    path = "/home/somebody/" + "folder/" * 20 + "ratings.sqlite"
    said = f"{path!r} is not a database; run tastemaker pairs --database '{path}'"
    assert shorten(said) == said


def test_an_error_is_one_line():
    assert one_line(ValueError(" one\n two\t three ")) == "one two three"


def test_signs_that_a_terminal_acts_on_are_written_out():
    # ESC begins what clears a terminal; half a character ends a page of Streamlit with a traceback.
    said = one_line(ValueError("\x1b[2J\u202e\ud800\x00 caf\u00e9\u00a03"))
    assert said == r"\x1b[2J\u202e\ud800\x00 café" + " 3"


def test_a_message_of_any_text_is_printed_and_short():
    @settings(deadline=None, max_examples=200, derandomize=True, database=None)
    @given(st.text(st.characters(), max_size=40), st.sampled_from([1, 30, 3000]))
    def check(text, times):
        said = one_line(text * times)
        assert said.replace("\u00a0", " ").isprintable()
        assert len(said) <= MOST_CHARACTERS + len(" … ")
        said.encode()

    check()
