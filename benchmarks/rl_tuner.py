"""RL Tuner's study, repeated: its music-theory rules as the reward of our PPO, and its table.

    python benchmarks/rl_tuner.py --out checkpoints/runs/rl-tuner --write docs/rl-tuner.md

Tunes the shipped base (4/4, 8 bars) towards `music-theory`, writes 10,000 melodies with the base
and as many with the tuned policy under the same headers, and prints the study's metrics beside the
published columns and beside held-out tunes, then what it cost: KL, diversity, originality and the
yardsticks that moved most. `--write` puts the tables between the markers of a document. A run that
was stopped goes on where it was; one that is finished is only measured. The last line is one JSON
object. Needs nothing but the package; 6 minutes with one thread, two at once on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rl_tuner_document import document, moved, write_between_markers

from music.corpus import load_corpus
from music.diversity import SAMPLE_SIZE, vendi_at
from music.originality import compare_originality
from music.tokens import HEADER_LENGTH, decode
from policy.checkpoint import load_policy, policy_hash
from policy.compose import Asked
from policy.decode import sample
from policy.logprobs import melody_nats
from policy.model import MelodyForCausalLM
from reward.rl_tuner_metrics import AS_CODED
from reward.rl_tuner_table import as_json, compare
from rl.evaluate import training_index
from rl.ppo_config import PPOConfig, config_record
from rl.reward_spec import MUSIC_THEORY, RewardError
from rl.rewards import ChosenReward, reward_of, same_reward
from rl.rollout import with_reference_header
from rl.runs import Run, new_run, open_run
from rl.training import Watcher, fine_tune

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT / "checkpoints" / "base"
RUN = "rl-tuner"
BATCH = 256
MEASURED_FOR_COST = 1024
"""melodies a side for KL and originality, which take time and are known well enough by then"""


class Progress(Watcher):
    """A line every few updates."""

    def updated(self, row: dict[str, Any], rollout: object) -> None:
        """Say how far it is."""
        if row["update"] % 4 == 0:
            print(
                f"update {row['update']:3d}  score {row['score_mean']:+.2f}  "
                f"KL {row['kl_nats']:.1f} nats  Vendi {row['vendi']:.0f}  "
                f"notes {row['notes']:.0f}  {row['seconds']:.1f} s",
                flush=True,
            )


def config_of(updates: int, threads: int, seed: int, nats_a_deviation: float) -> PPOConfig:
    """PPO for a reward that is known exactly and says itself how many nats it is worth.

    Args:
        updates: of PPO.
        threads: of torch.
        seed: of PPO.
        nats_a_deviation: one base deviation of the score, in nats: the rules' weights are in nats.
    """
    return PPOConfig(
        updates=updates,
        threads=threads,
        seed=seed,
        layers_trained=2,
        learning_rate=0.2,
        learning_rate_decay=0.987,
        gae_lambda=0.9,
        critic_knows_rules=True,
        std_penalty=0.0,
        good_enough=None,
        kl_coefficient=1 / nats_a_deviation,
        kl_target_nats=None,
        kl_limit_nats=30.0,
        diversity_floor=0.2,
    )


def prepared(
    out: Path, base: MelodyForCausalLM, updates: int, threads: int, seed: int
) -> tuple[Run, PPOConfig, ChosenReward]:
    """The run in `out`, new or as it was left, its configuration and its reward.

    Raises:
        RewardError: when the run in `out` was made with another reward or configuration.
    """
    run = open_run(RUN, root=out) if (out / RUN / "run.json").is_file() else None
    chosen = reward_of(MUSIC_THEORY, root=out)
    if run is None:
        chosen = chosen.standardised(base, config_of(updates, threads, seed, 1.0).asked)
    else:
        chosen = chosen.standardised_as(run.record["reward"])
    assert chosen.standard is not None  # rules have no unit of their own
    config = config_of(updates, threads, seed, chosen.standard.parts[MUSIC_THEORY].std)
    if run is None:
        parents = {"base": policy_hash(BASE), "reward": chosen.name}
        more = {"reward": chosen.record}
        record = config_record(config)
        run = new_run("ppo", record, root=out, name=RUN, parents=parents, more=more)
        return run, config, chosen
    record = run.record
    changes = same_reward(record["reward"], chosen)
    if PPOConfig.from_record(record["config"]) != config:
        changes.append("its configuration is another")
    if record["parents"]["base"] != policy_hash(BASE):
        changes.append("it started from other weights")
    if changes:
        raise RewardError(
            f"{run.path} cannot be gone on with: {'; '.join(changes)}; give another --out"
        )
    return run, config, chosen


def write_side(
    policy: MelodyForCausalLM, base: MelodyForCausalLM, asked: Asked, count: int, seed: int
) -> list[np.ndarray]:
    """Token rows of `count` melodies; with one seed every policy gets the same headers."""
    rows: list[np.ndarray] = []
    for number, begin in enumerate(range(0, count, BATCH)):
        chance = torch.Generator().manual_seed(seed + number)
        headers = with_reference_header(base, asked.given(min(BATCH, count - begin)), chance)
        rows += sample(policy, headers, generator=chance).rows()
    return rows


def main() -> None:
    """Tune, write, measure, print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=100)
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
    base = load_policy(BASE)
    begun = time.monotonic()
    run, config, chosen = prepared(given.out, base, given.updates, given.threads, given.seed)
    kept = fine_tune(run, config, base, chosen.score, training_index(), watcher=Progress())
    assert kept is not None  # this watcher never asks to stop
    seconds = {"ppo": float(np.sum([row["seconds"] for row in run.rows()]))}
    tuned = load_policy(run.path / "policy")

    measuring = time.monotonic()
    seed = given.seed + 2_000_003  # no stage before drew from it
    rows = [write_side(side, base, config.asked, given.melodies, seed) for side in (base, tuned)]
    before, after = ([decode(row) for row in side] for side in rows)
    real = [
        strain.melody
        for strain in load_corpus("test")
        if (strain.melody.header.meter, strain.melody.header.bars) == (config.meter, config.bars)
    ]
    table = compare(before, after, real)
    coded = compare(before, after, real, metrics=AS_CODED)
    some = rows[1][:MEASURED_FOR_COST]
    ratio = melody_nats(tuned, some, HEADER_LENGTH) - melody_nats(base, some, HEADER_LENGTH)
    index = training_index()
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
        "score_base": float(chosen.score(before)[0].mean()),
        "score_tuned": float(chosen.score(after)[0].mean()),
        "score_real": float(chosen.score(real)[0].mean()),
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
        "kept_update": kept["update"],
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
