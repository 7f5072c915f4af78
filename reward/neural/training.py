"""Training of the neural reward: TRL's RewardTrainer, with ties, sides, weights and raters.

What is changed of TRL's trainer is what is compared and how. A batch is hidden states of two
melodies a comparison instead of ids (the trunk does not learn, so it runs once), and the loss is
Davidson's instead of -log sigma(gap):

    gap = scale of the rater * (utility chosen - utility rejected) ± side bias
    P(chosen) = exp(gap/2) / Z      P(tie) = nu / Z      P(rejected) = exp(-gap/2) / Z

nu and the side bias are shared by all; a rater's scale is learnt if asked for. Of a tie the left
melody stands as "chosen". Comparisons count by their weight.

One run makes the members, says when to stop and cross-validates: pairs are cut into as many folds
as there are members (a repeat is in its original's fold), each member learns from all folds but its
own, and after each epoch says what it thinks of that. The epoch with the best held-out likelihood
over *all* comparisons is where all members are taken from: one choice on all votes, where each
member's own would rest on a fifth of them. The held-out log-odds at that epoch are what a blend and
the agreement are chosen and told by.

Letters: N comparisons, B melodies, T tokens, D width, E epochs, R raters.
"""

from __future__ import annotations

import copy
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from music.melody import Melody
from policy.model import MelodyConfig, MelodyForCausalLM, melody_tokenizer
from policy.trl_options import quiet_options
from reward.comparisons.agreement import assign_folds
from reward.comparisons.preferences import RIGHT, TIE, Preferences
from reward.neural.model import (
    NeuralReward,
    NeuralRewardError,
    Readout,
    ReadTrunk,
    padded,
    utilities,
)
from reward.profile.davidson import outcome_log_probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralConfig:
    """How the neural reward learns.

    Raises:
        NeuralRewardError: for a number out of its range.
    """

    members: int = 5
    """networks, and folds"""
    units: int = 16
    """of a member's one layer"""
    epochs: int = 12
    """passes over the comparisons; how many count is chosen by what is held out"""
    comparisons_per_step: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1.0
    """AdamW's, on the readout's weights only"""
    rater_scales: bool = False
    """whether raters may lean more or less on the one shared taste"""

    def __post_init__(self) -> None:
        """Check the fields."""
        for name, least in (
            ("members", 2),
            ("units", 1),
            ("epochs", 1),
            ("comparisons_per_step", 1),
        ):
            if getattr(self, name) < least:
                raise NeuralRewardError(f"{name}={getattr(self, name)} is below {least}; raise it")
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise NeuralRewardError(f"{name}={value} is not within 0..inf; choose one that is")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedNeural:
    """A neural reward, and what it said of comparisons that it had not seen."""

    reward: NeuralReward
    epochs: int
    """passes that count"""
    fold_N: np.ndarray
    """the member that never saw each comparison"""
    held_out_gap_N: np.ndarray
    """what that member says: log-odds of left over right, sides aside"""
    held_out_nats_E: np.ndarray
    """mean log-likelihood of the held-out comparisons after each epoch"""


class RewardMember(PreTrainedModel):
    """A readout and the habits of those who vote, as a model that TRL's trainer takes."""

    config_class = MelodyConfig
    _supports_sdpa = True  # what the trunk's configuration asks for; here is no attention at all

    def __init__(self, config: MelodyConfig, units: int, raters: int, log_tie: float = 0.0) -> None:
        super().__init__(config)
        self.readout = Readout(config.hidden_size, units)
        self.side = nn.Parameter(torch.zeros(()))
        self.log_tie = nn.Parameter(torch.tensor(log_tie))
        self.log_scale_R = nn.Parameter(torch.zeros(raters))

    def forward(self, states_BTD: Tensor, real_BT: Tensor) -> Tensor:
        """Utilities (B,)."""
        return self.readout(states_BTD, real_BT)


