"""Our policy, value and reward in the shapes that TRL 1.12's PPOTrainer calls.

It knows a policy by `forward` and `generate`; a value or reward model by a backbone, whose name is
`base_model_prefix`, and `score` over the last hidden states.

Letters: B melodies, T tokens, D width.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from env.reference import Reference, torch_chance
from music.styles import Styles
from music.tokens import decode
from policy.compose import Conditioning
from policy.model import MelodyForCausalLM
from reward.profile.profile import TasteProfile
from rl.ppo.objective import objective


class MelodyReward(nn.Module):
    """Our reward in the shape that TRL calls: a backbone, then `score` over its hidden states.

    The backbone decodes the melodies and gives each one's reward at every place, (B, T, 1); TRL
    reads it at the last token.
    """

    base_model_prefix = "judge"

    def __init__(
        self,
        profile: TasteProfile,
        std_penalty: float,
        saturation_point: float,
        styles: Styles,
    ) -> None:
        super().__init__()
        self.judge = self._judge
        self.score = nn.Identity()
        self.profile, self.styles = profile, styles
        self.std_penalty, self.saturation_point = std_penalty, saturation_point
        self.means: list[np.ndarray] = []
        """raw score means of each call since they were last taken"""

    def _judge(self, input_ids: Tensor, **_: Any) -> SimpleNamespace:  # noqa: ANN401 (masks, flags)
        melodies = [decode(row, styles=self.styles) for row in input_ids.numpy()]
        mean, std = self.profile.score(melodies)
        self.means.append(mean)
        reward = objective(
            mean, std, std_penalty=self.std_penalty, saturation_point=self.saturation_point
        )
        return SimpleNamespace(
            hidden_states=(reward.float()[:, None, None].expand(*input_ids.shape, 1),)
        )


class MelodyValue(nn.Module):
    """A value model in the shape that TRL calls: the policy's trunk, and `score` on its states.

    The head starts at zero: no melody is worth more than another before it has learnt.
    """

    base_model_prefix = "model"

    def __init__(self, base: MelodyForCausalLM) -> None:
        super().__init__()
        self.model = copy.deepcopy(base.model)
        self.score = nn.Linear(base.config.hidden_size, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)


def headers(
    base: MelodyForCausalLM, conditioning: Conditioning, count: int, seed: int
) -> list[dict[str, list[int]]]:
    """Prompts: the header that is asked, what it leaves open chosen by the base."""
    generator = torch.Generator().manual_seed(seed)
    reference = Reference(base)
    prompts = reference.with_headers(
        conditioning.prompt(count, reference.scope), torch_chance(generator)
    )
    return [{"input_ids": row} for row in prompts.tolist()]


def collate(rows: list[dict[str, list[int]]]) -> dict[str, Tensor]:
    """Prompts of one length -> a batch."""
    return {"input_ids": torch.tensor([row["input_ids"] for row in rows])}
