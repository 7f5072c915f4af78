"""How the shipped base is trained: the two books, and a small share of their strains reheaded.

    python benchmarks/corpora/base.py --start-from FOLDER --steps 1300 --out FOLDER
    python benchmarks/corpora/base.py --mean-of FOLDER FOLDER --out FOLDER

`tastemaker pretrain` trains on what its corpora hold. The base has to know every metre, mode,
number of bars and pickup, so each epoch has some hundred strains under random headers besides
(`reheading.py`). Three more things differ:

- each token's row is the sum of a row of its own, one of its pitch, one of its duration and one of
  its kind, and is stored as that sum; so rare tokens learn from their likes;
- the weights are decayed 20 times as strongly as usual;
- what is validated and kept is a running mean of the weights.

Validated are the validation tunes of version 0.1.0, so that figures can be compared.

Letters: V vocabulary, F features of a token, D width, B strains, T tokens.
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import numpy as np
import torch
from reheading import reheaded_strains
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from music.corpora.catalogue import SHIPPED, open_corpus
from music.styles import SHIPPED_STYLES
from music.tokens import PAD, VOCABULARY, encode
from policy.checkpoint import load_policy, save_policy
from policy.model import MelodyConfig, MelodyForCausalLM, melody_config
from policy.pretraining.config import PretrainConfig
from policy.pretraining.held_out import bits_per_note
from policy.pretraining.train import batches, learning_rate


def token_features() -> Tensor:
    """Which kind, pitch and duration each token has; float (V, F) of 0 and 1."""
    columns: dict[tuple[str, ...], int] = {}
    rows: list[list[int]] = []
    for name in VOCABULARY:
        kind, *values = name.split("_")
        features: list[tuple[str, ...]] = [(kind,)] if values else []
        if kind == "NOTE":
            features += [("pitch", values[0]), ("ticks", values[1]), ("note ticks", values[1])]
        elif kind in ("REST", "HOLD"):
            features.append(("ticks", values[0]))
        rows.append([columns.setdefault(feature, len(columns)) for feature in features])
    features_VF = torch.zeros(len(VOCABULARY), len(columns))
    for token, places in enumerate(rows):
        features_VF[token, places] = 1
    return features_VF


class SharedRows(nn.Module):
    """A table of rows as its own part and a part that tokens share by their features."""

    features_VF: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("features_VF", token_features())
        self.shared_FD = nn.Parameter(torch.zeros(self.features_VF.shape[1], width))

    def forward(self, own_VD: Tensor) -> Tensor:
        """The table; float (V, D)."""
        return own_VD + self.features_VF @ self.shared_FD


def logits_of(model: MelodyForCausalLM, ids_BT: Tensor) -> Tensor:
    """Logits with the table of today, which the head shares; float (B, T, V)."""
    hidden = model.model(input_ids=ids_BT).last_hidden_state
    return hidden @ model.model.embed_tokens.weight.T


def plain_copy(model: MelodyForCausalLM) -> MelodyForCausalLM:
    """The policy with its table as one tensor."""
    config = copy.deepcopy(model.config)
    assert isinstance(config, MelodyConfig)
    plain = MelodyForCausalLM(config)
    weights = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if "parametrizations" not in name
    }
    table = model.model.embed_tokens.weight.detach().clone()
    weights["model.embed_tokens.weight"] = weights["lm_head.weight"] = table
    plain.load_state_dict(weights)
    return plain.eval()


def mean_of(folders: list[str]) -> MelodyForCausalLM:
    """The policy whose weights are the mean of those of policies that share a beginning."""
    policies = [load_policy(folder) for folder in folders]
    weights = [policy.state_dict() for policy in policies]
    policies[0].load_state_dict(
        {name: torch.stack([one[name] for one in weights]).mean(0) for name in weights[0]}
    )
    return policies[0]


def main() -> None:
    """Train, and write the best by validation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start-from", default="checkpoints/base", help="folder of a policy")
    parser.add_argument("--mean-of", nargs="+", help="train nothing: the mean of these policies")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--learning-rate", type=float, default=1.2e-3)
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--weight-decay", type=float, default=2.0)
    parser.add_argument("--average-decay", type=float, default=0.99)
    parser.add_argument("--reheaded", type=int, default=350, help="strains an epoch")
    parser.add_argument("--every", type=int, default=100, help="steps between validations")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.mean_of:
        save_policy(mean_of(given.mean_of), given.out)
        return
    torch.manual_seed(given.seed)
    books = open_corpus(SHIPPED)
    rows = books.token_rows("train")
    strains = [(strain.tune, strain.melody) for strain in books.strains("train")]
    validation = books.token_rows("validation", earlier=True)
    model = MelodyForCausalLM(
        melody_config(residual_dropout=0.3, styles=SHIPPED_STYLES, corpora=(SHIPPED,))
    )
    model.load_state_dict(load_policy(given.start_from).state_dict())
    parametrize.register_parametrization(
        model.model.embed_tokens, "weight", SharedRows(model.config.hidden_size)
    )
    weights = [p for name, p in model.named_parameters() if name != "lm_head.weight"]
    average = [p.detach().clone() for p in weights]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in weights if p.ndim > 1], "weight_decay": given.weight_decay},
            {"params": [p for p in weights if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=given.learning_rate,
        betas=(0.9, 0.95),
    )
    schedule = PretrainConfig(learning_rate=given.learning_rate, warmup_steps=given.warmup)
    step, epoch, best = 0, 0, math.inf
    model.train()
    while step < given.steps:
        rng = np.random.default_rng([given.seed, epoch])
        epoch += 1
        more = [encode(melody) for melody in reheaded_strains(strains, given.reheaded, rng)]
        for ids in batches([*rows, *more], 32, rng):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(schedule, step, given.steps)
            with parametrize.cached():
                logits = logits_of(model, ids[:, :-1])
            loss = functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], ignore_index=PAD)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            step += 1
            decay = min(given.average_decay, step / (step + 10))
            for mean, weight in zip(average, weights, strict=True):
                mean.lerp_(weight.detach(), 1 - decay)
            if step % given.every == 0 or step == given.steps:
                own = [p.detach().clone() for p in weights]
                with torch.no_grad():
                    for p, mean in zip(weights, average, strict=True):
                        p.copy_(mean)
                    averaged = plain_copy(model)
                    for p, value in zip(weights, own, strict=True):
                        p.copy_(value)
                bits = bits_per_note(averaged, validation)
                print(f"step {step}: {loss.item():.3f} nats, {bits:.4f} bits a note", flush=True)
                if bits < best:
                    best = bits
                    save_policy(averaged, given.out)
            if step == given.steps:
                break


if __name__ == "__main__":
    main()
