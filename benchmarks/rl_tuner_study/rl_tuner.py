"""RL Tuner's study, repeated: its music-theory rules as the reward of our PPO, and its table.

    python benchmarks/rl_tuner_study/rl_tuner.py --out checkpoints/runs/rl-tuner-study \
        --write benchmarks/rl_tuner_study/README.md

Writes 10,000 melodies with the shipped base (4/4, 8 bars), tunes it towards the rules of
`music-theory` with weights that are steered until the table holds (`rl_tuner_steering`), writes as
many with the last policy under the same headers, and prints the study's metrics beside the
published columns and beside held-out tunes, then what it cost: KL, diversity, originality and the
yardsticks that moved most. `--write` puts the tables between the markers of a document. A run that
was stopped goes on where it was; one that is finished is only measured. The last line is one JSON
object. Needs nothing but the package; a quarter of an hour with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rl_tuner_bound import Bound, Counts, bounds_of, sixteenths
from rl_tuner_document import document, moved, write_between_markers
from rl_tuner_metrics import AS_CODED
from rl_tuner_steering import Steered, Steering, steering_sha256
from rl_tuner_table import as_json, compare
from rl_tuner_task import BASE, CONDITIONING, write_side

from music.corpora.corpus import load_corpus
from music.corpora.diversity import SAMPLE_SIZE, vendi_at
from music.corpora.originality import compare_originality
from music.melody import Melody
from music.tokens import HEADER_LENGTH, decode
from policy.checkpoint import load_policy, newest_step, policy_hash
from policy.logprobs import melody_nats
from policy.model import MelodyForCausalLM
from policy.runs import Run, RunError, new_run, open_run
from policy.scope import styles_of
from reward.scorer import RewardError
from rl.evaluation.evaluate import training_index
from rl.ppo.algorithm import PPO
from rl.ppo.config import PPOConfig, config_record
from rl.ppo.trainer import fine_tune
from rl.rewards.music_theory import music_theory_score
from rl.rewards.spec import MUSIC_THEORY

RUN = "rl-tuner"
MEASURED_FOR_COST = 1024
"""melodies a side for KL and originality, which take time and are known well enough by then"""


def config_of(updates: int, threads: int, seed: int) -> PPOConfig:
    """PPO for a reward in nats that is known exactly: a nat costs 1, and nothing saturates."""
    return PPOConfig(
        updates=updates,
        threads=threads,
        seed=seed,
        meter=CONDITIONING.meter,
        bars=CONDITIONING.bars,
        layers_trained=2,
        learning_rate=0.2,
        learning_rate_decay=0.985,
        gae_lambda=0.9,
        critic_knows_rules=True,
        std_penalty=0.0,
        saturation_point=None,
        kl_coefficient=1.0,
        kl_target_nats=None,
        kl_limit_nats=30.0,
        diversity_floor=0.15,
    )


def prepared(out: Path, config: PPOConfig, melodies: int) -> Run:
    """The run in `out`, new or as it was left; `melodies` a side say what its table asks.

    Raises:
        RewardError: when the run in `out` was made with another reward or configuration.
    """
    reward = f"{MUSIC_THEORY}, steered {steering_sha256(melodies)}"
    parents = {"base": policy_hash(BASE), "reward": reward}
    if not (out / RUN / "run.json").is_file():
        return new_run("ppo", config_record(config), root=out, name=RUN, parents=parents)
    run = open_run(RUN, root=out)
    changes: list[str] = []
    if run.record["parents"]["reward"] != parents["reward"]:
        changes.append("the rules, their first weights, the steering or --melodies have changed")
    if PPOConfig.from_record(run.record["config"]) != config:
        changes.append("its configuration is another")
    if run.record["parents"]["base"] != parents["base"]:
        changes.append("it started from other weights")
    if changes:
        raise RewardError(
            f"{run.path} cannot be gone on with: {'; '.join(changes)}; give another --out"
        )
    return run


def tuned_by(
    run: Run, config: PPOConfig, base: MelodyForCausalLM, asked: Sequence[Bound]
) -> tuple[MelodyForCausalLM, Steered]:
    """The run's last policy, trained as far as it is not yet, and the weights of its last update.

    Not the policy that the run keeps, the best by its score: the weights move, so that scores of
    two updates are not of one kind.

    Raises:
        RunError: when the run ended with a guard broken.
    """
    steered = Steered(asked)
    step = newest_step(run.path / "steps")
    callback = Steering(steered, run.path / "weights", step.step if step else 0)
    fine_tune(run, config, base, steered.score, training_index(base), callback=callback)
    last = run.rows()[-1]
    if last["guards_broken"]:
        raise RunError(
            f"{run.path} broke its guards at update {last['update']} "
            f"({', '.join(last['guards_broken'])}); give another --seed, or lower the learning rate"
        )
    step = newest_step(run.path / "steps")
    assert step is not None  # it is written after every update
    callback.back_to(step.step)
    ppo = PPO(config, base, steered.score)
    ppo.restore(step.step, step.tensors, step.state)
    return ppo.actor.policy, steered


def scores(
    base: Sequence[Melody], tuned: Sequence[Melody], real: Sequence[Melody]
) -> dict[str, float]:
    """Mean scores by the rules as they ship, in deviations of the base's."""
    of_base = music_theory_score(base)
    middle, deviation = of_base.mean(), of_base.std()
    sides = {"base": of_base, "tuned": music_theory_score(tuned), "real": music_theory_score(real)}
    return {name: float((score.mean() - middle) / deviation) for name, score in sides.items()}


