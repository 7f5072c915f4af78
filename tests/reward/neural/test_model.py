"""The neural reward reads the policy, a score has the base's unit, a file is whole or refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from music.styles import Styles
from music.tokens import encode
from policy.model import MelodyForCausalLM, melody_config, right_pad
from policy.scope import styles_of
from reward.neural.model import (
    NeuralReward,
    NeuralRewardError,
    Readout,
    ReadTrunk,
    padded,
    utilities,
)


@pytest.fixture(scope="module")
def policy():
    """Three layers, so that there is one to leave out."""
    shape = {"num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return MelodyForCausalLM(melody_config(hidden_size=32, num_layers=3, **shape)).eval()


@pytest.fixture(scope="module")
def melodies(random_melodies):
    return random_melodies(70, seed=1)


@pytest.fixture(scope="module")
def reward(policy, melodies):
    reader = ReadTrunk.of(policy, melodies)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        members = [Readout(32, 4) for _ in range(3)]
    return NeuralReward.of(reader, members, reader.states(melodies), votes=12)


def test_states_are_those_of_the_policy_s_lower_layers(policy, reward, melodies):
    """Against Hugging Face's forward: hidden states after layer 2 of 3, and the last norm."""
    reader = reward.reader
    states = reader.states(melodies[:5])
    ids = right_pad([encode(melody).astype(np.int64) for melody in melodies[:5]])
    with torch.no_grad():
        hidden = policy.model(ids, output_hidden_states=True).hidden_states[2]
        expected = policy.model.norm(hidden)
    for row, (found, melody) in enumerate(zip(states, melodies, strict=False)):
        length = len(encode(melody))
        assert found.shape == (length, 32)
        raw = found * reader.std_D + reader.mean_D
        torch.testing.assert_close(raw, expected[row, :length], atol=1e-5, rtol=1e-5)


