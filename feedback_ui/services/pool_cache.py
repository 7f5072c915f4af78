"""All melodies of the pool in memory, each read, decoded and measured once a server.

A melody never changes, so only newer ones have to be read. Reading is quick; notes are decoded and
measured when somebody asks for what needs them, and meanwhile the pool may be looked at.

Letters: N melodies, in the order in which they came; F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from feedback_ui.services.reference_corpus import ReferenceCorpora
from music.note_table import NoteTable, note_table
from reward.pairs.traps import CORRUPTED
from reward.profile.features import FEATURE_NAMES, feature_matrix
from reward.store.catalogue import CatalogueEntry, entries_after
from reward.store.sealed import sealed_melody_ids
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
    sealed: frozenset[int]
    """ids of the melodies of a blind test that has not been revealed: not to be shown or scored"""
    corrupted: np.ndarray
    """bool (N,): made worse on purpose, for traps"""


class PoolCache:
    """The pool of one ratings store in memory; safe to share between the threads of a server."""

    def __init__(self, store: RatingsStore) -> None:
        self._store = store
        self._reading = Lock()
        # Held for seconds; who only looks does not wait for them.
        self._tabulating, self._comparing, self._measuring = Lock(), Lock(), Lock()
        self._pool = Pool((), {}, {}, frozenset(), np.zeros(0, bool))
        self._table: NoteTable | None = None
        self._originality = np.zeros(0)
        self._features_NF = np.zeros((0, len(FEATURE_NAMES)))

    def pool(self) -> Pool:
        """All melodies, those that have come since included.

        Raises:
            RatingsError: when the database cannot be read.
        """
        with self._reading:
            before = self._pool
            with self._store.reading() as session:
                newer = entries_after(session, before.entries[-1].id if before.entries else 0)
                sealed = sealed_melody_ids(session)
            if newer:
                entries = (*before.entries, *newer)
                self._pool = Pool(
                    entries,
                    {entry.id: place for place, entry in enumerate(entries)},
                    {entry.sha256[:CODE_DIGITS]: place for place, entry in enumerate(entries)},
                    sealed,
                    np.array([entry.policy_id == CORRUPTED for entry in entries], bool),
                )
            elif sealed != before.sealed:
                self._pool = replace(before, sealed=sealed)
            return self._pool

    def table(self, pool: Pool) -> NoteTable | None:
        """The notes of a pool, for searching; None of an empty one."""
        with self._tabulating:
            if pool.entries and (self._table is None or len(self._table) != len(pool.entries)):
                self._table = note_table([entry.melody for entry in pool.entries])
            return self._table if pool.entries else None

    def originalities(self, pool: Pool, references: ReferenceCorpora) -> np.ndarray:
        """Share of each melody that stands in no tune that its policy was trained on.

        float64 (N,), NaN where a melody is too short.
        """
        with self._comparing:
            newer = pool.entries[len(self._originality) :]
            fresh = np.zeros(len(newer))
            for policy_id in {entry.policy_id for entry in newer}:
                places = [n for n, entry in enumerate(newer) if entry.policy_id == policy_id]
                real = references.of([policy_id])
                fresh[places] = real.originality([newer[n].melody for n in places]).originality
            self._originality = np.concatenate([self._originality, fresh])
            return self._originality[: len(pool.entries)]

    def features(self, pool: Pool) -> np.ndarray:
        """The features of each melody; float64 (N, F)."""
        with self._measuring:
            newer = [entry.melody for entry in pool.entries[len(self._features_NF) :]]
            if newer:
                self._features_NF = np.concatenate([self._features_NF, feature_matrix(newer)])
            return self._features_NF[: len(pool.entries)]
