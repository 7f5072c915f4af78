"""A round of pairs: write melodies into the pool, choose which are heard against each other.

By chance (the standing control), by what would be learnt most from, or as duels among the likely
best (`reward.pairs.informative`). The last two go by what a committee of taste profiles makes of
the votes so far (`reward.pairs.committee`), so they are worth asking for in small rounds; before
any vote they cover what varies most. `auto` draws one of the three for the round: mostly
information, and duels too once there are `LATE_VOTES` votes. The strategy is stored with each pair,
and the probability with which it was drawn.

Hidden repeats and traps (`reward.pairs.traps`) come on top, at a set rate. Melodies of a blind test
are left out until it is revealed (`reward.store.sealed`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from music.key_choice import KeyChoice
from music.melody import Melody
from music.progress import Report, no_report
from policy.compose import Conditioning, compose
from policy.model import MelodyForCausalLM
from policy.runs import RunError
from reward.comparisons.learnable import learnable
from reward.comparisons.preferences import Preferences
from reward.pairs.committee import committee
from reward.pairs.informative import duels, informative_pairs
from reward.pairs.random_pairs import random_pairs, with_repeats
from reward.pairs.traps import CORRUPTED, corrupted, in_key_share, with_traps
from reward.profile.bradley_terry import Gaussian
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import feature_matrix
from reward.store.store import RatingsStore

RANDOM, INFORMATION, DUELS, AUTO = STRATEGIES = ("random", "information", "duels", "auto")
LATE_VOTES = 200
"""votes after which a profile is sure enough for duels: half an hour to an hour of rating"""
EARLY_SHARES = {RANDOM: 0.1, INFORMATION: 0.9}
LATE_SHARES = {RANDOM: 0.1, INFORMATION: 0.5, DUELS: 0.4}
"""how often `auto` takes each strategy; some rounds are always left to chance, as the control"""
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
    """share of hidden repeats among all that is rated but traps"""
    trap_share: float = 0.0
    """share of traps among all that is rated, 0 to 0.5"""
    strategy: str = RANDOM
    """one of `STRATEGIES`"""
    round: int = 1
    """number of the round"""
    seed: int = 0
    """of writing and pairing"""

    def __post_init__(self) -> None:
        """Refuse an unknown strategy, and more traps than pairs.

        Raises:
            RunError: with the strategies that there are, or the shares that can be.
        """
        if not 0 <= self.trap_share <= 0.5:
            raise RunError(
                f"trap_share={self.trap_share} is not within 0..0.5; one in twenty is usual"
            )
        if self.strategy not in STRATEGIES:
            raise RunError(f"strategy={self.strategy!r} is not known; choose one of {STRATEGIES}")


def pair_up(
    store: RatingsStore,
    policy: MelodyForCausalLM,
    policy_id: str,
    conditioning: Conditioning,
    config: PoolConfig,
    *,
    keys: KeyChoice | None = None,
    report: Report = no_report,
) -> list[uuid.UUID]:
    """Write melodies into the store; append pairs of one metre and length, repeats and traps.

    The new melodies have the key and the compass of `keys`, by default D.

    Raises:
        RunError: when there are no melodies to pair.
        PairingError: for more pairs than there are.
    """
    new: list[int] = []
    if config.melodies:
        melodies = compose(
            policy,
            config.melodies,
            conditioning=conditioning,
            seed=config.seed,
            keys=keys,
            progress=partial(report, "writing melodies"),
        )
        report("storing melodies", 0, 0)
        new = store.add_melodies(
            melodies, policy_id=policy_id, sampler="temperature 1", seed=config.seed
        )
    report("choosing pairs", 0, 0)
    before = store.comparisons_frame()
    state = [config.seed, config.round, len(before)]
    votes = _votes_so_far(store)
    strategy, probability = drawn_strategy(
        config.strategy, len(votes), np.random.default_rng([*state, 2])
    )
    ids = new
    if strategy != RANDOM or not new:
        pool = store.melodies_frame()
        ids = [int(m) for m in pool.loc[pool["policy_id"] != CORRUPTED, "melody_id"]]
    sealed = store.sealed_melody_ids()  # the policy may write a melody that is in a blind test
    ids = [melody_id for melody_id in ids if melody_id not in sealed]
    if not ids:
        raise RunError("there are no melodies to pair; ask for some: --melodies 400")
    known = {i: stored.melody for i, stored in zip(ids, store.melodies(ids), strict=True)}
    taken = [(int(a), int(b)) for a, b in before[["melody_a", "melody_b"]].to_numpy(np.int64)]
    rng = np.random.default_rng(state)
    pairs = _chosen(known, strategy, config.pairs, votes, taken, rng)
    plan = with_repeats(pairs, share=config.repeat_share, rng=rng)
    traps = round(len(plan) * config.trap_share / (1 - config.trap_share))
    if traps:
        trapped = set(before.loc[before["purpose"] == "trap", "melody_a"].tolist())
        fresh = {melody_id: known[melody_id] for melody_id in ids if melody_id not in trapped}
        trap_rng = np.random.default_rng([*state, 1])
        pairs = _written_traps(store, fresh, traps, config.seed, trap_rng)
        plan = with_traps(plan, pairs, rng=trap_rng)
    return store.add_plan(plan, round=config.round, strategy=strategy, probability=probability)


def drawn_strategy(strategy: str, votes: int, rng: np.random.Generator) -> tuple[str, float]:
    """The strategy of a round after so many votes, and the probability with which it was drawn."""
    if strategy != AUTO:
        return strategy, 1.0
    shares = LATE_SHARES if votes >= LATE_VOTES else EARLY_SHARES
    drawn = str(rng.choice(list(shares), p=list(shares.values())))
    return drawn, shares[drawn]


def _chosen(
    known: dict[int, Melody],
    strategy: str,
    count: int,
    votes: pd.DataFrame,
    taken: list[tuple[int, int]],
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """Pairs of melodies, by id."""
    ids = list(known)
    kinds = {i: (m.header.meter, m.header.bars) for i, m in known.items()}
    if strategy == RANDOM:
        return random_pairs(ids, count, rng, group=kinds.__getitem__, taken=taken)
    features = feature_matrix(list(known.values()))
    # Units do not matter here, so the pool may be its own scale.
    scale = FeatureScale.of(features)
    row = {melody_id: number for number, melody_id in enumerate(ids)}
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds.values()))}
    choose: Callable[..., list[tuple[int, int]]] = duels if strategy == DUELS else informative_pairs
    rows = choose(
        _taste_of(votes, ids, features, scale),
        scale.standardise(features),
        count,
        rng,
        taken=[(row[a], row[b]) for a, b in taken if a in row and b in row],
        kind_B=[numbers[kinds[melody_id]] for melody_id in ids],
    )
    return [(ids[one], ids[other]) for one, other in rows]


def _written_traps(
    store: RatingsStore,
    known: dict[int, Melody],
    count: int,
    seed: int,
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """Melodies that are most in key, each with a corrupted one of its own that is stored for it."""
    order = rng.permutation(list(known)).tolist()
    good = sorted(order, key=lambda melody_id: -in_key_share(known[melody_id]))[:count]
    worse = store.add_melodies(
        [corrupted(known[melody_id], rng) for melody_id in good],
        policy_id=CORRUPTED,
        sampler="wrong notes, for a trap",
        seed=seed,
    )
    return list(zip(good, worse, strict=True))


def _votes_so_far(store: RatingsStore) -> pd.DataFrame:
    """The votes to go by: of people if there are any, else simulated ones."""
    votes = learnable(store.votes_frame())
    kinds = set(votes["rater_kind"])
    return votes.loc[votes["rater_kind"] == "person"] if len(kinds) > 1 else votes


def _taste_of(
    votes: pd.DataFrame, ids: list[int], features_MF: np.ndarray, scale: FeatureScale
) -> Gaussian:
    """The group's taste by the votes so far; by none the prior."""
    known = Preferences.none() if votes.empty else Preferences.from_votes(votes, ids)
    return committee(known, features_MF, scale)
