"""The model card of a reward run: what it learnt from, what it is worth, what it cannot know.

`README.md` in the run's folder, with its plots beside it as SVG. Every figure is of the store and
the cross-validation at the time of training; raters are called by their number in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from music.files import write_whole
from policy.compose import Conditioning
from policy.runs import Run
from reward.comparisons.attention import TrapScore, trap_scores
from reward.comparisons.intervals import Share
from reward.comparisons.preferences import Preferences
from reward.comparisons.reliability import rater_flags, rater_reliability, self_agreement, side_bias
from reward.profile.training import FORECAST_VOTES, TrainedReward, forecast_in_words
from reward.training.base_scale import SCALE_MELODIES
from reward.training.models import (
    BLEND,
    NEURAL,
    NEURAL_SCALE_MELODIES,
    PROFILE,
    ComparedModels,
)
from reward.training.plots import learning_plot, reliability_plot, weights_plot

CARD_FILE = "README.md"
SHOWN_FEATURES = 20
"""the surest, in the plot of weights"""
KINDS = {"person": "people", "simulated": "simulated listeners"}
MODEL_NAMES = {
    PROFILE: "a taste profile",
    NEURAL: "a neural reward, and a taste profile",
    BLEND: "a taste profile blended with a neural reward",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RewardCard:
    """What a card tells of."""

    model: str
    """what the run scores by"""
    trained: TrainedReward
    compared: ComparedModels | None
    preferences: Preferences
    """what was learnt from; the raters' ids are the store's"""
    votes: pd.DataFrame
    """the same in the store's frame"""
    traps: pd.DataFrame
    """votes on traps, of the same kind of raters; nothing was learnt from them"""
    conditioning: Conditioning
    """the header of the melodies that fix the unit"""


def write_reward_card(run: Run, card: RewardCard) -> None:
    """Write `README.md` and the plots into the run's folder, each whole or not at all."""
    trained = card.trained
    reasons = trained.profile.explain(SHOWN_FEATURES)
    plots = {"weights": weights_plot(reasons)}
    if trained.calibration is not None:
        plots["reliability"] = reliability_plot(trained.calibration)
    if trained.curve is not None:
        plots["learning-curve"] = learning_plot(
            trained.curve, trained.fitted_curve, trained.ceiling, 2 * FORECAST_VOTES
        )
    for name, svg in plots.items():
        write_whole(run.path / f"{name}.svg", svg)
    sections = (
        _front(run, card),
        _worth(card),
        *([_models(card.compared)] if card.compared else []),
        _taste(trained),
        _raters(card),
        _trained_on(run, card),
        _limits(card),
    )
    write_whole(run.path / CARD_FILE, "\n".join(sections))


def _front(run: Run, card: RewardCard) -> str:
    return f"""---
library_name: tastemaker
pipeline_tag: other
tags: [music, preference-learning, reward-model, bradley-terry]
---
# {run.name}: {MODEL_NAMES[card.model]}

{_model(card)}A Bayesian Bradley-Terry-Davidson model of what {_who(card)} like, over
{len(card.trained.profile.feature_names)} named features of a melody. A score is a difference: 0 is
the average melody of the base policy, 1 is one standard deviation of its melodies better. Each
comes with a standard deviation of its own, and PPO is given mean - λ·std.

```
tastemaker taste {run.name}
tastemaker ppo --reward {run.name}
```
"""