def main() -> None:
    """Tune, write, measure, print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=90)
    parser.add_argument("--melodies", type=int, default=10_000, help="a side")
    parser.add_argument("--threads", type=int, default=PPOConfig().threads)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for the run")
    parser.add_argument("--write", type=Path, help="document to put the tables into")
    given = parser.parse_args()
    if given.melodies < SAMPLE_SIZE:
        parser.error(f"--melodies {given.melodies} is below {SAMPLE_SIZE}, which diversity needs")
    hardware = f"{platform.machine()}, {os.cpu_count()} cores, {given.threads} threads"
    print(f"{hardware}; {given.updates} updates, {given.melodies} melodies a side")
    torch.set_num_threads(given.threads)
    config = config_of(given.updates, given.threads, given.seed)
    base = load_policy(BASE)
    begun = time.monotonic()
    run = prepared(given.out, config, given.melodies)
    seed = given.seed + 2_000_003  # no stage before drew from it
    base_rows = write_side(base, base, given.melodies, seed)
    before = [decode(row, styles=styles_of(base)) for row in base_rows]
    asked = bounds_of(Counts.of(before), sixteenths(before))
    tuned, steered = tuned_by(run, config, base, asked)
    seconds = {"ppo": float(np.sum([row["seconds"] for row in run.rows()]))}

    measuring = time.monotonic()
    tuned_rows = write_side(tuned, base, given.melodies, seed)
    after = [decode(row, styles=styles_of(tuned)) for row in tuned_rows]
    real = [
        strain.melody
        for strain in load_corpus("test")
        if (strain.melody.header.meter, strain.melody.header.bars) == (config.meter, config.bars)
    ]
    table = compare(before, after, real)
    coded = compare(before, after, real, metrics=AS_CODED)
    some = tuned_rows[:MEASURED_FOR_COST]
    ratio = melody_nats(tuned, some, HEADER_LENGTH) - melody_nats(base, some, HEADER_LENGTH)
    index = training_index(base)
    original = {
        name: compare_originality(side[:MEASURED_FOR_COST], real, index)
        for name, side in (("base", before), ("tuned", after))
    }
    vendi = {
        name: vendi_at(side, SAMPLE_SIZE)[0] for name, side in (("base", before), ("tuned", after))
    }
    seconds["measuring"] = time.monotonic() - measuring
    seconds["total"] = time.monotonic() - begun
    cost = {
        "kl_nats": float(ratio.mean()),
        "kl_standard_error": float(ratio.std(ddof=1) / np.sqrt(len(ratio))),
        **{f"score_{name}": value for name, value in scores(before, after, real).items()},
        "vendi_base": vendi["base"],
        "vendi_tuned": vendi["tuned"],
        "originality_base": original["base"]["samples"]["originality"],
        "originality_tuned": original["tuned"]["samples"]["originality"],
        "originality_held_out_humans": original["tuned"]["held_out"]["originality"],
        "notes_base": float(np.mean([len(melody.notes) for melody in before])),
        "notes_tuned": float(np.mean([len(melody.notes) for melody in after])),
    }
    counts = (given.melodies, len(real))
    text = document(table, coded, cost, moved(before, after, real), counts, run.record["config"])
    print(text)
    print(f"{seconds['ppo']:.0f} s of PPO, {seconds['total']:.0f} s in all")
    if given.write:
        write_between_markers(given.write, text)
        print(f"wrote {given.write}")
    result = {
        "melodies": given.melodies,
        "updates": given.updates,
        "weights": steered.weight,
        "holds": {row.metric.name: row.holds for row in table},
        "all_hold": all(row.holds for row in table),
        **cost,
        "metrics": as_json(table),
        "as_coded": as_json(coded),
        "seconds": seconds,
        "hardware": hardware,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
