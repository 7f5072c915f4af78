"""Pretraining: next-token cross-entropy on the corpus, with validation and resume.

A batch has strains of similar length, so that it has little padding. The learning rate warms up and
then follows a cosine to zero. The validation metric is `bits_per_note`: the bits of everything
after the header (pickup, notes, rests, holds, barlines, end), divided by the number of sounding
notes, without the grammar's mask.

Letters: B strains, T tokens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from music.corpora.corpus import load_token_rows
from music.files import make_folder
from music.progress import Progress, no_progress
from music.tokens import FIRST_NOTE, HEADER_LENGTH, PAD
from policy.checkpoint import (
    CheckpointError,
    load_policy,
    newest_step,
    optimizer_tensors,
    restore_optimizer,
    save_policy,
    write_step,
)
from policy.configuration import WHOLE_RANGES
from policy.model import MelodyForCausalLM, melody_config, right_pad
from policy.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """How the base policy is trained."""

    epochs: int = 40
    """passes over the training strains"""
    strains_per_step: int = 32
    """strains in a gradient step"""
    learning_rate: float = 2e-3
    """peak of the cosine"""
    warmup_steps: int = 200
    """steps of linear warm-up"""
    weight_decay: float = 0.1
    """decoupled weight decay, of matrices only"""
    dropout: float = 0.3
    """residual dropout"""
    hidden_size: int = 192
    """width"""
    num_layers: int = 4
    """blocks"""
    num_heads: int = 4
    """query heads"""
    num_key_value_heads: int = 2
    """key-value heads"""
    intermediate_size: int = 512
    """width inside the MLP"""
    seed: int = 0
    """seed of the weights, batches and dropout"""
    start_from: str | None = None
    """folder of a policy of the same shape to start from; None starts with random weights"""
    save_every_steps: int = 500
    """steps between checkpoints, each with a validation"""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: for counts below one, a rate that is not positive, a negative decay, a
                dropout outside [0, 1), or heads that do not divide.
        """
        for name in (
            "epochs", "strains_per_step", "warmup_steps", "hidden_size", "num_layers", "num_heads",
            "num_key_value_heads", "intermediate_size", "save_every_steps",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is below 1; give a positive number")
        if not 0 < self.learning_rate <= 1e3:
            raise ValueError(
                f"learning_rate={self.learning_rate} is not above 0 and at most 1000; 2e-3 is usual"
            )
        if not 0 <= self.weight_decay <= 1e3:
            raise ValueError(
                f"weight_decay={self.weight_decay} is not from 0 to 1000; 0 turns it off"
            )
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"hidden_size={self.hidden_size} does not give num_heads={self.num_heads} heads of "
                f"an even width (rotary positions turn pairs); give a multiple of "
                f"{2 * self.num_heads}"
            )
        if self.num_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads={self.num_key_value_heads} does not divide "
                f"num_heads={self.num_heads}; give a divisor"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is not in [0, 1); 0.3 is the shipped base's")
        for name, field in (
            ("hidden_size", "hidden_size"),
            ("num_layers", "num_hidden_layers"),
            ("intermediate_size", "intermediate_size"),
        ):
            most = WHOLE_RANGES[field][1]
            if getattr(self, name) > most:
                raise ValueError(f"{name}={getattr(self, name)} is above {most}; give less")


