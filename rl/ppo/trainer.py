"""A fine-tuning run: PPO in a run folder, measured, guarded, checkpointed, resumable to the bit.

Each update is rolled out, measured, learnt from, logged and saved. A killed run goes on from its
newest complete step. The result is the best policy within the guards (`rl.ppo.guards`), not the
last one. With several processes, each of them runs this, and the first one measures and writes.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from typing import Any

import numpy as np
import torch

from music.corpora.diversity import vendi_score
from music.corpora.originality import TrainingIndex, originality
from music.files import replace
from policy.checkpoint import newest_step, save_policy, write_step
from policy.decode import NotFiniteError
from policy.model import MelodyForCausalLM
from policy.runs import Run, RunError
from reward.scorer import Reward
from rl.ppo.algorithm import PPO
from rl.ppo.config import PPOConfig
from rl.ppo.distributed import Processes
from rl.ppo.guards import FINITE, broken_guards, kept_row, not_finite, out_of_patience
from rl.ppo.rollout import Rollout

log = logging.getLogger("tastemaker.job")


class Callback:
    """What follows a run: log, samples, heartbeat. This one does nothing."""

    def about_to_write(self) -> None:
        """Called before files of the run are written; an exception prevents it."""

    def logged(self, row: dict[str, Any], rollout: Rollout) -> None:
        """Called when an update is in the log but its step is not on disk yet.

        After a kill the update is done again, and this is called again: at least once, then.
        """

    def updated(self, row: dict[str, Any], rollout: Rollout) -> None:
        """Called after each update is logged and its step is on disk."""

    def ended_early(self, why: str) -> None:
        """Called before the end of a run that ends at numbers that are not finite."""

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
    callback: Callback | None = None,
) -> dict[str, Any] | None:
    """Run PPO in a run folder, from its newest whole step on; returns the kept update's log row.

    Writes `steps/N/` (for resume), `metrics.jsonl`, and at the end `policy/`, the best policy by
    conservative reward within the guards. Ends early when the guards stay broken, and at the first
    figure or weight that is not finite. None when the callback asked to stop before the end.

    Raises:
        RunError: when no policy held the guards, processes are missing, or the log lacks rows of
            updates before the checkpoint.
        RewardError: for scores that are not finite.
    """
    torch.set_num_threads(config.threads)
    with Processes(config.processes) as processes:
        # Not named here, so that nothing holds on to the group when the peers are left.
        return _run(run, PPO(config, base, reward, processes), index, callback or Callback())


def _run(run: Run, ppo: PPO, index: TrainingIndex, callback: Callback) -> dict[str, Any] | None:
    config, processes = ppo.config, ppo.processes
    saved = newest_step(run.path / "steps")
    if saved is not None:
        ppo.restore(saved.step, saved.tensors, saved.state)
    finished = run.path / "policy"
    if not finished.exists():
        run.check_rows(ppo.update)
    processes.wait()  # nobody writes while another still reads where the run stands
    if not finished.exists() and processes.is_main:
        run.forget_after(ppo.update)  # a finished run's last row has no step behind it
    rows = [row for row in run.rows() if finished.exists() or row["update"] < ppo.update]
    over = finished.exists()
    while not over:
        begun = time.monotonic()
        rollout = _rolled_out(ppo)
        row = {} if rollout is None else measure(ppo, rollout, index)
        if processes.is_main:
            callback.about_to_write()
        if row:
            row["guards_broken"] = broken_guards(row, rows[0] if rows else row, config)
        if rollout is None or FINITE in row["guards_broken"]:
            # Such a row is not logged: it would be no JSON. The run ends with the one before it.
            why = _why_ended(ppo.update, not_finite(row) or {"probabilities": math.nan})
            if not rows:
                raise RunError(
                    f"{run.name} ends at {why}, which is its start; look at the base policy and "
                    "the reward, and start a new run"
                )
            if processes.is_main:
                _finish(run, rows, config)
                _tell(callback, why)
            break
        rows.append(row)
        if processes.is_main and kept_row(rows, config) is row:
            _keep_best(run, ppo)
        over = ppo.update == config.updates or out_of_patience(rows, config)
        if not over:
            learnt = ppo.learn(rollout)
            broken = not_finite({**learnt, **ppo.state(), **ppo.largest()})
            if any(processes.all([bool(broken)])):
                # What was learnt is no checkpoint: the newest one stays the last good one.
                over = True
                _tell(callback, _why_ended(row["update"], broken))
            else:
                row |= learnt
        row["seconds"] = round(time.monotonic() - begun, 3)
        if processes.is_main:
            callback.about_to_write()
            run.log(row)
            callback.logged(row, rollout)
            if not over:
                write_step(run.path / "steps", ppo.update, ppo.tensors(), ppo.state())
                _drop_old_bests(run, kept_row(rows, config))
            else:
                _finish(run, rows, config)
            callback.updated(row, rollout)
        if not over and any(processes.all([processes.is_main and callback.stop_asked()])):
            return None
    processes.wait()
    if processes.is_main:
        shutil.rmtree(run.path / "best", ignore_errors=True)
    return kept_row(rows, config)


def _rolled_out(ppo: PPO) -> Rollout | None:
    """The melodies of the next update; None when the policy of a process gives no probabilities."""
    rollout: Rollout | None = None
    try:
        rollout = ppo.roll_out()
    except NotFiniteError as error:
        log.warning("%s", error)
    return None if any(ppo.processes.all([rollout is None])) else rollout


def measure(ppo: PPO, rollout: Rollout, index: TrainingIndex) -> dict[str, Any]:
    """What a log line says of a rollout: reward, KL and what the guards watch; of all processes."""
    processes = ppo.processes
    reward, mean, std, kl_nats = (
        processes.mean(values.double().cpu()).item()
        for values in (
            ppo.objective(rollout), rollout.score_mean, rollout.score_std, rollout.kl_nats
        )
    )  # fmt: skip
    melodies = processes.all(rollout.melodies)
    return {
        "update": ppo.update,
        "reward": reward,
        "score_mean": mean,
        "score_std": std,
        "kl_nats": kl_nats,
        "kl_coefficient": ppo.kl_coefficient,
        "notes": float(np.mean([len(melody.notes) for melody in melodies])),
        "vendi": vendi_score(melodies),
        "originality": float(np.nanmean(originality(melodies, index).originality)),
    }


def _why_ended(update: int, broken: dict[str, Any]) -> str:
    figures = ", ".join(f"{name}={value}" for name, value in [*broken.items()][:3])
    return f"update {update} with {figures or 'numbers of another process that are not finite'}"


def _tell(callback: Callback, why: str) -> None:
    log.warning("the run ends at %s; to go further, start a new one that learns more slowly", why)
    callback.ended_early(why)


def _keep_best(run: Run, ppo: PPO) -> None:
    place = run.path / "best" / str(ppo.update)
    shutil.rmtree(place, ignore_errors=True)  # of an update that is done again
    save_policy(ppo.actor.policy, place)


def _drop_old_bests(run: Run, best: dict[str, Any] | None) -> None:
    # Called only when the step after the new best is on disk: a kill in between resumes from the
    # old one.
    for folder in (run.path / "best").glob("*"):
        if best is None or folder.name != str(best["update"]):
            shutil.rmtree(folder)


def _finish(run: Run, rows: list[dict[str, Any]], config: PPOConfig) -> None:
    best = kept_row(rows, config)
    if best is None:
        broken = ", ".join(sorted({name for row in rows for name in row["guards_broken"]}))
        raise RunError(
            f"no update of {run.name} held the guards (broken: {broken}; KL limit "
            f"{config.kl_limit_nats} nats); lower the learning rate or the KL target, or raise the "
            "KL coefficient"
        )
    replace(run.path / "best" / str(best["update"]), run.path / "policy")