def _worth(card: RewardCard) -> str:
    trained, compared = card.trained, card.compared
    found = compared.agreements[card.model] if compared else trained.agreement
    of_profile = " of the profile" if compared else ""
    lines = ["## What it is worth", "", "| | |", "|---|---|"]
    if found is None:
        lines += ["| agreement with held-out votes | too few votes to hold any out |"]
    else:
        lines += [
            f"| agreement with held-out votes | **{found}** on {found.votes} decided votes, "
            f"{found.pairs} different pairs |"
        ]
    lines += ["| chance | 0.50 |"]
    if trained.ceiling is None:
        lines += ["| raters with themselves | no pair was asked twice, so the ceiling is unknown |"]
    else:
        ceiling = trained.ceiling
        lines += [
            f"| raters with themselves | {ceiling.self_agreement} on "
            f"{ceiling.self_agreement.pairs} hidden repeats |",
            f"| so the ceiling of agreement is about | {ceiling.reliability:.2f} "
            f"[{ceiling.reliability_low:.2f}, {ceiling.reliability_high:.2f}] |",
        ]
    if trained.calibration is not None:
        lines += [
            f"| expected calibration error{of_profile} | {trained.calibration.ece:.3f}; perfect "
            f"odds would have {trained.calibration.floor:.3f} with so few votes |"
        ]
    forecast = forecast_in_words(trained)
    told = "For the profile: " if compared else ""
    lines += ["", f"{told}{forecast if told else forecast[0].upper() + forecast[1:]}.", ""]
    if trained.curve is not None:
        lines += [f"| votes learnt from | agreement{of_profile} |", "|---|---|"]
        lines += [
            f"| {votes:.0f} | {agreement} |"
            for votes, agreement in zip(
                trained.curve.votes_K, trained.curve.agreements, strict=True
            )
        ]
        lines += ["", "![agreement against votes](learning-curve.svg)"]
    if trained.calibration is not None:
        lines += ["", "![predicted and observed shares](reliability.svg)"]
    lines += ["", "Brackets are 95 % intervals: bootstraps of pairs, a posterior for the forecast."]
    return "\n".join([*lines, ""])


def _taste(trained: TrainedReward) -> str:
    return f"""## What it has learnt

```
{trained.profile.in_words()}
```

Base deviations of score for one of the feature, all others held, with 90 % intervals. Of two
features that always go together neither is sure.

![weights of features](weights.svg)
"""


def _raters(card: RewardCard) -> str:
    preferences = card.preferences
    traps = trap_scores(card.traps)
    people = set(card.votes.loc[card.votes["rater_kind"] == "person", "rater_id"].astype(str))
    simulated = "simulated" in _kinds(card)
    table = [
        "## Who taught it",
        "",
        "| rater | votes | ties | left | with themselves | reliability | traps passed | flags |",
        "|---|---|---|---|---|---|---|---|",
    ]
    reliabilities = rater_reliability(preferences)
    columns = zip(
        preferences.rater_ids,
        np.bincount(preferences.rater, minlength=len(preferences.rater_ids)),
        np.bincount(preferences.rater[~preferences.decided], minlength=len(preferences.rater_ids)),
        side_bias(preferences),
        self_agreement(preferences),
        reliabilities,
        rater_flags(preferences, reliabilities),
        strict=True,
    )
    for rater, votes, ties, left, themselves, reliability, flags in columns:
        trap = traps.get(rater, TrapScore(passed=0, count=0))
        told: Sequence[object] = (
            rater, votes, ties, _or_dash(left), _or_dash(themselves),
            reliability if reliability.votes else "–", trap,
            ", ".join((*flags, *(trap.flags if rater in people else ()))) or "–",
        )  # fmt: skip
        table.append("| " + " | ".join(map(str, told)) + " |")
    return "\n".join(
        [
            *table,
            "",
            "Reliability is how often a rater names the better melody, as far as others and",
            "repeats tell. A flag is a reason to ask, not a verdict: flagged votes count.",
            *(("Simulated listeners mind a trap only as far as their taste does.",) * simulated),
            "",
        ]
    )


