"""`imitation`'s preference comparison, run by the Python of its own environment.

    python benchmarks/votes/imitation_rewards.py JOB.npz SCORES.npz

As its own examples have it: five `BasicRewardNet`s of (32, 32) with running normalisation of what
goes in and comes out, in a `RewardEnsemble`, by `EnsembleTrainer` (AdamW, 1e-3, 32 comparisons a
step, bagging) with `CrossEntropyRewardLoss`. On features a melody is one step whose state is its
features; on tokens it is an episode, as in our environment: the state is the token before, the
action the next one, and rewards of all steps are summed. Its comparisons are of equal lengths only,
so that an episode goes on in padding, an absorbing state, up to the longest melody's end. A tie
would be half a preference.

One thing is ours: a batch's pairs go through a member together. The package takes them one by one
(`PreferenceModel.forward`), which takes minutes; running normalisation then sees a pair at a time.

The job holds states_pool, states_fresh (features) and tokens_pool, tokens_fresh (ids of one
length), left, right, outcome, budgets, epochs, seed; the answer one row of scores a budget, for
either representation. Nothing here imports our packages, and the job is made by `reward_rivals`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import gymnasium
import numpy as np
import torch

# Found in the second environment only.
from imitation.algorithms import preference_comparisons as comparisons  # pyright: ignore[reportMissingImports]
from imitation.data import rollout  # pyright: ignore[reportMissingImports]
from imitation.data.types import TrajectoryWithRew  # pyright: ignore[reportMissingImports]
from imitation.rewards import reward_nets  # pyright: ignore[reportMissingImports]
from imitation.util import logger, networks  # pyright: ignore[reportMissingImports]

MEMBERS = 5


class BatchedPreferenceModel(comparisons.PreferenceModel):
    """Its model of a preference, for a batch of fragments of one length at once."""

    def forward(
        self, fragment_pairs: Sequence[tuple[TrajectoryWithRew, TrajectoryWithRew]]
    ) -> tuple[torch.Tensor, None]:
        """Probability (B,) that the first of each pair is preferred."""
        first, second = (
            self.rewards(rollout.flatten_trajectories([pair[side] for pair in fragment_pairs]))
            .reshape(len(fragment_pairs), -1)
            .sum(1)
            for side in (0, 1)
        )
        gap = torch.clip(second - first, -self.threshold, self.threshold)
        return 1 / (1 + gap.exp()), None


def of_features(features_BF: np.ndarray) -> list[TrajectoryWithRew]:
    """One step a melody; the action is not looked at."""
    end = np.zeros(features_BF.shape[1], np.float32)
    return [
        TrajectoryWithRew(
            obs=np.stack([row.astype(np.float32), end]),
            acts=np.zeros(1, np.int64),
            infos=None,
            terminal=True,
            rews=np.zeros(1, np.float32),
        )
        for row in features_BF
    ]


def of_tokens(ids_BT: np.ndarray) -> list[TrajectoryWithRew]:
    """One step a token: from the token before to the next, padding and all."""
    return [
        TrajectoryWithRew(
            obs=row,
            acts=row[1:],
            infos=None,
            terminal=True,
            rews=np.zeros(len(row) - 1, np.float32),
        )
        for row in ids_BT.astype(np.int64)
    ]


def scores(
    pool: list[TrajectoryWithRew],
    fresh: list[TrajectoryWithRew],
    spaces: tuple[gymnasium.Space, gymnasium.Space],
    compared: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    epochs: int,
    seed: int,
    use_action: bool,
) -> np.ndarray:
    """Score of each fresh melody by an ensemble that has learnt from the comparisons; (B,)."""
    torch.manual_seed(seed)
    members = [
        reward_nets.NormalizedRewardNet(
            reward_nets.BasicRewardNet(
                *spaces, use_action=use_action, normalize_input_layer=networks.RunningNorm
            ),
            networks.RunningNorm,
        )
        for _ in range(MEMBERS)
    ]
    ensemble = reward_nets.RewardEnsemble(*spaces, members)
    model = comparisons.PreferenceModel(ensemble)
    model.member_pref_models = [BatchedPreferenceModel(member) for member in members]
    trainer = comparisons.EnsembleTrainer(
        model,
        comparisons.CrossEntropyRewardLoss(),
        np.random.default_rng(seed),
        epochs=epochs,
        custom_logger=logger.configure(format_strs=[]),
    )
    data = comparisons.PreferenceDataset()
    left, right, outcome = compared
    data.push(
        [(pool[one], pool[other]) for one, other in zip(left, right, strict=True)],
        ((outcome + 1) / 2).astype(np.float32),
    )
    trainer.train(data)
    return np.array([_total(members, episode) for episode in fresh])


def _total(members: list[reward_nets.NormalizedRewardNet], episode: TrajectoryWithRew) -> float:
    """The members' mean return, as the comparisons were learnt: not normalised."""
    end = np.zeros(len(episode.acts), bool)
    end[-1] = True
    step = (episode.obs[:-1], episode.acts, episode.obs[1:], end)
    return float(np.mean([member.predict(*step).sum() for member in members]))


def main() -> None:
    """Train on each budget's comparisons, by features and by tokens."""
    job = np.load(sys.argv[1])
    action = gymnasium.spaces.Discrete(int(job["vocabulary"]))
    width = job["states_pool"].shape[1]
    any_state = gymnasium.spaces.Box(-np.inf, np.inf, (width,), np.float32)
    kinds = {
        "features": (of_features, "states", any_state, False),
        "tokens": (of_tokens, "tokens", action, True),
    }
    found: dict[str, list[np.ndarray]] = {}
    for kind, (episodes, name, state, use_action) in kinds.items():
        pool, fresh = (episodes(job[f"{name}_{which}"]) for which in ("pool", "fresh"))
        found[kind] = [
            scores(
                pool,
                fresh,
                (state, action),
                (job["left"][:votes], job["right"][:votes], job["outcome"][:votes]),
                epochs=int(job["epochs"]),
                seed=int(job["seed"]),
                use_action=use_action,
            )
            for votes in job["budgets"]
        ]
    draft = Path(sys.argv[2])
    np.savez(draft, **{kind: np.stack(rows) for kind, rows in found.items()})  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
