"""Fitting a reward: from the votes in a store to a reward run.

`fit_reward` is the same for votes of people and of simulated listeners.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from music.melody import MelodyError
from music.messages import excerpt
from music.progress import Report, no_report
from policy.compose import Conditioning, compose
from policy.model import MelodyForCausalLM
from policy.runs import Run, RunError, new_run
from reward.comparisons.agreement import Agreement, Ceiling
from reward.comparisons.learnable import learnable, sealed_count
from reward.comparisons.preferences import Preferences
from reward.profile.features import feature_matrix
from reward.profile.learning_curve import Forecast
from reward.profile.profile import TasteProfile
from reward.profile.training import FORECAST_VOTES, TrainedReward, train_reward
from reward.store.store import RatingsStore
from reward.training.base_scale import base_scale
from reward.training.model_card import RewardCard, write_reward_card
from reward.training.models import (
    NEURAL_SCALE_MELODIES,
    PROFILE,
    ComparedModels,
    compare_models,
    save_models,
)

BOTH = "both"
"""votes of people and of simulated listeners, mixed on request only"""


@dataclass(frozen=True, slots=True)
class FittedReward:
    """A reward that was trained on a store's votes, and the run it was written to."""

    run: Run
    trained: TrainedReward
    compared: ComparedModels | None
    """None where only a profile was asked for"""
    votes: int
    pairs: int
    raters: int
    votes_sealed: int
    """left out, because they are on melodies of a blind test that has not been revealed"""

    @property
    def profile(self) -> TasteProfile:
        """What was learnt."""
        return self.trained.profile

    @property
    def agreement(self) -> Agreement | None:
        """Of what the run scores by, held out; None with too few votes."""
        if self.compared:
            return self.compared.agreements[self.run.record["model"]]
        return self.trained.agreement

    @property
    def ceiling(self) -> Ceiling | None:
        """From hidden repeats; None without them."""
        return self.trained.ceiling

    def forecast(self, more_votes: int = FORECAST_VOTES) -> Forecast | None:
        """What so many further votes are worth; None where that cannot be said."""
        return self.trained.forecast(more_votes)


def fit_reward(
    store: RatingsStore,
    base: MelodyForCausalLM,
    conditioning: Conditioning,
    *,
    root: Path,
    kind: str | None = None,
    parents: dict[str, str] | None = None,
    seed: int = 0,
    name: str | None = None,
    model: str = PROFILE,
    report: Report = no_report,
) -> FittedReward:
    """Learn a reward from the store's decided votes; write it, with its card, into a run.

    Args:
        store: the ratings.
        base: the policy whose melodies fix the unit of a score.
        conditioning: the header of those melodies.
        root: folder of all runs.
        kind: 'person' or 'simulated' votes, or `BOTH`; None takes whichever kind there is.
        parents: hashes of what it stands on.
        seed: of the melodies that fix the unit, and of the folds.
        name: the run's name.
        model: one of `reward.training.models.MODELS`; other than the profile, all three are
            compared.
        report: is told each stage of the work.

    Raises:
        AgreementError: for another model than the profile, of too few votes to compare by.
        RunError: when there are no decided votes, or people's and simulated ones and `kind` is
        None.
    """
    every = store.votes_frame(kind=None if kind == BOTH else kind)
    votes = learnable(every)
    kinds = sorted(set(votes["rater_kind"]))
    left_out = sealed_count(every)
    if votes.empty and left_out:
        raise RunError(
            f"all {left_out} decided votes are on melodies of a blind test that has not been "
            "revealed; end it (tastemaker studio, page Blind test) or collect other votes "
            "(tastemaker pairs)"
        )
    if votes.empty:
        raise RunError(
            "there are no decided votes yet; collect some (tastemaker studio) or simulate them "
            "(tastemaker rate --simulate)"
        )
    if len(kinds) > 1 and kind != BOTH:
        raise RunError(
            "the store holds votes of people and of simulated listeners, which are not mixed "
            "unasked; choose with --votes-of person, simulated or both"
        )
    ids = sorted({*votes["melody_a"], *votes["melody_b"]})
    melodies = [stored.melody for stored in store.melodies(ids)]
    preferences = Preferences.from_votes(votes, ids)
    scale = base_scale(
        base,
        conditioning,
        seed=seed + 1_000_003,
        root=root,
        progress=partial(report, "writing melodies of the base policy"),
    )
    report("measuring features", 0, 0)
    features_MF = feature_matrix(melodies)
    report("learning, and trying it on votes held out", 0, 0)
    trained = train_reward(preferences, features_MF, scale, seed=seed)
    compared = None
    if model != PROFILE:
        usual = compose(
            base,
            NEURAL_SCALE_MELODIES,
            conditioning=conditioning,
            seed=seed + 1_000_003,
            progress=partial(report, "writing melodies of the base policy"),
        )
        report("training the neural reward, which takes minutes", 0, 0)
        compared = compare_models(
            preferences, melodies, features_MF, base, usual, trained, seed=seed
        )
    vote_ids = votes["vote_id"].tolist()
    report("writing the run and its card", 0, 0)
    run = new_run(
        "reward",
        {"conditioning": conditioning.fields(), "seed": seed, "votes_of": " and ".join(kinds)},
        root=root,
        name=name,
        parents=parents,
        more={
            "model": model,
            "last_vote": max(vote_ids),
            "votes": len(vote_ids),
            **trained.figures(),
            **(compared.figures(model) if compared else {}),
        },
    )
    store.record_training(run.name, vote_ids)  # first of all: who withdraws must be told of it
    save_models(run, model, trained, compared)
    write_reward_card(
        run,
        RewardCard(
            model=model,
            trained=trained,
            compared=compared,
            preferences=preferences,
            votes=votes,
            traps=every.loc[(every["purpose"] == "trap") & every["rater_kind"].isin(kinds)],
            conditioning=conditioning,
        ),
    )
    pairs = int(preferences.pair.max()) + 1
    raters = len(set(votes["rater_id"]))
    return FittedReward(run, trained, compared, len(vote_ids), pairs, raters, left_out)


def conditioning_of(record: dict[str, Any]) -> Conditioning:
    """The header that a reward run was asked for.

    Raises:
        RunError: when the record does not say it.
    """
    given = record["config"].get("conditioning")
    try:
        if not isinstance(given, dict):
            raise TypeError(f"{given!r} is no JSON object")
        return Conditioning(**given)
    except (TypeError, MelodyError) as error:
        raise RunError(
            f"the record of the reward run has no header that can be asked for "
            f"({excerpt(str(error), 80)}); learn it again: tastemaker reward"
        ) from error
