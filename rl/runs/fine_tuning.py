"""Fine-tuning runs by name, for the command line: start, resume, evaluate.

A run records its base policy's folder and weights, and its reward: spec, hashes and unit. A resume
checks that none of them has changed. A run has one writer at a time, whichever database its job is
in: the writer holds a file lock, which the system releases when the process ends.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from music.files import make_folder
from music.json_text import write_json
from music.progress import Report, no_report
from music.rendering.sound import find_soundfont
from policy.checkpoint import is_policy, load_policy, policy_hash
from policy.model import MelodyForCausalLM
from policy.runs import RUNS, Run, RunError, new_run, open_run
from policy.scope import scope_of, styles_of
from policy.usual_header import usual_header
from rl.evaluation.best_of_n import best_of_n
from rl.evaluation.evaluate import Evaluation, corpora_in_words, evaluate, training_index
from rl.evaluation.report import ReportInput, guard_facts, write_report
from rl.ppo.config import PPOConfig, config_record
from rl.ppo.guards import kept_row
from rl.ppo.trainer import Callback, fine_tune
from rl.rewards.scaled import ChosenReward, are_parts, reward_of, same_reward
from rl.runs.run_comparison import RESULT_FILE

STANDARDISING = "writing melodies of the base policy, the unit of the reward"


@dataclass(frozen=True, slots=True)
class FineTuning:
    """A run that is ready to start, or to continue from its newest checkpoint."""

    run: Run
    config: PPOConfig
    base: MelodyForCausalLM
    reward: ChosenReward

    def go(self, callback: Callback | None = None) -> dict[str, Any] | None:
        """Run to the end and return the log row of the kept policy, or None when it was stopped.

        If torchrun started several processes, only the first one writes.

        Raises:
            RunError: when another process writes the run, or no policy passed the guards.
        """
        writes = os.environ.get("RANK", "0") == "0"
        with only_writer(self.run) if writes else nullcontext():
            kept = fine_tune(
                self.run,
                self.config,
                self.base,
                self.reward.score,
                training_index(self.base),
                callback=callback,
            )
            if kept is not None and writes:
                write_json(self.run.path / RESULT_FILE, kept)
        return kept


@contextmanager
def only_writer(run: Run) -> Iterator[None]:
    """Hold the run's lock; the system releases it when the process ends, even after a kill.

    Raises:
        RunError: when another process holds it.
    """
    with (run.path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"run {run.name!r} is being written by another process; wait until that one ends, "
                "or stop it in the terminal or database in which it was started"
            ) from None
        yield


def start_run(
    spec: str | None,
    base_folder: Path,
    changes: dict[str, Any],
    *,
    name: str | None = None,
    root: Path = RUNS,
    report: Report = no_report,
) -> FineTuning:
    """A new run that maximises a reward (see `rl.rewards.scaled`; None is the newest reward run).

    The header fields are those of the reward run, if there is one, and else the usual ones that the
    base knows; `changes` override them.

    Raises:
        RunError: when there is no such reward run.
        ValueError: for a reward or settings that are wrong.
    """
    reward = reward_of(spec, root=root)
    conditioning = reward.conditioning.fields() if reward.conditioning is not None else {}
    header = {key: value for key, value in conditioning.items() if key != "pickup_ticks"}
    base = load_policy(base_folder)
    config = PPOConfig(**{**usual_header(scope_of(base)), **header, **changes})
    scope_of(base).check_asked(config.conditioning.fields())
    reward = reward.standardised(base, config.conditioning, progress=partial(report, STANDARDISING))
    parents = {
        "base": policy_hash(base_folder),
        "base_folder": str(base_folder),
        "reward": reward.name,
    }
    run = new_run(
        "ppo",
        config_record(config),
        root=root,
        name=name,
        parents=parents,
        more={"reward": reward.record},
    )
    return FineTuning(run, config, base, reward)


def resume_run(name: str, *, root: Path = RUNS) -> FineTuning:
    """A run that was stopped, to continue from its newest checkpoint.

    Raises:
        RunError: when it does not exist, or its base policy or its reward has changed.
    """
    run = open_run(name, kind="ppo", root=root)
    record = run.record
    if not {"base", "base_folder"} <= record["parents"].keys() or "reward" not in record:
        raise RunError(
            f"run {name!r} does not say where its base and its reward are, as one made by "
            "tastemaker ppo does; start a new run"
        )
    folder = Path(record["parents"]["base_folder"])
    base = load_policy(folder)
    started_from = record["parents"]["base"]
    is_old = record.get("record_version") is None
    if not is_policy(folder, started_from, of_0_1_0=is_old):
        raise RunError(
            f"{folder} holds another policy ({policy_hash(folder)}) than run {name} started from "
            f"({started_from}): other weights, or another configuration; put that one back, or "
            "start a new run"
        )
    reward = own_reward(run, root=root)
    changed = same_reward(record["reward"], reward)
    if changed:
        raise RunError(
            f"the reward of run {name} is not what it was: {'; '.join(changed)}; put it back, or "
            "start a new run"
        )
    return FineTuning(run, PPOConfig.from_record(record["config"]), base, reward)


def own_reward(run: Run, *, root: Path = RUNS) -> ChosenReward:
    """The reward that a run maximised, in its unit.

    Raises:
        RunError: when a reward run that it uses is gone.
        ValueError: when it can no longer be used.
    """
    record = run.record.get("reward")
    # `same_reward` reads these; they are missing where somebody has written to the record.
    if (
        not isinstance(record, dict)
        or not isinstance(record.get("spec"), str)
        or not are_parts(record.get("parts"))
    ):
        raise RunError(
            f"the record of run {run.name!r} does not say what its reward is; put {run.path}/"
            "run.json back from a copy, or start a new run"
        )
    return reward_of(record["spec"], root=root).standardised_as(record)


def evaluate_run(
    base_folder: Path,
    name: str,
    spec: str | None,
    *,
    count: int,
    best_of: int,
    out: Path | None,
    seed: int,
    soundfont: Path | None = None,
    root: Path = RUNS,
    report: Report = no_report,
) -> tuple[Path, dict[str, Any]]:
    """Evaluate a PPO run against a base; writes the report and returns its path and figures.

    It is scored by the reward of `spec`, or by default by the reward that it maximised.

    Raises:
        RunError: when the run is missing or not finished.
        ValueError: for a reward that is wrong.
    """
    find_soundfont(soundfont)  # fails here rather than after minutes of work
    run = open_run(name, kind="ppo", root=root)
    if not (run.path / "policy").is_dir():
        raise RunError(
            f"run {name!r} has not finished; let it finish: tastemaker ppo --resume {name}"
        )
    record = run.record
    config = PPOConfig.from_record(record["config"])
    base, tuned = load_policy(base_folder), load_policy(run.path / "policy")
    if spec is None:
        reward = own_reward(run, root=root)
    else:
        reward = reward_of(spec, root=root).standardised(
            base, config.conditioning, progress=partial(report, STANDARDISING)
        )
    others = None
    if best_of:
        others = best_of_n(
            base,
            reward.score,
            n=best_of,
            count=64,
            conditioning=config.conditioning,
            std_penalty=config.std_penalty,
            seed=seed + 700_001,
            progress=partial(report, f"writing melodies for best of {best_of}"),
        )
    evaluation = evaluate(
        base,
        tuned,
        reward.score,
        conditioning=config.conditioning,
        count=count,
        seed=seed + 800_001,
        best=others,
        report=report,
    )
    report("writing the report", 0, 0)
    out = out or run.path
    make_folder(out)
    rows = run.rows()
    kept = kept_row(rows, config)
    assert kept is not None  # otherwise there would be no policy folder
    given = ReportInput(
        title=f"{name} compared with its base",
        lead=(
            f"By reward {reward.name}, the tuned policy's melodies score "
            f"{evaluation.tuned.score.mean():+.2f} base standard deviations on average and the "
            f"base's {evaluation.base.score.mean():+.2f}, at a KL of {evaluation.kl_nats:.1f} "
            "nats. PPO may overfit to the reward: only a blind test with people shows whether the "
            "melodies are better."
        ),
        facts=_facts(evaluation),
        evaluation=evaluation,
        profile=reward.profile,
        ppo_rows=rows,
        best_update=kept["update"],
        kl_limit_nats=config.kl_limit_nats,
        provenance=[
            ("base policy", f"{base_folder}, weights {policy_hash(base_folder)}"),
            ("trained on", corpora_in_words(base)),
            ("styles", ", ".join(styles_of(base).labels)),
            ("reward", reward.name),
            ("votes", _votes(reward, root) or "none: this reward is not learnt from votes"),
            ("run", f"{name}, code {record['commit']}, seed {config.seed}"),
        ],
        seconds={"ppo": float(np.sum([row["seconds"] for row in rows]))},
    )
    write_report(out / "report.html", given, soundfont=soundfont)
    summary = evaluation.summary()
    write_json(out / "report.json", summary)
    return out / "report.html", summary


def _votes(reward: ChosenReward, root: Path) -> str:
    runs = [part.name for part in reward.parts if part.kind == "run"]
    return ", ".join(f"{open_run(run, root=root).record['votes']} ({run})" for run in runs)


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    base, tuned = evaluation.base, evaluation.tuned
    return [
        (f"{base.score.mean():+.2f} → {tuned.score.mean():+.2f}", "score by the reward model"),
        (f"{evaluation.kl_nats:.2f} nats", "KL from the base, per melody"),
        (f"{evaluation.model_win_rate:.1%}", "wins by the reward model"),
        *guard_facts(evaluation),
    ]


def main() -> None:
    """Resume the run that the command line names; for torchrun on several machines."""
    resume_run(sys.argv[1]).go()


if __name__ == "__main__":
    main()
