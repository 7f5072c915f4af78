"""What can be told of each corpus: its tunes, what was refused and why, and some of it to hear.

    overview = CorpusOverviews(root)
    overview.of("mine").facts
    overview.refusals("mine")

Data cards and lists of refusals are files that anybody may have written. So their values are shown
as text, cut, and only where they are of the kind that they should be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from music.corpora.catalogue import (
    CORPORA,
    SHIPPED,
    any_card,
    corpus_path,
    open_corpus,
    refused_passages,
)
from music.corpora.corpus_file import Corpus, CorpusError, Strain
from music.limits import LimitError
from music.messages import excerpt, one_line
from music.readers import Refusal

MOST_REFUSALS = 500
"""that a page shows; the file has all"""
BOOKS_LICENCE = "public domain (O'Neill 1903, Ryan 1883)"
SHOWN_VALUES = 8
"""of a list, such as that of keys"""
REASONS = {
    "unknown format": "not ABC, MIDI or MusicXML",
    "too large": "larger than the reader takes",
    "damaged": "the file is damaged, or not what its name says",
    "several voices": "several voices, and none is the melody by name or by rule",
    "no such part": "the part that was asked for is not in it",
    "only drums": "drums only",
    "no notes": "no notes in it",
    "no beat": "played freely, so that its beats and bars cannot be found",
    "no metre": "no metre, or one that is not known",
    "bar length": "a bar is too long or too short for its metre",
    "off the grid": "a note length that cannot be written here",
    "metre or mode": "a metre or a mode that is not known here",
    "number of bars": "shorter than 2 bars, or longer than 32 in one piece",
    "range": "a note is too high or too low",
    "rule of melodies": "breaks another rule of melodies",
}
"""reason as `music.readers` counts it -> what it means to a musician"""


@dataclass(frozen=True, slots=True)
class CorpusOverview:
    """A corpus as a page shows it; all values are text of unknown origin, except numbers."""

    name: str
    tunes: int
    strains: int
    licence: str
    styles: tuple[str, ...]
    card: Mapping[str, Any]
    """the data card; empty where there is none"""
    trouble: str
    """why it cannot be read; empty if it can"""

    @property
    def is_built(self) -> bool:
        """Whether there are tunes to learn from."""
        return self.strains > 0

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is known of it: a name and a value each."""
        found = [("Licence", self.licence or "not stated")]
        for name, title in (
            ("styles", "Styles"),
            ("meters", "Metres"),
            ("keys", "Keys"),
            ("bars", "Bars in a strain"),
            ("transcribers", "Transcribed by"),
        ):
            if counts := counts_in(self.card, name):
                found.append((title, _listed(counts)))
            elif name == "styles" and self.styles:
                found.append((title, _several(self.styles)))
        held_out = self.held_out_tunes
        if held_out is not None:
            found.append(("Kept apart, to check what was learnt", _counted(held_out, "tune")))
        if built := self.card.get("built_at"):
            found.append(("Built", f"{str(built)[:16].replace('T', ' ')} UTC"))
        return found

    @property
    def held_out_tunes(self) -> int | None:
        """Tunes that no policy is trained on; None where the card does not tell."""
        splits = self.card.get("splits")
        if not isinstance(splits, dict):
            return None
        sides = [splits.get(side) for side in ("validation", "test")]
        return sum(_whole(side, "tunes") for side in sides if isinstance(side, dict))

    @property
    def reading(self) -> str:
        """How much of the files could be used, in words; empty where the card does not tell."""
        card = self.card
        if not all(isinstance(card.get(name), int) for name in ("files", "tunes", "tunes_kept")):
            return ""
        kept, tunes = _whole(card, "tunes_kept"), _whole(card, "tunes")
        said = (
            f"{_counted(_whole(card, 'files'), 'file')} with {_counted(tunes, 'tune')} were read. "
            f"{kept} of {tunes} can be used"
        )
        doubles = _whole(card, "near_duplicates")
        said += f", in {_counted(self.strains, 'strain')}." if self.strains else "."
        if doubles:
            said += (
                f" {_counted(doubles, 'strain')} nearly the same as another "
                f"{'was' if doubles == 1 else 'were'} left out."
            )
        return said

    @property
    def refused(self) -> list[tuple[str, str]]:
        """Reason in words, and how many passages were refused for it, the commonest first."""
        counts = counts_in(self.card, "refused")
        return [
            (REASONS.get(reason, excerpt(reason, 60)), str(count))
            for reason, count in counts.items()
        ]

    @property
    def decided(self) -> list[tuple[str, str]]:
        """What was decided so that passages could be read, and how often, the commonest first."""
        counts = counts_in(self.card, "notices")
        return [(excerpt(decision, 60), str(count)) for decision, count in counts.items()]


