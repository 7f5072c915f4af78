"""Rounds of pairs in a store: what is written, what is paired, and by which votes."""

import numpy as np
import pytest

from policy.compose import Conditioning
from policy.runs import RunError
from reward.comparisons.learnable import learnable
from reward.listeners.simulated import SimulatedListener, simulate_votes
from reward.pairs import round as pairing_round
from reward.pairs.round import (
    EARLY_SHARES,
    LATE_SHARES,
    STRATEGIES,
    PoolConfig,
    drawn_strategy,
    pair_up,
)
from reward.pairs.traps import CORRUPTED, in_key_share
from reward.store.store import RatingsStore
from tastemaker.rating import PAIR_STRATEGIES

CONDITIONING = Conditioning(meter="2/4", bars=4)


@pytest.fixture
def store(tmp_path):
    with RatingsStore(tmp_path / "ratings.sqlite") as opened:
        yield opened


def pairs_of(store):
    frame = store.comparisons_frame()
    return [frozenset(p) for p in zip(frame["melody_a"], frame["melody_b"], strict=True)]


def test_the_command_line_knows_the_strategies():
    assert PAIR_STRATEGIES == STRATEGIES


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "information", "duels"])
def test_rounds_never_ask_a_pair_again_but_as_a_repeat(store, tiny_policy, strategy):
    for number in (1, 2, 3):
        config = PoolConfig(
            melodies=30 if number == 1 or strategy == "random" else 0, pairs=18, round=number,
            strategy=strategy,
        )  # fmt: skip  # by one seed, so that the same melodies are written again
        waiting = pair_up(store, tiny_policy, "tiny", CONDITIONING, config)
        assert len(waiting) == 20
        listener = SimulatedListener("arches", seed=1)
        simulate_votes(store, listener, 20)
    frame = store.comparisons_frame()
    assert set(frame["strategy"]) == {strategy}
    assert set(frame["probability"]) == {1.0}
    fresh = [p for p, of in zip(pairs_of(store), frame["repeat_of"].isna(), strict=True) if of]
    assert len(set(fresh)) == len(fresh) == 54


@pytest.mark.slow
def test_the_next_round_goes_by_the_votes(tmp_path, tiny_policy):
    """Same pool, same seed: other votes, other pairs; before any vote the same ones."""
    chosen = []
    for seed in (0, 1):
        with RatingsStore(tmp_path / f"{seed}.sqlite") as other:
            first = PoolConfig(melodies=60, pairs=20, repeat_share=0.0, strategy="information")
            pair_up(other, tiny_policy, "tiny", CONDITIONING, first)
            before = pairs_of(other)
            taste = "arches" if seed else "calm"
            simulate_votes(other, SimulatedListener(taste, reliability=1.0, seed=3), 20)
            then = PoolConfig(
                melodies=0, pairs=20, repeat_share=0.0, strategy="information", round=2
            )
            pair_up(other, tiny_policy, "tiny", CONDITIONING, then)
            chosen.append((before, pairs_of(other)[20:]))
    assert chosen[0][0] == chosen[1][0]
    assert set(chosen[0][1]) != set(chosen[1][1])


def test_nothing_to_pair_and_unknown_strategies_are_named(store, tiny_policy):
    with pytest.raises(RunError, match="there are no melodies to pair"):
        pair_up(store, tiny_policy, "tiny", CONDITIONING, PoolConfig(melodies=0))
    with pytest.raises(RunError, match="strategy='best' is not known; choose one of"):
        PoolConfig(strategy="best")


def test_repeats_are_spread_among_chosen_pairs(store, tiny_policy):
    config = PoolConfig(melodies=60, pairs=90, strategy="information", seed=4)
    pair_up(store, tiny_policy, "tiny", CONDITIONING, config)
    purposes = store.comparisons_frame()["purpose"]
    assert (purposes == "repeat").sum() == 10
    assert np.flatnonzero(purposes == "repeat").min() >= 10


