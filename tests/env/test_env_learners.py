"""Other people's learners train on the environment as they are."""

from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_checker import check_env

from music.melody import Header

SHORT = {"meter": "2/4", "bars": 4, "pickup_ticks": 0}


def tonic_notes(melodies):
    """Share of the notes on the tonic: four of 37 pitches, .11 by chance."""
    return [np.mean([note.pitch % 12 == 0 for note in melody.notes]) for melody in melodies]


@pytest.fixture
def make(tiny_policy) -> Callable[[], gymnasium.Env]:
    name = "env:tastemaker/Melody-v0"
    return lambda: gymnasium.make(name, policy=tiny_policy, reward=tonic_notes, options=SHORT)


class Endings(BaseCallback):
    """Keeps the info and the return of every melody that ended."""

    def __init__(self):
        super().__init__()
        self.infos = []

    def _on_step(self) -> bool:
        self.infos += [info for info in self.locals["infos"] if "melody" in info]
        return True

    @property
    def shares(self):
        return np.array(tonic_notes([info["melody"] for info in self.infos]))


def train(learner, env, steps, **kwargs):
    small = {"policy_kwargs": {"net_arch": [32]}, "gamma": 1.0, "seed": 0, "device": "cpu"}
    model = learner("MultiInputPolicy", env, **small, **kwargs)
    before = {name: weight.clone() for name, weight in model.policy.state_dict().items()}
    endings = Endings()
    model.learn(steps, callback=endings)
    after = model.policy.state_dict()
    assert all(weight.isfinite().all() for weight in after.values())
    assert all(not after[name].equal(weight) for name, weight in before.items())
    return model, endings


def test_stable_baselines3_finds_nothing_to_complain_of(make):
    check_env(make().unwrapped)  # warnings are errors here


@pytest.mark.slow
@pytest.mark.timeout(900)  # four minutes on a busy core
@pytest.mark.learns
@pytest.mark.parametrize(("learner", "by_chance"), [(PPO, 0.36), (MaskablePPO, 0.11)])
def test_a_learner_learns_what_it_is_paid_for(make, learner, by_chance):
    """A learner without a mask draws header tokens too, for which the tonic stands: 255 of 918."""
    settings = {"n_steps": 256, "batch_size": 64, "n_epochs": 4, "learning_rate": 3e-3}
    model, endings = train(learner, make(), 8_192, **settings)
    assert model.num_timesteps == 8_192
    assert len(endings.infos) > 100
    for info in endings.infos:
        header: Header = info["melody"].header
        assert (header.meter, header.bars, header.pickup_ticks) == ("2/4", 4, 0)
        assert not info["TimeLimit.truncated"]
        episode = info["episode"]  # what the learner was paid and how long it took
        paid = tonic_notes([info["melody"]])[0] - 0.01 * info["illegal_actions"]
        assert episode["r"] == pytest.approx(paid, abs=1e-4)
    for info in endings.infos[:20]:  # later, one without a mask may have learnt what is illegal
        assert (info["illegal_actions"] > 0) == (learner is PPO)
    assert endings.shares[:60].mean() < by_chance + 0.09
    assert endings.shares[-60:].mean() > by_chance + 0.29
