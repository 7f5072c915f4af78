"""Form: repetition in a melody, and how it begins and ends.

Conventions: bars are those of the header. The pickup is not a bar, and it shortens the last bar. A
bar's content is its notes, cut at the barlines: offset, duration, pitch, and whether a note is tied
to the previous bar. Two bars are the same if all of this is equal. Halves and quarters are counted
in bars; notes of a pickup belong to none. Yardsticks return float64 (N,).

Literature: Jaques et al. (RL Tuner), ICLR 2017 submission, for motifs and the tonic at the start;
Dice, Ecology 26 (1945), for the similarity of two sets, 2|A∩B| / (|A|+|B|).
"""

from __future__ import annotations

import numpy as np

from music.descriptors.key import is_in_triad
from music.note_table import Melodies, NoteTable, divide, note_table

MOTIF_PITCHES = 3
DOMINANT_CLASSES = (2, 7, 10, 11)
"""dominant chord above the tonic, with either seventh degree"""
MELODY_SHIFT = 32
"""bits below the melody's number in a key of `similarity`"""


def repeated_bar_share(melodies: Melodies) -> np.ndarray:
    """Share of bars whose exact content, pitches and rhythm, stands earlier in the melody."""
    t = note_table(melodies)
    return _bar_means(t, _stands_earlier(t, _contents(t)))


def repeated_rhythm_share(melodies: Melodies) -> np.ndarray:
    """Share of bars whose rhythm stands earlier, whatever its pitches."""
    t = note_table(melodies)
    return _bar_means(t, _stands_earlier(t, t.cells.rhythm))


def repeated_contour_share(melodies: Melodies) -> np.ndarray:
    """Share of bars whose rhythm and ups and downs stand earlier: exact repeats and sequences."""
    t = note_table(melodies)
    cells = t.cells
    move = np.sign(np.diff(cells.pitch, prepend=0))
    inside = (np.diff(cells.of, prepend=-1) == 0) & (np.diff(cells.bar, prepend=-2) == 0)
    return _bar_means(t, _stands_earlier(t, cells.rhythm << 2 | np.where(inside, move + 1, 3)))


def motif_share(melodies: Melodies) -> np.ndarray:
    """Share of notes in a motif, a bar of at least three different pitches (RL Tuner).

    Differs: RL Tuner's window slides and holds eight sixteenths; here it is the bar.
    """
    t = note_table(melodies)
    return _note_shares(t, _is_motif(t))


def repeated_motif_share(melodies: Melodies) -> np.ndarray:
    """Share of notes in a motif that stands earlier, exactly (RL Tuner); see `motif_share`."""
    t = note_table(melodies)
    return _note_shares(t, _is_motif(t) & _stands_earlier(t, _contents(t)))


def halves_alike(melodies: Melodies) -> np.ndarray:
    """Similarity of the second half to the first: Dice of their (onset, pitch) sets, 0 to 1."""
    return _spans_alike(melodies, 0.0, 0.5, 0.5)


def halves_rhythm_alike(melodies: Melodies) -> np.ndarray:
    """Similarity of the second half's onsets to the first's (Dice)."""
    return _spans_alike(melodies, 0.0, 0.5, 0.5, with_pitch=False)


def opening_returns(melodies: Melodies) -> np.ndarray:
    """Similarity of the third quarter to the first: the halves begin alike (Dice)."""
    return _spans_alike(melodies, 0.0, 0.5, 0.25)


def endings_rhyme(melodies: Melodies) -> np.ndarray:
    """Similarity of the last quarter to the second: both halves close alike (Dice)."""
    return _spans_alike(melodies, 0.25, 0.75, 0.25)


def starts_on_tonic(melodies: Melodies) -> np.ndarray:
    """1 where the first note, pickup included, is the tonic in any octave (RL Tuner), else 0."""
    t = note_table(melodies)
    return (t.pitch[t.first] % 12 == 0).astype(np.float64)


def ends_on_tonic(melodies: Melodies) -> np.ndarray:
    """1 where the last note is the tonic in any octave, else 0."""
    t = note_table(melodies)
    return (t.pitch[t.last] % 12 == 0).astype(np.float64)


def final_note_beats(melodies: Melodies) -> np.ndarray:
    """Length of the last note in beats."""
    t = note_table(melodies)
    return t.duration[t.last] / t.beat_ticks


def ends_by_step(melodies: Melodies) -> np.ndarray:
    """1 where the last interval is a step (1 or 2 semitones), else 0; NaN for a single note."""
    t = note_table(melodies)
    leads = t.pitch[t.last] - t.pitch[np.maximum(t.last - 1, 0)]
    is_step = (abs(leads) == 1) | (abs(leads) == 2)
    return np.where(t.count > 1, is_step, np.nan)


