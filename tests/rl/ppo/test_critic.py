"""The critic that is solved for: what it recovers, what it must not know, what it keeps."""

import pytest
import torch

from policy.runs import RunError
from rl.ppo.critic import RidgeCritic, explained_variance


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear_task(count: int, noise: float, seed: int = 0):
    hidden = torch.randn(count, 6, generator=seeded(seed))
    truth = hidden @ torch.tensor([1.0, -2.0, 0.5, 0.0, 0.0, 3.0]) + 4.0
    return hidden, truth, truth + noise * torch.randn(count, generator=seeded(seed + 1))


def test_it_recovers_a_linear_return_at_once():
    hidden, truth, seen = linear_task(4000, noise=1.0)
    half = torch.arange(4000) % 2 == 1
    value = RidgeCritic(6).values(hidden, seen, half)
    assert explained_variance(value, truth) > 0.99


def test_no_return_explains_itself():
    """Pure noise: with as many weights as choices a fit would explain it all; the halves do not."""
    hidden = torch.randn(60, 50, generator=seeded(2))
    noise = torch.randn(60, generator=seeded(3))
    value = RidgeCritic(50).values(hidden, noise, torch.arange(60) % 2 == 1)
    assert torch.corrcoef(torch.stack([value, noise]))[0, 1].abs() < 0.35


def test_each_half_has_the_values_of_the_other_by_hand():
    """No hidden states: the value is the mean return of the other half, then of all so far."""
    critic = RidgeCritic(0)
    half = torch.tensor([False, False, True])
    value = critic.values(torch.zeros(3, 0), torch.tensor([1.0, 3.0, 10.0]), half)
    torch.testing.assert_close(value, torch.tensor([10.0, 10.0, 2.0]), rtol=1e-5, atol=0)
    # now 0.7 of three old returns with sum 14 stands beside each new half
    value = critic.values(torch.zeros(2, 0), torch.tensor([0.0, 5.0]), torch.tensor([False, True]))
    wanted = torch.tensor([(9.8 + 5) / 3.1, 9.8 / 3.1])
    torch.testing.assert_close(value, wanted, rtol=1e-5, atol=0)


def test_restored_it_goes_on_as_if_nothing_had_been():
    hidden, _, seen = linear_task(200, noise=1.0)
    half = torch.arange(200) % 2 == 1
    one, other = RidgeCritic(6), RidgeCritic(6)
    one.values(hidden, seen, half)
    other.restore(one.tensors())
    assert torch.equal(one.values(hidden, seen, half), other.values(hidden, seen, half))


def test_the_unit_of_an_input_is_of_no_account():
    hidden, _, seen = linear_task(400, noise=1.0)
    half = torch.arange(400) % 2 == 1
    unit = torch.tensor([1000.0, 0.1, 1.0, 7.0, 1.0, 1.0])
    one = RidgeCritic(6).values(hidden, seen, half)
    other = RidgeCritic(6).values(hidden * unit + 5.0, seen, half)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_an_input_that_has_not_varied_yet_does_no_harm():
    hidden, truth, seen = linear_task(400, noise=1.0)
    hidden[:, 3] = 2.0
    half = torch.arange(400) % 2 == 1
    assert explained_variance(RidgeCritic(6).values(hidden, seen, half), truth) > 0.95


@pytest.mark.parametrize("inputs", [6, 12])
def test_that_of_another_version_is_refused_in_words(inputs):
    with pytest.raises(RunError, match=f"critic has {inputs} inputs and this version's 9;"):
        RidgeCritic(9).restore(RidgeCritic(inputs).tensors())


@pytest.mark.parametrize("inputs", [6, 9])
def test_what_it_saves_has_a_row_for_each_input_and_a_constant(inputs):
    tensors = RidgeCritic(inputs).tensors()
    assert tensors["gram"].shape == (inputs + 1, inputs + 1)
    assert tensors["moment"].shape == (inputs + 1,)
