"""A round of pairs: write melodies into the pool, choose which are heard against each other.

By chance (the standing control), by what the taste profile would learn most from, or as duels among
the likely best (`reward.informative_pairs`). The last two go by the votes that are there so far, so
they are worth asking for in small rounds; before any vote they cover what varies most.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from policy.compose import Asked, compose
from policy.model import MelodyForCausalLM
from reward.export import TRAINED_PURPOSES
from reward.feature_scale import FeatureScale
from reward.features import feature_matrix
from reward.informative_pairs import duels, informative_pairs
from reward.pairing import random_pairs, with_repeats
from reward.preferences import UNDECIDED_OUTCOMES, Preferences
from reward.ratings import RatingsStore
from reward.taste import TasteProfile
from rl.runs import RunError

RANDOM, INFORMATION, DUELS = STRATEGIES = ("random", "information", "duels")
ROUND_PAIRS = 20
"""pairs worth choosing before the profile is fitted again"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """What is written and paired for a round."""

    melodies: int = 400
    """melodies written; 0 takes what is in the store"""
    pairs: int = 200
    """pairs among them; by chance of the new ones only, else of all that are in the store"""
    repeat_share: float = 0.1
    """share of hidden repeats among all that is rated"""
    strategy: str = RANDOM
    """one of `STRATEGIES`"""
    round: int = 1
    """number of the round"""
    seed: int = 0
    """of writing and pairing"""

    def __post_init__(self) -> None:
        """Refuse an unknown strategy.

        Raises:
            RunError: with those that there are.
        """
        if self.strategy not in STRATEGIES:
            raise RunError(f"strategy={self.strategy!r} is not known; choose one of {STRATEGIES}")


def pair_up(
    store: RatingsStore, policy: MelodyForCausalLM, policy_id: str, asked: Asked, config: PoolConfig
) -> list[uuid.UUID]:
    """Write melodies into the store; append pairs of one metre and length, with repeats.

    Raises:
        RunError: when there are no melodies to pair.
        PairingError: for more pairs than there are.
    """
    new: list[int] = []
    if config.melodies:
        melodies = compose(policy, config.melodies, asked=asked, seed=config.seed)
        new = store.add_melodies(
            melodies, policy_id=policy_id, sampler="temperature 1", seed=config.seed
        )
    ids = new
    if config.strategy != RANDOM or not new:
        ids = [int(melody_id) for melody_id in store.melodies_frame()["melody_id"]]
    if not ids:
        raise RunError("there are no melodies to pair; ask for some: --melodies 400")
    before = store.comparisons_frame()[["melody_a", "melody_b"]].to_numpy(np.int64)
    rng = np.random.default_rng([config.seed, config.round, len(before)])
    known = [stored.melody for stored in store.melodies(ids)]
    kinds = {i: (m.header.meter, m.header.bars) for i, m in zip(ids, known, strict=True)}
    taken = [(int(a), int(b)) for a, b in before]
    if config.strategy == RANDOM:
        pairs = random_pairs(list(kinds), config.pairs, rng, group=kinds.__getitem__, taken=taken)
    else:
        features = feature_matrix(known)
        profile = _so_far(store, ids, features)
        row = {melody_id: number for number, melody_id in enumerate(ids)}
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds.values()))}
        choose: Callable[..., list[tuple[int, int]]] = (
            duels if config.strategy == DUELS else informative_pairs
        )
        rows = choose(
            profile.group,
            profile.scale.standardise(features),
            config.pairs,
            rng,
            taken=[(row[a], row[b]) for a, b in taken],
            kind_B=[numbers[kinds[melody_id]] for melody_id in ids],
        )
        pairs = [(ids[one], ids[other]) for one, other in rows]
    plan = with_repeats(pairs, share=config.repeat_share, rng=rng)
    return store.add_plan(plan, round=config.round, strategy=config.strategy)


def learnable(votes: pd.DataFrame) -> pd.DataFrame:
    """The votes of a store's frame that say which melody is better, or that both are equal."""
    said_nothing = votes["outcome_a"].isin(UNDECIDED_OUTCOMES)
    return votes.loc[~said_nothing & votes["purpose"].isin(TRAINED_PURPOSES)]


def _so_far(store: RatingsStore, ids: list[int], features_MF: np.ndarray) -> TasteProfile:
    """The group's taste by the votes so far: of people if there are any, else simulated ones."""
    votes = learnable(store.votes_frame())
    kinds = set(votes["rater_kind"])
    if len(kinds) > 1:
        votes = votes.loc[votes["rater_kind"] == "person"]
    # Units do not matter here, so the pool may be its own scale.
    scale = FeatureScale.of(features_MF)
    if votes.empty:
        none = np.zeros(0, np.int64)
        return TasteProfile.fit(Preferences.of(none, none, none), features_MF, scale)
    return TasteProfile.fit(Preferences.from_votes(votes, ids), features_MF, scale)
