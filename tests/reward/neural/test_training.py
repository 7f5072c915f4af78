"""Training of the neural reward: Davidson's loss by hand, what is held out, and that it learns."""

import numpy as np
import pytest
import torch

from reward.comparisons.agreement import AgreementError
from reward.comparisons.preferences import Preferences
from reward.neural.model import NeuralRewardError, ReadTrunk, utilities
from reward.neural.training import (
    DavidsonRewardTrainer,
    NeuralConfig,
    RewardMember,
    _train_member,
    davidson_loss,
    fit_neural,
    fit_read,
)
from reward.profile.davidson import outcome_log_probabilities

# TRL 1.16 asks the models of transformers 5.23 by a name that these call deprecated.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is:FutureWarning"),
]
SMALL = NeuralConfig(members=3, units=4, epochs=3, learning_rate=0.01)


@pytest.fixture(scope="module")
def melodies(random_melodies):
    return random_melodies(160, seed=2)


@pytest.fixture(scope="module")
def reader(tiny_policy, melodies):
    return ReadTrunk.of(tiny_policy, melodies[:60])


@pytest.fixture(scope="module")
def states(reader, melodies):
    return reader.states(melodies)


@pytest.fixture(scope="module")
def utility(melodies):
    """A taste that hidden states show: high notes."""
    mean = np.array([np.mean([note.pitch for note in melody.notes]) for melody in melodies])
    return (mean - mean.mean()) / mean.std()


def votes(utility, count=120, seed=0, noise=0.3, **more):
    rng = np.random.default_rng(seed)
    left, right = rng.integers(100, size=(2, 3 * count))
    left, right = left[left != right][:count], right[left != right][:count]
    gap = utility[left] - utility[right] + noise * rng.logistic(size=count)
    return Preferences.of(left, right, np.where(gap > 0, 1, -1), **more)


@pytest.fixture(scope="module")
def fitted(reader, states, utility):
    return fit_read(votes(utility), reader, states, states[:60], config=SMALL)


def member(tiny_policy, raters=2):
    config = tiny_policy.config
    found = RewardMember(config, 3, raters)
    with torch.no_grad():
        found.side.fill_(0.4)
        found.log_tie.fill_(-0.5)
        found.log_scale_R.copy_(torch.tensor([0.0, 0.7]))
    return found


def test_the_loss_is_davidsons(tiny_policy):
    """Against reward.profile.davidson, which works by left and right: ties, sides, weights and
    raters."""
    left, right = np.array([0.3, 1.2, -0.5, 0.1]), np.array([0.1, -0.4, 0.6, 0.9])
    outcome, rater = np.array([1, -1, 0, -1]), np.array([0, 1, 1, 0])
    weight = np.array([1.0, 2.0, 0.5, 1.0])
    gap = np.exp(np.array([0.0, 0.7]))[rater] * (left - right) + 0.4
    log_p = outcome_log_probabilities(gap, -0.5)[1 - outcome, np.arange(4)]
    swapped = outcome == -1
    comparisons = {
        "rater": torch.tensor(rater),
        "tie": torch.tensor((outcome == 0).astype(np.float32)),
        "side": torch.tensor(np.where(swapped, -1.0, 1.0)),
        "weight": torch.tensor(weight),
    }
    both = np.concatenate([np.where(swapped, right, left), np.where(swapped, left, right)])
    loss = davidson_loss(member(tiny_policy), torch.tensor(both), comparisons)
    assert loss.item() == pytest.approx(-(weight * log_p).mean(), rel=1e-6)


def test_the_gradient_reaches_readout_and_habits(tiny_policy):
    found = member(tiny_policy)
    utility = found(torch.randn(4, 5, 32), torch.ones(4, 5))
    comparisons = {
        "rater": torch.tensor([0, 1]),
        "tie": torch.tensor([0.0, 1.0]),
        "side": torch.ones(2),
        "weight": torch.ones(2),
    }
    davidson_loss(found, utility, comparisons).backward()
    for name, weights in found.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.abs().sum() > 0, name


def test_habits_are_not_pulled_to_nothing(tiny_policy):
    names = DavidsonRewardTrainer.get_decay_parameter_names(None, member(tiny_policy))
    assert sorted(names) == ["readout.inward.weight", "readout.outward.weight"]


@pytest.mark.learns
def test_it_learns_a_taste_that_the_trunk_shows(reader, states, utility):
    """Melodies 100 to 159 were never compared."""
    longer = NeuralConfig(members=3, units=4, epochs=15, learning_rate=0.03)
    fitted = fit_read(votes(utility), reader, states, states[:60], config=longer)
    mean, std = fitted.reward.score_states(states[100:])
    assert np.corrcoef(mean, utility[100:])[0, 1] > 0.6
    assert (std > 0).all()
    assert fitted.held_out_nats_E[fitted.epochs - 1] > np.log(0.5) + 0.02


