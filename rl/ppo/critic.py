"""The critic: expected returns by ridge regression on what is known at each decision.

A value head on a shared trunk, trained by gradient steps, learns too late: in the first updates it
knows nothing, and its loss changes the trunk. A linear head has a closed form. This one is a ridge
regression on all decisions so far, in which older ones count less. Each half of the melodies gets
values from the regression on the other half, so that no return predicts itself. PPO gives it the
policy's hidden states and `rl.ppo.critic_features`.

Letters: N decisions, D inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from policy.runs import RunError

FORGET = 0.7
"""weight that an update's statistics keep at the next one"""
RIDGE = 0.001
"""penalty on the squared weights, per decision, if every input had unit variance"""


class RidgeCritic:
    """Sufficient statistics of inputs and returns."""

    def __init__(self, width: int) -> None:
        # On the CPU and in float64, wherever the policy is: the Gram matrix is badly conditioned.
        self.gram = torch.zeros(width + 1, width + 1, dtype=torch.float64)
        """(D + 1, D + 1) sums of products of inputs and a constant"""
        self.moment = torch.zeros(width + 1, dtype=torch.float64)
        """(D + 1,) sums of products with the return"""

    def values(
        self,
        known_ND: Tensor,
        return_N: Tensor,
        second_half_N: Tensor,
        total: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    ) -> Tensor:
        """Values (N,) of new decisions from earlier ones and the other half's; then adds them.

        Args:
            known_ND: what was known at each decision.
            return_N: the return after it.
            second_half_N: bool, to which half of the melodies each belongs.
            total: sum over processes, where there are several.
        """
        one = torch.ones(len(known_ND), 1, dtype=torch.float64)
        x_NE = torch.cat([known_ND.detach().cpu().double(), one], 1)
        y_N = return_N.detach().cpu().double()
        second_N = second_half_N.cpu()
        halves: list[tuple[Tensor, Tensor]] = []
        for mine in (~second_N, second_N):
            x = x_NE[mine]
            halves.append((total(x.T @ x), total(x.T @ y_N[mine])))
        value_N = torch.zeros_like(y_N)
        for mine, (gram, moment) in zip((~second_N, second_N), reversed(halves), strict=True):
            weights = _solve(self.gram + gram, self.moment + moment)
            value_N[mine] = x_NE[mine] @ weights
        for gram, moment in halves:
            self.gram, self.moment = self.gram + gram, self.moment + moment
        self.gram, self.moment = FORGET * self.gram, FORGET * self.moment
        return value_N.to(return_N)

    def tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs."""
        return {"gram": self.gram, "moment": self.moment}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave.

        Raises:
            RunError: when they are of a critic with other inputs.
        """
        if tensors["gram"].shape != self.gram.shape:
            raise RunError(
                f"the run's critic has {len(tensors['gram']) - 1} inputs and this version's "
                f"{len(self.gram) - 1}; it was made by another version: start a new run"
            )
        self.gram, self.moment = tensors["gram"].clone(), tensors["moment"].clone()


def _solve(gram: Tensor, moment: Tensor) -> Tensor:
    count = gram[-1, -1].clamp(min=1.0)
    variance = gram.diagonal() / count - (gram[-1] / count).square()
    # The constant has no variance and is free; so is, but for rounding, what has not varied yet.
    penalty = RIDGE * count * variance.clamp(min=0.0) + 1e-10 * count
    return torch.linalg.solve(gram + torch.diag(penalty), moment)


def explained_variance(value_N: Tensor, return_N: Tensor) -> Tensor:
    """Share of the returns' variance that the values explain; 0 dimensions, at most 1."""
    return 1 - (return_N - value_N).var() / return_N.var().clamp(min=1e-12)
