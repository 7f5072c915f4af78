"""Episodes a second of PPO: ours, TRL 1.12's PPOTrainer and stable-baselines3, on the same work.

    python benchmarks/ppo/ppo_throughput.py            # as we ship it, 5 repeats
    python benchmarks/ppo/ppo_throughput.py --quick    # whether it runs; its figures mean nothing

An update is that of `rl.ppo.trainer.fine_tune`: roll out, measure the guards, learn; saving is left
out on both sides. TRL has the same weights, header, number of melodies, minibatches, epochs,
optimiser steps (counted), reward model and grammar, in float32 with as many threads, in a process
of its own in a second environment that the first run makes (`second_environment.py`); what it is
given beyond that is told in `trl_ppo.py`. After a warm-up, in which TRL is given the fastest of
three rollout batches, the two take turns; each sleeps while the other works. stable-baselines3 runs
the whole prefix at each token and would take many minutes: a slice is timed and extrapolated
(`sb3_ppo.py`). Each lever is timed in turns with the default.

Our default may train the top layers only (`PPOConfig.layers_trained`), which is an algorithm's
choice and not the same gradient: TRL's trainer trains all. So a third contestant takes its turn:
ours with all layers trained, `ratio_vs_trl_all_layers`.

FLOPs are those that the result needs, by formula (`matmul_flops.py`); beside them what torch's
counter saw, padding included. The peak is that of large matrix products at as many threads.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for second_environment

import numpy as np
import torch
from contest import Turns, take_turns
from matmul_flops import has_bf16_products, peak_gflops
from our_update import OurUpdates, levers
from sb3_ppo import Slice, timed_slice
from second_environment import TRL_VERSION, described, second_environment

from music.tokens import HEADER_LENGTH
from policy.checkpoint import load_policy
from policy.compose import compose
from policy.model import MelodyForCausalLM
from policy.shipped import shipped_policy
from reward.comparisons.preferences import Preferences
from reward.listeners.simulated import SimulatedListener
from reward.profile.feature_scale import FeatureScale
from reward.profile.profile import TasteProfile
from rl.ppo.config import PPOConfig
from rl.ppo.objective import objective_of

ROOT = Path(__file__).resolve().parents[2]
VOTES = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    config: PPOConfig
    base: Path
    environment: Path
    repeats: int
    lever_repeats: int
    sb3_melodies: int
    sb3_tokens: int | None
    """of each melody; None takes the mean length"""


def main() -> None:
    """Measure and print."""
    plan = _asked()
    config = plan.config
    torch.set_num_threads(config.threads)
    python = second_environment(plan.environment)
    versions = {n: v for n, v in described(python).items() if n in ("torch", "transformers", "trl")}
    versions["stable-baselines3"] = version("stable-baselines3")
    print(
        f"{_processor()}, {os.cpu_count()} cores, {config.threads} threads; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
    )
    base = load_policy(plan.base)
    trained = config.layers_trained or base.config.num_hidden_layers
    print(
        f"{config.melodies_per_update} melodies an update, minibatch {config.minibatch}, "
        f"{config.epochs} epochs, {config.meter}, {config.bars} bars, "
        f"{'learning in bf16 on our side' if config.bf16 else 'float32'}; we train the top "
        f"{trained} of {base.config.num_hidden_layers} layers",
        flush=True,
    )
    profile = taste_of(base, config)
    peak = peak_gflops(torch.float32)
    ours = OurUpdates(config, base, profile)
    executed = dict(zip(("rollout", "update"), ours.executed_share(), strict=True))
    turns = take_turns(config, plan.repeats, ours, python, plan.base)
    peak = max(peak, peak_gflops(torch.float32))
    lever_ratios = timed_levers(plan, base, profile)
    tokens = float(np.mean([timed.tokens for timed in turns.ours])) / config.melodies_per_update
    steps = tokens - HEADER_LENGTH  # each token after it is one of the environment's, forced or not
    sliced = sb3_slice(plan, base, profile, round(steps))
    transitions = config.melodies_per_update * steps
    result = {
        **compared(turns, config.melodies_per_update),
        **against_sb3(turns, sliced.update_seconds(transitions, config.epochs), config),
        **achieved(turns, ours),
        "peak_gflops": peak,
        "peak_bf16_gflops": peak_gflops(torch.bfloat16) if has_bf16_products() else None,
        "executed_over_useful_flops": executed,
        "seconds_over_default": lever_ratios,
        "sb3_extrapolated_from_transitions": sliced.transitions,
        "repeats": plan.repeats,
        "melodies_per_update": config.melodies_per_update,
        "minibatch": config.minibatch,
        "epochs": config.epochs,
        "layers_trained": trained,
        "threads": config.threads,
        "hardware": {"processor": _processor(), "cores": os.cpu_count()},
        "versions": versions,
    }
    _print_table(result)
    print(json.dumps(result))


def compared(turns: Turns, melodies: int) -> dict[str, Any]:
    """Ours beside TRL: ratios with their spread over the repeats, seconds by stage, tokens."""
    ratio, all_layers = turns.ratio(turns.ours), turns.ratio(turns.ours_all_layers)
    cpu = [row["seconds_cpu"] / t.cpu for row, t in zip(turns.trl, turns.ours, strict=True)]
    stages = {
        name: {
            "rollout": [t.rollout for t in side],
            "guards": [t.guards for t in side],
            "learning": [t.learning for t in side],
        }
        for name, side in (("ours", turns.ours), ("ours_all_layers", turns.ours_all_layers))
    }
    stages["trl"] = {
        "sampling": [row["seconds_sampling"] for row in turns.trl],
        "scoring": [row["seconds_rollout"] - row["seconds_sampling"] for row in turns.trl],
        "learning": [row["seconds_learning"] for row in turns.trl],
    }
    return {
        "ratio_vs_trl": _median(ratio),
        "ratio_vs_trl_spread": [float(ratio.min()), float(ratio.max())],
        "ratio_vs_trl_in_cpu_seconds": _median(cpu),
        "ratio_vs_trl_all_layers": _median(all_layers),
        "ratio_vs_trl_all_layers_spread": [float(all_layers.min()), float(all_layers.max())],
        "seconds": {
            side: {stage: _median(values) for stage, values in parts.items()}
            for side, parts in stages.items()
        },
        "optimizer_steps": turns.ours[0].steps,
        "trl_rollout_batch": turns.trl_rollout_batch,
        "tokens_per_melody": {
            "ours": float(np.mean([t.tokens for t in turns.ours])) / melodies,
            "trl": float(np.mean([row["tokens"] for row in turns.trl])) / melodies,
            "trl_padded": float(np.mean([row["tokens_padded"] for row in turns.trl])) / melodies,
        },
    }


def against_sb3(turns: Turns, sb3_seconds: float, config: PPOConfig) -> dict[str, Any]:
    """The ratio to stable-baselines3's extrapolated seconds, and everyone's episodes a second."""
    ours = _median([t.seconds for t in turns.ours])
    trl = _median([row["seconds"] for row in turns.trl])
    return {
        "ratio_vs_sb3": sb3_seconds / ours,
        "episodes_per_second": {
            "ours": config.melodies_per_update / ours,
            "trl": config.melodies_per_update / trl,
            "sb3": config.melodies_per_update / sb3_seconds,
        },
    }


def achieved(turns: Turns, ours: OurUpdates) -> dict[str, float]:
    """Useful GFLOP/s of our rollouts and updates."""
    flops = [ours.useful_flops(t.sampled) for t in turns.ours]
    pairs = list(zip(flops, turns.ours, strict=True))
    return {
        "update_gflops": _median([learning / t.learning / 1e9 for (_, learning), t in pairs]),
        "rollout_gflops": _median([rollout / t.rollout / 1e9 for (rollout, _), t in pairs]),
    }


def timed_levers(plan: Plan, base: MelodyForCausalLM, profile: TasteProfile) -> dict[str, float]:
    """For each lever, an update's seconds over the default's: the median of paired repeats.

    Each starts from the base and draws from the same seeds, so that all write the same melodies.
    """
    default = OurUpdates(plan.config, base, profile)
    others = [
        (lever, OurUpdates(replace(plan.config, **lever.changes), base, profile))
        for lever in levers()
    ]
    ratios: dict[str, list[float]] = {lever.name: [] for lever, _ in others}
    for _ in range(plan.lever_repeats):
        seconds = default.update().seconds
        for lever, updates in others:
            with lever.context():
                ratios[lever.name].append(updates.update().seconds / seconds)
    return {name: _median(values) for name, values in ratios.items()}


def sb3_slice(plan: Plan, base: MelodyForCausalLM, profile: TasteProfile, tokens: int) -> Slice:
    """A slice of an update of stable-baselines3's."""
    return timed_slice(
        base,
        objective_of(profile.score, plan.config),
        plan.config,
        melodies=plan.sb3_melodies,
        tokens=plan.sb3_tokens or tokens,
    )


