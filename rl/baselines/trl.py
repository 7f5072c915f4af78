"""DPO, RLOO and GRPO by TRL's own trainers, from our checkpoint: what a sceptic would run instead.

Nothing of TRL is copied or changed. Its trainers get the policy of `policy.masked`, so that they
sample and judge whole melodies only, and
  - DPO gets the votes, as chosen and rejected text, ties left out. A share of the comparisons is
    held out (with their repeats), and that policy is kept which best says what was chosen there. It
    never sees the reward model. The prompt is BOS: the header is a part of what was voted on.
  - RLOO and GRPO get headers as prompts, drawn from the base where they are not asked for, as PPO's
    are, and a reward function over `completion_ids`: PPO's own objective.

Seconds are those of training alone: what a caller does with a checkpoint is taken off. TRL costs
seconds to import, so it is imported in functions.

Literature: DPO, Rafailov et al. 2023, arXiv:2305.18290; RLOO, Ahmadian et al. 2024,
arXiv:2402.14740; GRPO, Shao et al. 2024, arXiv:2402.03300.
Letters: B melodies.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from transformers import PrinterCallback, TrainerCallback

from env.reference import Reference, torch_chance
from music.tokens import HEADER_LENGTH, decode, from_text, to_text
from policy.checkpoint import load_policy
from policy.compose import DEFAULT_TONIC_MIDI, Conditioning
from policy.masked import MaskedMelodyForCausalLM
from policy.model import MelodyForCausalLM, melody_tokenizer
from policy.scope import scope_of
from policy.trl_options import quiet_options
from reward.exchange.export import PREFERENCE_TEXTS
from rl.baselines.settings import SETTINGS, Budget, DPOSettings, OnlineSettings
from rl.ppo.objective import Objective

if TYPE_CHECKING:
    from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

OnCheckpoint = Callable[[float, int, MelodyForCausalLM], None]
"""called with seconds of training, melodies so far and a copy of the policy"""
_NO_END = 10**9


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a trainer made."""

    policy: MelodyForCausalLM
    """RLOO and GRPO: the last one; DPO: the best on held-out pairs"""
    seconds: float
    """of training"""
    melodies: int
    """sampled; for DPO shown, two a pair"""
    steps: int
    """gradient steps"""
    log: list[dict[str, float]]
    """what TRL logged"""


