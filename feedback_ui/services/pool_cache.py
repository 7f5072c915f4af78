"""The shelf: all melodies of the pool in memory, with what is measured on them once.

A melody never changes, so each is read, decoded and measured once a server; what has come since is
added at the next look. Only reading is quick: notes are decoded and measured when somebody asks for
what needs them, and meanwhile the pool may be looked at.

Letters: N melodies, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np

from feedback_ui.services.reference_corpus import RealTunes
from music.note_table import NoteTable, note_table
from reward.store.catalogue import CatalogueEntry, entries_after
from reward.store.store import RatingsStore

CODE_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Pool:
    """What is known of the pool at one moment."""

    entries: tuple[CatalogueEntry, ...]
    place: Mapping[int, int]
    """id -> number among the N"""
    by_code: Mapping[str, int]
    """first digits of the hash -> number among the N"""


class MelodyShelf:
    """The pool of one ratings store in memory; safe to share between the threads of a server.

    Args:
        store: an open ratings store.
        real_tunes: makes what melodies are compared with, when it is first needed.
    """

    def __init__(self, store: RatingsStore, real_tunes: Callable[[], RealTunes]) -> None:
        self._store = store
        self.real_tunes = real_tunes
        self._reading = Lock()
        self._measuring = Lock()  # held for seconds; who only looks does not wait for it
        self._pool = Pool((), {}, {})
        self._table: NoteTable | None = None
        self._originality = np.zeros(0)

    def pool(self) -> Pool:
        """All melodies, those that have come since included.

        Raises:
            RatingsError: when the database cannot be read.
        """
        with self._reading:
            before = self._pool.entries
            with self._store.reading() as session:
                newer = entries_after(session, before[-1].id if before else 0)
            if newer:
                entries = (*before, *newer)
                self._pool = Pool(
                    entries,
                    {entry.id: place for place, entry in enumerate(entries)},
                    {entry.sha256[:CODE_DIGITS]: place for place, entry in enumerate(entries)},
                )
            return self._pool

    def table(self, pool: Pool) -> NoteTable | None:
        """The notes of a pool, for searching; None of an empty one."""
        with self._measuring:
            if pool.entries and (self._table is None or len(self._table) != len(pool.entries)):
                self._table = note_table([entry.melody for entry in pool.entries])
            return self._table if pool.entries else None

    def originalities(self) -> np.ndarray:
        """Share of each melody that stands in no training tune; float64 (N,), NaN where short."""
        pool = self.pool()
        with self._measuring:
            newer = [entry.melody for entry in pool.entries[len(self._originality) :]]
            if newer:
                fresh = self.real_tunes().originality(newer).originality
                self._originality = np.concatenate([self._originality, fresh])
            return self._originality