def bf16_context(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 if the hardware computes in it, otherwise no context (float32)."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    if device.type == "cuda" or (device.type == "cpu" and supported()):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def batches(rows: Sequence[np.ndarray], size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """One epoch of right-padded batches (B, T) of similar lengths, in random order."""
    lengths = np.array([len(row) for row in rows])
    order = np.lexsort((rng.random(len(rows)), lengths + rng.integers(0, 8, len(rows))))
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    for place in rng.permutation(len(groups)):
        yield right_pad([rows[index] for index in groups[place]])


def token_nats(model: MelodyForCausalLM, ids_BT: Tensor) -> Tensor:
    """Surprise of each next token in nats, (B, T - 1); 0 at padding."""
    logits = model(input_ids=ids_BT[:, :-1]).logits.float()
    return functional.cross_entropy(
        logits.transpose(1, 2), ids_BT[:, 1:], ignore_index=PAD, reduction="none"
    )


@torch.no_grad()
def bits_per_note(model: MelodyForCausalLM, rows: Sequence[np.ndarray], size: int = 64) -> float:
    """Bits of everything after the header, per sounding note."""
    training = model.training
    model.eval()
    nats, notes = 0.0, 0
    order = sorted(rows, key=len)
    for start in range(0, len(order), size):
        ids = right_pad(order[start : start + size])
        # The pickup field is counted too: it is part of the music, not of the request.
        nats += token_nats(model, ids)[:, HEADER_LENGTH - 2 :].sum().item()
        notes += int((ids >= FIRST_NOTE).sum())
    model.train(training)
    return nats / math.log(2) / notes


def learning_rate(config: PretrainConfig, step: int, total: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / total))


def pretrain(
    config: PretrainConfig, run: Path, *, progress: Progress = no_progress
) -> MelodyForCausalLM:
    """Train a policy in `run`; return the best by validation, ready to sample from.

    Resumes from the newest checkpoint in `run`, with the same bits as without the interruption.
    Writes `run/steps/N/`, `run/metrics.jsonl` and, whenever validation improves, `run/policy/`.
    `progress` is told how many steps are done.

    Raises:
        CheckpointError: when the run was started with another configuration, `start_from` is not a
            policy of this shape, or the loss is no longer finite.
    """
    make_folder(run)
    train, validation = load_token_rows("train"), load_token_rows("validation")
    torch.manual_seed(config.seed)
    model = MelodyForCausalLM(
        melody_config(
            hidden_size=config.hidden_size,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            num_key_value_heads=config.num_key_value_heads,
            intermediate_size=config.intermediate_size,
            residual_dropout=config.dropout,
        )
    )
    if config.start_from is not None:
        try:
            model.load_state_dict(load_policy(config.start_from).state_dict())
        except RuntimeError as error:
            raise CheckpointError(
                f"start_from={config.start_from} has another shape than this configuration; give "
                "its hidden_size, num_layers, num_heads, num_key_value_heads, intermediate_size"
            ) from error
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.95),
    )
    per_epoch = -(-len(train) // config.strains_per_step)
    total = per_epoch * config.epochs
    step, best, spent = 0, math.inf, 0.0
    saved = newest_step(run / "steps")
    if saved is not None:
        if saved.state["config"] != asdict(config):
            raise CheckpointError(f"{run} was started with another configuration; choose a new run")
        model.load_state_dict({n: saved.tensors[f"model.{n}"] for n in model.state_dict()})
        restore_optimizer(optimizer, saved.tensors)
        torch.set_rng_state(saved.tensors["rng"])
        step, best, spent = saved.step, saved.state["best"], saved.state["seconds"]
    Run(run).forget_after(step + 1, key="step")

    begun = time.monotonic()
    context = bf16_context(torch.device("cpu"))
    model.train()
    while step < total:
        epoch = step // per_epoch
        # Each epoch's order depends only on its number, so a resumed run sees the same batches.
        rng = np.random.default_rng([config.seed, epoch])
        for place, ids in enumerate(batches(train, config.strains_per_step, rng)):
            if place < step - epoch * per_epoch:
                continue
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step, total)
            with context:
                nats = token_nats(model, ids)
            loss = nats.sum() / (ids[:, 1:] != PAD).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            progress(step, total)
            if step % config.save_every_steps and step != total:
                continue
            bits = bits_per_note(model, validation)
            seconds = spent + time.monotonic() - begun
            row = {"step": step, "train_nats": loss.item(), "validation_bits_per_note": bits}
            for name, value in row.items():
                if not math.isfinite(value):
                    raise CheckpointError(
                        f"step {step} of {run.name}: {name} is {value}, so the training has "
                        "diverged; its newest checkpoint is whole; start a new run with a "
                        f"learning_rate below {config.learning_rate:g}"
                    )
            Run(run).log({**row, "seconds": round(seconds, 1)})
            if bits < best:
                best = bits
                save_policy(model, run / "policy")
            tensors = {
                f"model.{n}": t for n, t in model.state_dict().items() if n != "lm_head.weight"
            }
            tensors |= optimizer_tensors(optimizer) | {"rng": torch.get_rng_state()}
            tensors["model.lm_head.weight"] = model.state_dict()["lm_head.weight"].clone()
            state = {"config": asdict(config), "best": best, "seconds": seconds}
            write_step(run / "steps", step, tensors, state)
    return load_policy(run / "policy")
