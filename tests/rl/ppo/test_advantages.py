import torch
from torch.testing import assert_close

from rl.ppo.advantages import advantages, last_decision, returns, shaped_rewards


def test_advantages_by_hand():
    got = advantages(
        torch.tensor([[0.0, 0.0, 1.0]]),
        torch.full((1, 3), 0.5),
        torch.ones(1, 3, dtype=torch.bool),
        gamma=1.0,
        lam=0.5,
    )
    # delta = 0, 0, 0.5; each earlier one adds half of the next
    assert_close(got, torch.tensor([[0.125, 0.25, 0.5]]))


def test_forced_tokens_are_stepped_over():
    decision = torch.tensor([[True, False, True, False, True, False]])
    value = torch.tensor([[0.5, 9.0, 0.5, -7.0, 0.5, 3.0]])
    reward = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]])
    got = advantages(reward, value, decision, gamma=1.0, lam=0.5)
    assert_close(got, torch.tensor([[0.125, 0.0, 0.25, 0.0, 0.5, 0.0]]))


def test_lambda_one_is_the_whole_return_less_the_value():
    reward, value = torch.rand(3, 7), torch.rand(3, 7)
    decision = torch.ones(3, 7, dtype=torch.bool)
    got = advantages(reward, value, decision, gamma=1.0, lam=1.0)
    assert_close(got, reward.flip(1).cumsum(1).flip(1) - value)


def test_padding_does_not_matter():
    reward, value = torch.rand(2, 5), torch.rand(2, 5)
    decision = torch.tensor([[1, 1, 0, 1, 1], [1, 0, 1, 1, 0]], dtype=torch.bool)
    short = advantages(reward, value, decision, gamma=1.0, lam=0.9)
    more = torch.nn.functional.pad
    longer = advantages(
        more(reward, (0, 3), value=5.0), more(value, (0, 3), value=5.0), more(decision, (0, 3)),
        gamma=1.0, lam=0.9,
    )  # fmt: skip
    assert_close(longer[:, :5], short)
    assert not longer[:, 5:].any()


def test_the_score_comes_at_the_last_decision_and_each_choice_pays_for_where_it_leads():
    decision = torch.tensor([[False, True, True, False], [False, True, False, True]])
    kl = torch.tensor([[9.0, 1.0, 0.5, 0.0], [0.0, 0.0, 7.0, 2.0]])
    got = shaped_rewards(torch.tensor([3.0, 4.0]), kl, decision, 0.1)
    # a forced token's KL is nobody's, and the first choice's own is in the loss
    assert_close(got, torch.tensor([[0.0, -0.05, 3.0, 0.0], [0.0, -0.2, 0.0, 4.0]]))
    assert last_decision(decision).tolist() == [2, 3]


def test_returns_are_all_that_comes_after():
    assert_close(returns(torch.tensor([[1.0, 0.0, 2.0]])), torch.tensor([[3.0, 2.0, 2.0]]))
