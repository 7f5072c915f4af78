"""The forward without padding equals Hugging Face's, from any layer on, with its gradients."""

import copy

import pytest
import torch

from music.tokens import PAD, encode
from policy.model import MelodyForCausalLM, melody_config, right_pad
from policy.trunk import Packed, hidden_at_choices


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(4)
    shape = {"hidden_size": 32, "num_layers": 3, "num_heads": 4, "num_key_value_heads": 2}
    model = MelodyForCausalLM(melody_config(**shape, intermediate_size=48)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def batch(random_melodies):
    """Melodies of unlike lengths, and some of their places after BOS."""
    ids = right_pad([encode(melody) for melody in random_melodies(7, seed=5)])
    wanted = (ids != PAD) & (
        torch.rand(ids.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    )
    wanted[:, 0] = False
    return ids, wanted


def plain(model, ids, wanted):
    """The same by Hugging Face: the state one token back."""
    hidden = model.model(input_ids=ids).last_hidden_state
    return hidden[:, :-1][wanted[:, 1:]]


def test_it_equals_the_plain_forward(model, batch):
    torch.testing.assert_close(
        hidden_at_choices(model.model, *batch), plain(model, *batch), rtol=1e-5, atol=3e-5
    )


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_it_goes_on_from_the_states_that_enter_any_layer(model, batch, first):
    ids, wanted = batch
    states = model.model(input_ids=ids, output_hidden_states=True).hidden_states[first]
    if first == 3:  # Hugging Face gives the last one normed
        layer_out = []
        handle = model.model.layers[2].register_forward_hook(
            lambda module, given, out: layer_out.append(out)
        )
        model.model(input_ids=ids)
        handle.remove()
        states = layer_out[0][0] if isinstance(layer_out[0], tuple) else layer_out[0]
    got = hidden_at_choices(model.model, ids, wanted, states_BTD=states, first=first)
    torch.testing.assert_close(got, plain(model, ids, wanted), rtol=1e-5, atol=3e-5)


def test_gradients_are_the_plain_ones(model, batch):
    one, other = copy.deepcopy(model), copy.deepcopy(model)
    weight = torch.randn(32, generator=torch.Generator().manual_seed(1))
    (hidden_at_choices(one.model, *batch) @ weight).sum().backward()
    (plain(other, *batch) @ weight).sum().backward()
    for (name, mine), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-4, msg=name)


def test_padding_does_not_matter(model, batch):
    ids, wanted = batch
    more = torch.nn.functional.pad(ids, (0, 9), value=PAD)
    torch.testing.assert_close(
        hidden_at_choices(model.model, more, torch.nn.functional.pad(wanted, (0, 9))),
        hidden_at_choices(model.model, ids, wanted),
        rtol=1e-6,
        atol=1e-6,
    )


def test_the_layout_by_hand():
    ids = torch.tensor([[1, 5, 6], [1, 7, PAD]])
    packed = Packed.of(ids)
    assert packed.place.tolist() == [0, 1, 2, 3, 4]
    chosen = torch.tensor([[False, True, True], [False, True, False]])
    assert packed.before(chosen).tolist() == [0, 1, 3]