class DavidsonRewardTrainer(RewardTrainer):
    """TRL's RewardTrainer for comparisons that may be ties, weigh, have sides and raters."""

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 (a loss, or it with the utilities, as in all of transformers)
        """Mean of weight * -log P(outcome) over the batch's comparisons."""
        utility_B = model(inputs["states_BTD"], inputs["real_BT"])
        loss = davidson_loss(
            cast(RewardMember, self.accelerator.unwrap_model(model)), utility_B, inputs
        )
        return (loss, {"logits": utility_B}) if return_outputs else loss

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """The readout's weights: habits are few and not pulled to 0."""
        return [
            n for n, _ in model.named_parameters() if n.startswith("readout.") and "bias" not in n
        ]


def davidson_loss(
    member: RewardMember, utility_B: Tensor, comparisons: Mapping[str, Tensor]
) -> Tensor:
    """Mean weighted -log P(outcome) in nats; the first half of the utilities is of the chosen."""
    chosen, rejected = utility_B.chunk(2)
    scale = member.log_scale_R[comparisons["rater"]].exp()
    half = (scale * (chosen - rejected) + member.side * comparisons["side"]) / 2
    logits = torch.stack([half, member.log_tie.expand_as(half), -half])
    said = torch.where(comparisons["tie"] > 0, logits[1], logits[0])
    return (comparisons["weight"] * (logits.logsumexp(0) - said)).mean()


def fit_neural(
    preferences: Preferences,
    melodies: Sequence[Melody],
    policy: MelodyForCausalLM,
    base_melodies: Sequence[Melody],
    *,
    config: NeuralConfig | None = None,
    seed: int = 0,
) -> FittedNeural:
    """Train the members on comparisons of `melodies`.

    Args:
        preferences: who preferred what, by rows of `melodies`.
        melodies: what was compared.
        policy: whose trunk is read.
        base_melodies: samples of it, that fix the unit of a score.
        config: how; the default by default.
        seed: of the first weights, the order of comparisons, and the folds.

    Raises:
        NeuralRewardError: for a comparison of a melody that is not there, or too few base melodies.
        AgreementError: when there are fewer decided pairs than members.
    """
    reader = ReadTrunk.of(policy, base_melodies)
    return fit_read(
        preferences,
        reader,
        reader.states(melodies),
        reader.states(base_melodies),
        config=config,
        seed=seed,
    )


def fit_read(
    preferences: Preferences,
    reader: ReadTrunk,
    states: Sequence[Tensor],
    base_states: Sequence[Tensor],
    *,
    config: NeuralConfig | None = None,
    seed: int = 0,
) -> FittedNeural:
    """As `fit_neural`, from hidden states that `reader` has given: for many fits of one pool."""
    config = config or NeuralConfig()
    used = np.concatenate([preferences.left, preferences.right])
    if len(used) and used.max() >= len(states):
        raise NeuralRewardError(
            f"a comparison names melody {used.max()} but there are {len(states)}; pass every "
            "melody that was compared"
        )
    fold_N = assign_folds(preferences, folds=config.members, seed=seed)
    compared, place = np.unique(used, return_inverse=True)
    left_N, right_N = place.reshape(2, -1)
    own_states = [states[row] for row in compared]
    gap_EN, nats_EN = np.zeros((2, config.epochs, len(preferences)))
    snapshots: list[list[RewardMember]] = []
    for member in range(config.members):
        taken = _train_member(
            preferences[fold_N != member], states, cast(MelodyConfig, reader.trunk.config), config,
            1000 * seed + member,
        )  # fmt: skip
        snapshots.append(taken)
        own = np.flatnonzero(fold_N == member)
        utility_EB = utilities([at.readout for at in taken], own_states)
        for epoch, at in enumerate(taken):
            gap_N = utility_EB[epoch, left_N[own]] - utility_EB[epoch, right_N[own]]
            scale_N = at.log_scale_R.detach().exp().double().numpy()[preferences.rater[own]]
            gap_EN[epoch, own] = scale_N * gap_N
            log_p = outcome_log_probabilities(
                gap_EN[epoch, own] + at.side.item(), at.log_tie.item()
            )
            said = log_p[1 - preferences.outcome[own], np.arange(len(own))]
            nats_EN[epoch, own] = preferences.weight[own] * said
    nats_E = nats_EN.sum(1) / preferences.weight.sum()
    best = int(nats_E.argmax())
    chosen = [taken[best].readout.eval().requires_grad_(False) for taken in snapshots]
    return FittedNeural(
        reward=NeuralReward.of(reader, chosen, base_states, votes=len(preferences)),
        epochs=best + 1,
        fold_N=fold_N,
        held_out_gap_N=gap_EN[best],
        held_out_nats_E=nats_E,
    )


