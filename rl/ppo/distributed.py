"""One process or many: how PPO's processes share their work, through accelerate.

`torchrun` starts the processes and gives each its rank. Each rolls out its own share of the
melodies; gradients and sums are shared. One process alone shares and starts nothing.
"""

from __future__ import annotations

import os
from typing import Any, Self

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from policy.runs import RunError


class Processes:
    """This process among its peers. Use it in a `with` block, so that it leaves them at the end.

    Gloo's threads may still hold tensors when the work is done. If the process ends before they
    release them, they sometimes ask the ending interpreter for its lock and abort, and `torchrun`
    reports a finished run as failed (pytorch issue 190489).
    """

    def __init__(self, asked: int = 1) -> None:
        """Join the peers that torchrun started.

        Raises:
            RunError: when there are not as many as were asked for. `accelerate launch --cpu` may
                run one process and report nothing.
        """
        started = int(os.environ.get("WORLD_SIZE", "1"))
        self._accelerator: Accelerator | None = None
        if asked == started == 1:
            self.count, self.rank = 1, 0
            self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            return
        self._accelerator = Accelerator(cpu=not torch.cuda.is_available())
        self.count, self.rank = self._accelerator.num_processes, self._accelerator.process_index
        self.device = self._accelerator.device
        if not asked == started == self.count:
            raise RunError(
                f"{asked} processes were asked for, torchrun started {started}, and {self.count} "
                "found each other; start with: tastemaker ppo --processes N, or torchrun "
                "--nproc-per-node N and the same --processes N"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the peers, if there are any."""
        if self._accelerator is not None:
            self._accelerator.free_memory()  # its models hold the group, and the group its threads
            self._accelerator.end_training()

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def shared(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes."""
        return module if self._accelerator is None else self._accelerator.prepare_model(module)

    def total(self, tensor: Tensor) -> Tensor:
        """Sum of a tensor of one shape over the processes."""
        if self._accelerator is None:
            return tensor
        summed = self._accelerator.reduce(tensor.to(self.device), reduction="sum")
        assert isinstance(summed, Tensor)
        return summed.to(tensor.device)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the first dimension and all processes, whose numbers of rows may differ."""
        count = torch.full((), float(len(values)), device=values.device)
        return self.total(values.sum(0)) / self.total(count)

    def all(self, items: list[Any]) -> list[Any]:
        """The items of all processes, in the order of their ranks."""
        return items if self._accelerator is None else gather_object(items)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()