def taste_of(base: MelodyForCausalLM, config: PPOConfig) -> TasteProfile:
    """A taste profile from votes of a simulated listener."""
    melodies = compose(base, 2 * VOTES, conditioning=config.conditioning, seed=config.seed + 1)
    listener = SimulatedListener("calm", seed=config.seed).calibrate(melodies)
    outcome = listener.choose(melodies[:VOTES], melodies[VOTES:])
    votes = Preferences.of(np.arange(VOTES), np.arange(VOTES, 2 * VOTES), outcome)
    return TasteProfile.fit(votes, melodies, FeatureScale.of(melodies))


def _asked() -> Plan:
    shipped = PPOConfig()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="updates of each side")
    parser.add_argument("--threads", type=int, default=shipped.threads, help="of torch, each side")
    parser.add_argument("--base", type=Path, default=shipped_policy().resolve())
    parser.add_argument(
        "--environment",
        type=Path,
        default=ROOT / "checkpoints" / "runs" / f".trl-{TRL_VERSION}",
        help="folder of the second environment, made if need be",
    )
    parser.add_argument("--quick", action="store_true", help="a few melodies, two repeats")
    given = parser.parse_args()
    if given.repeats < 1:
        parser.error(f"--repeats {given.repeats} is below 1; give a positive number")
    places = {"base": given.base.absolute(), "environment": given.environment.absolute()}
    if given.quick:
        config = replace(shipped, threads=given.threads, melodies_per_update=16, minibatch=8)
        return Plan(
            config=config, **places, repeats=2, lever_repeats=1, sb3_melodies=2, sb3_tokens=12
        )
    return Plan(
        config=replace(shipped, threads=given.threads),
        **places,
        repeats=given.repeats,
        lever_repeats=3,
        sb3_melodies=16,
        sb3_tokens=None,
    )


