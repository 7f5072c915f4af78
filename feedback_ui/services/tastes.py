"""What the studio can say of a taste: what is liked, how sure that is, what it is worth.

`TasteReader` turns a profile (`services/profiles.py`) into what a page shows. To judge a taste on
votes that it did not see takes some seconds, so a thread does it. Of a melody, only its sound and
its score are shown: not who wrote it, nor when.

Letters: M melodies of the pool, F features.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feedback_ui.services.profiles import (
    LEAST_VOTES,
    PERSON,
    SIMULATED,
    FeaturePool,
    LearntTaste,
    LearntTastes,
    preferences_in,
)
from music.melody import Melody
from reward.profile.features import FAR_FROM_USUAL, FEATURE_LABELS
from reward.profile.profile import SURE_ENOUGH, Reason
from reward.profile.reason_trust import reasons_in_words
from reward.profile.training import TrainedReward, train_reward
from reward.store.catalogue import listening
from reward.store.store import RatingsStore

MINE, GROUP = "mine", "group"
SCOPES = (MINE, GROUP, SIMULATED)
"""whose taste: the rater's own, all people's, that of simulated listeners"""
SHOWN_FEATURES = 20
"""the surest, in the plot and in words"""
EXTREMES = 5
"""melodies to hear from either end"""
WHY = 2
"""features named with a melody"""
KEPT_FIGURES = 32
"""tastes whose worth is kept: of as many raters as may look at once"""


@dataclass(frozen=True, slots=True)
class Extreme:
    """A melody from one end of the pool; its number is not told, which says when it came."""

    melody: Melody
    score: float
    """mean, in standard deviations of the pool"""
    std: float
    why: tuple[str, ...]
    """what speaks most for its place, such as "more than usual: big leaps"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TasteLook:
    """One taste, ready to be shown."""

    scope: str
    votes: int
    """answers that count, ties too"""
    raters: int
    reasons: tuple[Reason, ...]
    """the surest features, surest first"""
    stated: str
    """how many reasons were given and how far they are believed; "" if none were"""
    liked: tuple[Extreme, ...]
    """best first, by what is surely so: mean − std"""
    disliked: tuple[Extreme, ...]
    """worst first, by mean + std"""

    @property
    def likes(self) -> list[Reason]:
        """What is liked and sure enough to be told, strongest first."""
        return self._told(1)

    @property
    def dislikes(self) -> list[Reason]:
        """What is disliked and sure enough to be told, strongest first."""
        return self._told(-1)

    def _told(self, sign: int) -> list[Reason]:
        told = [r for r in self.reasons if r.sure >= SURE_ENOUGH and sign * r.weight > 0]
        return sorted(told, key=lambda reason: -abs(reason.weight))


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a taste is worth, computed or to come."""

    vote_ids: tuple[int, ...]
    pool: FeaturePool
    trained: Future[TrainedReward]


class TasteReader:
    """Tastes of one ratings store; safe to share between the threads of a server."""

    def __init__(self, store: RatingsStore, tastes: LearntTastes) -> None:
        self._store, self._tastes = store, tastes
        self._lock = threading.Lock()
        self._judged: dict[tuple[str, int | None], _Judged] = {}
        # One at a time: whoever rates meanwhile must not feel it.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="taste")

    def votes_of(self, rater_id: int | None) -> dict[str, int]:
        """Answers that count, by scope; none of `MINE` without a rater.

        Raises:
            RatingsError: when the database cannot be read.
        """
        return {scope: len(self._votes(scope, rater_id)) for scope in SCOPES}

    def look(self, scope: str, rater_id: int | None = None) -> TasteLook | None:
        """A taste as the votes now have it; None with fewer than `LEAST_VOTES`.

        Args:
            scope: one of `SCOPES`; a rater's own has the group's as its prior.
            rater_id: who looks: whose taste it is, for `MINE`, and who is still to judge some of
                the melodies, which are then not among those to hear: a score sways the ear.

        Raises:
            RatingsError: when the database cannot be read.
        """
        counted = self._votes(scope, rater_id)
        if len(counted) < LEAST_VOTES:
            return None
        # The group's votes are the prior of one rater's.
        learnt = self._tastes.of(_kind(scope), None if scope == MINE else counted)
        if learnt is None:  # some were taken back this moment
            return None
        hidden = frozenset[int]()
        if rater_id is not None:
            with self._store.reading() as session:
                hidden = listening(session, rater_id).waiting
        rater = str(rater_id) if scope == MINE else None
        return _look(scope, learnt, rater, counted, hidden)

    def worth(self, scope: str, rater_id: int | None = None) -> TrainedReward | None:
        """What the taste is worth on votes that it did not see; None while that is computed.

        Of a rater's own, what their own votes alone would teach. None, too, with fewer than
        `LEAST_VOTES`.

        Raises:
            RatingsError: when the database cannot be read.
        """
        counted = self._votes(scope, rater_id)
        if len(counted) < LEAST_VOTES:
            return None
        key = (scope, rater_id if scope == MINE else None)
        vote_ids, pool = tuple(counted["vote_id"].tolist()), self._tastes.pool()
        with self._lock:
            judged = self._judged.get(key)
            if judged is None or judged.vote_ids != vote_ids or judged.pool is not pool:
                if judged is not None:
                    judged.trained.cancel()
                preferences = preferences_in(counted, pool)
                coming = self._beside.submit(
                    train_reward, preferences, pool.features_MF, pool.scale
                )
                judged = _Judged(vote_ids, pool, coming)
                self._judged.pop(key, None)
                self._judged[key] = judged
                while len(self._judged) > KEPT_FIGURES:
                    self._judged.pop(next(iter(self._judged)))
        return judged.trained.result() if judged.trained.done() else None

    def _votes(self, scope: str, rater_id: int | None) -> pd.DataFrame:
        votes = self._tastes.votes(_kind(scope))
        if scope != MINE:
            return votes
        return votes.loc[votes["rater_id"] == (-1 if rater_id is None else rater_id)]


def _kind(scope: str) -> str:
    return SIMULATED if scope == SIMULATED else PERSON


def in_words(sure: float) -> str:
    """How sure a side is, in a word or two."""
    for least, said in ((0.99, "certain"), (0.95, "nearly certain"), (0.9, "likely")):
        if sure >= least:
            return said
    return "perhaps"


def _look(
    scope: str, learnt: LearntTaste, rater: str | None, votes: pd.DataFrame, hidden: frozenset[int]
) -> TasteLook:
    """What is told of a profile: features by how sure they are, melodies by how surely liked."""
    profile, pool = learnt.profile, learnt.pool
    every = profile.explain(len(profile.feature_names), rater)
    mean_M, std_M = profile.score(pool.features_MF, rater)
    weight_of = {reason.feature: reason.weight for reason in every if reason.sure >= SURE_ENOUGH}
    hidden_M = np.array([melody_id in hidden for melody_id in pool.ids], bool)
    shown = np.flatnonzero(~(pool.corrupted | hidden_M))
    ends: list[tuple[Extreme, ...]] = []
    for sign in (1, -1):
        order = shown[np.argsort(-sign * mean_M[shown] + std_M[shown], kind="stable")]
        ends.append(
            tuple(
                Extreme(
                    pool.entries[row].melody,
                    float(mean_M[row]),
                    float(std_M[row]),
                    _why(pool, row, weight_of, sign),
                )
                # Of few melodies none stands at both ends.
                for row in order[: min(EXTREMES, len(shown) // 2)]
            )
        )
    return TasteLook(
        scope=scope,
        votes=len(votes),
        raters=len(set(votes["rater_id"])),
        reasons=tuple(every[:SHOWN_FEATURES]),
        stated=reasons_in_words(profile.reasons, rater),
        liked=ends[0],
        disliked=ends[1],
    )


def _why(pool: FeaturePool, row: int, weight_of: Mapping[str, float], sign: int) -> tuple[str, ...]:
    """The features that speak most for this end, with what the melody has of them."""
    spread_F = np.where(pool.scale.spread_F > 0, pool.scale.spread_F, np.inf)
    standard_F = pool.scale.standardise(pool.features_MF[row]) / spread_F
    names = list(FEATURE_LABELS)
    speaks = {
        name: sign * weight * standard_F[names.index(name)] for name, weight in weight_of.items()
    }
    best = sorted((name for name in speaks if speaks[name] > 0), key=lambda name: -speaks[name])
    return tuple(_amount(name, standard_F[names.index(name)] > 0) for name in best[:WHY])


def _amount(feature: str, above: bool) -> str:
    """How much of a feature a melody has, in words."""
    label = FEATURE_LABELS[feature]
    if label.startswith(FAR_FROM_USUAL):
        return label if above else f"near usual: {label.removeprefix(FAR_FROM_USUAL)}"
    return f"{'more' if above else 'less'} than usual: {label}"