def test_states_go_by_the_styles_of_the_policy(melodies):
    """A label is another token for each policy, and "other" for one that does not know it."""
    shape = {"num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32, "num_layers": 1}
    styles = Styles(("other", "tango", "jig"))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        policy = MelodyForCausalLM(melody_config(hidden_size=32, styles=styles, **shape)).eval()
    reader = ReadTrunk.of(policy, melodies)
    labels = ("jig", "tango", "other", "kyrie")
    same = [replace(m, header=replace(m.header, style=s)) for m in melodies[:1] for s in labels]
    states = reader.states(same)
    for melody, found in zip(same, states, strict=True):
        ids = torch.from_numpy(encode(melody, styles).astype(np.int64))[None]
        with torch.no_grad():
            expected = policy.model(ids).last_hidden_state[0]
        raw = found * reader.std_D + reader.mean_D
        torch.testing.assert_close(raw, expected, atol=1e-5, rtol=1e-5)
    assert not torch.equal(states[0], states[1])
    assert torch.equal(states[2], states[3])


def test_a_saved_reward_keeps_the_styles_of_its_policy(melodies, tmp_path):
    styles = Styles(("other", "tango"))
    shape = {"num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32, "num_layers": 1}
    policy = MelodyForCausalLM(melody_config(hidden_size=32, styles=styles, **shape)).eval()
    reader = ReadTrunk.of(policy, melodies)
    made = NeuralReward.of(
        reader, [Readout(32, 4), Readout(32, 4)], reader.states(melodies), votes=2
    )
    made.save(tmp_path / "neural.safetensors")
    again = NeuralReward.load(tmp_path / "neural.safetensors")
    assert styles_of(again.reader.trunk) == styles
    tangos = [replace(m, header=replace(m.header, style="tango")) for m in melodies[:5]]
    np.testing.assert_array_equal(again.score(tangos)[0], made.score(tangos)[0])


def test_states_are_standardised_and_do_not_learn(reward, melodies):
    every = torch.cat(reward.reader.states(melodies))
    torch.testing.assert_close(every.mean(0), torch.zeros(32), atol=1e-4, rtol=0)
    torch.testing.assert_close(every.std(0), torch.ones(32), atol=1e-4, rtol=0)
    assert not any(weight.requires_grad for weight in reward.reader.trunk.parameters())


def test_neither_company_nor_order_nor_padding_matters(reward, melodies):
    mean, std = reward.score(melodies)
    order = np.random.default_rng(0).permutation(len(melodies))
    again, doubt = reward.score([melodies[i] for i in order])
    np.testing.assert_allclose(again, mean[order], atol=1e-4)
    np.testing.assert_allclose(doubt, std[order], atol=1e-4)
    alone, _ = reward.score(melodies[:1])
    np.testing.assert_allclose(alone, mean[:1], atol=1e-4)


def test_a_readout_by_hand():
    """Two tokens and padding, one unit: the mean of silu over tokens, times its weight."""
    readout = Readout(1, 1)
    with torch.no_grad():
        readout.inward.weight.fill_(1.0)
        readout.inward.bias.fill_(0.0)
        readout.outward.weight.fill_(3.0)
    states, real = padded([torch.tensor([[1.0], [2.0]]), torch.ones(3, 1)])
    got = readout(states, real)
    silu = {x: x / (1 + np.exp(-x)) for x in (1.0, 2.0)}
    assert got.tolist() == pytest.approx([3 * (silu[1.0] + silu[2.0]) / 2, 3 * silu[1.0]])


def test_a_score_is_in_the_base_s_deviations_with_the_jackknife_s_doubt(reward, melodies):
    mean, std = reward.score(melodies)
    assert mean.mean() == pytest.approx(0, abs=1e-5)
    assert mean.std() == pytest.approx(1, abs=1e-5)
    raw = utilities(reward.members, reward.reader.states(melodies))
    each = (raw - raw.mean(1, keepdims=True)) / raw.mean(0).std()
    jackknife = np.sqrt(2 / 3 * ((each - each.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose(std, jackknife, atol=1e-5)


def test_members_that_agree_have_no_doubt(reward, melodies):
    same = NeuralReward.of(
        reward.reader, reward.members[:1] * 3, reward.reader.states(melodies), votes=1
    )
    np.testing.assert_allclose(same.score(melodies[:4])[1], 0, atol=1e-9)


def test_what_is_saved_is_read(reward, melodies, tmp_path):
    path = tmp_path / "neural.safetensors"
    reward.save(path)
    again = NeuralReward.load(path)
    for one, other in zip(again.score(melodies[:9]), reward.score(melodies[:9]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (again.votes, again.utility_std) == (12, reward.utility_std)
    assert [file.name for file in tmp_path.iterdir()] == ["neural.safetensors"]


def test_a_write_that_fails_leaves_the_old_file(reward, tmp_path, monkeypatch):
    path = tmp_path / "neural.safetensors"
    reward.save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space"):
        reward.save(path)
    assert path.read_bytes() == before


def test_a_broken_file_is_refused_in_one_line(reward, tmp_path):
    path = tmp_path / "neural.safetensors"
    reward.save(path)
    whole = path.read_bytes()
    for harm in (b"", whole[: len(whole) // 2], b"{" + whole):
        path.write_bytes(harm)
        with pytest.raises(NeuralRewardError, match="train it again") as told:
            NeuralReward.load(path)
        assert "\n" not in str(told.value)
    path.unlink()
    with pytest.raises(NeuralRewardError, match="is not a readable neural reward"):
        NeuralReward.load(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "pt"}, "no neural reward"),
        ({"version": "99"}, "has version '99', this is 1"),
        ({"members": "4"}, "is broken"),
        ({"members": "1"}, "is broken"),
        ({"utility_std": "0.0"}, "is broken"),
        ({"trunk": "{}"}, "it has no vocab_size"),
    ],
)
def test_another_kind_of_file_is_refused(reward, tmp_path, change, said):
    from safetensors import safe_open

    path = tmp_path / "neural.safetensors"
    reward.save(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, metadata=metadata | change)
    with pytest.raises(NeuralRewardError, match=said):
        NeuralReward.load(path)


def test_missing_and_mad_tensors_are_told(reward, tmp_path):
    from safetensors import safe_open

    path = tmp_path / "neural.safetensors"
    reward.save(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    save_file({n: t for n, t in tensors.items() if n != "mean_D"}, path, metadata=metadata)
    with pytest.raises(NeuralRewardError, match="is broken"):
        NeuralReward.load(path)
    for cut in ({"mean_D": torch.zeros(5)}, {"std_D": torch.zeros(32)}):
        save_file(tensors | cut, path, metadata=metadata)
        with pytest.raises(NeuralRewardError, match="is broken"):
            NeuralReward.load(path)
    save_file(tensors | {"mean_D": torch.full((32,), torch.nan)}, path, metadata=metadata)
    with pytest.raises(NeuralRewardError, match="mean_D has numbers that are not"):
        NeuralReward.load(path)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"trunk.norm.weight": torch.ones(32, dtype=torch.int64)}, "norm.weight has the type I64"),
        ({"trunk.norm.weight": torch.ones(32, dtype=torch.float64)}, "has the type F64"),
        ({"member.0.inward.bias": torch.zeros(0)}, "member 0 has 0 units"),
        ({"member.0.inward.weight": torch.zeros(10**15, 0)}, "has another shape"),
        ({"surprise": torch.zeros(1)}, "has surprise, which no neural reward has"),
        ({"trunk.norm.weight": torch.full((32,), torch.inf)}, "norm.weight .* not finite"),
    ],
)
def test_tensors_that_no_neural_reward_has_are_refused(reward, tmp_path, tensors, says):
    harm(reward, tmp_path / "neural.safetensors", tensors=tensors)
    with pytest.raises(NeuralRewardError, match=f"{says}.*train it again"):
        NeuralReward.load(tmp_path / "neural.safetensors")


@pytest.mark.parametrize("layers", [-1, 0, 10**6])
def test_a_trunk_of_another_depth_is_refused_before_it_is_made(
    reward, tmp_path, monkeypatch, layers
):
    trunk = reward.reader.trunk.config.to_dict() | {"num_hidden_layers": layers}
    harm(reward, tmp_path / "neural.safetensors", metadata={"trunk": json.dumps(trunk)})
    monkeypatch.setattr("reward.neural.model.MelodyModel", None)
    with pytest.raises(NeuralRewardError, match=r"num_hidden_layers=.* is not within 1 to 256"):
        NeuralReward.load(tmp_path / "neural.safetensors")


def harm(reward, path, *, tensors=None, metadata=None):
    """Save a reward with other tensors or metadata."""
    from safetensors import safe_open

    reward.save(path)
    with safe_open(path, framework="pt") as file:
        said = file.metadata() | (metadata or {})
    save_file(load_file(path) | (tensors or {}), path, metadata=said)


def test_one_melody_has_no_spread(policy, melodies):
    with pytest.raises(NeuralRewardError, match="1 base melodies have no spread"):
        ReadTrunk.of(policy, melodies[:1])