@pytest.mark.parametrize(
    ("votes", "shares"), [(0, EARLY_SHARES), (199, EARLY_SHARES), (200, LATE_SHARES)]
)
def test_auto_draws_by_its_shares_and_tells_the_probability(votes, shares):
    rng = np.random.default_rng(0)
    drawn = [drawn_strategy("auto", votes, rng) for _ in range(3000)]
    assert set(drawn) == set(shares.items())
    for strategy, probability in shares.items():
        found = np.mean([name == strategy for name, _ in drawn])
        assert found == pytest.approx(probability, abs=0.03)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert drawn_strategy("duels", votes, rng) == ("duels", 1.0)


def test_auto_stores_what_it_drew(store, tiny_policy, monkeypatch):
    monkeypatch.setattr(pairing_round, "LATE_VOTES", 4)
    monkeypatch.setattr(pairing_round, "EARLY_SHARES", {"information": 1.0})
    monkeypatch.setattr(pairing_round, "LATE_SHARES", {"duels": 0.999, "random": 0.001})
    for number in (1, 2):
        config = PoolConfig(
            melodies=30 if number == 1 else 0, pairs=4, strategy="auto", round=number
        )
        pair_up(store, tiny_policy, "tiny", CONDITIONING, config)
        simulate_votes(store, SimulatedListener("arches", seed=1), 4)
    frame = store.comparisons_frame()
    found = frame.groupby("round")[["strategy", "probability"]].first()
    assert found.to_numpy().tolist() == [["information", 1.0], ["duels", 0.999]]


@pytest.mark.slow
def test_traps_come_at_their_rate_and_their_melodies_nowhere_else(store, tiny_policy):
    for number in (1, 2, 3):
        config = PoolConfig(
            melodies=40 if number == 1 else 0, pairs=18, trap_share=0.2, round=number,
            strategy="information",
        )  # fmt: skip
        assert len(pair_up(store, tiny_policy, "tiny", CONDITIONING, config)) == 25
        simulate_votes(store, SimulatedListener("arches", seed=1), 25)
    frame, melodies = store.comparisons_frame(), store.melodies_frame().set_index("melody_id")
    traps = frame.loc[frame["purpose"] == "trap"]
    assert traps.groupby("round").size().tolist() == [5, 5, 5]
    assert set(melodies.loc[traps["melody_b"], "policy_id"]) == {CORRUPTED}
    assert set(melodies.loc[traps["melody_a"], "policy_id"]) == {"tiny"}
    assert traps["melody_a"].is_unique
    others = frame.loc[frame["purpose"] != "trap"]
    corrupted = set(melodies.index[melodies["policy_id"] == CORRUPTED])
    assert len(corrupted) == 15
    assert not corrupted & {*others["melody_a"], *others["melody_b"]}
    for good, bad in zip(traps["melody_a"], traps["melody_b"], strict=True):
        one, other = (stored.melody for stored in store.melodies([int(good), int(bad)]))
        assert one.header == other.header
        assert in_key_share(one) > in_key_share(other)
    assert set(learnable(store.votes_frame())["purpose"]) == {"train", "repeat"}


def test_without_traps_the_pairs_are_the_same_as_with_them(tmp_path, tiny_policy):
    """A trap takes nobody's place: it is drawn from a chance of its own."""
    planned = []
    for share in (0.0, 0.1):
        with RatingsStore(tmp_path / f"{share}.sqlite") as other:
            config = PoolConfig(melodies=40, pairs=18, trap_share=share, seed=5)
            pair_up(other, tiny_policy, "tiny", CONDITIONING, config)
            frame = other.comparisons_frame()
            kept = frame.loc[frame["purpose"] != "trap"]
            planned.append(list(zip(kept["melody_a"], kept["melody_b"], strict=True)))
            assert len(frame) == (20 if share == 0.0 else 22)
    assert planned[0] == planned[1]


def test_more_traps_than_pairs_are_refused():
    with pytest.raises(RunError, match=r"trap_share=0.6 is not within 0..0.5"):
        PoolConfig(trap_share=0.6)
