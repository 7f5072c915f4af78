"""TRL's RewardTrainer as it comes: a sequence classifier on our tokens, from our policy or not.

Nothing is changed but what it needs to run here: float32, no checkpointing, a processor. Its own
settings (three epochs of 8 pairs a step at a rate that falls from 1e-4) are transformers' and TRL's
defaults.

Letters: B melodies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PrinterCallback
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from music.tokens import PAD
from policy.model import (
    MelodyConfig,
    MelodyForCausalLM,
    MelodyForSequenceClassification,
    melody_tokenizer,
    right_pad,
)
from policy.trl_options import quiet_options
from reward.comparisons.preferences import LEFT, Preferences

CHUNK = 100


def trl_scores(
    preferences: Preferences,
    pool: Sequence[np.ndarray],
    fresh: Sequence[np.ndarray],
    policy: MelodyForCausalLM,
    *,
    pretrained: bool,
    seed: int,
) -> np.ndarray:
    """Score of each fresh melody by a classifier that has learnt from comparisons; (B,).

    Args:
        preferences: by rows of `pool`; ties are left out, as TRL knows none.
        pool: token rows of what was compared.
        fresh: token rows of what is judged.
        policy: whose shape, and weights if `pretrained`, it starts from.
        pretrained: False draws all weights.
        seed: of the weights that are drawn, and of the order.
    """
    kept = preferences[preferences.decided]
    won = kept.outcome == LEFT
    chosen, rejected = np.where(won, kept.left, kept.right), np.where(won, kept.right, kept.left)
    torch.manual_seed(seed)
    config = MelodyConfig.from_dict({**policy.config.to_dict(), "id2label": {0: "score"}})
    model = MelodyForSequenceClassification(config)
    if pretrained:
        model.model.load_state_dict(policy.model.state_dict())
    with tempfile.TemporaryDirectory(prefix="tastemaker-") as scratch:
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(**quiet_options(RewardConfig, scratch, seed, use_cpu=True)),
            train_dataset=Dataset.from_dict(
                {
                    "chosen_ids": [pool[row].tolist() for row in chosen],
                    "rejected_ids": [pool[row].tolist() for row in rejected],
                }
            ),
            processing_class=melody_tokenizer(),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return _scores(model.eval(), [row.astype(np.int64) for row in fresh])


@torch.no_grad()
def _scores(model: MelodyForSequenceClassification, rows: list[np.ndarray]) -> np.ndarray:
    found = np.zeros(len(rows))
    order = np.argsort([len(row) for row in rows], kind="stable")
    for start in range(0, len(rows), CHUNK):
        some = order[start : start + CHUNK]
        ids = right_pad([rows[i] for i in some])
        logits: Tensor = model(input_ids=ids, attention_mask=(ids != PAD).long()).logits
        found[some] = logits[:, 0].double().numpy()
    return found
