"""The throughput benchmark: its FLOPs, its levers, what TRL is given, and that it runs."""

import copy
import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from music.tokens import encode
from policy.checkpoint import save_policy
from policy.compose import compose
from policy.logprobs import mask_rows_of
from policy.masked import MaskedMelodyForCausalLM
from policy.model import MelodyForCausalLM, melody_config, right_pad
from policy.scope import scope_of, styles_of
from reward.comparisons.preferences import Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.profile import TasteProfile
from rl.ppo.actor import Actor
from rl.ppo.config import PPOConfig
from rl.ppo.objective import saturated
from tests.support import network_guard
from tests.support.project import PROJECT

pytestmark = pytest.mark.slow

SMALL = PPOConfig(melodies_per_update=8, minibatch=4, meter="2/4", bars=4, threads=1)
SCRIPT = PROJECT / "benchmarks" / "ppo" / "ppo_throughput.py"


@pytest.fixture(scope="module")
def policy():
    """Two layers, so that one can be frozen."""
    shape = {"num_layers": 2, "num_heads": 4, "num_key_value_heads": 2, "intermediate_size": 24}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MelodyForCausalLM(melody_config(hidden_size=32, **shape)).eval()


@pytest.fixture(scope="module")
def profile(tiny_policy):
    melodies = compose(tiny_policy, 40, conditioning=SMALL.conditioning)
    outcome = np.where(np.arange(20) % 3, 1, -1)
    votes = Preferences.of(np.arange(20), np.arange(20, 40), outcome)
    return TasteProfile.fit(votes, melodies, FeatureScale.of(melodies))


# --- FLOPs


def counted(actor, ids, decision, mask_row, states=None):
    """What torch's counter sees of a forward and a backward."""
    with FlopCounterMode(display=False) as counter:
        actor(ids, mask_row, decision, states).exp().square().sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("first", [0, 1])
def test_the_formula_is_what_torch_counts_less_half_the_attention_square(policy, first):
    flops = import_module("matmul_flops")
    row = encode(compose(policy, 1, conditioning=SMALL.conditioning)[0])
    melodies, tokens = 3, len(row)
    ids = right_pad([row] * melodies)  # of one length: nothing is padded
    decision = torch.zeros_like(ids, dtype=torch.bool)
    decision[:, 7::2] = True
    mask_row = torch.from_numpy(mask_rows_of(ids.numpy(), scope_of(policy)))
    actor = Actor(copy.deepcopy(policy), None if first == 0 else 2 - first)
    states = torch.randn(*ids.shape, 32) if first else None
    fed, choices = np.full(melodies, tokens), decision.sum(1).numpy()
    useful = flops.learning_flops(policy.config, fed, choices, first=first)
    # The product of all pairs, of which the formula takes those that are not in the future.
    future = 3 * melodies * (2 - first) * 2 * 4 * 8 * (tokens**2 - tokens)
    assert counted(actor, ids, decision, mask_row, states) == useful + future


def test_the_peak_is_that_of_a_product_that_ran():
    peak = import_module("matmul_flops").peak_gflops(torch.float32, seconds=0.02)
    assert 0.1 < peak < 1e5


# --- Our side


def test_levers_change_what_an_update_costs_and_not_what_it_gives(policy, profile):
    ours = import_module("our_update")
    updates = ours.OurUpdates(SMALL, policy, profile)
    default = updates.update()
    assert default.steps == 2
    assert default.seconds > default.learning > 0
    assert default.cpu > 0
    learnt = updates.ppo.actor.trained
    assert all(not p.equal(policy.state_dict()[name]) for name, p in learnt.items())
    for lever in ours.levers():
        updates = ours.OurUpdates(replace(SMALL, **lever.changes), policy, profile)
        with lever.context():
            other = updates.update()
        assert other.steps == default.steps
        if "draw" in lever.name:  # another draw from the same distribution
            assert other.sampled.hidden.shape != default.sampled.hidden.shape
            continue
        if lever.name.startswith("option"):
            continue
        same = {"atol": 1e-4, "rtol": 1e-4}
        assert other.sampled.sampled.ids.equal(default.sampled.sampled.ids), lever.name
        for name in ("reference_hidden", "hidden"):
            got, wanted = getattr(other.sampled, name), getattr(default.sampled, name)
            torch.testing.assert_close(got, wanted, **same)
        for name, parameter in updates.ppo.actor.trained.items():
            torch.testing.assert_close(parameter, learnt[name], **same)


