"""Which model a reward run scores by: the taste profile, a neural reward, or a blend of both.

All learn from the same comparisons and are judged on the same folds, so that their held-out figures
stand side by side. A run always keeps its profile, which says in words what was learnt; a record
without a model is one of a profile.

Letters: N comparisons, M melodies, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logit

from music.melody import Melody
from policy.model import MelodyForCausalLM
from policy.runs import RUNS, Run, RunError, newest_run
from reward.comparisons.agreement import Agreement, AgreementError, agreement
from reward.comparisons.preferences import Preferences
from reward.neural.blend import (
    BLEND_FILE,
    NEURAL_FILE,
    PROFILE_FILE,
    Blend,
    WeightChoice,
    choose_weight,
)
from reward.profile.profile import TasteProfile
from reward.profile.training import TrainedReward
from reward.scorer import Reward

if TYPE_CHECKING:
    from reward.neural.model import NeuralReward

PROFILE, NEURAL, BLEND = MODELS = ("profile", "neural", "blend")
NEURAL_SCALE_MELODIES = 300
"""base melodies that fix the unit of a neural reward; it is slower than features are"""
_FILES = {PROFILE: PROFILE_FILE, NEURAL: NEURAL_FILE, BLEND: BLEND_FILE}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedModels:
    """A neural reward and a blend beside the profile of the same votes."""

    neural: NeuralReward
    blend: Blend
    choice: WeightChoice
    agreements: dict[str, Agreement]
    """held out, by model; the blend's weight was chosen by the same votes"""

    def figures(self, model: str) -> dict[str, Any]:
        """What the record of a run that scores by `model` keeps, as JSON."""
        return {
            "agreement": asdict(self.agreements[model]),
            "models": {name: asdict(found) for name, found in self.agreements.items()},
            "blend_weight": self.choice.weight,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedModel:
    """What a reward run scores by."""

    score: Reward
    file: str
    """name of the file that it is known by"""
    sha256: str
    """of that file"""
    profile: TasteProfile
    """of the same votes, for people to read, where it has no part in the score"""


def compare_models(
    preferences: Preferences,
    melodies: Sequence[Melody],
    features_MF: np.ndarray,
    base: MelodyForCausalLM,
    base_melodies: Sequence[Melody],
    trained: TrainedReward,
    *,
    seed: int = 0,
) -> ComparedModels:
    """Train a neural reward on the comparisons, and blend it with the profile.

    Args:
        preferences: comparisons of `melodies`, by row.
        melodies: what was compared.
        features_MF: their features.
        base: the policy whose trunk is read.
        base_melodies: samples of it, that fix the unit of a score.
        trained: the profile of the same comparisons, trained with the same seed.
        seed: of folds, which are then the profile's, and of the first weights.

    Raises:
        AgreementError: when there are too few comparisons to hold any out.
    """
    from reward.neural.training import fit_neural  # TRL takes seconds to import

    if trained.curve is None:
        raise AgreementError(
            f"{len(preferences)} comparisons are too few to hold any out, and by those models are "
            "compared; collect more votes, or learn a profile"
        )
    fitted = fit_neural(preferences, melodies, base, base_melodies, seed=seed)
    by_profile, by_network = trained.curve.held_out_N, fitted.held_out_gap_N
    group = trained.profile.group
    choice = choose_weight(
        preferences, by_profile, by_network, side=group.side, log_tie=group.log_tie
    )
    blended = (1 - choice.weight) * by_profile + choice.weight * by_network
    return ComparedModels(
        neural=fitted.reward,
        blend=Blend.of(
            trained.profile,
            fitted.reward,
            choice,
            base_melodies,
            shrinkage=profile_shrinkage(trained.profile, preferences, features_MF),
        ),
        choice=choice,
        agreements={
            name: agreement(preferences, gap, seed=seed)
            for name, gap in ((PROFILE, by_profile), (NEURAL, by_network), (BLEND, blended))
        },
    )


def profile_shrinkage(
    profile: TasteProfile, preferences: Preferences, features_MF: np.ndarray
) -> float:
    """How much smaller the log-odds that a profile tells are than its utility's differences.

    The share is chosen by the former, in which doubt is averaged over, and scores add the latter.
    """
    left, right = features_MF[preferences.left], features_MF[preferences.right]
    utility_M = profile.score(features_MF)[0] * profile.utility_std()
    gap_N = utility_M[preferences.left] - utility_M[preferences.right]
    told_N = logit(profile.win_probability(left, right))
    power = float(gap_N @ gap_N)
    return float(told_N @ gap_N) / power if power > 0 else 1.0


def save_models(
    run: Run, model: str, trained: TrainedReward, compared: ComparedModels | None
) -> None:
    """Write what the run scores by, and its profile in any case."""
    if compared is not None and model == BLEND:
        compared.blend.save(run.path)
        return
    trained.profile.save(run.path / PROFILE_FILE)
    if compared is not None:
        compared.neural.save(run.path / NEURAL_FILE)


def newest_reward(*, root: Path = RUNS) -> Run | None:
    """The newest reward run whose model is written; one that is being learnt is not it yet."""

    def is_learnt(run: Run) -> bool:
        file = _FILES.get(run.record.get("model", PROFILE))
        return file is None or (run.path / file).is_file()  # of another version: told when loaded

    return newest_run("reward", root=root, usable=is_learnt)


def load_model(run: Run) -> LoadedModel:
    """What a reward run scores by.

    Raises:
        RunError: for a record that names a model of another version.
        TasteError, NeuralRewardError, BlendError: when a file is missing or damaged.
    """
    model = run.record.get("model", PROFILE)
    if model not in MODELS:
        raise RunError(f"{run.name} is a {model!r} of another version; learn it again")
    if model == BLEND:
        blend = Blend.load(run.path)
        profile, score = blend.profile, blend.score
    else:
        profile = TasteProfile.load(run.path / PROFILE_FILE)
        score: Reward = profile.score
    if model == NEURAL:
        from reward.neural.model import NeuralReward

        score = NeuralReward.load(run.path / NEURAL_FILE).score
    digest = hashlib.sha256((run.path / _FILES[model]).read_bytes()).hexdigest()
    return LoadedModel(score=score, file=_FILES[model], sha256=digest, profile=profile)