def _trained_on(run: Run, card: RewardCard) -> str:
    votes = card.votes
    said = votes["outcome"].value_counts()
    outcomes = ", ".join(f"{said.get(name, 0)} {name}" for name in ("left", "right", "tie"))
    strategies = ", ".join(
        f"{count} {name}" for name, count in votes["strategy"].value_counts().items()
    )
    melodies = {*votes["melody_a"], *votes["melody_b"]}
    record = run.record
    parents = ", ".join(f"{name} {digest}" for name, digest in record["parents"].items())
    header = ", ".join(f"{k} {v}" for k, v in card.conditioning.fields().items() if v is not None)
    return f"""## What it was trained on

| | |
|---|---|
| votes | {len(votes)} of {_who(card)}: {outcomes} |
| of these hidden repeats | {np.count_nonzero(votes["purpose"] == "repeat")} |
| pairs | {int(card.preferences.pair.max()) + 1} different ones of {len(melodies)} melodies |
{_reasons(card)}\
| chosen by | {strategies} |
| newest vote | number {record["last_vote"]} |
| stands on | {parents or "a base policy that was not named"} |
| unit | {_unit(card)} melodies of the base policy, {header or "any header"} |
| made | {record["created_at"]}, code {record["commit"]}, seed {record["config"]["seed"]} |

Not trained on: votes of the other kind of raters, "both are bad", skips, traps, the blind test, and
votes that were undone.
"""


def _reasons(card: RewardCard) -> str:
    """A row for each rater who said why; none where nobody did."""
    return "".join(
        f"| reasons of {rater} | {trust.reasons} were given, {100 * trust.share:.0f} % of them are "
        "believed |\n"
        for rater, trust in card.trained.profile.reasons.items()
    )


def _unit(card: RewardCard) -> str:
    network = f", {NEURAL_SCALE_MELODIES} for the network," if card.compared else ""
    return f"{SCALE_MELODIES}{network}"


def _limits(card: RewardCard) -> str:
    simulated = ""
    if _kinds(card) == ["simulated"]:
        simulated = (
            "It was taught by simulated listeners. It says nothing about what people like.\n\n"
        )
    elif "simulated" in _kinds(card):
        simulated = "Part of it was taught by simulated listeners, who are not people.\n\n"
    return f"""## Limits

{simulated}{_blind_spot(card)}
- Where melodies are unlike those that were rated, its standard deviation grows, but it does not
  know what it does not measure. A policy tuned far towards it will find such melodies: rate those
  too, and train again.
- Agreement is with these raters on these pairs. Pairs that were chosen to be informative are harder
  than random ones, so agreement on them is lower than on random pairs.
- The ceiling takes all pairs as equally hard; with easy and hard ones it is a little too high.
"""


def _blind_spot(card: RewardCard) -> str:
    if card.model == NEURAL:
        return (
            "- Its networks read the policy's hidden states as they are, and its standard\n"
            "  deviation is of where they differ: what all of them have wrong is not in it."
        )
    return (
        "- The profile is linear in its features: it cannot learn a liking for one thing only\n"
        "  beside another, nor for what no feature measures. Agreement below the ceiling shows\n"
        "  how much that is."
    )


def _model(card: RewardCard) -> str:
    """What the run scores by, where that is not the profile alone."""
    if card.compared is None:
        return ""
    if card.model == NEURAL:
        return (
            "Scores come from small networks that read the policy's trunk. The profile below has\n"
            "learnt from the same votes, for people to read.\n\n"
        )
    share = card.compared.choice.weight
    return f"Of a utility {1 - share:.0%} is this profile's and {share:.0%} a neural reward's.\n\n"


def _models(compared: ComparedModels) -> str:
    rows = [f"| {name} | {found} |" for name, found in compared.agreements.items()]
    choice = compared.choice
    return "\n".join(
        [
            "## Models compared",
            "",
            "| model | agreement with held-out votes |",
            "|---|---|",
            *rows,
            "",
            f"The neural reward's share of the blend is {choice.weight:.0%}: the smallest that is",
            "not beaten by more than a standard error of held-out log-likelihood. The best,",
            f"{choice.best:.0%}, has {choice.gain_nats:+.4f} ± {choice.gain_error_nats:.4f} nats a",
            "vote over the profile. The share was chosen by the votes that it is judged on here.",
            "",
        ]
    )


def _kinds(card: RewardCard) -> list[str]:
    return sorted(set(card.votes["rater_kind"]))


def _who(card: RewardCard) -> str:
    return " and ".join(KINDS[kind] for kind in _kinds(card))


def _or_dash(share: Share | None) -> str:
    return "–" if share is None else str(share)
