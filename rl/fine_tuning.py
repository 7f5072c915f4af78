"""Fine-tuning runs as the command line knows them: start, resume, evaluate, by names.

A run remembers its base policy's folder and weights, and its reward run; a resume checks that both
are still what they were.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from music.sound import find_soundfont
from policy.checkpoint import load_policy, policy_hash
from policy.model import MelodyForCausalLM
from reward.taste import TasteProfile
from rl.baselines import best_of_n
from rl.evaluate import Evaluation, evaluate, training_index
from rl.ppo_config import PPOConfig, config_record
from rl.report import ReportInput, guard_facts, write_report
from rl.rounds import asked_of, load_reward
from rl.runs import RUNS, Run, RunError, new_run, newest_run, open_run, write_text
from rl.training import Watcher, fine_tune, kept_row


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is ready to go, from its start or from where it was stopped."""

    run: Run
    config: PPOConfig
    base: MelodyForCausalLM
    profile: TasteProfile
    reward_name: str

    def go(self, watcher: Watcher | None = None) -> dict[str, Any] | None:
        """Run to the end; the log row of the policy that was kept, None when stopped before."""
        return fine_tune(
            self.run,
            self.config,
            self.base,
            self.profile.score,
            training_index(),
            watcher=watcher,
        )


def start_run(
    reward_name: str | None,
    base_folder: Path,
    changes: dict[str, Any],
    *,
    name: str | None = None,
    root: Path = RUNS,
) -> Job:
    """A new run against a reward run (the newest by default), with its header.

    Raises:
        RunError: when there is no reward run.
        ValueError: for settings that do not go together.
    """
    if reward_name is None:
        newest = newest_run("reward", root=root)
        if newest is None:
            raise RunError(
                "there is no reward model yet; make one from votes with: tastemaker reward"
            )
        reward_name = newest.name
    profile = load_reward(reward_name, root=root)
    asked = asked_of(open_run(reward_name, root=root).record)
    header = {k: v for k, v in asked.fields().items() if k != "pickup_ticks"}
    config = PPOConfig(**{**header, **changes})
    base = load_policy(base_folder)
    parents = {
        "base": policy_hash(base_folder),
        "base_folder": str(base_folder),
        "reward": reward_name,
    }
    run = new_run("ppo", config_record(config), root=root, name=name, parents=parents)
    return Job(run, config, base, profile, reward_name)


def resume_run(name: str, *, root: Path = RUNS) -> Job:
    """A run that was stopped, to go on from its newest whole step.

    Raises:
        RunError: when it is not there, or its base policy has changed since.
    """
    run = open_run(name, kind="ppo", root=root)
    record = run.record
    folder = Path(record["parents"]["base_folder"])
    base = load_policy(folder)
    if policy_hash(folder) != record["parents"]["base"]:
        raise RunError(
            f"{folder} holds other weights ({policy_hash(folder)}) than run {name} started from "
            f"({record['parents']['base']}); put those back, or start a new run"
        )
    reward_name = record["parents"]["reward"]
    profile = load_reward(reward_name, root=root)
    return Job(run, PPOConfig.from_record(record["config"]), base, profile, reward_name)


def evaluate_run(
    base_folder: Path,
    name: str,
    reward_name: str | None,
    *,
    count: int,
    best_of: int,
    out: Path | None,
    seed: int,
    soundfont: Path | None = None,
    root: Path = RUNS,
) -> tuple[Path, dict[str, Any]]:
    """Evaluate a PPO run beside a base; writes the report and returns its path and figures.

    Raises:
        RunError: when the run is not there or has not finished.
    """
    find_soundfont(soundfont)  # before minutes of work, not after
    run = open_run(name, kind="ppo", root=root)
    if not (run.path / "policy").is_dir():
        raise RunError(f"run {name!r} has not finished; go on with: tastemaker ppo --resume {name}")
    record = run.record
    config = PPOConfig.from_record(record["config"])
    judged_by: str = reward_name or record["parents"]["reward"]
    profile = load_reward(judged_by, root=root)
    base, tuned = load_policy(base_folder), load_policy(run.path / "policy")
    others = None
    if best_of:
        others = best_of_n(
            base,
            profile.score,
            n=best_of,
            count=64,
            asked=config.asked,
            std_penalty=config.std_penalty,
            seed=seed + 700_001,
        )
    evaluation = evaluate(
        base,
        tuned,
        profile.score,
        asked=config.asked,
        count=count,
        seed=seed + 800_001,
        best=others,
    )
    out = out or run.path
    out.mkdir(parents=True, exist_ok=True)
    rows = run.rows()
    given = ReportInput(
        title=f"{name} beside its base",
        lead=(
            f"The tuned policy's melodies score {evaluation.tuned.score.mean():+.2f} base standard "
            f"deviations by reward {judged_by}, the base's {evaluation.base.score.mean():+.2f}, "
            f"at {evaluation.kl_nats:.1f} nats. The reward model is what it was tuned on: only a "
            "blind test by people says whether it is better."
        ),
        facts=_facts(evaluation),
        evaluation=evaluation,
        profile=profile,
        ppo_rows=rows,
        best_update=kept_row(rows, config)["update"],
        kl_limit_nats=config.kl_limit_nats,
        provenance=[
            ("base policy", f"{base_folder}, weights {policy_hash(base_folder)}"),
            ("reward", judged_by),
            ("votes", str(open_run(judged_by, root=root).record["votes"])),
            ("run", f"{name}, code {record['commit']}, seed {config.seed}"),
        ],
        seconds={"ppo": float(np.sum([row["seconds"] for row in rows]))},
    )
    write_report(out / "report.html", given, soundfont=soundfont)
    summary = evaluation.summary()
    write_text(out / "report.json", json.dumps(summary, indent=1))
    return out / "report.html", summary


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    base, tuned = evaluation.base, evaluation.tuned
    return [
        (f"{base.score.mean():+.2f} → {tuned.score.mean():+.2f}", "score by the reward model"),
        (f"{evaluation.kl_nats:.2f} nats", "KL from the base, a melody"),
        (f"{evaluation.model_win_rate:.1%}", "wins by the reward model"),
        *guard_facts(evaluation),
    ]
