"""A blind test is sealed until it is revealed: nothing of it is paired, trained on or shown."""

import json
from datetime import UTC, datetime
from itertools import count
from uuid import uuid4

import pytest

from policy.compose import Conditioning
from policy.runs import RunError
from reward.comparisons.learnable import learnable, sealed_count
from reward.exchange.export import export_preferences
from reward.listeners.simulated import SimulatedListener, simulate_votes
from reward.pairs.round import DUELS, STRATEGIES, PoolConfig, pair_up
from reward.store.campaigns import Policies, create_campaign, reveal_campaign
from reward.store.pool import PlannedPair
from reward.store.schema import AssignmentRow, ComparisonRow
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from reward.training.fit import fit_reward

NOW = datetime(2026, 11, 29, tzinfo=UTC)
CONDITIONING = Conditioning(meter="2/4", bars=4)
NONCES = count()


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as opened:
        yield opened


def blind_test(store, ids_a, ids_b, name="test"):
    """A blind test of these melodies; its campaign."""
    policies = Policies(a="one", b="two", a_id="policy-a", b_id="policy-b")
    with store.writing() as session:
        made = create_campaign(
            session, name, purpose="blind_test", votes_wanted=9, policies=policies, now=NOW
        )
    plan = [PlannedPair(a, b, "blind_test") for a, b in zip(ids_a, ids_b, strict=True)]
    store.add_plan(plan, round=1, campaign_id=made.id)
    return made


@pytest.fixture
def ids(store, random_melodies):
    """Eight melodies of each of two policies."""
    melodies = random_melodies(16, seed=3)
    return [
        *store.add_melodies(melodies[:8], policy_id="policy-a", sampler="t", seed=0),
        *store.add_melodies(melodies[8:], policy_id="policy-b", sampler="t", seed=0),
    ]


def reveal(store, campaign):
    with store.writing() as session:
        reveal_campaign(session, campaign.id, now=NOW)


def answer(store, rater, *, purposes=("train", "repeat", "trap"), most=1000):
    """Answer what waits; the pairs that were heard."""
    heard = []
    while len(heard) < most and (pair := store.issue(rater.id, purposes=purposes)) is not None:
        store.vote(pair.assignment_id, Answer(outcome="left", nonce=f"n{next(NONCES)}"))
        heard.append({pair.left.id, pair.right.id})
    return heard


def plan_as_of_version_0_1_0(store, pairs):
    """Pairs of a training round put beside the check, as an older version stored them."""
    before = len(store.comparisons_frame())
    with store.writing() as session:
        for place, (a, b) in enumerate(pairs):
            session.add(
                ComparisonRow(
                    id=uuid4(),
                    position=before + 1 + place, round=1, melody_a=a, melody_b=b, purpose="train",
                    strategy="random", created_at=NOW,
                )
            )  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("written", [0, 40])
def test_a_round_leaves_out_what_is_in_a_blind_test(store, tiny_policy, strategy, written):
    """With new melodies too: the policy writes some again that are in the test."""
    config = PoolConfig(melodies=40, pairs=10, strategy=strategy, trap_share=0.2)
    pair_up(store, tiny_policy, "policy-a", CONDITIONING, config)
    simulate_votes(store, SimulatedListener("arches", seed=1), 8)
    frame = store.comparisons_frame()
    paired = {*frame["melody_a"], *frame["melody_b"]}
    free = [i for i in store.melodies_frame()["melody_id"] if i not in paired]
    blind = [PlannedPair(*pair, "blind_test") for pair in (free[:2], free[2:4])]
    store.add_plan(blind, round=1)
    sealed = {*free[:4]}
    assert store.sealed_melody_ids() == sealed
    before = len(store.comparisons_frame())
    asked = PoolConfig(
        melodies=written, pairs=40, strategy=strategy, trap_share=0.3, round=2, repeat_share=0.1
    )
    pair_up(store, tiny_policy, "policy-a", CONDITIONING, asked)
    fresh = store.comparisons_frame().iloc[before:]
    assert set(fresh["purpose"]) == {"train", "repeat", "trap"}
    assert not sealed & {*fresh["melody_a"], *fresh["melody_b"]}


def test_when_all_melodies_are_in_a_blind_test_there_is_nothing_to_pair(store, tiny_policy, ids):
    blind_test(store, ids[:8], ids[8:])
    with pytest.raises(RunError, match="there are no melodies to pair"):
        pair_up(store, tiny_policy, "x", CONDITIONING, PoolConfig(melodies=0, strategy=DUELS))


