"""PPO by TRL 1.12's `PPOTrainer` on our melodies: the rival, driven as its documentation says.

    <python of the second environment> benchmarks/ppo/trl_ppo.py JOB.json

JOB.json holds the fields of `TRLJob`. Each update is one JSON line on standard output; what TRL
prints itself goes to standard error. With `paced`, a line `{"ready": ...}` comes first, each update
waits for a line on standard input (empty, or another rollout batch from here on), and the end of
the input ends the process.

What both sides share: the base policy's weights (policy, reference and the value model's trunk; no
dropout), the grammar's mask inside policy and reference, headers chosen by the base, the score
`rl.ppo.objective.objective` of the same taste profile, minibatches, epochs, fp32.

What TRL is given so that it is at its best, each a default of its that would cost time here: no
gradient checkpointing, no bf16 (off by default on our side too), no debugging samples, the fused
AdamW, generation that stops when the last melody has ended, headers drawn before the clock starts,
and `gradient_accumulation_steps=1`: more would silently take fewer steps than minibatches.
What stays TRL's own: all layers trained, a second trunk for the value, whole batches padded to
their longest melody, logits at every place, clipped value loss, fixed KL coefficient, no gradient
clipping.

Letters: B melodies, T tokens, D width.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor
from transformers import TrainerCallback, set_seed
from transformers.trainer_callback import PrinterCallback
from trl_models import MelodyReward, MelodyValue, collate, headers

from music.tokens import HEADER_LENGTH, PAD
from policy.checkpoint import load_policy, save_policy
from policy.compose import Conditioning
from policy.masked import MaskedMelodyForCausalLM
from policy.model import melody_tokenizer
from policy.scope import scope_of
from reward.profile.profile import TasteProfile

HEADERS = 4096
"""headers that the base chooses before the start; updates draw from them without replacement"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TRLJob:
    """What the driver is told; the defaults are TRL's where it has one that works here."""

    base: str
    """folder of the base policy"""
    taste: str
    """file of the taste profile"""
    conditioning: dict[str, Any]
    """header fields of the melodies, as `policy.compose.Conditioning` names them"""
    updates: int
    melodies_per_update: int
    minibatch: int
    """melodies per optimiser step; divides `melodies_per_update`"""
    epochs: int
    learning_rate: float = 1e-4
    """of AdamW, constant; TRL's own default, 3e-6 and falling, is for models of billions"""
    kl_coefficient: float = 0.05
    """KL coefficient, fixed"""
    gae_lambda: float = 0.95
    value_weight: float = 0.1
    clip: float = 0.2
    std_penalty: float = 0.5
    saturation_point: float = 1.5
    rollout_batch: int = 256
    """melodies that are generated and scored at once: TRL's local_rollout_forward_batch_size; of 64
    (its default), 128 and 256 this was the fastest, 7.0 CPU-seconds of generation and reference
    against 9.2 and 8.0"""
    seed: int = 0
    threads: int = 1
    out: str | None = None
    """folder for policies, one folder `NNNN` for each saved update"""
    save_every: int = 0
    """updates between saved policies; 0 saves none"""
    paced: bool = False
    """wait for a line on standard input before each update"""

    def __post_init__(self) -> None:
        """Check what arithmetic needs.

        Raises:
            ValueError: with the value and the rule.
        """
        for name in ("updates", "melodies_per_update", "minibatch", "epochs", "rollout_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is below 1; give a positive number")
        if self.melodies_per_update % self.minibatch:
            raise ValueError(
                f"minibatch={self.minibatch} does not divide melodies_per_update="
                f"{self.melodies_per_update}; give one that does"
            )
        if self.save_every and self.out is None:
            raise ValueError(f"save_every={self.save_every} needs out, the folder to save in")

    @classmethod
    def read(cls, path: Path) -> TRLJob:
        """The job in a JSON file.

        Raises:
            ValueError: for fields that there are not, naming those that there are.
        """
        record = json.loads(path.read_text())
        unknown = sorted(set(record) - {field.name for field in fields(cls)})
        if unknown:
            known = [field.name for field in fields(cls)]
            raise ValueError(f"{path} has unknown fields {unknown}; there are {known}")
        return cls(**record)


