"""A melody beside real tunes: what is usual of it and what is not, and whether it is copied.

The real tunes are the strains that the shipped policy learnt from (`music.corpora.corpus`). What is
usual is told from those in the same metre; how much is copied is told beside strains that were held
out of training, since real tunes share stock figures with one another, too.

Making one takes about two seconds, so a server makes one (`RealTunes.load`) when it first needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from music.corpora.corpus import BOOKS, Strain, load_corpus
from music.corpora.originality import Originality, TrainingIndex, originality
from music.descriptors.yardsticks import YARDSTICKS
from music.melody import Melody

LOW_PERCENTILE, HIGH_PERCENTILE = 10, 90
"""eight real tunes in ten are in between"""
LEAST_STRAINS = 30
"""fewer in a metre tell nothing; then all metres count"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A yardstick in the words of a musician."""

    yardstick: str
    label: str
    kind: str
    """'percent', 'semitones', 'number' or 'yes'"""
    low: str
    high: str


ROWS = (
    _Row("range_semitones", "Range, lowest to highest", "semitones", "narrow", "wide"),
    _Row("largest_interval", "Largest leap", "semitones", "gentle", "bold"),
    _Row("step_share", "Moves by step", "percent", "leaps more", "steps more"),
    _Row("in_key_share", "Notes in the key", "percent", "more outside notes", "plainly in key"),
    _Row("notes_per_beat", "Notes a beat", "number", "calm", "busy"),
    _Row("offbeat_share", "Notes off the beat", "percent", "square", "off the beat"),
    _Row("rhythm_entropy", "Variety of note lengths (bits)", "number", "even", "varied"),
    _Row("rest_share", "Time in rests", "percent", "fewer rests", "more rests"),
    _Row("repeated_bar_share", "Bars that come again", "percent", "wanders", "repeats"),
    _Row("climax_position", "Where the highest note comes", "percent", "early", "late"),
    _Row("ends_on_tonic", "Ends on its home note", "yes", "", ""),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line: a measure of the melody, what is usual, and a word for it."""

    label: str
    here: str
    usual: str
    word: str


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a melody shares with the tunes that the policy learnt from."""

    verdict: str
    """'new', 'usual', 'partly copied' or 'copied'"""
    shared_notes: int
    """notes of the longest shared run"""
    notes: int
    """notes of the melody"""
    first_note: int
    """where in the melody the run begins, counted from 1"""
    usual_notes: float
    """mean of the same for real tunes that were held out"""
    strain: Strain | None
    """the tune that has the run"""

    @property
    def source(self) -> str:
        """Which tune, in words."""
        if self.strain is None:
            return ""
        return f"{BOOKS[self.strain.book]}, tune {self.strain.tune + 1} of the collection"


class RealTunes:
    """The real tunes, measured and indexed; safe to share between threads.

    Args:
        training: strains that the policy learnt from.
        held_out: strains that it did not.
    """

    def __init__(self, training: Sequence[Strain], held_out: Sequence[Strain]) -> None:
        self.training = tuple(training)
        melodies = [strain.melody for strain in training]
        self.index = TrainingIndex.from_melodies(melodies)
        runs = originality([strain.melody for strain in held_out], self.index).longest_run_notes
        self._usual_run, self._long_run = float(runs.mean()), float(np.percentile(runs, 95))
        self._meters = np.array([melody.header.meter for melody in melodies])
        # (strains, rows)
        self._values = np.stack([YARDSTICKS[row.yardstick].measure(melodies) for row in ROWS], 1)

    @classmethod
    def load(cls) -> RealTunes:
        """Those that come with the program; the same object each time."""
        global _loaded
        with _LOCK:
            if _loaded is None:
                _loaded = cls(load_corpus("train"), load_corpus("validation") + load_corpus("test"))
        return _loaded

    def originality(self, melodies: Sequence[Melody]) -> Originality:
        """How much of each melody stands in the training tunes.

        Raises:
            ValueError: for no melodies.
        """
        return originality(melodies, self.index)

    def likeness(self, melody: Melody) -> Likeness:
        """Whether a melody is new or copied, and from which tune."""
        found = self.originality([melody])
        shared, notes = int(found.longest_run_notes[0]), len(melody.notes)
        if shared <= self._usual_run:
            verdict = "new"
        elif shared <= self._long_run:
            verdict = "usual"
        else:
            verdict = "copied" if 2 * shared >= notes else "partly copied"
        at = int(found.training_strain[0])
        return Likeness(
            verdict,
            shared,
            notes,
            int(found.run_start_note[0]) + 1,
            self._usual_run,
            self.training[at] if at >= 0 else None,
        )

    def compare(self, melody: Melody) -> list[Comparison]:
        """The melody's measures beside those of real tunes in its metre."""
        same = self._meters == melody.header.meter
        if same.sum() < LEAST_STRAINS:
            same[:] = True
        lines = []
        for place, row in enumerate(ROWS):
            here = float(YARDSTICKS[row.yardstick].measure([melody])[0])
            usual = self._values[same, place]
            usual = usual[~np.isnan(usual)]
            if np.isnan(here) or not len(usual):
                continue
            if row.kind == "yes":
                share = f"{100 * usual.mean():.0f} of 100 do"
                lines.append(Comparison(row.label, "yes" if here else "no", share, ""))
                continue
            low, high = np.percentile(usual, [LOW_PERCENTILE, HIGH_PERCENTILE])
            word = row.low if here < low else row.high if here > high else "usual"
            between = f"{_said(low, row.kind)} to {_said(high, row.kind)}"
            lines.append(Comparison(row.label, _said(here, row.kind), between, word))
        return lines


def _said(value: float, kind: str) -> str:
    if kind == "percent":
        return f"{100 * value:.0f} %"
    if kind == "semitones":
        return f"{value:.0f} semitones"
    return f"{value:.1f}"


_LOCK = Lock()
_loaded: RealTunes | None = None