@pytest.mark.parametrize("purpose", ["train", "trap"])
def test_the_store_refuses_a_pair_with_a_sealed_melody(store, ids, purpose):
    made = blind_test(store, ids[:2], ids[8:10])
    for pair in ((ids[0], ids[4]), (ids[4], ids[9])):
        with pytest.raises(RatingsError, match=r"melody \d+ is in a blind test.*end that test"):
            store.add_comparisons([pair], round=2, purpose=purpose)
    with pytest.raises(RatingsError, match="is in a blind test"):
        blind_test(store, [ids[0]], [ids[12]], name="another")
    both = [PlannedPair(ids[3], ids[11], "blind_test"), PlannedPair(ids[3], ids[4])]
    with pytest.raises(RatingsError, match="is in a blind test"):
        store.add_plan(both, round=2)
    store.add_comparisons([(ids[4], ids[5])], round=2, purpose=purpose)
    reveal(store, made)
    store.add_comparisons([(ids[0], ids[4]), (ids[4], ids[9])], round=2, purpose=purpose)


def test_pairs_of_an_older_version_wait_until_the_test_is_revealed(store, ids):
    plan_as_of_version_0_1_0(store, [(ids[0], ids[1]), (ids[2], ids[3]), (ids[4], ids[5])])
    made = blind_test(store, [ids[0], ids[3]], [ids[8], ids[9]])
    ada = store.add_rater("Ada")
    coming = store.coming(ada.id, count=9, purposes=["train"])
    assert [melody.id for melody in coming] == [ids[4], ids[5]]
    assert answer(store, ada) == [{ids[4], ids[5]}]
    assert len(answer(store, ada, purposes=["blind_test"])) == 2, "the test itself goes on"
    reveal(store, made)
    assert len(answer(store, ada)) == 2


def test_a_pair_on_the_screen_is_let_go_when_it_is_sealed_and_not_taken_back_to(store, ids):
    store.add_comparisons([(ids[0], ids[1]), (ids[2], ids[3])], round=1)
    ada, bo = store.add_rater("Ada"), store.add_rater("Bo")
    shown = store.issue(ada.id)
    assert answer(store, bo, most=1) == [{ids[2], ids[3]}]
    blind_test(store, [ids[0], ids[2]], [ids[8], ids[9]])
    assert store.issue(ada.id, purposes=["train"]) is None
    assert store.undo(bo.id) is None
    late = store.vote(shown.assignment_id, Answer(outcome="left", nonce="late"))
    assert not late.duplicate, "an answer to what was heard is kept"
    with store.reading() as session:
        assert session.get_one(AssignmentRow, shown.assignment_id).closed_at is not None


@pytest.mark.slow
def test_votes_on_sealed_melodies_are_not_learnt_from_until_the_test_is_revealed(
    store, tiny_policy, tmp_path, random_melodies
):
    written = random_melodies(24, seed=4)
    ids = store.add_melodies(written[:12], policy_id="policy-a", sampler="t", seed=0)
    ids += store.add_melodies(written[12:], policy_id="policy-b", sampler="t", seed=0)
    store.add_comparisons([(a, b) for a in ids[:6] for b in ids[6:12]], round=1)
    store.add_comparisons([(ids[0], ids[7])], round=1, purpose="trap")
    ada = store.add_rater("Ada")
    assert len(answer(store, ada)) == 37
    made = blind_test(store, [ids[0], ids[1]], [ids[12], ids[13]])
    votes = store.votes_frame()
    hold = votes["melody_a"].isin(ids[:2]) | votes["melody_b"].isin(ids[:2])
    assert votes["sealed"].tolist() == hold.tolist()
    assert len(learnable(votes)) == 24
    assert sealed_count(votes) == 12, "the trap was never to be learnt from"
    fitted = fit_reward(store, tiny_policy, CONDITIONING, root=tmp_path, name="sealed")
    assert fitted.votes == 24
    assert fitted.votes_sealed == 12
    assert export_preferences(store, tmp_path / "preferences.jsonl") == 24
    tokens = {tuple(melody.tokens) for melody in store.melodies(ids[:2])}
    for line in (tmp_path / "preferences.jsonl").read_text().splitlines():
        pair = json.loads(line)
        assert not {tuple(pair["chosen_ids"]), tuple(pair["rejected_ids"])} & tokens

    blind_test(store, ids[2:6], ids[14:18], name="the rest")
    with pytest.raises(RunError, match=r"all 36 decided votes .* not been revealed; end it"):
        fit_reward(store, tiny_policy, CONDITIONING, root=tmp_path)
    reveal(store, made)
    assert len(learnable(store.votes_frame())) == 12


def test_a_simulated_listener_answers_no_blind_test(store, ids):
    store.add_comparisons([(ids[4], ids[5]), (ids[5], ids[6])], round=1)
    blind_test(store, ids[:2], ids[8:10])
    listener = SimulatedListener("arches", seed=1)
    assert simulate_votes(store, listener, 10) == 2
    assert set(store.votes_frame()["purpose"]) == {"train"}
    # Nor does it take its yardstick from the test's melodies.
    twin = SimulatedListener("arches", seed=1).calibrate(
        [store.melody(i).melody for i in ids if i not in store.sealed_melody_ids()]
    )
    assert listener.temperature == twin.temperature