class Stopwatch(TrainerCallback):
    """Paces the updates, times their stages, writes a line after each and saves policies.

    Stages: sampling (TRL's generation), scoring (reference, values, rewards, advantages), learning
    (the minibatches and TRL's log). Writing, saving and waiting are not timed.
    """

    def __init__(
        self, job: TRLJob, reward: MelodyReward, say: TextIO, save: Callable[[Path], None]
    ) -> None:
        self.job, self.reward, self.say, self.save = job, reward, say, save
        self.logged: dict[str, float] = {}
        self.optimizer_steps = 0
        self.seconds_total = 0.0
        self.update = 0
        self.begun_at = self.begun_cpu = self.sampled_at = 0.0
        self.learning_at: float | None = None
        self.tokens = self.tokens_padded = 0

    def watch(self, trainer_module: Any, optimizer: torch.optim.Optimizer) -> None:  # noqa: ANN401 (a module)
        """Mark where TRL's stages begin and end; they run as they are."""
        generation, forward = trainer_module.batch_generation, trainer_module.forward

        def timed_generation(*args: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
            ids_BT, logits_BTV = generation(*args)
            self.sampled_at = time.perf_counter()
            self.tokens = int((ids_BT != PAD).sum())
            self.tokens_padded = ids_BT.numel()
            return ids_BT, logits_BTV

        def timed_forward(*args: Any) -> Any:  # noqa: ANN401
            if torch.is_grad_enabled() and self.learning_at is None:
                self.learning_at = time.perf_counter()
            return forward(*args)

        def count(*_: Any) -> None:  # noqa: ANN401
            self.optimizer_steps += 1

        trainer_module.batch_generation, trainer_module.forward = timed_generation, timed_forward
        optimizer.register_step_post_hook(count)

    def on_train_begin(self, args: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401 (TRL's)
        """Wait for the first update."""
        self._begin(args)

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:  # noqa: ANN401
        """Keep what TRL logs of the update."""
        self.logged = logs

    def on_step_end(self, args: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Write the update's line, save, wait for the next."""
        ended, ended_cpu = time.perf_counter(), time.process_time()
        assert self.learning_at is not None
        seconds = ended - self.begun_at
        self.seconds_total += seconds
        self.update += 1
        row: dict[str, Any] = {
            "update": self.update,
            "seconds": seconds,
            "seconds_total": self.seconds_total,
            "seconds_cpu": ended_cpu - self.begun_cpu,
            "seconds_rollout": self.learning_at - self.begun_at,
            "seconds_sampling": self.sampled_at - self.begun_at,
            "seconds_learning": ended - self.learning_at,
            "steps": self.optimizer_steps,
            "episodes": self.update * self.job.melodies_per_update,
            "tokens": self.tokens,
            "tokens_padded": self.tokens_padded,
            "kl_nats": self.logged["objective/kl"],
            "reward": self.logged["objective/scores"],
            "score_mean": float(np.concatenate(self.reward.means).mean()),
        }
        self.reward.means.clear()
        if self.job.save_every and self.update % self.job.save_every == 0:
            assert self.job.out is not None
            place = Path(self.job.out) / f"{self.update:04d}"
            self.save(place)
            row["saved"] = str(place)
        print(json.dumps(row), file=self.say, flush=True)
        if self.update < self.job.updates:
            self._begin(args)

    def _begin(self, args: Any) -> None:  # noqa: ANN401
        if self.job.paced:
            line = sys.stdin.readline()
            if not line:
                raise SystemExit(0)
            if line.strip():
                args.local_rollout_forward_batch_size = int(line)
        self.optimizer_steps = 0
        self.learning_at = None
        self.begun_at, self.begun_cpu = time.perf_counter(), time.process_time()


def run(job: TRLJob, say: TextIO) -> None:
    """Do the job; lines go to `say`."""
    import trl  # here, because importing it takes seconds and a wrong job is told before
    from trl.experimental.ppo import (  # pyright: ignore[reportMissingImports] (not in this one)
        PPOConfig,
        PPOTrainer,
        ppo_trainer,
    )

    torch.set_num_threads(job.threads)
    base = load_policy(job.base)
    policy = MaskedMelodyForCausalLM.of(base)
    policy.config.use_cache = False  # of the training forward; generation asks for its own
    scope = scope_of(base)
    reward = MelodyReward(
        TasteProfile.load(Path(job.taste)), job.std_penalty, job.saturation_point, scope.styles
    )

    stopwatch = Stopwatch(job, reward, say, lambda folder: save_policy(policy.unmasked(), folder))
    # Without replacement within an update, so there must be as many.
    prompts = headers(
        base, Conditioning(**job.conditioning), max(HEADERS, job.melodies_per_update), job.seed
    )
    asked = job.conditioning
    room = scope.longest(meter=asked.get("meter"), bars=asked.get("bars"))
    with tempfile.TemporaryDirectory() as scratch:
        config = PPOConfig(
            output_dir=scratch,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            num_sample_generations=0,
            learning_rate=job.learning_rate,
            lr_scheduler_type="constant",
            # A whole update's melodies, cut into minibatches: one optimiser step for each of them.
            per_device_train_batch_size=job.melodies_per_update,
            gradient_accumulation_steps=1,
            num_mini_batches=job.melodies_per_update // job.minibatch,
            num_ppo_epochs=job.epochs,
            total_episodes=job.updates * job.melodies_per_update,
            local_rollout_forward_batch_size=min(job.rollout_batch, job.melodies_per_update),
            response_length=room - HEADER_LENGTH,
            stop_token="eos",
            temperature=1.0,
            kl_coef=job.kl_coefficient,
            cliprange=job.clip,
            vf_coef=job.value_weight,
            gamma=1.0,
            lam=job.gae_lambda,
            seed=job.seed,
        )
        trainer = PPOTrainer(
            args=config,
            processing_class=melody_tokenizer(),
            model=policy,
            ref_model=MaskedMelodyForCausalLM.of(base),
            reward_model=reward,
            value_model=MelodyValue(MaskedMelodyForCausalLM.of(base)),
            train_dataset=prompts,
            eval_dataset=prompts[:1],
            data_collator=collate,
            callbacks=[stopwatch],
        )
        trainer.remove_callback(PrinterCallback)
        stopwatch.watch(ppo_trainer, trainer.optimizer.optimizer)
        if job.paced:
            print(json.dumps({"ready": trl.__version__}), file=say, flush=True)
        set_seed(job.seed)
        trainer.train()


def main() -> None:
    """Run the job that the command line names."""
    # TRL prints to standard output; the lines have it to themselves.
    say = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        job = TRLJob.read(Path(sys.argv[1]))
    except (IndexError, OSError, ValueError, TypeError) as error:
        raise SystemExit(f"trl_ppo.py needs one argument, a JSON file of a job: {error}") from None
    run(job, say)


if __name__ == "__main__":
    main()
