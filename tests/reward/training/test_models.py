"""Models of a reward run: compared on the same folds, written, found again by name."""

import json

import numpy as np
import pytest

from policy.compose import Conditioning, compose
from policy.runs import RunError
from policy.scope import styles_of
from reward.comparisons.agreement import AgreementError
from reward.listeners.simulated import SimulatedListener, simulate_votes
from reward.neural.model import NeuralReward
from reward.pairs.round import PoolConfig, pair_up
from reward.store.store import RatingsStore
from reward.store.votes import Answer
from reward.training.fit import BOTH, fit_reward
from reward.training.model_card import CARD_FILE
from reward.training.models import BLEND, MODELS, NEURAL, PROFILE, load_model
from rl.baselines.comparison import voted_pairs
from rl.rewards.scaled import reward_of
from tastemaker.rewards import REWARD_MODELS

pytestmark = [
    pytest.mark.slow,  # it trains models
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is:FutureWarning"),
]
CONDITIONING = Conditioning(meter="2/4", bars=4)
PAIRS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_policy):
    """A store in which a listener has rated."""
    folder = tmp_path_factory.mktemp("models")
    with RatingsStore(folder / "ratings.sqlite") as store:
        pair_up(store, tiny_policy, "tiny", CONDITIONING, PoolConfig(melodies=120, pairs=PAIRS))
        simulate_votes(store, SimulatedListener("calm", reliability=0.95), 2 * PAIRS)
    return folder


def fitted(folder, policy, model, **more):
    with RatingsStore(folder / "ratings.sqlite") as store:
        return fit_reward(store, policy, CONDITIONING, root=folder / "runs", model=model, **more)


@pytest.fixture(scope="module", params=[NEURAL, BLEND])
def compared(request, folder, tiny_policy):
    return fitted(folder, tiny_policy, request.param)


def test_the_command_line_knows_the_models():
    assert REWARD_MODELS == MODELS


def test_all_three_are_judged_on_the_same_held_out_votes(compared):
    agreements = compared.compared.agreements
    assert list(agreements) == list(MODELS)
    assert agreements[PROFILE] == compared.trained.agreement
    assert agreements[compared.run.record["model"]] == compared.agreement
    assert len({(found.votes, found.pairs) for found in agreements.values()}) == 1
    record = compared.run.record
    assert record["models"]["neural"]["share"] == agreements[NEURAL].share
    assert record["agreement"]["share"] == compared.agreement.share
    card = (compared.run.path / CARD_FILE).read_text()
    assert all(f"| {name} | {found} |" in card for name, found in agreements.items())
    assert f"share of the blend is {record['blend_weight']:.0%}" in card
    assert f"| agreement with held-out votes | **{compared.agreement}** on" in card
    assert ("is linear in its features" in card) == (record["model"] == BLEND)


def test_a_run_scores_by_the_model_that_was_asked_for(compared, folder, tiny_policy):
    melodies = compose(tiny_policy, 12, conditioning=CONDITIONING, seed=5)
    model = compared.run.record["model"]
    expected = {NEURAL: compared.compared.neural, BLEND: compared.compared.blend}[model]
    part = reward_of(compared.run.name, root=folder / "runs")
    for one, other in zip(part.score(melodies), expected.score(melodies), strict=True):
        assert np.array_equal(one, other)
    assert part.profile is not None  # for people to read, whatever scores
    profile = load_model(compared.run).profile  # there in any case
    assert profile.votes == compared.votes
    if model == NEURAL:
        assert not np.allclose(part.score(melodies)[0], profile.score(melodies)[0])


def test_the_hash_is_of_what_scores(folder, tiny_policy):
    run = fitted(folder, tiny_policy, NEURAL).run
    before = load_model(run).sha256
    profile = json.loads((run.path / "taste.json").read_text())
    (run.path / "taste.json").write_text(json.dumps(profile | {"votes": 1}))
    assert load_model(run).sha256 == before  # the profile is for people here
    other = NeuralReward.load(run.path / "neural.safetensors")
    other.members[0].outward.weight.data += 1
    other.save(run.path / "neural.safetensors")
    assert load_model(run).sha256 != before


def test_a_model_of_another_version_is_refused(folder, tiny_policy, monkeypatch):
    run = fitted(folder, tiny_policy, PROFILE).run
    monkeypatch.setattr(type(run), "record", {"model": "oracle"})
    with pytest.raises(RunError, match="is a 'oracle' of another version"):
        load_model(run)


def test_too_few_votes_to_compare_by_leave_no_run(tmp_path, tiny_policy):
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        pair_up(store, tiny_policy, "tiny", CONDITIONING, PoolConfig(melodies=6, pairs=3))
        simulate_votes(store, SimulatedListener("calm"), 3)
    with pytest.raises(AgreementError, match="too few to hold any out"):
        fitted(tmp_path, tiny_policy, BLEND)
    assert not list((tmp_path / "runs").glob("reward-*"))


def test_people_and_simulated_listeners_are_mixed_on_request_only(tmp_path, tiny_policy):
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        pair_up(store, tiny_policy, "tiny", CONDITIONING, PoolConfig(melodies=60, pairs=40))
        simulate_votes(store, SimulatedListener("calm"), 40)
        person = store.add_rater("someone", consent_version="1")
        for number in range(20):
            issued = store.issue(person.id)
            assert issued is not None
            store.vote(
                issued.assignment_id,
                Answer(outcome="left", nonce=f"{number:032x}", renderer="none"),
            )
    with pytest.raises(RunError, match="not mixed unasked; choose with --votes-of person, sim"):
        fitted(tmp_path, tiny_policy, PROFILE)
    both = fitted(tmp_path, tiny_policy, PROFILE, kind=BOTH)
    assert (both.raters, both.run.record["config"]["votes_of"]) == (2, "person and simulated")
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        assert len(voted_pairs(store, both.run.record, styles_of(tiny_policy))) == both.votes
    card = (both.run.path / CARD_FILE).read_text()
    assert "of people and simulated listeners:" in card
    assert "Part of it was taught by simulated listeners, who are not people." in card


def test_what_a_run_learnt_from_is_known_even_if_its_card_fails(tmp_path, tiny_policy, monkeypatch):
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        pair_up(store, tiny_policy, "tiny", CONDITIONING, PoolConfig(melodies=20, pairs=10))
        simulate_votes(store, SimulatedListener("calm"), 10)

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("reward.training.fit.write_reward_card", fail)
    with pytest.raises(OSError, match="no space left"):
        fitted(tmp_path, tiny_policy, PROFILE, name="half")
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        rater = store.rater_named(SimulatedListener("calm").name, kind="simulated")
        assert store.withdraw(rater.id).runs == ("half",)
