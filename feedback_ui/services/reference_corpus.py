"""A melody beside real tunes: what is usual of it and what is not, and whether it is copied.

The real tunes are those of the corpora that the melody's policy was trained on. What is usual is
told from tunes in the same metre that were held out of training. A melody may be copied from tunes
of training; held-out ones tell how much sharing is usual, since real tunes have stock figures, too.

    ReferenceCorpora(policies.corpora_of).of([policy_id]).compare(melody)

Making `RealTunes` takes about two seconds, so a server makes them when it first needs them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from feedback_ui.services.corpora.policies import PolicyCorpora
from music.corpora.catalogue import SHIPPED, open_corpus, strains_of_corpora
from music.corpora.corpus_file import Corpus, CorpusError, Strain
from music.corpora.originality import Originality, TrainingIndex, originality
from music.descriptors.yardsticks import YARDSTICKS
from music.melody import Melody

LOW_PERCENTILE, HIGH_PERCENTILE = 10, 90
"""eight real tunes in ten are in between"""
LEAST_STRAINS = 30
"""fewer in a metre tell nothing; then all metres count. Fewer that were held out tell nothing
either; then those of training count, too"""
KEPT_IN_MEMORY = 4
"""sets of corpora that a server keeps measured"""
HELD_OUT = ("validation", "test")


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
        return "" if self.strain is None else self.strain.source


class RealTunes:
    """Real tunes, measured and indexed; safe to share between threads.

    Args:
        training: strains that policies learnt from.
        held_out: strains that they did not, of which there is at least one.
        usual: strains that tell what is usual; those that were held out if they are not given.
        said: what the latter are, in words.
        missing: names of corpora that were asked for and are not there.
    """

    def __init__(
        self,
        training: Sequence[Strain],
        held_out: Sequence[Strain],
        *,
        usual: Sequence[Strain] | None = None,
        said: str = "the two public-domain books, among those held out of training",
        missing: Sequence[str] = (),
    ) -> None:
        self.training, self.said, self.missing = tuple(training), said, tuple(missing)
        self.index = TrainingIndex.from_melodies([strain.melody for strain in training])
        runs = originality([strain.melody for strain in held_out], self.index).longest_run_notes
        self._usual_run, self._long_run = float(runs.mean()), float(np.percentile(runs, 95))
        melodies = [strain.melody for strain in (held_out if usual is None else usual)]
        self._meters = np.array([melody.header.meter for melody in melodies])
        # (strains, rows)
        self._values = np.stack([YARDSTICKS[row.yardstick].measure(melodies) for row in ROWS], 1)

    @classmethod
    def load(cls, trained_on: PolicyCorpora) -> RealTunes:
        """The tunes of these corpora. One that is not there is left out and named in `missing`.

        Raises:
            LimitError: when the file of a corpus is too large.
        """
        corpora, missing = _opened(trained_on.corpora)
        base, missing_base = _opened(trained_on.base_corpora)
        if not corpora:
            corpora = [open_corpus(SHIPPED)]
        names = [corpus.name for corpus in corpora]
        learnt = [*corpora, *(corpus for corpus in base if corpus.name not in names)]
        own_held_out = strains_of_corpora(corpora, *HELD_OUT)
        enough = len(own_held_out) >= LEAST_STRAINS
        said = " and ".join(map(_in_words, names))
        # A few held-out tunes do not tell how much real tunes share.
        held_out = own_held_out if enough else strains_of_corpora(learnt, *HELD_OUT)
        return cls(
            strains_of_corpora(learnt, "train"),
            held_out or strains_of_corpora([open_corpus(SHIPPED)], *HELD_OUT),
            usual=own_held_out if enough else strains_of_corpora(corpora),
            said=f"{said}, among those held out of training" if enough else said,
            missing=[*missing, *missing_base],
        )

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
        same, _ = self._same_meter(melody)
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

    def compared_with(self, melody: Melody) -> str:
        """Which tunes `compare` takes for a melody, in words."""
        _, meter = self._same_meter(melody)
        return f"the strains in {meter} of {self.said}"

    def _same_meter(self, melody: Melody) -> tuple[np.ndarray, str]:
        same = self._meters == melody.header.meter
        if same.sum() < LEAST_STRAINS:
            return np.ones(len(same), bool), "any metre"
        return same, melody.header.meter


class ReferenceCorpora:
    """The real tunes of each policy's own corpora; safe to share between threads.

    Args:
        corpora_of: what a policy was trained on, by its hash.
        load: makes the real tunes of corpora.
    """

    def __init__(
        self,
        corpora_of: Callable[[str], PolicyCorpora],
        load: Callable[[PolicyCorpora], RealTunes] = RealTunes.load,
    ) -> None:
        self._corpora_of, self._load = corpora_of, load
        self._lock = Lock()
        self._loaded: OrderedDict[PolicyCorpora, RealTunes] = OrderedDict()

    def of(self, policy_ids: Iterable[str]) -> RealTunes:
        """The tunes of all corpora that these policies were trained on; the same object each time.

        Raises:
            LimitError: when the file of a corpus is too large.
        """
        trained_on = PolicyCorpora.union(self._corpora_of(one) for one in sorted(set(policy_ids)))
        with self._lock:
            if trained_on not in self._loaded:
                self._loaded[trained_on] = self._load(trained_on)
                if len(self._loaded) > KEPT_IN_MEMORY:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(trained_on)
            return self._loaded[trained_on]


def _opened(names: Sequence[str]) -> tuple[list[Corpus], list[str]]:
    """The corpora of these names, and the names of those that cannot be opened."""
    found, missing = [], []
    for name in names:
        try:
            found.append(open_corpus(name))
        except CorpusError:
            missing.append(name)
    return found, missing


def _in_words(name: str) -> str:
    return "the two public-domain books" if name == SHIPPED else f"the corpus {name}"


def _said(value: float, kind: str) -> str:
    if kind == "percent":
        return f"{100 * value:.0f} %"
    if kind == "semitones":
        return f"{value:.0f} semitones"
    return f"{value:.1f}"
