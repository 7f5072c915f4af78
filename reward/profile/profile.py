"""The taste profile: what a person or a group likes, in named features, with how sure we are.

Features are standardised by melodies of the base policy (`FeatureScale`), weights come from
comparisons (`reward.profile.bradley_terry`). A score is a difference: mean 0 and standard deviation
1 over the base policy's melodies, so 1.0 reads "one base standard deviation better than its average
melody". Its `std` is the posterior standard deviation of that *difference from the base mean*, in
the same unit; the doubt about the unit itself is not in it. With few votes the unit is small and
`std` large, which is what mean − λ·std wants.

Letters: B melodies, F features, K base melodies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import expit, ndtr

from music.files import write_whole
from music.json_text import JsonError, number, read_json, whole_number
from music.messages import excerpt, shortened
from reward.comparisons.intervals import Z_90
from reward.comparisons.preferences import Preferences
from reward.comparisons.reliability import chance_log_odds
from reward.profile.bradley_terry import Gaussian, fit_bradley_terry
from reward.profile.earlier_features import scale_with_later, taste_with_later
from reward.profile.feature_scale import FeatureScale, Items, features_of
from reward.profile.features import (
    FEATURE_LABELS,
    FEATURE_NAMES,
    FEATURE_PRIORS,
    NAMES_OF_REVISION,
    REVISION,
)
from reward.profile.melody_effects import HeardMelodies
from reward.profile.profile_json import (
    LARGEST,
    read_array,
    read_gaussian,
    read_scale,
    read_trust,
    to_json,
)
from reward.profile.rater_scales import RaterScales
from reward.profile.reason_likelihood import stated_reasons
from reward.profile.reason_trust import ReasonTrust, fit_with_reasons, reasons_in_words
from reward.profile.reasons import domain_features

FORMAT_VERSION = 5
WITHOUT_EFFECTS = 4
"""the version before melodies had effects of their own; it is read as if they had none"""
MAX_PROFILE_BYTES = 1 << 30
"""of a file that is read; a thousand raters take 200 MB"""
SURE_ENOUGH = 0.8
"""probability of a weight's sign from which it is told"""
DEGREES_OF_FREEDOM = 2.0
"""degrees of freedom of the weights' prior: a taste turns on some of the features, not all alike"""
LOG_ODDS_SHRINKAGE = 0.95
"""share of the log-odds that is believed: the posterior takes its prior, which the same votes have
chosen, as certain. With .85 chosen pairs of simulated listeners are calibrated better, and random
ones and real choices worse (docs/log.md)"""


