"""Rhythm at the level of phrases: where long notes stand, and how answers go on from questions.

A phrase is a quarter of the melody's bars (`music.descriptors.phrases`): of eight bars, two. The
first and the third phrase ask, the second and the fourth answer. A note belongs to the phrase in
which it begins, one of a pickup to none. What is compared is the time from each note to the next,
with the rest between them (the inter-onset interval), because a rest after a phrase is heard as its
end as a long note is (Deutsch, Grouping mechanisms in music, in The Psychology of Music, 1982).
Lengths are compared as log2, so that 1 is twice as long. Yardsticks return float64 (N,).

Literature: Palmer and Krumhansl, Journal of Experimental Psychology: HPP 13 (1987), and Lerdahl and
Jackendoff, A Generative Theory of Tonal Music (1983), rule GPR 2, for long notes at phrase ends.
"""

from __future__ import annotations

import numpy as np

from music.descriptors.form import MELODY_SHIFT, similarity
from music.note_table import QUARTERS, Melodies, NoteTable, divide, note_table

QUESTIONS, ANSWERS = [0, 2], [1, 3]
LENGTH_BITS = 12
"""of a time in ticks: a phrase has at most 1152, and of what lasts longer 4095 are counted"""
HALF_ANSWERS = (3, 7)
"""of the eight halves of phrases, the last of each answer"""


def phrase_end_length(melodies: Melodies) -> np.ndarray:
    """How much longer the last notes of the first three phrases are than the melody's notes.

    log2, beside the mean over all notes. How the melody ends is a measure of its own, so the last
    phrase is left out. NaN where none of the three has a note.
    """
    t = note_table(melodies)
    log_length = np.log2(t.until_next)
    first = _first_of_phrases(t)
    has_note = np.diff(first)[:, :-1] > 0
    ends = log_length[first[:, 1:-1] - 1] * has_note
    return divide(ends.sum(1), has_note.sum(1)) - t.sums(log_length) / t.count


def answers_end_longer(melodies: Melodies) -> np.ndarray:
    """How much longer answers' last notes are than those of their questions; mean log2.

    NaN where a phrase has no note.
    """
    t = note_table(melodies)
    first = _first_of_phrases(t)
    ends = np.log2(t.until_next)[first[:, 1:] - 1]
    longer = (ends[:, ANSWERS] - ends[:, QUESTIONS]).mean(1)
    return np.where((np.diff(first) > 0).all(1), longer, np.nan)


def answers_in_rhythm(melodies: Melodies) -> np.ndarray:
    """Similarity of each answer's rhythm to its question's, lengths included (Dice), 0 to 1.

    NaN where all phrases are empty.
    """
    t = note_table(melodies)
    length = np.minimum(t.until_next, 2**LENGTH_BITS - 1)
    into = t.onset - _phrase_bars(t)[t.of, np.maximum(t.quarter, 0)] * t.bar_ticks[t.of]
    second_pair = (t.quarter > 1).astype(np.int64) << 2 * LENGTH_BITS
    key = (t.of << MELODY_SHIFT) + second_pair + (into << LENGTH_BITS) + length
    one, other = (key[np.isin(t.quarter, phrases)] for phrases in (QUESTIONS, ANSWERS))
    return similarity(one, other, len(t))


def busier_answers(melodies: Melodies) -> np.ndarray:
    """Share of the notes that are in the answers minus that in the questions, -1 to 1."""
    notes = np.diff(_first_of_phrases(note_table(melodies)))
    return divide(notes[:, ANSWERS].sum(1) - notes[:, QUESTIONS].sum(1), notes.sum(1))


def phrases_slow_down(melodies: Melodies) -> np.ndarray:
    """Share of the notes in the first halves of phrases minus that in the second, -1 to 1."""
    t = note_table(melodies)
    half, _ = _half_of_phrase(t)
    early, late = t.sums((half >= 0) & (half % 2 == 0)), t.sums((half >= 0) & (half % 2 == 1))
    return divide(early - late, early + late)


def answers_end_in_one_rhythm(melodies: Melodies) -> np.ndarray:
    """Similarity of the onsets in the second halves of the two answers (Dice), 0 to 1."""
    t = note_table(melodies)
    half, into = _half_of_phrase(t)
    key = (t.of << MELODY_SHIFT) + into
    one, other = (key[half == number] for number in HALF_ANSWERS)
    return similarity(one, other, len(t))


def phrase_start_length(melodies: Melodies) -> np.ndarray:
    """How much longer the first notes of phrases are than the melody's notes; mean log2.

    NaN where no phrase has a note.
    """
    t = note_table(melodies)
    log_length = np.log2(t.until_next)
    first = _first_of_phrases(t)
    has_note = np.diff(first) > 0
    # A phrase without a note may begin where the notes of all melodies end.
    starts = log_length[np.minimum(first[:, :-1], len(log_length) - 1)] * has_note
    return divide(starts.sum(1), has_note.sum(1)) - t.sums(log_length) / t.count


def upbeat_share(melodies: Melodies) -> np.ndarray:
    """Share of the phrases after the first that a note leads into, begun less than a beat before.

    So 0 where each earlier phrase ends with a beat or more of one note or rest.
    """
    t = note_table(melodies)
    first = _first_of_phrases(t)
    ends = (_phrase_bars(t) * t.bar_ticks[:, None])[:, 1:-1]
    is_near = ends - t.onset[first[:, 1:-1] - 1] < t.beat_ticks[:, None]
    return (is_near & (np.diff(first)[:, :-1] > 0)).mean(1)


def longest_note_position(melodies: Melodies) -> np.ndarray:
    """Where the longest note ends, the last of equal ones: near 0 the start, 1 the end."""
    t = note_table(melodies)
    longest = np.maximum.reduceat(t.until_next, t.first)[t.of]
    end = np.where(t.until_next == longest, t.onset + t.until_next, -t.pickup_ticks[t.of])
    return (np.maximum.reduceat(end, t.first) + t.pickup_ticks) / t.total_ticks


def _first_of_phrases(t: NoteTable) -> np.ndarray:
    """Place of the first note of each phrase, and where the last phrase ends; (N, 5).

    The difference of neighbours is the number of notes.
    """
    width = QUARTERS + 1
    bounds = np.arange(len(t))[:, None] * width + np.arange(1, width + 1)
    return np.searchsorted(t.of * width + t.quarter + 1, bounds)


def _phrase_bars(t: NoteTable) -> np.ndarray:
    """The bars in which phrases begin, and the number of bars; (N, 5)."""
    return -(-np.arange(QUARTERS + 1) * t.bars[:, None] // QUARTERS)


def _half_of_phrase(t: NoteTable) -> tuple[np.ndarray, np.ndarray]:
    """Which of the eight halves of phrases each note begins in, and ticks from there; (M,) each.

    Negative in a pickup. Every bar's length is even, so that halves begin on a tick.
    """
    bars = _phrase_bars(t)
    phrase = np.maximum(t.quarter, 0)
    bar_ticks = t.bar_ticks[t.of]
    half_ticks = (bars[t.of, phrase + 1] - bars[t.of, phrase]) * bar_ticks // 2
    into = t.onset - bars[t.of, phrase] * bar_ticks
    late = into >= half_ticks
    return np.where(t.quarter < 0, -1, 2 * phrase + late), into - late * half_ticks