def test_a_member_is_judged_on_what_it_never_saw(fitted, reader, states, utility):
    """To turn the votes of one fold around leaves that fold's predictions alone."""
    preferences = votes(utility)
    turned = np.where(fitted.fold_N == 1, -preferences.outcome, preferences.outcome)
    other = Preferences.of(preferences.left, preferences.right, turned)
    one_epoch = NeuralConfig(members=3, units=4, epochs=1, learning_rate=0.01)
    before, after = (
        fit_read(some, reader, states, states[:60], config=one_epoch)
        for some in (preferences, other)
    )
    np.testing.assert_array_equal(before.fold_N, after.fold_N)
    own = before.fold_N == 1
    np.testing.assert_array_equal(before.held_out_gap_N[own], after.held_out_gap_N[own])
    assert (before.held_out_gap_N[~own] != after.held_out_gap_N[~own]).all()


def test_the_held_out_gaps_are_those_of_the_member_left_out(fitted, states, utility):
    preferences = votes(utility)
    raw = utilities(fitted.reward.members, states)
    rows = np.arange(len(preferences))
    expected = (raw[:, preferences.left] - raw[:, preferences.right])[fitted.fold_N, rows]
    np.testing.assert_allclose(fitted.held_out_gap_N, expected, atol=1e-5)
    assert fitted.epochs == 1 + int(fitted.held_out_nats_E.argmax())
    assert fitted.held_out_nats_E.shape == (3,)


def test_repeats_are_never_split(reader, states, utility):
    preferences = votes(utility, count=30)
    twice = Preferences.of(
        np.concatenate([preferences.left, preferences.right]),
        np.concatenate([preferences.right, preferences.left]),
        np.concatenate([preferences.outcome, -preferences.outcome]),
    )
    fold = fit_read(twice, reader, states, states[:60], config=SMALL).fold_N
    np.testing.assert_array_equal(fold[:30], fold[30:])
    assert len(set(fold)) == 3


def test_the_same_seed_gives_the_same_reward_and_leaves_chance_alone(reader, states, utility):
    fast = NeuralConfig(members=2, units=2, epochs=1)
    before = torch.get_rng_state()
    first, again, other = (
        fit_read(
            votes(utility, count=24), reader, states, states[:60], config=fast, seed=seed
        ).reward.score_states(states[100:110])[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 1e-3


def test_a_rater_who_answers_by_chance_leans_less(reader, states, utility):
    """120 good votes and 120 by chance, of two raters whose scales may differ."""
    good, chance = votes(utility, noise=0.1), votes(0 * utility, seed=9)
    both = Preferences.of(
        *(
            np.concatenate([getattr(one, name) for one in (good, chance)])
            for name in ("left", "right", "outcome")
        ),
        rater=np.repeat([0, 1], 120),
        rater_ids=("good", "chance"),
    )
    for scaled in (False, True):
        config = NeuralConfig(
            units=4, epochs=12, learning_rate=0.05, weight_decay=0.1, rater_scales=scaled
        )
        last = _train_member(both, states, reader.trunk.config, config, 0)[-1]
        of_good, of_chance = last.log_scale_R.tolist()
        if scaled:
            assert of_chance < of_good - 0.3
        else:
            assert (of_good, of_chance) == (0, 0)


def test_melodies_go_in_and_a_reward_comes_out(tiny_policy, melodies, utility):
    fast = NeuralConfig(members=2, units=2, epochs=1)
    found = fit_neural(
        votes(utility, count=12), melodies[:100], tiny_policy, melodies[100:], config=fast
    )
    mean, _ = found.reward.score(melodies[100:])
    assert mean.mean() == pytest.approx(0, abs=1e-4)
    assert mean.std() == pytest.approx(1, abs=1e-4)
    assert found.reward.votes == 12


def test_what_is_wrong_is_told(reader, states, utility):
    with pytest.raises(NeuralRewardError, match="members=1 is below 2"):
        NeuralConfig(members=1)
    with pytest.raises(NeuralRewardError, match="learning_rate=nan is not within"):
        NeuralConfig(learning_rate=float("nan"))
    with pytest.raises(NeuralRewardError, match="names melody 99 but there are 50"):
        fit_read(
            Preferences.of([99], [0], np.array([1])), reader, states[:50], states[:60], config=SMALL
        )
    with pytest.raises(AgreementError, match="2 different decided pairs cannot make folds=3"):
        fit_read(votes(utility, count=2), reader, states, states[:60], config=SMALL)
