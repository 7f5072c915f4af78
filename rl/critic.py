"""The critic: expected returns, linear in the policy's hidden states, solved for and not descended.

A value head on a shared trunk that is trained by gradient steps is late: in the first updates it
knows nothing, and its loss pulls at the trunk. A linear head has a closed form. This one is a ridge
regression on all choices so far, older ones forgotten; each half of the melodies gets the values
that the other half gave, so that no return is explained by itself.

Letters: N choices, D width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FORGET = 0.7
"""weight that an update's statistics keep at the next one"""
RIDGE = 0.003
"""penalty on the squared weights, per choice; hidden states have unit mean square"""


class RidgeCritic:
    """Sufficient statistics of hidden states and returns."""

    def __init__(self, width: int) -> None:
        # On the CPU and in float64, wherever the policy is: the Gram matrix is badly conditioned.
        self.gram = torch.zeros(width + 1, width + 1, dtype=torch.float64)
        """(D + 1, D + 1) sums of products of hidden states and a constant"""
        self.moment = torch.zeros(width + 1, dtype=torch.float64)
        """(D + 1,) sums of products with the return"""

    def values(
        self,
        hidden_ND: Tensor,
        return_N: Tensor,
        second_half_N: Tensor,
        total: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    ) -> Tensor:
        """Values (N,) of new choices from old ones and the other half's; then they are old too.

        Args:
            hidden_ND: hidden states from which the choices were made.
            return_N: what came of them.
            second_half_N: bool, to which half of the melodies each belongs.
            total: sum over processes, where there are several.
        """
        one = torch.ones(len(hidden_ND), 1, dtype=torch.float64)
        x_NE = torch.cat([hidden_ND.detach().cpu().double(), one], 1)
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
        """Put back what `tensors` gave."""
        self.gram, self.moment = tensors["gram"].clone(), tensors["moment"].clone()


def _solve(gram: Tensor, moment: Tensor) -> Tensor:
    penalty = RIDGE * gram[-1, -1].clamp(min=1.0) * torch.ones(len(gram), dtype=gram.dtype)
    penalty[-1] = 1e-6  # the constant is free
    return torch.linalg.solve(gram + torch.diag(penalty), moment)


def explained_variance(value_N: Tensor, return_N: Tensor) -> Tensor:
    """Share of the returns' variance that the values explain; 0 dimensions, at most 1."""
    return 1 - (return_N - value_N).var() / return_N.var().clamp(min=1e-12)
