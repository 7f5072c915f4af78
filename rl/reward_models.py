"""Which model a reward run scores by: the taste profile, a neural reward, or a blend of both.

All learn from the same comparisons and are judged on the same folds, so that their held-out figures
stand side by side. A run always keeps its profile, which says in words what was learnt; a record
without a model is one of a profile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from music.melody import Melody
from policy.model import MelodyForCausalLM
from reward.agreement import Agreement, AgreementError, agreement
from reward.blend import BLEND_FILE, NEURAL_FILE, PROFILE_FILE, Blend, WeightChoice, choose_weight
from reward.preferences import Preferences
from reward.taste import TasteProfile
from rl.reward_training import TrainedReward
from rl.rollout import Reward
from rl.runs import Run, RunError

if TYPE_CHECKING:
    from reward.neural import NeuralReward

PROFILE, NEURAL, BLEND = MODELS = ("profile", "neural", "blend")
_FILES = {PROFILE: PROFILE_FILE, NEURAL: NEURAL_FILE, BLEND: BLEND_FILE}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedModels:
    """A neural reward and a blend beside the profile of the same votes."""

    neural: NeuralReward
    blend: Blend
    choice: WeightChoice
    agreements: dict[str, Agreement]
    """held out, by model; the blend's weight was chosen by the same votes"""

    def figures(self) -> dict[str, Any]:
        """What a run's record keeps, as JSON."""
        return {
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
    profile: TasteProfile | None
    """None where the profile has no part in the score"""


def compare_models(
    preferences: Preferences,
    melodies: Sequence[Melody],
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
        base: the policy whose trunk is read.
        base_melodies: samples of it, that fix the unit of a score.
        trained: the profile of the same comparisons, trained with the same seed.
        seed: of folds, which are then the profile's, and of the first weights.

    Raises:
        AgreementError: when there are too few comparisons to hold any out.
    """
    from reward.neural_training import fit_neural  # TRL takes seconds to import

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
        blend=Blend.of(trained.profile, fitted.reward, choice, base_melodies),
        choice=choice,
        agreements={
            name: agreement(preferences, gap, seed=seed)
            for name, gap in ((PROFILE, by_profile), (NEURAL, by_network), (BLEND, blended))
        },
    )


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


def load_model(run: Run) -> LoadedModel:
    """What a reward run scores by.

    Raises:
        RunError: for a record that names a model of another version.
        ValueError: when a file is missing or damaged, with the remedy.
    """
    model = run.record.get("model", PROFILE)
    if model not in MODELS:
        raise RunError(f"{run.name} is a {model!r} of another version; learn it again")
    profile: TasteProfile | None = None
    if model == NEURAL:
        from reward.neural import NeuralReward

        score: Reward = NeuralReward.load(run.path / NEURAL_FILE).score
    elif model == BLEND:
        blend = Blend.load(run.path)
        profile, score = blend.profile, blend.score
    else:
        profile = TasteProfile.load(run.path / PROFILE_FILE)
        score = profile.score
    digest = hashlib.sha256((run.path / _FILES[model]).read_bytes()).hexdigest()
    return LoadedModel(score=score, file=_FILES[model], sha256=digest, profile=profile)