def final_height(melodies: Melodies) -> np.ndarray:
    """Last pitch minus the mean of the notes, in semitones."""
    t = note_table(melodies)
    return t.pitch[t.last] - t.sums(t.pitch) / t.count


def open_middle(melodies: Melodies) -> np.ndarray:
    """1 where the last note begun in the first half is of the dominant chord (half close), else 0.

    NaN where the first half begins no note.
    """
    t = note_table(melodies)
    before = t.sums(t.onset < (t.total_ticks // 2)[t.of]).astype(np.int64)
    pitch = t.pitch[t.first + np.maximum(before, 1) - 1]
    return np.where(before > 0, np.isin(pitch % 12, DOMINANT_CLASSES), np.nan)


def downbeat_triad_share(melodies: Melodies) -> np.ndarray:
    """Share of the notes on a bar's first tick that are of the tonic triad; NaN without any."""
    t = note_table(melodies)
    on_downbeat = t.onset % t.bar_ticks[t.of] == 0
    return divide(t.sums(on_downbeat & is_in_triad(t)), t.sums(on_downbeat))


def _contents(t: NoteTable) -> np.ndarray:
    """Each cell as one integer that says all of it; (C,)."""
    return t.cells.rhythm << 6 | (t.cells.pitch + 12)


def _bar_edges(t: NoteTable) -> np.ndarray:
    """Places in the cells where each melody's bars begin, and the last ends; (N, most bars + 1)."""
    width = int(t.bars.max()) + 2
    bars = np.minimum(np.arange(width - 1), t.bars[:, None])
    keys = np.arange(len(t))[:, None] * width + bars + 1
    return np.searchsorted(t.cells.of * width + t.cells.bar + 1, keys)


def _stands_earlier(t: NoteTable, codes: np.ndarray) -> np.ndarray:
    """Whether each bar's codes are those of an earlier bar; (C,) -> bool (N, most bars), exact."""
    text, width = codes.astype(np.int64).tobytes(), 8
    found = np.zeros((len(t), int(t.bars.max())), bool)
    edges = _bar_edges(t) * width
    for number, (bars, row) in enumerate(zip(t.bars.tolist(), edges.tolist(), strict=True)):
        seen: set[bytes] = set()
        for bar in range(bars):
            content = text[row[bar] : row[bar + 1]]
            if content in seen:
                found[number, bar] = True
            seen.add(content)
    return found


def _bar_means(t: NoteTable, is_so: np.ndarray) -> np.ndarray:
    return is_so.sum(axis=1) / t.bars


def _is_motif(t: NoteTable) -> np.ndarray:
    """Whether each bar has at least `MOTIF_PITCHES` different pitches; bool (N, most bars)."""
    width = int(t.bars.max())
    inside = t.cells.bar >= 0
    place = t.cells.of[inside] * width + t.cells.bar[inside]
    kinds = np.unique(place * 64 + t.cells.pitch[inside] + 12)
    counts = np.bincount(kinds // 64, minlength=len(t) * width)
    return counts.reshape(len(t), width) >= MOTIF_PITCHES


def _note_shares(t: NoteTable, is_so: np.ndarray) -> np.ndarray:
    """Share of notes that begin in a bar for which it is so; bool (N, most bars) -> (N,)."""
    bar = t.onset // t.bar_ticks[t.of]
    return t.shares((bar >= 0) & is_so[t.of, np.maximum(bar, 0)])


def _spans_alike(
    melodies: Melodies, first: float, second: float, length: float, *, with_pitch: bool = True
) -> np.ndarray:
    """Dice of the notes of two spans, given as shares of the bars; NaN where both are empty."""
    t = note_table(melodies)
    one, other = (_span(t, start, length, with_pitch) for start in (first, second))
    return similarity(one, other, len(t))


def _span(t: NoteTable, start: float, length: float, with_pitch: bool) -> np.ndarray:
    """Melody, onset in the span and pitch of its notes, as one integer each."""
    begin = (t.total_ticks * start).astype(np.int64)[t.of]
    into = t.onset - begin
    inside = (into >= 0) & (into < (t.total_ticks * length).astype(np.int64)[t.of])
    pitch = t.pitch + 12 if with_pitch else np.zeros_like(t.pitch)
    return (t.of << MELODY_SHIFT | into << 8 | pitch)[inside]


def similarity(one: np.ndarray, other: np.ndarray, melodies: int) -> np.ndarray:
    """Dice of each melody's two sets of keys, (melodies,); NaN where both are empty.

    A key is an int64 that stands once in its array, the melody's number from bit `MELODY_SHIFT` on.
    """
    both = np.intersect1d(one, other, assume_unique=True)
    ones, others, shared = (
        np.bincount(keys >> MELODY_SHIFT, minlength=melodies) for keys in (one, other, both)
    )
    return divide(2 * shared, ones + others)
