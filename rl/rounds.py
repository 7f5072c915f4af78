"""A round of ratings: have pairs rated, learn what is liked.

`fit_reward` is the same for people and for simulated listeners; `simulate_votes` rates what waits
in the store as a listener of known taste would, under a rater that is marked as simulated.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy.compose import Asked, compose
from policy.model import MelodyForCausalLM
from reward.agreement import Agreement, AgreementError, Ceiling, ceiling, cross_validated_agreement
from reward.feature_scale import FeatureScale
from reward.features import feature_matrix
from reward.listeners import SimulatedListener
from reward.preferences import LEFT, TIE, Preferences
from reward.ratings import RatingsStore
from reward.taste import TasteProfile
from rl.pairing_round import learnable
from rl.runs import Run, RunError, new_run, open_run

SCALE_MELODIES = 1000
"""base melodies that fix the unit of a score"""


def simulate_votes(store: RatingsStore, listener: SimulatedListener, count: int) -> int:
    """Let a simulated listener answer up to `count` waiting pairs; how many they answered.

    Raises:
        RunError: when there is nothing to rate.
    """
    frame = store.melodies_frame()
    if frame.empty:
        raise RunError("there are no melodies to rate; write and pair some first: tastemaker pairs")
    pool = [stored.melody for stored in store.melodies(frame["melody_id"].tolist())]
    listener.calibrate(pool)
    rater = store.rater_named(listener.name, kind="simulated")
    for answered in range(count):
        issued = store.issue(rater.id)
        if issued is None:
            return answered
        said = int(listener.choose([issued.left.melody], [issued.right.melody])[0])
        outcome = "left" if said == LEFT else "tie" if said == TIE else "right"
        store.vote(
            issued.assignment_id, outcome=outcome, nonce=uuid.uuid4().hex, renderer="simulated"
        )
    return count


@dataclass(frozen=True, slots=True)
class FittedReward:
    """A taste profile, and what it is worth."""

    run: Run
    profile: TasteProfile
    votes: int
    pairs: int
    raters: int
    agreement: Agreement | None
    """held out, by cross-validation; None with too few votes"""
    ceiling: Ceiling | None
    """from hidden repeats; None without them"""


def fit_reward(
    store: RatingsStore,
    base: MelodyForCausalLM,
    asked: Asked,
    *,
    root: Path,
    kind: str | None = None,
    parents: dict[str, str] | None = None,
    seed: int = 0,
    name: str | None = None,
) -> FittedReward:
    """Learn a taste profile from the store's decided votes and write it into a run folder.

    Args:
        store: the ratings.
        base: the policy whose melodies fix the unit of a score.
        asked: the header of those melodies.
        root: folder of all runs.
        kind: 'person' or 'simulated' votes; None takes whichever kind there is.
        parents: hashes of what it stands on.
        seed: of the melodies that fix the unit, and of the folds.
        name: the run's name.

    Raises:
        RunError: when there are no decided votes, or people's and simulated ones and `kind` is
        None.
    """
    votes = learnable(store.votes_frame(kind=kind))
    kinds = sorted(set(votes["rater_kind"]))
    if votes.empty:
        raise RunError(
            "there are no decided votes yet; collect some (tastemaker studio) or simulate them "
            "(tastemaker rate --simulate)"
        )
    if len(kinds) > 1:
        raise RunError(
            "the store holds votes of people and of simulated listeners, which are never mixed; "
            "choose with --votes-of person or --votes-of simulated"
        )
    ids = sorted({*votes["melody_a"], *votes["melody_b"]})
    melodies = [stored.melody for stored in store.melodies(ids)]
    preferences = Preferences.from_votes(votes, ids)
    scale = FeatureScale.of(compose(base, SCALE_MELODIES, asked=asked, seed=seed + 1_000_003))
    features = feature_matrix(melodies)
    profile = TasteProfile.fit(preferences, features, scale)

    def predict(train: Preferences, test: Preferences) -> np.ndarray:
        fitted = TasteProfile.fit(train, features, scale, weight_std=profile.weight_std)
        mean, _ = fitted.score(features)
        return mean[test.left] - mean[test.right]

    try:
        held_out = cross_validated_agreement(preferences, predict, seed=seed)
    except AgreementError:
        held_out = None
    repeats = ceiling(preferences, seed=seed)
    vote_ids = votes["vote_id"].tolist()
    run = new_run(
        "reward",
        {"asked": asked.fields(), "seed": seed, "votes_of": kinds[0]},
        root=root,
        name=name,
        parents=parents,
        more={
            "last_vote": max(vote_ids),
            "votes": len(vote_ids),
            "agreement": asdict(held_out) if held_out else None,
            "ceiling": asdict(repeats) if repeats else None,
        },
    )
    profile.save(run.path / "taste.json")
    store.record_training(run.name, vote_ids)
    pairs = int(preferences.pair.max()) + 1
    raters = len(set(votes["rater_id"]))
    return FittedReward(run, profile, len(vote_ids), pairs, raters, held_out, repeats)


def load_reward(name: str, *, root: Path) -> TasteProfile:
    """The taste profile of a reward run.

    Raises:
        RunError: when there is no such run.
        TasteError: when its profile is missing or damaged.
    """
    return TasteProfile.load(open_run(name, kind="reward", root=root).path / "taste.json")


def asked_of(record: dict[str, Any]) -> Asked:
    """The header that a reward run was asked for."""
    return Asked(**record["config"]["asked"])