@pytest.mark.parametrize("layers_trained", [1, None])
def test_what_is_run_is_at_least_what_is_useful(policy, profile, layers_trained):
    config = replace(SMALL, layers_trained=layers_trained)
    rollout, learning = (
        import_module("our_update").OurUpdates(config, policy, profile).executed_share()
    )
    assert 1 < learning < 4  # heads and critic weigh more in a policy this small
    assert 1 < rollout < 4


# --- TRL's side


def test_trl_is_paid_what_our_actor_is_paid(tiny_policy, profile):
    melodies = compose(tiny_policy, 5, conditioning=SMALL.conditioning, seed=3)
    ids = right_pad([encode(melody) for melody in melodies])
    reward = import_module("trl_models").MelodyReward(profile, 0.5, 1.5, styles_of(tiny_policy))
    # As TRL's get_reward does it.
    backbone = getattr(reward, reward.base_model_prefix)
    paid = reward.score(backbone(input_ids=ids, use_cache=False).hidden_states[-1])
    mean, std = profile.score(melodies)
    expected = saturated(torch.from_numpy(mean - 0.5 * std), 1.5).float()
    assert paid.shape == (*ids.shape, 1)
    torch.testing.assert_close(paid[:, -1, 0], expected)
    np.testing.assert_allclose(np.concatenate(reward.means), mean)


def test_trl_starts_from_our_weights_without_dropout(tiny_policy):
    driver = import_module("trl_models")
    policy = MaskedMelodyForCausalLM.of(tiny_policy).train()
    ids = right_pad([encode(m) for m in compose(tiny_policy, 4, conditioning=SMALL.conditioning)])
    assert policy(ids).logits.equal(policy(ids).logits)
    legal = policy(ids).logits > -1e8
    plain = tiny_policy(input_ids=ids).logits
    torch.testing.assert_close(policy(ids).logits[legal], plain[legal])
    value = driver.MelodyValue(tiny_policy)
    hidden = value.model(input_ids=ids).last_hidden_state
    assert (value.score(hidden) == 0).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"minibatch": 3}, "minibatch=3 does not divide melodies_per_update=8"),
        ({"epochs": 0}, "epochs=0 is below 1"),
        ({"save_every": 2}, "save_every=2 needs out"),
        ({"melodies": 8}, r"unknown fields \['melodies'\]"),
    ],
)
def test_a_wrong_job_is_told_before_anything_is_loaded(tmp_path, changes, said):
    right = {
        "base": "b", "taste": "t", "conditioning": {}, "updates": 1, "melodies_per_update": 8,
        "minibatch": 4, "epochs": 1,
    }  # fmt: skip
    driver = import_module("trl_ppo")
    file = tmp_path / "job.json"
    file.write_text(json.dumps(right))
    assert driver.TRLJob.read(file).minibatch == 4
    file.write_text(json.dumps(right | changes))
    with pytest.raises(ValueError, match=said):
        driver.TRLJob.read(file)


@pytest.mark.parametrize("name", ["second_environment", "imitation_environment"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, name):
    environment = import_module(name)
    (tmp_path / "votes.sqlite").write_text("dear")
    with pytest.raises(environment.EnvironmentFault, match="holds something that is not"):
        getattr(environment, name)(tmp_path)
    assert (tmp_path / "votes.sqlite").read_text() == "dear"


# --- The whole


@pytest.mark.timeout(1800)  # it makes an environment, and a busy machine may take long over it
def test_both_rivals_run_and_do_the_same_work(tiny_policy, tmp_path, monkeypatch):
    monkeypatch.setenv(network_guard.INSTALLS, "1")
    save_policy(tiny_policy, tmp_path / "base")
    done = subprocess.run(
        [
            sys.executable, SCRIPT, "--quick", "--threads", "1",
            "--base", tmp_path / "base", "--environment", tmp_path / "environment",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["versions"]["trl"] == "1.12.0"
    assert result["optimizer_steps"] == 2  # of 16 melodies in minibatches of 8
    for name in ("ratio_vs_trl", "ratio_vs_sb3", "update_gflops", "rollout_gflops", "peak_gflops"):
        assert 0 < result[name] < np.inf, name
    low, high = result["ratio_vs_trl_spread"]
    assert low <= result["ratio_vs_trl"] <= high
    assert set(result["episodes_per_second"]) == {"ours", "trl", "sb3"}
    tokens = result["tokens_per_melody"]
    assert tokens["trl"] == pytest.approx(tokens["ours"], rel=0.2)
    assert tokens["trl_padded"] > tokens["trl"]