@contextmanager
def _callers_chance() -> Iterator[None]:
    """Put Python's and numpy's global generators back afterwards."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 (what others draw from)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


class _Snapshots(TrainerCallback):
    """A copy of the member after each epoch."""

    def __init__(self) -> None:
        self.taken: list[RewardMember] = []

    def on_epoch_end(self, *_: object, **kwargs: Any) -> None:  # noqa: ANN401
        self.taken.append(copy.deepcopy(kwargs["model"]).cpu())


def _train_member(
    preferences: Preferences,
    states: Sequence[Tensor],
    shape: MelodyConfig,
    config: NeuralConfig,
    seed: int,
) -> list[RewardMember]:
    """One member after each epoch."""
    shape = copy.deepcopy(shape)
    shape.num_labels = 1

    def batch(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        both = [row["chosen_ids"][0] for row in rows] + [row["rejected_ids"][0] for row in rows]
        states_BTD, real_BT = padded([states[melody] for melody in both])
        columns = ("tie", "side", "weight", "rater")
        return {
            "states_BTD": states_BTD,
            "real_BT": real_BT,
            **{name: torch.tensor([row[name] for row in rows]) for name in columns},
        }

    # What TRL writes goes with this folder; what it draws leaves the caller's chance alone. It sets
    # the seeds of Python and numpy too.
    with (
        _callers_chance(),
        tempfile.TemporaryDirectory(prefix="tastemaker-") as scratch,
        torch.random.fork_rng(),
    ):
        torch.manual_seed(seed)
        # nu begins at the share of ties, as if all were equals: from anywhere else it takes all
        # epochs to get there, and the last one always looks best.
        ties = (np.count_nonzero(~preferences.decided) + 0.5) / (len(preferences) + 1)
        raters, log_tie = len(preferences.rater_ids), float(np.log(2 * ties / (1 - ties)))
        member = RewardMember(shape, config.units, raters, log_tie)
        member.log_scale_R.requires_grad_(config.rater_scales)
        snapshots = _Snapshots()
        trainer = DavidsonRewardTrainer(
            model=member,
            args=_trl_config(config, scratch, seed),
            data_collator=batch,
            train_dataset=Dataset.from_dict(_columns(preferences)),
            processing_class=melody_tokenizer(),
            callbacks=[snapshots],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return snapshots.taken


def _columns(preferences: Preferences) -> dict[str, list[Any]]:
    """A row a comparison.

    TRL knows ids that need no tokenising by these two names; ours are the melodies' rows.
    """
    swapped = preferences.outcome == RIGHT
    left, right = preferences.left, preferences.right
    return {
        "chosen_ids": np.where(swapped, right, left)[:, None].tolist(),
        "rejected_ids": np.where(swapped, left, right)[:, None].tolist(),
        "tie": (preferences.outcome == TIE).astype(np.float32).tolist(),
        "side": np.where(swapped, -1.0, 1.0).tolist(),
        "weight": preferences.weight.tolist(),
        "rater": preferences.rater.tolist(),
    }


def _trl_config(config: NeuralConfig, scratch: str, seed: int) -> RewardConfig:
    """Float32 on whatever processor there is, a constant rate, nothing written, nothing said."""
    # A few thousand weights are not worth a journey to another device.
    options = quiet_options(RewardConfig, scratch, seed, use_cpu=True) | {
        "logging_strategy": "no",
        "max_length": None,
        "remove_unused_columns": False,
        "per_device_train_batch_size": config.comparisons_per_step,
        "num_train_epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "lr_scheduler_type": "constant",
    }
    return RewardConfig(**options)