def train_by(
    method: str,
    base_folder: Path,
    *,
    conditioning: Conditioning,
    budget: Budget,
    objective: Objective | None = None,
    pairs: Sequence[Mapping[str, Any]] = (),
    settings: DPOSettings | OnlineSettings | None = None,
    seed: int = 0,
    on_checkpoint: OnCheckpoint | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Tune the policy of a folder by 'dpo', 'rloo' or 'grpo'.

    Args:
        method: one of those three.
        base_folder: the policy's folder.
        conditioning: the header of what RLOO and GRPO write; no motif.
        budget: when to stop, and how often to hand out a copy.
        objective: what RLOO and GRPO learn from.
        pairs: records of `reward.exchange.export.preference_pairs`, which DPO learns from.
        settings: of the method; by default those that the sweep chose.
        seed: of everything.
        on_checkpoint: gets copies of the policy on the way; its time is not counted.
        clock: what seconds are taken from; `time.process_time` where other programs run too.

    Raises:
        ValueError: for an unknown method, settings of another one, or nothing to learn from.
    """
    if method not in SETTINGS:
        raise ValueError(f"method={method!r} is not known; choose of {list(SETTINGS)}")
    settings = settings or SETTINGS[method]
    if type(settings) is not type(SETTINGS[method]):
        wanted = type(SETTINGS[method]).__name__
        raise ValueError(f"{method} got {type(settings).__name__}; give it {wanted}")
    # What TRL writes goes with this folder; what it draws leaves the caller's chance alone.
    with tempfile.TemporaryDirectory(prefix="tastemaker-") as scratch, torch.random.fork_rng():
        if isinstance(settings, DPOSettings):
            trainer = _dpo_trainer(base_folder, scratch, pairs, settings, seed)
        elif objective is None:
            raise ValueError(f"{method} learns from an objective; give one")
        else:
            trainer = _online_trainer(
                method, base_folder, scratch, objective, conditioning, settings, seed
            )
        watch = _Watch(settings, budget, on_checkpoint, clock)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(watch)
        trainer.train()
        return watch.tuned(trainer)


def split_pairs(
    pairs: Sequence[Mapping[str, Any]], share: float, seed: int
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Pairs to learn from and pairs held out; a comparison and its repeats are on one side.

    Raises:
        ValueError: when there are too few comparisons for both sides.
    """
    groups = sorted({str(pair["group"]) for pair in pairs})
    out = round(share * len(groups))
    if not 0 < out < len(groups):
        raise ValueError(
            f"{len(groups)} decided comparisons, a share of {share} held out, leave a side empty; "
            "collect more votes"
        )
    chosen = set(np.random.default_rng(seed).permutation(groups)[:out].tolist())
    held_out = [pair for pair in pairs if str(pair["group"]) in chosen]
    return [pair for pair in pairs if str(pair["group"]) not in chosen], held_out


def _dpo_trainer(
    base_folder: Path,
    scratch: str,
    pairs: Sequence[Mapping[str, Any]],
    settings: DPOSettings,
    seed: int,
) -> Trainer:
    from datasets import Dataset
    from datasets.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    train, held_out = split_pairs(pairs, settings.held_out_share, seed)
    base = load_policy(base_folder)
    model, reference = MaskedMelodyForCausalLM.of(base), MaskedMelodyForCausalLM.of(base)
    had_bars = not are_progress_bars_disabled()
    disable_progress_bars()  # a bar for each of six passes over some hundred pairs
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(
            **_common(DPOConfig, scratch, settings, seed),
            beta=settings.beta,
            per_device_train_batch_size=settings.pairs_per_step,
            per_device_eval_batch_size=64,
            eval_strategy="steps",
            eval_steps=settings.steps_per_evaluation,
            max_length=scope_of(base).longest(),
        ),
        train_dataset=Dataset.from_list([_texts(pair) for pair in train]),
        eval_dataset=Dataset.from_list([_texts(pair) for pair in held_out]),
        processing_class=melody_tokenizer(),
    )
    if had_bars:
        enable_progress_bars()
    model.with_own_head()
    reference.with_own_head()
    return trainer


def _online_trainer(
    method: str,
    base_folder: Path,
    scratch: str,
    objective: Objective,
    conditioning: Conditioning,
    settings: OnlineSettings,
    seed: int,
) -> Trainer:
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer
    from trl.trainer.rloo_config import RLOOConfig
    from trl.trainer.rloo_trainer import RLOOTrainer

    if conditioning.motif:
        raise ValueError(
            f"a motif of {len(conditioning.motif)} notes is no header; {method} takes headers"
        )

    def reward(prompts: list[str], completion_ids: list[list[int]], **_: object) -> list[float]:
        pairs = zip(prompts, completion_ids, strict=True)
        rows = [[*from_text(prompt), *ids] for prompt, ids in pairs]
        return objective([decode(row, DEFAULT_TONIC_MIDI, scope.styles) for row in rows]).tolist()

    base = load_policy(base_folder)
    scope = scope_of(base)
    prompts = conditioning.prompt(settings.headers, scope)
    drawn = Reference(base).with_headers(prompts, torch_chance(torch.Generator().manual_seed(seed)))
    kinds: dict[str, tuple[Any, Any]] = {
        "rloo": (RLOOConfig, RLOOTrainer),
        "grpo": (GRPOConfig, GRPOTrainer),
    }
    config_of, trainer_of = kinds[method]
    model = MaskedMelodyForCausalLM.of(base)
    trainer = trainer_of(
        model=model,
        reward_funcs=reward,
        args=config_of(
            **_common(config_of, scratch, settings, seed),
            beta=0.0,
            per_device_train_batch_size=settings.melodies_per_step,
            steps_per_generation=settings.steps_per_generation,
            num_generations=settings.melodies_per_header,
            max_completion_length=scope.room_for(prompts) - HEADER_LENGTH,
        ),
        train_dataset=Dataset.from_dict({"prompt": [to_text(row) for row in drawn]}),
        processing_class=melody_tokenizer(),
    )
    model.with_own_head()
    # With its price from the start TRL would load the reference itself: as a plain policy, which
    # knows no grammar.
    reference = MaskedMelodyForCausalLM.of(base)
    trainer.ref_model = trainer.accelerator.prepare_model(reference, evaluation_mode=True)
    trainer.beta = settings.beta
    return trainer


