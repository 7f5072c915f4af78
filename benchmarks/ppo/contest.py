"""Ours and TRL's updates in turns: the same work, counted, and an honest warm-up for both."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from our_update import OurUpdates, Timed
from trl_process import TRLProcess

from rl.ppo.config import PPOConfig

TRL_ROLLOUT_BATCHES = (64, 128, 256)


class UnequalWork(RuntimeError):
    """The two sides did not do the same; their ratio would mean nothing."""


@dataclass(frozen=True, slots=True)
class Turns:
    """What the contestants did in turns; element i of each list is of repeat i."""

    ours: list[Timed]
    ours_all_layers: list[Timed]
    trl: list[dict[str, Any]]
    trl_rollout_batch: int

    def ratio(self, ours: list[Timed]) -> np.ndarray:
        """TRL's seconds over `ours`, for each repeat."""
        pairs = zip(self.trl, ours, strict=True)
        return np.array([row["seconds"] / timed.seconds for row, timed in pairs])


def take_turns(
    config: PPOConfig, repeats: int, ours: OurUpdates, python: Path, base: Path
) -> Turns:
    """Warm all contestants up and let them do an update each in turns, in another order each time.

    Args:
        config: what we ship.
        repeats: updates of each.
        ours: our learner under `config`, warm already.
        python: of the second environment.
        base: folder of the policy that `ours` started from.

    Raises:
        UnequalWork: when the optimisers did not step as often, or the policies were not the same.
    """
    # The learning rate costs no time; a small one keeps the melodies those of the base.
    all_layers = replace(config, layers_trained=None, learning_rate=1e-3)
    whole = OurUpdates(all_layers, ours.ppo.reference.model, ours.profile)
    whole.update()
    turns = Turns([], [], [], 0)
    with tempfile.TemporaryDirectory() as scratch:
        taste = Path(scratch) / "taste.json"
        ours.profile.save(taste)
        with TRLProcess(python, trl_job(config, base, taste), Path(scratch)) as trl:
            turns = replace(turns, trl_rollout_batch=warmed_up(trl, config.melodies_per_update))
            contestants: list[Callable[[], None]] = [
                lambda: turns.ours.append(ours.update()),
                lambda: turns.trl.append(trl.update(turns.trl_rollout_batch)),
                lambda: turns.ours_all_layers.append(whole.update()),
            ]
            for repeat in range(repeats):
                for place in range(len(contestants)):
                    contestants[(repeat + place) % len(contestants)]()
                _check_and_print(turns)
    return turns


def warmed_up(trl: TRLProcess, melodies: int) -> int:
    """The rollout batch with which TRL is fastest here; it goes on with that.

    Raises:
        UnequalWork: when its policy and its reference differ before anything was learnt.
    """
    trl.next_row()  # it is ready
    first = trl.update()
    # Generated under the mask and scored in one pass: equal only if mask and dropout are right.
    if abs(first["kl_nats"]) > 1e-3:
        raise UnequalWork(
            f"TRL's policy is {first['kl_nats']:.4f} nats from its reference before it has learnt; "
            "look at the mask and at dropout in trl_ppo.py"
        )
    batches = [n for n in TRL_ROLLOUT_BATCHES if n < melodies]
    batches.append(min(melodies, TRL_ROLLOUT_BATCHES[-1]))
    tried = {n: trl.update(n)["seconds_rollout"] for n in dict.fromkeys(batches)}
    best = min(tried, key=lambda n: tried[n])
    said = ", ".join(f"{n}: {seconds:.2f} s" for n, seconds in tried.items())
    print(f"TRL's rollout by its batch: {said}; it gets {best}", flush=True)
    return best


def trl_job(config: PPOConfig, base: Path, taste: Path) -> dict[str, Any]:
    """The same work for TRL, an update at a time."""
    # Learning rate, KL coefficient and the like cost no time and mean other things in TRL, so its
    # own defaults stay.
    same = (
        "melodies_per_update", "minibatch", "epochs", "std_penalty", "saturation_point", "seed",
        "threads",
    )  # fmt: skip
    return {
        **{name: getattr(config, name) for name in same},
        "base": str(base),
        "taste": str(taste),
        "conditioning": config.conditioning.fields(),
        "updates": 1_000_000,  # it ends when nobody asks for more
        "paced": True,
    }


def _check_and_print(turns: Turns) -> None:
    ours, whole, trl = turns.ours[-1], turns.ours_all_layers[-1], turns.trl[-1]
    if not ours.steps == whole.steps == trl["steps"]:
        raise UnequalWork(
            f"our optimisers took {ours.steps} and {whole.steps} steps and TRL's {trl['steps']} in "
            "an update; see num_mini_batches in trl_ppo.py"
        )
    print(
        f"repeat {len(turns.ours)}: ours {ours.seconds:.2f} s, all layers {whole.seconds:.2f} s, "
        f"TRL {trl['seconds']:.2f} s; {ours.steps} steps each; tokens {ours.tokens}, "
        f"{whole.tokens}, {trl['tokens']}",
        flush=True,
    )
