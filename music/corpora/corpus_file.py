"""A corpus as a file of numbers: the strains of tunes as tokens, with a split by tune.

A file `NAME.npz` holds, of n strains with T tokens in all,

- `vocabulary`: hash of the vocabulary that its ids are of;
- `tokens` uint16 (T,), `lengths` (n,): the strains one after the other, each from BOS to EOS;
- `tonics` uint8 (n,): MIDI number of pitch 0;
- `tunes` (n,): number of the tune, which the strains of one tune share;
- `splits` uint8 (n,): place in `SPLITS`;
- `labels` uint8: JSON list of the style labels that its style tokens stand for;
- `sources` uint8: JSON list of the file, number and title of each tune. The shipped corpus has
  none, but `books` (n,), place in `BOOKS`, and `earlier` (n,), whether version 0.1.0 had it;
- `fingerprint`: hash of what it was built from, which its data card has too.

A file of version 0.1.0 has no `vocabulary` and no `labels`. Nothing in a file is trusted.
"""

from __future__ import annotations

import errno
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from music.corpora.corpus_checks import (
    BOOKS,
    COLUMNS,
    SPLITS,
    STRAINS,
    STYLE_PLACE,
    CorpusError,
    check_columns,
    check_rows,
    check_split,
    check_vocabulary,
    damaged,
    labels_of,
    sources_of,
)
from music.earlier_tokens import TODAY_OF_EARLIER
from music.limits import UNPACKED_CORPUS_BYTES, LimitError, check_unpacked
from music.melody import Melody, MelodyError
from music.messages import excerpt
from music.styles import SHIPPED_STYLES, Styles
from music.tokens import ID, VOCABULARY, VOCABULARY_HASH, decode

__all__ = [
    "BOOKS",
    "SPLITS",
    "STRAINS",
    "STYLE_PLACE",
    "Corpus",
    "CorpusError",
    "Strain",
    "check_split",
    "read_corpus",
    "write_corpus",
]


@dataclass(frozen=True, slots=True)
class Strain:
    """One strain of a corpus."""

    melody: Melody
    book: str
    """folder of the book in the shipped corpus; the name of any other corpus"""
    tune: int
    """number of the tune in the corpus; strains of one tune share it"""
    split: str
    title: str = ""
    """of the tune; the shipped corpus holds no titles"""
    file: str = ""
    """that the tune was read from"""
    earlier: bool = False
    """whether it is in the corpus of version 0.1.0"""

    @property
    def source(self) -> str:
        """Which tune it is of, in words."""
        if self.book in BOOKS and not self.file:
            return f"{BOOKS[self.book]}, tune {self.tune + 1} of the collection"
        of = f" ({self.file})" if self.file else ""
        return f"{self.book}, {self.title or f'tune {self.tune + 1}'}{of}"


@dataclass(frozen=True, eq=False)
class Corpus:
    """The strains of a corpus; `read_corpus` and `music.corpora.catalogue` open one.

    Rows are read at once, melodies when they are asked for.
    """

    name: str
    path: Path
    labels: Styles
    """what the style tokens of the file stand for"""
    columns: Mapping[str, np.ndarray] = field(repr=False)
    sources: Sequence[tuple[str, str, str]] = field(repr=False, default=())
    """file, number and title of each tune"""
    fingerprint: str = ""

    def __len__(self) -> int:
        """Number of strains."""
        return len(self.columns["splits"])

    @cached_property
    def styles(self) -> dict[str, int]:
        """Label -> how many strains have it, the commonest first."""
        ids = self.columns["tokens"][self._starts + STYLE_PLACE]
        found = Counter(self.labels.label(int(one) - ID["STYLE_0"]) for one in ids)
        return dict(found.most_common())

    @property
    def tunes(self) -> int:
        """Number of tunes with a strain."""
        return len(np.unique(self.columns["tunes"]))

    def strains(self, split: str | None = None, *, earlier: bool = False) -> list[Strain]:
        """The strains, or those of one split, or those of version 0.1.0 only.

        Raises:
            ValueError: for a split that is not one of `SPLITS`.
            CorpusError: for a strain that is no melody.
        """
        return [self.strain(place) for place in self._places(split, earlier=earlier)]

    def melodies(self, split: str | None = None, *, earlier: bool = False) -> list[Melody]:
        """The melodies of `strains`; raises the same."""
        return [strain.melody for strain in self.strains(split, earlier=earlier)]

    def token_rows(
        self, split: str, styles: Styles = SHIPPED_STYLES, *, earlier: bool = False
    ) -> list[np.ndarray]:
        """Token ids of a split's strains, uint16, each from BOS to EOS, for a policy's styles.

        A label that is not among `styles` becomes slot 0.

        Raises:
            ValueError: for a split that is not one of `SPLITS`.
        """
        slots = np.array([ID[f"STYLE_{styles.slot(label)}"] for label in self.labels.labels])
        rows = []
        for place in self._places(split, earlier=earlier):
            row = self._row(place).copy()
            row[STYLE_PLACE] = slots[row[STYLE_PLACE] - ID["STYLE_0"]]
            rows.append(row)
        return rows

    @cached_property
    def _starts(self) -> np.ndarray:
        lengths = self.columns["lengths"].astype(np.int64)
        return np.cumsum(lengths) - lengths

    def _row(self, place: int) -> np.ndarray:
        start = self._starts[place]
        return self.columns["tokens"][start : start + int(self.columns["lengths"][place])]

    def _places(self, split: str | None, *, earlier: bool) -> list[int]:
        if split is not None:
            check_split(split)
        wanted = np.ones(len(self), bool)
        if split is not None:
            wanted &= self.columns["splits"] == SPLITS.index(split)
        if earlier:
            wanted &= self.columns["earlier"].astype(bool)
        return [int(place) for place in np.flatnonzero(wanted)]

    def strain(self, place: int) -> Strain:
        """The strain at a place of the columns.

        Raises:
            CorpusError: when it is no melody.
        """
        tune = int(self.columns["tunes"][place])
        try:
            melody = decode(self._row(place), int(self.columns["tonics"][place]), self.labels)
        except MelodyError as error:
            raise damaged(self.path, f"its strain {place + 1}: {error}") from error
        file, _, title = self.sources[tune] if self.sources else ("", "", "")
        book = tuple(BOOKS)[self.columns["books"][place]] if not self.sources else self.name
        split = SPLITS[self.columns["splits"][place]]
        earlier = bool(self.columns["earlier"][place])
        return Strain(melody, book, tune, split, title, file, earlier)


