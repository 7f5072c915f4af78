"""The table's integers hold the longest notes and bars that a melody can have."""

from music.melody import Header, Melody, Note
from music.note_table import interval_duration_symbols, note_table


def longest(pitch, *, first=0):
    """32 bars of 12/8 in one note, after a short one."""
    header = Header("12/8", "major", "other", 32, 0)
    return Melody(header, (Note(0, 3, first), Note(3, header.end_ticks - 3, pitch)))


def test_symbols_of_the_longest_notes_fit_three_to_an_int64_and_tell_all_apart():
    table = note_table([longest(24, first=-12), longest(-12, first=24), longest(23, first=-12)])
    symbols = interval_duration_symbols(table)
    assert (symbols >= 0).all()
    assert (symbols < 2**21).all()
    assert len({*symbols.tolist()}) == 5  # two begin alike


def test_cells_of_the_longest_bars_tell_offset_and_duration_apart():
    header = Header("12/8", "major", "other", 2, 0)
    halves = (Note(0, 141, 0), Note(141, 3, 0), Note(144, 144, 0))
    cells = note_table(Melody(header, halves)).cells
    assert cells.bar.tolist() == [0, 0, 1]
    offset, duration, held = cells.rhythm >> 9, cells.rhythm >> 1 & 0xFF, cells.rhythm & 1
    assert offset.tolist() == [0, 141, 0]
    assert duration.tolist() == [141, 3, 144]
    assert held.tolist() == [0, 0, 0]