def _common(
    config_of: type, scratch: str, settings: DPOSettings | OnlineSettings, seed: int
) -> dict[str, Any]:
    """Fields for any of these trainers: quiet, at a constant rate, until they are stopped."""
    return quiet_options(config_of, scratch, seed, use_cpu=not torch.cuda.is_available()) | {
        "logging_steps": 1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant",
        "max_grad_norm": settings.max_grad_norm,
        "max_steps": _NO_END,
    }


def _texts(pair: Mapping[str, Any]) -> dict[str, str]:
    return {name: pair[name] for name in PREFERENCE_TEXTS}


class _Watch(TrainerCallback):
    """Keeps the time, hands out copies, keeps the best on held-out pairs, says when to stop."""

    def __init__(
        self,
        settings: DPOSettings | OnlineSettings,
        budget: Budget,
        on_checkpoint: OnCheckpoint | None,
        clock: Callable[[], float],
    ) -> None:
        self.settings, self.budget, self.on_checkpoint = settings, budget, on_checkpoint
        self.clock = clock
        self.begun = 0.0
        self.seconds = 0.0
        self.parts_handed_out = 0
        self.handed_out_at = -1
        self.best: MelodyForCausalLM | None = None
        self.best_loss = np.inf
        self.looks_without = 0

    def on_train_begin(self, *_: object, **__: object) -> None:
        self.begun = self.clock()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 (what transformers passes)
    ) -> None:
        self.seconds = self.clock() - self.begun
        spent = self.budget.spent(self.seconds, self.melodies(state.global_step))
        parts = int(spent * self.budget.checkpoints)
        if parts > self.parts_handed_out:
            self.parts_handed_out = parts
            self.hand_out(state.global_step, kwargs["model"])
        if spent >= 1:
            control.should_training_stop = True

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        assert isinstance(self.settings, DPOSettings)
        self.seconds = self.clock() - self.begun  # to look is a part of the method
        loss = kwargs["metrics"]["eval_loss"]
        if loss < self.best_loss:
            self.best_loss, self.best, self.looks_without = loss, kwargs["model"].unmasked(), 0
            return
        self.looks_without += 1
        if self.looks_without >= self.settings.patience:
            control.should_training_stop = True

    def melodies(self, steps: int) -> int:
        """Melodies sampled, or shown, in so many steps."""
        if isinstance(self.settings, DPOSettings):
            return 2 * self.settings.pairs_per_step * steps
        generations = -(-steps // self.settings.steps_per_generation)
        return generations * self.settings.steps_per_generation * self.settings.melodies_per_step

    def hand_out(self, steps: int, model: MaskedMelodyForCausalLM) -> None:
        """Give the caller a copy, once a step; the clock stands still."""
        if self.on_checkpoint is None or self.handed_out_at == steps:
            return
        self.handed_out_at = steps
        stopped = self.clock()
        self.on_checkpoint(self.seconds, self.melodies(steps), model.unmasked())
        self.begun += self.clock() - stopped

    def tuned(self, trainer: Trainer) -> Tuned:
        """What came of it, when training has ended."""
        model = cast(MaskedMelodyForCausalLM, trainer.model)
        steps = trainer.state.global_step
        self.hand_out(steps, model)
        return Tuned(
            policy=self.best or model.unmasked(),
            seconds=self.seconds,
            melodies=self.melodies(steps),
            steps=steps,
            log=trainer.state.log_history,
        )