class TasteError(ValueError):
    """A profile that cannot be made or read; the message says value, rule and remedy."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of an explanation."""

    feature: str
    label: str
    weight: float
    """change of the score for one base standard deviation of this feature (as `FeatureScale` bends
    it), all others held"""
    std: float
    """posterior standard deviation of `weight`"""
    sure: float
    """posterior probability that the weight has the sign it has, 0.5 to 1"""

    def __str__(self) -> str:
        """Such as "likes leaps, 95 % sure"."""
        verb = "likes" if self.weight > 0 else "dislikes"
        return f"{verb} {self.label}, {100 * self.sure:.0f} % sure"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TasteProfile:
    """A group's taste and each rater's, ready to score melodies. Make one with `fit`."""

    feature_names: tuple[str, ...]
    scale: FeatureScale
    group: Gaussian
    raters: dict[str, Gaussian]
    votes: int
    """comparisons it was fitted to, ties included"""
    log_evidence: float
    """log probability of the outcomes, in nats; it compares models of the same votes"""
    weight_std: float
    """prior standard deviation of the weights, in log-odds, chosen by evidence"""
    deviation_std: float
    """prior standard deviation of a rater's deviation from the group's weight; 0 with one rater"""
    shape_F: np.ndarray
    """each weight's prior standard deviation over that of all, learnt from the votes"""
    reasons: dict[str, ReasonTrust] = field(default_factory=dict)
    """of raters who gave reasons: how many were used, and how far they are trusted"""
    melody_std: float
    """standard deviation of what is liked in a melody beyond its features, in log-odds, chosen by
    evidence; 0 where melodies have no effects of their own"""
    heard: HeardMelodies | None = None
    """what is known of the melodies that were heard, by the row of `items`; not in the file"""

    @classmethod
    def fit(
        cls,
        preferences: Preferences,
        items: Items,
        scale: FeatureScale,
        *,
        feature_names: Sequence[str] = FEATURE_NAMES,
        weight_std: float | None = None,
        melody_std: float | None = None,
        freedom: float | None = DEGREES_OF_FREEDOM,
        like: TasteProfile | None = None,
    ) -> TasteProfile:
        """Fit to comparisons of `items` (melodies or raw features); see `fit_bradley_terry`.

        Features of other names than ours are all expected to matter alike. After one more vote the
        prior hardly moves: `like` the profile before, the fit takes its prior and, if no rater is
        new, everyone's scale; it takes a seventh of the time.

        Raises:
            TasteError: when rows, features and names do not go together.
        """
        features_MF = features_of(items)
        if not features_MF.shape[1] == len(feature_names) == len(scale.mean_F):
            raise TasteError(
                f"{features_MF.shape[1]} features, {len(feature_names)} names and a scale of "
                f"{len(scale.mean_F)} do not go together; compute all three with the same features"
            )
        used = np.concatenate([preferences.left, preferences.right])
        if len(used) and used.max() >= len(features_MF):
            raise TasteError(
                f"a comparison names item {used.max()} but there are {len(features_MF)}; "
                "pass the features of every item that was compared"
            )
        standard = scale.standardise(features_MF)
        prior_F = FEATURE_PRIORS if tuple(feature_names) == FEATURE_NAMES else None
        scales = like._scales_of(preferences.rater_ids) if like else None
        difference_NF = standard[preferences.left] - standard[preferences.right]
        fit_votes = partial(
            fit_bradley_terry,
            difference_NF,
            preferences.outcome,
            weight_N=preferences.weight,
            rater_N=preferences.rater,
            raters=max(1, len(preferences.rater_ids)),
            left_N=preferences.left,
            right_N=preferences.right,
            weight_std=like.weight_std if like else weight_std,
            deviation_std=(like.deviation_std or None) if like else None,
            melody_std=like.melody_std if like else melody_std,
            shape_F=like.shape_F if like else prior_F,
            freedom=None if like else freedom,
            chance_log_odds_R=(
                chance_log_odds(preferences)
                if len(preferences.rater_ids) > 1 and scales is None
                else None
            ),
            scales=scales,
            near=like.group if like else None,
        )
        rater_ids = preferences.rater_ids
        fit, trusts = fit_with_reasons(
            fit_votes,
            stated_reasons(preferences, difference_NF, feature_names),
            np.ones(len(feature_names)) if prior_F is None else prior_F,
            domain_features(tuple(feature_names)),
            before=[like.raters.get(rater, like.group) for rater in rater_ids] if like else None,
            trusts=[like.reasons.get(rater) for rater in rater_ids] if like else (),
        )
        return cls(
            feature_names=tuple(feature_names),
            scale=scale,
            group=fit.group,
            raters=dict(zip(preferences.rater_ids, fit.raters, strict=False)),
            votes=len(preferences),
            log_evidence=fit.log_evidence,
            weight_std=fit.weight_std,
            deviation_std=fit.deviation_std,
            shape_F=fit.shape_F,
            reasons={
                rater: trust
                for rater, trust in zip(rater_ids, trusts, strict=False)
                if trust is not None
            },
            melody_std=fit.melody_std,
            heard=fit.heard,
        )

    def taste(self, rater: str | None = None) -> Gaussian:
        """One rater's posterior, or the group's.

        Raises:
            TasteError: for a rater without votes here.
        """
        if rater is None:
            return self.group
        if rater not in self.raters:
            raise TasteError(
                f"rater {rater!r} has no votes here; those who do are {list(self.raters)}"
            )
        return self.raters[rater]

    def _scales_of(self, rater_ids: Sequence[str]) -> RaterScales | None:
        """Everyone's scale; None if one is not known here."""
        if len(rater_ids) < 2 or not self.raters.keys() >= set(rater_ids):
            return None
        return RaterScales.of([self.raters[rater] for rater in rater_ids])

    def utility_std(self, rater: str | None = None) -> float:
        """Standard deviation of the utility over base melodies, in log-odds: the unit of a score.

        About 0.95 for a person who is right about themselves 72 % of the time. Where nothing has
        been learnt it is the prior's, so that scores are 0 with a std of about 1.
        """
        weights_F = self.taste(rater).weights_F
        variance = weights_F @ self.scale.covariance_FF @ weights_F
        if variance <= 1e-18:
            variance = self.weight_std**2 * np.trace(self.scale.covariance_FF)
        return float(np.sqrt(variance)) or 1.0

    def score(self, items: Items, rater: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std of each item's score, (B,) each, in base standard deviations."""
        taste, unit = self.taste(rater), self.utility_std(rater)
        standard_BF = self.scale.standardise(features_of(items))
        variance_B = np.einsum("bf,fg,bg->b", standard_BF, taste.covariance_FF, standard_BF)
        return standard_BF @ taste.weights_F / unit, np.sqrt(np.maximum(variance_B, 0.0)) / unit

    def win_probability(self, a: Items, b: Items) -> np.ndarray:
        """Probability (B,) that a is preferred to b in the group's taste, without ties and sides.

        Of melodies that nobody has heard: each has an effect of its own that is not known yet.
        The posterior is averaged over by MacKay's approximation (1992, Neural Computation 4:720),
        and of the log-odds `LOG_ODDS_SHRINKAGE` is taken.
        """
        a_BF, b_BF = (self.scale.standardise(features_of(items)) for items in (a, b))
        difference_BF = a_BF - b_BF
        variance_B = np.einsum(
            "bf,fg,bg->b", difference_BF, self.group.covariance_FF, difference_BF
        )
        variance_B += 2 * self.group.melody_std**2
        gap_B = difference_BF @ self.group.weights_F / np.sqrt(1 + np.pi / 8 * variance_B)
        return expit(LOG_ODDS_SHRINKAGE * gap_B)

    def explain(self, top: int = 8, rater: str | None = None) -> list[Reason]:
        """The features whose sign is surest, surest first.

        A weight holds all other features; of two that always go together neither is sure.
        """
        taste = self.taste(rater)
        weight_std_F = np.sqrt(np.diag(taste.covariance_FF))
        sure = ndtr(np.abs(taste.weights_F) / weight_std_F)
        unit_F = self.scale.spread_F / self.utility_std(rater)
        reasons = [
            Reason(name, FEATURE_LABELS.get(name, name), *map(float, numbers))
            for name, varies, *numbers in zip(
                self.feature_names,
                self.scale.std_F > 0,
                taste.weights_F * unit_F,
                weight_std_F * unit_F,
                sure,
                strict=True,
            )
            if varies
        ]
        return sorted(reasons, key=lambda reason: -reason.sure)[:top]

    def in_words(self, top: int = 12, rater: str | None = None) -> str:
        """The taste for people: what is liked and disliked, how much and how sure, a line each.

        Only what is at least `SURE_ENOUGH`; the last lines count what is known beyond `top`, the
        reasons that were given, and what cannot be told yet.
        """
        known = [r for r in self.explain(len(self.feature_names), rater) if r.sure >= SURE_ENOUGH]
        lines = []
        for title, sign in (("likes", 1), ("dislikes", -1)):
            those = [reason for reason in known[:top] if sign * reason.weight > 0]
            for reason in sorted(those, key=lambda reason: -abs(reason.weight)):
                size = f"{abs(reason.weight):5.2f} ± {Z_90 * reason.std:.2f}"
                lines.append(f"{title:9}{reason.label:38}{size}   {100 * reason.sure:.0f} % sure")
        if len(known) > top:
            lines.append(f"{len(known) - top} more are known, less surely")
        if stated := reasons_in_words(self.reasons, rater):
            lines.append(stated)
        silent = len(self.feature_names) - len(known)
        return "\n".join([*lines, f"of {silent} other features there is not much to tell yet"])

    def save(self, path: Path) -> None:
        """Write the profile as JSON, whole or not at all."""
        body = {
            "format": "tastemaker taste profile",
            "version": FORMAT_VERSION,
            "features_revision": REVISION,
            "feature_names": list(self.feature_names),
            "feature_names_sha256": names_sha256(self.feature_names),
            "scale": to_json(self.scale),
            "group": to_json(self.group),
            "shape_F": self.shape_F.tolist(),
            "raters": {rater: to_json(taste) for rater, taste in self.raters.items()},
            "reasons": {rater: asdict(trust) for rater, trust in self.reasons.items()},
            **{name: getattr(self, name) for name in _NUMBERS},
        }
        write_whole(path, json.dumps(body, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> TasteProfile:
        """Read a profile that `save` wrote.

        Raises:
            TasteError: for a file that is none, of another version or other features, or broken.
        """
        remedy = "fit the profile again from the ratings store"
        try:
            body = read_json(path, max_bytes=MAX_PROFILE_BYTES)
        except (OSError, JsonError) as error:
            raise TasteError(f"{path} is not a readable profile ({error}); {remedy}") from error
        if not isinstance(body, dict) or body.get("format") != "tastemaker taste profile":
            raise TasteError(f"{path} is JSON but no taste profile; {remedy}")
        if body.get("version") not in (FORMAT_VERSION, WITHOUT_EFFECTS):
            raise TasteError(
                f"{path} has version {shortened(body.get('version'))}, this is {FORMAT_VERSION}; "
                f"{remedy}"
            )
        revision = body.get("features_revision")
        if not isinstance(revision, int) or revision not in NAMES_OF_REVISION:
            raise TasteError(
                f"{path} was fitted to revision {shortened(revision)} of the "
                f"features, this is {REVISION}; {remedy}"
            )
        then = NAMES_OF_REVISION[revision]
        names = body.get("feature_names")
        sha256 = names_sha256(then)
        if body.get("feature_names_sha256") != sha256 or names != list(then):
            raise TasteError(
                f"{path} was fitted to other features (sha256 "
                f"{shortened(body.get('feature_names_sha256'))}, ours {sha256[:16]!r}…); {remedy}"
            )
        size, today = len(then), len(FEATURE_NAMES)
        try:
            if body["version"] == WITHOUT_EFFECTS:
                body |= {"melody_std": 0.0}
                for taste in (body["group"], *body["raters"].values()):
                    taste["melody_std"] = 0.0
            weight_std = number(body["weight_std"], "weight_std", low=1e-9, high=LARGEST)
            raters = {
                rater: taste_with_later(read_gaussian(taste, size), today, weight_std)
                for rater, taste in body["raters"].items()
            }
            shape_F = read_array(body["shape_F"], (size,), "shape_F")
            if (shape_F < 0).any():
                raise ValueError("shape_F is negative somewhere")
            return cls(
                feature_names=FEATURE_NAMES,
                scale=scale_with_later(read_scale(body["scale"], size), today),
                group=taste_with_later(read_gaussian(body["group"], size), today, weight_std),
                shape_F=np.concatenate([shape_F, np.ones(today - size)]),
                raters=raters,
                reasons={
                    rater: read_trust(trust) for rater, trust in body.get("reasons", {}).items()
                },
                votes=whole_number(body["votes"], "votes", low=0, high=int(LARGEST)),
                log_evidence=number(
                    body["log_evidence"], "log_evidence", high=LARGEST, low=-LARGEST
                ),
                weight_std=weight_std,
                deviation_std=number(body["deviation_std"], "deviation_std", low=0.0, high=LARGEST),
                melody_std=number(body["melody_std"], "melody_std", low=0.0, high=LARGEST),
            )
        except KeyError as error:
            raise TasteError(f"{path} is broken: it has no {error}; {remedy}") from error
        except (TypeError, ValueError, AttributeError) as error:
            reason = excerpt(str(error), 120)
            raise TasteError(f"{path} is broken: {reason}; {remedy}") from error


_NUMBERS = ("votes", "log_evidence", "weight_std", "deviation_std", "melody_std")


def names_sha256(names: Sequence[str]) -> str:
    """Hash by which a file says which features it means, and in which order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
