"""What the studio has learnt of tastes: the newest profile, and the features that it is of.

One profile of people and one of simulated listeners, whose votes are never mixed. Each is fitted
again when votes or melodies have made it old and somebody asks, and serves all pages.

A score here is in standard deviations of the studio's own melodies, of which the average is 0; that
of a reward run is in those of the base policy's.

Letters: M melodies of the pool, F features.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from feedback_ui.services.pool_cache import Pool, PoolCache
from reward.comparisons.learnable import learnable
from reward.comparisons.preferences import Preferences
from reward.pairs.traps import CORRUPTED
from reward.profile.feature_scale import FeatureScale
from reward.profile.profile import TasteProfile
from reward.store.catalogue import CatalogueEntry
from reward.store.store import RatingsStore

PERSON, SIMULATED = "person", "simulated"
LEAST_VOTES = 20
"""answers from which a profile is told: before, its intervals hold 0 nearly everywhere"""


@dataclass(frozen=True, slots=True)
class FeaturePool:
    """Melodies that a taste may be heard by, in the order in which they came; their features.

    Melodies of a blind test are not among them until it is revealed.
    """

    entries: tuple[CatalogueEntry, ...]
    """M melodies"""
    ids: tuple[int, ...]
    row_of: Mapping[int, int]
    """id -> number among the M"""
    features_MF: np.ndarray
    corrupted: np.ndarray
    """bool (M,): made worse on purpose, for traps"""
    scale: FeatureScale


def preferences_in(votes: pd.DataFrame, pool: FeaturePool) -> Preferences:
    """The votes as preferences between rows of the pool.

    A vote on a melody that the pool lacks is left out: a blind test was made or revealed between
    the reading of the votes and that of the pool.
    """
    known = votes["melody_a"].isin(pool.ids) & votes["melody_b"].isin(pool.ids)
    return Preferences.from_votes(votes.loc[known], pool.ids)


@dataclass(frozen=True)
class LearntTaste:
    """A profile, and what it was learnt from."""

    vote_ids: tuple[int, ...]
    pool: FeaturePool
    profile: TasteProfile

    @cached_property
    def score_M(self) -> np.ndarray:
        """What all raters together think of each melody; float64 (M,)."""
        return self.profile.score(self.pool.features_MF)[0]


class LearntTastes:
    """Features and profiles of one ratings store; safe to share between the threads of a server."""

    def __init__(self, store: RatingsStore, melodies: PoolCache) -> None:
        self._store, self._melodies = store, melodies
        # Held for seconds at times: who asks for the same waits, and does not compute it too.
        self._learning = threading.Lock()
        self._measuring = threading.Lock()
        self._pool: FeaturePool | None = None
        self._measured: Pool | None = None
        self._learnt: dict[str, LearntTaste] = {}

    def votes(self, kind: str) -> pd.DataFrame:
        """Answers of `PERSON` or `SIMULATED` raters that count: pairs to learn from, ties too.

        Raises:
            RatingsError: when the database cannot be read.
        """
        return learnable(self._store.votes_frame(kind=kind))

    def of(self, kind: str, votes: pd.DataFrame | None = None) -> LearntTaste | None:
        """The newest profile of a kind of rater; None with fewer than `LEAST_VOTES`.

        Args:
            kind: `PERSON` or `SIMULATED`.
            votes: what `votes` has just given for this kind, when it is at hand.

        Raises:
            RatingsError: when the database cannot be read.
        """
        votes = self.votes(kind) if votes is None else votes
        if len(votes) < LEAST_VOTES:
            return None
        vote_ids, pool = tuple(votes["vote_id"].tolist()), self.pool()
        with self._learning:
            learnt = self._learnt.get(kind)
            if learnt is None or learnt.vote_ids != vote_ids or learnt.pool is not pool:
                preferences = preferences_in(votes, pool)
                profile = TasteProfile.fit(preferences, pool.features_MF, pool.scale)
                learnt = self._learnt[kind] = LearntTaste(vote_ids, pool, profile)
            return learnt

    def pool(self) -> FeaturePool:
        """The pool as it is; the same object until melodies come or a blind test is revealed.

        Raises:
            RatingsError: when the database cannot be read.
            FeatureScaleError: with fewer than two melodies.
        """
        melodies = self._melodies.pool()
        with self._measuring:
            if self._pool is None or self._measured is not melodies:
                features_NF = self._melodies.features(melodies)
                places = [
                    place
                    for place, entry in enumerate(melodies.entries)
                    if entry.id not in melodies.sealed
                ]
                entries = tuple(melodies.entries[place] for place in places)
                features_MF = features_NF[places]
                corrupted = np.array([entry.policy_id == CORRUPTED for entry in entries], bool)
                # What is usual is what a policy writes, not what was corrupted for traps.
                scale = FeatureScale.of(features_MF[~corrupted])
                ids = tuple(entry.id for entry in entries)
                row_of = {melody_id: row for row, melody_id in enumerate(ids)}
                self._pool = FeaturePool(entries, ids, row_of, features_MF, corrupted, scale)
                self._measured = melodies
            return self._pool
