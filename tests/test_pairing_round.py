"""Rounds of pairs in a store: what is written, what is paired, and by which votes."""

import numpy as np
import pytest

import tastemaker
from policy.compose import Asked
from reward.listeners import SimulatedListener
from reward.ratings import RatingsStore
from rl.pairing_round import STRATEGIES, PoolConfig, pair_up
from rl.rounds import simulate_votes
from rl.runs import RunError

ASKED = Asked(meter="2/4", bars=4)


@pytest.fixture
def store(tmp_path):
    with RatingsStore(tmp_path / "ratings.sqlite") as opened:
        yield opened


def pairs_of(store):
    frame = store.comparisons_frame()
    return [frozenset(p) for p in zip(frame["melody_a"], frame["melody_b"], strict=True)]


def test_the_command_line_knows_the_strategies():
    assert tastemaker.PAIR_STRATEGIES == STRATEGIES


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rounds_never_ask_a_pair_again_but_as_a_repeat(store, tiny_policy, strategy):
    for number in (1, 2, 3):
        config = PoolConfig(
            melodies=30 if number == 1 or strategy == "random" else 0, pairs=18, round=number,
            strategy=strategy,
        )  # fmt: skip  # by one seed, so that the same melodies are written again
        waiting = pair_up(store, tiny_policy, "tiny", ASKED, config)
        assert len(waiting) == 20
        listener = SimulatedListener("arches", seed=1)
        simulate_votes(store, listener, 20)
    frame = store.comparisons_frame()
    assert set(frame["strategy"]) == {strategy}
    fresh = [p for p, of in zip(pairs_of(store), frame["repeat_of"].isna(), strict=True) if of]
    assert len(set(fresh)) == len(fresh) == 54


def test_the_next_round_goes_by_the_votes(tmp_path, tiny_policy):
    """Same pool, same seed: other votes, other pairs; before any vote the same ones."""
    chosen = []
    for seed in (0, 1):
        with RatingsStore(tmp_path / f"{seed}.sqlite") as other:
            first = PoolConfig(melodies=60, pairs=20, repeat_share=0.0, strategy="information")
            pair_up(other, tiny_policy, "tiny", ASKED, first)
            before = pairs_of(other)
            taste = "arches" if seed else "calm"
            simulate_votes(other, SimulatedListener(taste, reliability=1.0, seed=3), 20)
            then = PoolConfig(
                melodies=0, pairs=20, repeat_share=0.0, strategy="information", round=2
            )
            pair_up(other, tiny_policy, "tiny", ASKED, then)
            chosen.append((before, pairs_of(other)[20:]))
    assert chosen[0][0] == chosen[1][0]
    assert set(chosen[0][1]) != set(chosen[1][1])


def test_nothing_to_pair_and_unknown_strategies_are_named(store, tiny_policy):
    with pytest.raises(RunError, match="there are no melodies to pair"):
        pair_up(store, tiny_policy, "tiny", ASKED, PoolConfig(melodies=0))
    with pytest.raises(RunError, match="strategy='best' is not known; choose one of"):
        PoolConfig(strategy="best")


def test_repeats_are_spread_among_chosen_pairs(store, tiny_policy):
    config = PoolConfig(melodies=60, pairs=90, strategy="information", seed=4)
    pair_up(store, tiny_policy, "tiny", ASKED, config)
    purposes = store.comparisons_frame()["purpose"]
    assert (purposes == "repeat").sum() == 10
    assert np.flatnonzero(purposes == "repeat").min() >= 10
