import pytest

from music.descriptors.motifs import motif_steps

EIGHTHS = [12] * 16


def eighths(*pitches):
    return list(zip(pitches, EIGHTHS, strict=True))


def counts(melody):
    found = motif_steps(melody)
    return float(found.motif[0]), float(found.repeated[0]), float(found.steps[0])


def test_a_figure_that_comes_four_times_by_hand(tune):
    """32 sixteenths end 25 windows; from the 16th on, the window a bar before is the same."""
    assert counts(tune(*eighths(*(0, 2, 4, 0) * 4))) == (25, 17, 32)


def test_two_pitches_make_no_motif(tune):
    assert counts(tune(*eighths(*(0, 2) * 8))) == (0, 0, 32)


def test_three_pitches_in_one_place_by_hand(tune):
    """0 2 4 begin at sixteenths 9, 11 and 13: the windows that end on 13 to 16 hold all three."""
    notes = [(0, 48), (0, 12), (2, 12), (4, 24), (4, 48), (4, 48)]
    assert counts(tune(*notes)) == (4, 0, 32)


def test_an_overlapping_window_is_no_repeat(tune):
    """0 2 4 in eighths goes round every six sixteenths, and a window lasts eight.

    The nearest that is the same and has ended before it ends twelve sixteenths earlier, so the
    first is the one that ends on the 20th.
    """
    assert counts(tune(*eighths(*[(0, 2, 4)[k % 3] for k in range(16)]))) == (25, 13, 32)


def test_a_rest_is_not_a_held_note(tune):
    """The figure again, and the windows that end on the two sixteenths after it."""
    figure = [(0, 12), (2, 12), (4, 12), (7, 12)]
    cut = [(0, 12), (2, 12), (4, 12), (7, 6), (None, 6)]
    again = motif_steps([tune(*figure, *figure, (0, 96)), tune(*figure, *cut, (0, 96))])
    assert again.repeated.tolist() == [3, 0]


@pytest.mark.parametrize("shift", [-5, 12])
def test_height_makes_no_difference(tune, shift):
    pitches = (0, 2, 4, 5, 7, 5, 4, 2, 0, 2, 4, 5, 7, 5, 4, 2)
    low, high = (tune(*eighths(*(p + s for p in pitches))) for s in (0, shift))
    assert counts(low) == counts(high)


def test_the_definition_word_by_word(random_melodies, real_melodies):
    """Every window against every earlier one, note by note, in any metre and with any pickup."""
    melodies = random_melodies(40, seed=3) + real_melodies[::20]
    found = motif_steps(melodies)
    some_repeat = 0
    for number, melody in enumerate(melodies):
        start, end = melody.header.start_ticks, melody.header.end_ticks
        begins = {note.onset_ticks: note.pitch for note in melody.notes}
        rests = {note.end_ticks: "rest" for note in melody.notes if note.end_ticks < end}
        what = rests | begins
        windows = [
            {at - stop: what[at] for at in what if stop - 48 <= at < stop}
            for stop in range(start + 48, end + 1, 6)
        ]
        motif = repeated = 0
        for place, window in enumerate(windows):
            if len(set(window.values()) - {"rest"}) >= 3:
                motif += 1
                repeated += window in windows[: max(0, place - 7)]
        assert (found.motif[number], found.repeated[number]) == (motif, repeated)
        assert found.steps[number] == (end - start) / 6
        some_repeat += repeated
    assert some_repeat > 0
