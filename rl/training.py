"""A fine-tuning run: PPO in a run folder, measured, guarded, checkpointed, resumable to the bit.

Each update is rolled out, measured, learnt from, logged and saved whole; a killed run goes on from
its newest whole step. The result is the best policy within the guards, not the last one.
"""

from __future__ import annotations

import shutil
import time
from typing import Any

import numpy as np
import torch

from music.diversity import vendi_score
from music.originality import TrainingIndex, originality
from policy.checkpoint import newest_step, save_policy, write_step
from policy.model import MelodyForCausalLM
from rl.ppo import PPO
from rl.ppo_config import PPOConfig
from rl.rollout import Reward, Rollout
from rl.runs import Run, RunError


class Watcher:
    """What looks on while a run goes: log, samples, heartbeat. This one does nothing."""

    def updated(self, row: dict[str, Any], rollout: Rollout) -> None:
        """Called after each update is logged and its step is on disk."""

    def stop_asked(self) -> bool:
        """Asked after each update; True ends the run there, to be resumed later."""
        return False


def fine_tune(
    run: Run,
    config: PPOConfig,
    base: MelodyForCausalLM,
    reward: Reward,
    index: TrainingIndex,
    *,
    watcher: Watcher | None = None,
) -> dict[str, Any] | None:
    """Run PPO in a run folder, from its newest whole step on; returns the best update's log row.

    Writes `steps/N/` (for resume), `metrics.jsonl`, and at the end `policy/`, the best policy by
    conservative reward within the KL limit. None when the watcher asked to stop before the end.

    Raises:
        RunError: when no policy stayed within the KL limit.
    """
    torch.set_num_threads(config.threads)
    watcher = watcher or Watcher()
    ppo = PPO(config, base, reward)
    saved = newest_step(run.path / "steps")
    if saved is not None:
        ppo.restore(saved.step, saved.tensors, saved.state)
    run.forget_after(ppo.update)
    finished = run.path / "policy"
    while not finished.exists():
        begun = time.monotonic()
        rollout = ppo.roll_out()
        row = measure(ppo, rollout, index)
        if row["kl_nats"] <= config.kl_limit_nats and row["reward"] > ppo.best_reward:
            _keep_best(run, ppo, row["reward"])
        last = ppo.update == config.updates
        if not last:
            row |= ppo.learn(rollout)
        row["seconds"] = round(time.monotonic() - begun, 3)
        run.log(row)
        if last:
            if ppo.best_update < 0:
                raise RunError(
                    f"no update of {run.name} stayed within {config.kl_limit_nats} nats; lower the "
                    "learning rate or the target"
                )
            (run.path / "best" / str(ppo.best_update)).replace(finished)
        else:
            write_step(run.path / "steps", ppo.update, ppo.tensors(), ppo.state())
            _drop_old_bests(run, ppo.best_update)
        watcher.updated(row, rollout)
        if not last and watcher.stop_asked():
            return None
    shutil.rmtree(run.path / "best", ignore_errors=True)
    return kept_row(run.rows(), config)


def kept_row(rows: list[dict[str, Any]], config: PPOConfig) -> dict[str, Any]:
    """The log row of the update whose policy is the run's result."""
    within = [row for row in rows if row["kl_nats"] <= config.kl_limit_nats]
    return max(within, key=lambda row: row["reward"])


def measure(ppo: PPO, rollout: Rollout, index: TrainingIndex) -> dict[str, Any]:
    """What a log line says of a rollout: reward, KL and the guards beside them."""
    melodies = rollout.melodies
    return {
        "update": ppo.update,
        "reward": ppo.objective(rollout).mean().item(),
        "score_mean": rollout.score_mean.mean().item(),
        "score_std": rollout.score_std.mean().item(),
        "kl_nats": rollout.kl_nats.mean().item(),
        "kl_coefficient": ppo.kl_coefficient,
        "notes": float(np.mean([len(melody.notes) for melody in melodies])),
        "vendi": vendi_score(melodies),
        "originality": float(np.nanmean(originality(melodies, index).originality)),
    }


def _keep_best(run: Run, ppo: PPO, reward: float) -> None:
    place = run.path / "best" / str(ppo.update)
    draft = run.path / "best" / f"tmp-{ppo.update}"
    for leftover in (place, draft):
        shutil.rmtree(leftover, ignore_errors=True)
    save_policy(ppo.learner.policy, draft)
    draft.replace(place)
    ppo.best_update, ppo.best_reward = ppo.update, reward


def _drop_old_bests(run: Run, best_update: int) -> None:
    # Only after the step that names the new one is on disk: a kill in between resumes from the old.
    for folder in (run.path / "best").glob("*"):
        if folder.name != str(best_update):
            shutil.rmtree(folder)
