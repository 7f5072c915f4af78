"""Pretraining: next-token cross-entropy on corpora, with validation, early stopping and resume.

A batch has strains of similar length, so that it has little padding. The learning rate warms up and
then follows a cosine to zero. The validation metric is bits a note (`held_out`) on the validation
tunes of the same corpora. The first is taken before the first step, so that a policy that is
adapted is never kept for a worse one. What is validated and kept is a running mean of the weights:
on the two books it is .04 bits a note better than the weights themselves before the rate falls
(docs/log.md). The gain that is told is that on the test tunes, which choose nothing.

Letters: B strains, T tokens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from music.files import make_folder
from music.json_text import write_json
from music.progress import Progress, no_progress
from music.tokens import PAD
from policy.checkpoint import (
    CheckpointError,
    TrainingStep,
    load_policy,
    newest_step,
    optimizer_tensors,
    restore_optimizer,
    save_policy,
    write_step,
)
from policy.model import MelodyForCausalLM, right_pad
from policy.pretraining.config import PretrainConfig
from policy.pretraining.held_out import Bits, known_tokens, measure, token_nats, verdict
from policy.pretraining.start import Start, begin, corpus_hashes, has_ended_in_0_1_0
from policy.runs import Run

RESULT = "result.json"
"""in the folder of a finished run: what came out, and whether the held-out tunes can tell"""
SAVE_EVERY_SECONDS = 60.0
"""at most so much is lost when a run is killed"""


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


def learning_rate(config: PretrainConfig, step: int, total: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / total))


def pretrain(
    config: PretrainConfig,
    run: Path,
    *,
    start: Start | None = None,
    progress: Progress = no_progress,
) -> MelodyForCausalLM:
    """Train a policy in `run`; return the best by validation, ready to sample from.

    Resumes from the newest checkpoint in `run`, with the same bits as without the interruption.
    Writes `run/steps/N/`, `run/metrics.jsonl`, `run/policy/` whenever validation improves, and
    `run/result.json` at the end.

    Args:
        config: the settings.
        run: folder of the run.
        start: what `begin` gave just now for the same settings, if it was called.
        progress: is told how many steps are done.

    Raises:
        CheckpointError: as `begin`, or when the loss is no longer finite.
        CorpusError: as `begin`.
    """
    make_folder(run)
    saved = newest_step(run / "steps")
    if saved is not None and has_ended_in_0_1_0(saved):
        return load_policy(run / "policy")
    start = start or begin(config, run, saved)
    return _Training(config, Run(run), start).go_on(saved, progress)


class _Training:
    """A run at one of its steps."""

    def __init__(self, config: PretrainConfig, run: Run, start: Start) -> None:
        self._config, self._run, self._corpora = config, run, start.corpora
        self._model, self._train = start.model, start.train
        self._validation, self._test = start.validation, start.test
        model = start.model
        # Tokens that no policy of these styles is asked for are not part of the loss.
        self._known_V = known_tokens(model, start.train)
        matrices = [p for p in model.parameters() if p.ndim > 1]
        vectors = [p for p in model.parameters() if p.ndim == 1]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.95),
        )
        self._per_epoch = -(-len(start.train) // config.strains_per_step)
        self._total = self._per_epoch * config.epochs
        self._step, self._seconds, self._begun = 0, 0.0, time.monotonic()
        self._best, self._since_best = math.inf, 0
        self._parameters = dict(model.named_parameters())
        self._average = {name: p.detach().clone() for name, p in self._parameters.items()}
        self._before: Bits | None = None
        self._best_bits: Bits | None = None
        self._test_before: Bits | None = None

    def go_on(self, saved: TrainingStep | None, progress: Progress) -> MelodyForCausalLM:
        """Train to the end, from a saved step if there is one; the best policy."""
        if saved is not None:
            self._restore(saved)
        self._run.forget_after(self._step + 1, key="step")
        self._begun = time.monotonic()
        self._model.train()
        if saved is None:
            self._validate(train_nats=None)
            self._save()
        saved_at = time.monotonic()
        for ids in self._batches():
            loss = self._update(ids)
            progress(self._step, self._total)
            if self._step % self._config.save_every_steps == 0 or self._step == self._total:
                self._validate(loss)
            elif time.monotonic() - saved_at < SAVE_EVERY_SECONDS:
                continue
            self._save()
            saved_at = time.monotonic()
            if self._is_over:
                break
        kept = load_policy(self._run.path / "policy")
        self._conclude(kept)
        return kept

    @property
    def _is_over(self) -> bool:
        patience = self._config.patience
        return self._step >= self._total or bool(patience and self._since_best >= patience)

    def _batches(self) -> Iterator[Tensor]:
        """The batches that are left, epoch after epoch."""
        size = self._config.strains_per_step
        while not self._is_over:
            epoch, done = divmod(self._step, self._per_epoch)
            # Each epoch's order depends only on its number, so a resumed run sees the same batches.
            rng = np.random.default_rng([self._config.seed, epoch])
            for place, ids in enumerate(batches(self._train, size, rng)):
                if place >= done:
                    yield ids

    def _update(self, ids: Tensor) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._config, self._step, self._total)
        with bf16_context(torch.device("cpu")):
            nats = token_nats(self._model, ids, self._known_V)
        loss = nats.sum() / (ids[:, 1:] != PAD).sum()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._step += 1
        # A mean over few steps at first, so that it forgets where it began.
        decay = min(self._config.average_decay, self._step / (self._step + 10))
        share = 1 - decay if self._config.average_decay else 1.0
        for mean, parameter in zip(self._average.values(), self._parameters.values(), strict=True):
            mean.lerp_(parameter.detach(), share)
        return loss.item()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with the running mean of its weights."""
        own = {name: p.detach().clone() for name, p in self._parameters.items()}
        with torch.no_grad():
            for name, p in self._parameters.items():
                p.copy_(self._average[name])
            yield
            for name, p in self._parameters.items():
                p.copy_(own[name])

    def _validate(self, train_nats: float | None) -> None:
        """Measure, log, and keep the mean of the weights if it is the best so far."""
        with self._averaged():
            found = measure(self._model, self._validation)
        bits = found.per_note
        row: dict[str, Any] = {"step": self._step, "validation_bits_per_note": bits}
        if train_nats is not None:
            row["train_nats"] = train_nats
        for name, value in row.items():
            if not math.isfinite(value):
                raise CheckpointError(
                    f"step {self._step} of {self._run.name}: {name} is {value}, so the training "
                    "has diverged; its newest checkpoint is whole; start a new run with a "
                    f"learning_rate below {self._config.learning_rate:g}"
                )
        self._run.log({**row, "seconds": round(self._seconds_so_far, 1)})
        if self._before is None:
            self._before = found
            # Before the first step the mean of the weights is the weights.
            self._test_before = measure(self._model, self._test) if self._test.rows else None
        self._since_best += 1
        if bits < self._best:
            self._best, self._best_bits, self._since_best = bits, found, 0
            with self._averaged():
                save_policy(self._model, self._run.path / "policy")

    @property
    def _seconds_so_far(self) -> float:
        return self._seconds + time.monotonic() - self._begun

    @property
    def _measured(self) -> dict[str, Bits]:
        """What a step keeps of earlier measurements."""
        assert self._before is not None
        assert self._best_bits is not None
        found = {"before": self._before, "best": self._best_bits}
        return found if self._test_before is None else found | {"test_before": self._test_before}

    def _save(self) -> None:
        weights = self._model.state_dict()
        tensors = {f"model.{name}": t for name, t in weights.items() if name != "lm_head.weight"}
        tensors |= optimizer_tensors(self._optimizer) | {"rng": torch.get_rng_state()}
        tensors["model.lm_head.weight"] = weights["lm_head.weight"].clone()
        tensors |= {f"average.{name}": t.clone() for name, t in self._average.items()}
        for name, bits in self._measured.items():
            tensors[f"{name}.bits"] = torch.tensor(bits.bits_N)
            tensors[f"{name}.notes"] = torch.tensor(bits.notes_N)
        state = {
            "config": self._config.json(),
            "corpora": corpus_hashes(self._corpora),
            "best": self._best,
            "since_best": self._since_best,
            "seconds": self._seconds_so_far,
        }
        write_step(self._run.path / "steps", self._step, tensors, state)

    def _restore(self, saved: TrainingStep) -> None:
        weights = {name: saved.tensors[f"model.{name}"] for name in self._model.state_dict()}
        self._model.load_state_dict(weights)
        restore_optimizer(self._optimizer, saved.tensors)
        torch.set_rng_state(saved.tensors["rng"])
        for name, average in self._average.items():
            average.copy_(saved.tensors[f"average.{name}"])
        self._step, self._seconds = saved.step, saved.state["seconds"]
        self._best, self._since_best = saved.state["best"], saved.state["since_best"]
        self._before, self._best_bits, self._test_before = (
            Bits(saved.tensors[f"{name}.bits"].numpy(), saved.tensors[f"{name}.notes"].numpy())
            if f"{name}.bits" in saved.tensors
            else None
            for name in ("before", "best", "test_before")
        )

    def _conclude(self, kept: MelodyForCausalLM) -> None:
        """Write the result: the gain on the test tunes, by which nothing was chosen."""
        measured = self._measured
        before, after, chosen_by = measured["before"], measured["best"], True
        if "test_before" in measured:
            before, after, chosen_by = measured["test_before"], measure(kept, self._test), False
        gain, error = after.gain_over(before)
        tells, said = verdict(before, after, chosen_by=chosen_by)
        result = {
            "steps": self._step,
            "split": "validation" if chosen_by else "test",
            "tunes": len(after.notes_N),
            "bits_before": before.per_note,
            "bits_per_note": after.per_note,
            "standard_error": _finite(after.standard_error),
            "gain": gain,
            "gain_standard_error": _finite(error),
            "validation_tunes": len(measured["best"].notes_N),
            "validation_bits_before": measured["before"].per_note,
            "validation_bits_per_note": measured["best"].per_note,
            "tells": tells,
            "stopped_early": self._step < self._total,
            "said": said,
        }
        write_json(self._run.path / RESULT, result)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