def read_corpus(path: Path, name: str | None = None) -> Corpus:
    """The corpus in a file, checked; it is called as its file if no name is given.

    Raises:
        CorpusError: for a file that is damaged, or whose tokens are not known here.
        LimitError: for a file that unpacks to more than `UNPACKED_CORPUS_BYTES`.
        OSError: when it cannot be read.
    """
    try:
        check_unpacked(path, UNPACKED_CORPUS_BYTES, remedy="build a smaller corpus")
        with np.load(path, allow_pickle=False) as data:
            found = {one: data[one] for one in data.files}
    except LimitError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, KeyError, MemoryError,
        NotImplementedError, RuntimeError, OverflowError, OSError,
    ) as error:  # fmt: skip
        # An offset that leads before the file's beginning is an invalid argument of `seek`.
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, None):
            raise
        raise damaged(path, f"it is no file of arrays ({excerpt(str(error), 80)})") from error
    labels, sources = SHIPPED_STYLES, []
    if "vocabulary" in found:
        check_vocabulary(path, found["vocabulary"])
        labels = labels_of(path, found)
        sources = sources_of(path, found)
    columns = {one: found[one] for one in COLUMNS if one in found}
    is_earlier = "vocabulary" not in found  # of version 0.1.0
    vocabulary = len(TODAY_OF_EARLIER if is_earlier else VOCABULARY)
    check_columns(path, columns, tunes=len(sources), vocabulary=vocabulary)
    if is_earlier:
        columns["tokens"] = TODAY_OF_EARLIER[columns["tokens"]]
        columns["earlier"] = np.ones(len(columns["lengths"]), np.uint8)
    columns.setdefault("earlier", np.zeros(len(columns["lengths"]), np.uint8))
    check_rows(path, columns, labels)
    fingerprint = str(found.get("fingerprint", ""))[:64]
    return Corpus(name or path.stem, path, labels, columns, sources, fingerprint)


def write_corpus(
    path: Path,
    rows: Sequence[np.ndarray],
    *,
    tonics: Sequence[int],
    tunes: Sequence[int],
    splits: Sequence[int],
    labels: Styles,
    sources: Sequence[tuple[str, str, str]] = (),
    fingerprint: str = "",
    more: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a corpus to a new file; whoever calls makes sure that it is whole or absent.

    Args:
        path: the file.
        rows: the strains' tokens, each from BOS to EOS.
        tonics: MIDI number of pitch 0 of each strain.
        tunes: number of each strain's tune.
        splits: place in `SPLITS` of each.
        labels: what the style tokens stand for.
        sources: file, number and title of each tune; none for the shipped corpus.
        fingerprint: hash of what it was built from.
        more: further columns.
    """
    arrays: dict[str, Any] = {
        "vocabulary": np.array(VOCABULARY_HASH),
        "tokens": np.concatenate(rows),
        "lengths": np.array([len(row) for row in rows], np.uint16),
        "tonics": np.array(tonics, np.uint8),
        "tunes": np.array(tunes, np.uint16 if max(tunes) < 2**16 else np.uint32),
        "splits": np.array(splits, np.uint8),
        "labels": _bytes_of(labels.labels),
        "fingerprint": np.array(fingerprint),
        **(more or {}),
    }
    if sources:
        arrays["sources"] = _bytes_of(sources)
    with path.open("wb") as packed:
        np.savez_compressed(packed, **arrays)


def _bytes_of(value: object) -> np.ndarray:
    text = json.dumps(value, ensure_ascii=False)
    return np.frombuffer(text.encode(errors="replace"), np.uint8)