def _print_table(result: dict[str, Any]) -> None:
    speed = result["episodes_per_second"]
    print(
        f"\nmelodies a second: ours {speed['ours']:.1f}, TRL {speed['trl']:.1f}, "
        f"stable-baselines3 {speed['sb3']:.2f} (extrapolated)"
    )
    for name, said in (("", "ours"), ("_all_layers", "ours, all layers trained")):
        low, high = result[f"ratio_vs_trl{name}_spread"]
        print(
            f"{said} over TRL: {result[f'ratio_vs_trl{name}']:.2f} times [{low:.2f}, {high:.2f}], "
            f"{result['repeats']} repeats"
        )
    print(
        f"in CPU-seconds, which other processes hardly touch: "
        f"{result['ratio_vs_trl_in_cpu_seconds']:.2f} times\n"
        f"ours over stable-baselines3: {result['ratio_vs_sb3']:.0f} times"
    )
    for side, parts in result["seconds"].items():
        print(f"{side:16s}" + ", ".join(f"{name} {value:.2f} s" for name, value in parts.items()))
    for name in ("rollout", "update"):
        gflops, run = result[f"{name}_gflops"], result["executed_over_useful_flops"][name]
        print(
            f"{name}: {gflops:.1f} useful GFLOP/s, {gflops / result['peak_gflops']:.0%} of the "
            f"peak of {result['peak_gflops']:.0f}; {run:.2f} FLOPs run for a useful one"
        )
    print("an update's seconds over the default's:")
    for name, value in result["seconds_over_default"].items():
        print(f"{value:6.2f}  {name}")


def _median(values: Sequence[float] | np.ndarray) -> float:
    return float(np.median(values))


def _processor() -> str:
    """The processor's name by the kernel's list, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()} {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    main()