class CorpusOverviews:
    """The corpora of one working folder; safe to share between threads.

    Args:
        root: folder of the corpora.
    """

    def __init__(self, root: Path = CORPORA) -> None:
        self._root = root
        self._lock = Lock()
        self._opened: dict[str, tuple[tuple[int, int], Corpus]] = {}

    def of(self, name: str) -> CorpusOverview:
        """What is known of a corpus, built or not."""
        card: Mapping[str, Any] = {}
        trouble = ""
        try:
            corpus = self._corpus(name)
        except (CorpusError, LimitError, OSError) as error:
            is_there = (self._root / f"{name}.npz").is_file() or name == SHIPPED
            return CorpusOverview(name, 0, 0, "", (), {}, one_line(error) if is_there else "")
        try:
            card = any_card(name, self._root) or {}
        except (CorpusError, OSError) as error:  # its tunes can be learnt from all the same
            trouble = one_line(error)
        return CorpusOverview(
            name,
            corpus.tunes,
            len(corpus),
            excerpt(str(card.get("licence", BOOKS_LICENCE if name == SHIPPED else "")), 300),
            tuple(corpus.styles),
            card,
            trouble,
        )

    def refusals(self, name: str) -> tuple[list[str], int]:
        """One line for each passage that was refused, `MOST_REFUSALS` at most; and their number.

        A line names file, tune and bar, and the reason.
        """
        lines, count = [], 0
        try:
            for row in refused_passages(name, self._root):
                count += 1
                if count <= MOST_REFUSALS:
                    lines.append(str(Refusal(**row)))
        except (CorpusError, OSError, TypeError, ValueError):
            return lines, count  # of a damaged list, what can be read
        return lines, count

    def examples(self, name: str, count: int, seed: int) -> list[Strain]:
        """Strains of as many tunes, drawn at random.

        Raises:
            CorpusError: when the corpus cannot be read.
        """
        corpus = self._corpus(name)
        _, first = np.unique(corpus.columns["tunes"], return_index=True)
        order = np.random.default_rng(seed).permutation(first)
        return [corpus.strain(int(place)) for place in order[:count]]

    def _corpus(self, name: str) -> Corpus:
        path = corpus_path(name, self._root)
        state = path.stat()
        stamp = (state.st_mtime_ns, state.st_size)
        with self._lock:
            known = self._opened.get(name)
            if known is None or known[0] != stamp:
                self._opened[name] = (stamp, open_corpus(name, self._root))
            return self._opened[name][1]


def counts_in(card: Mapping[str, Any], name: str) -> dict[str, int]:
    """A field of a data card that says how many there are of each; empty if it is not one."""
    found = card.get(name)
    if not isinstance(found, dict):
        return {}
    return {
        str(key): count
        for key, count in found.items()
        if isinstance(count, int) and not isinstance(count, bool)
    }


def _several(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_VALUES
    return ", ".join(names[:SHOWN_VALUES]) + (f" and {more} more" if more > 0 else "")


def _listed(counts: Mapping[str, int]) -> str:
    shown = [
        f"{excerpt(name, 40)} ({count})" for name, count in islice(counts.items(), SHOWN_VALUES)
    ]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"
