"""Plots of a reward run: what was learnt, whether its odds hold, what more votes are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reward.comparisons.agreement import CHANCE, Agreement, Ceiling
from reward.comparisons.intervals import Z_90, Share
from reward.profile.learning_curve import FittedCurve, LearningCurve
from reward.profile.profile import Reason
from reward.profile.training import Calibration
from reward.training.svg import BASE, LIMIT, TUNED, drawing

WIDTH_INCHES, ROW_INCHES = 6.4, 0.22


def weights_plot(reasons: Sequence[Reason]) -> str:
    """A forest plot as SVG: weights of features by size, with 90 % intervals.

    An interval that does not hold 0 is in colour: that sign is known.
    """
    ordered = sorted(reasons, key=lambda reason: reason.weight)
    with drawing(1) as ((axes,), out):
        whole = axes.get_figure(root=True)
        assert whole is not None
        whole.set_size_inches(WIDTH_INCHES, 0.8 + ROW_INCHES * len(ordered))
        for place, reason in enumerate(ordered):
            known = abs(reason.weight) > Z_90 * reason.std
            axes.errorbar(
                reason.weight, place, xerr=Z_90 * reason.std, fmt="o", markersize=4,
                color=TUNED if known else BASE,
            )  # fmt: skip
        axes.set_yticks(range(len(ordered)), [reason.label for reason in ordered])
        axes.axvline(0, color=LIMIT, lw=1)
        axes.set(xlabel="effect on the score, 90 % interval")
    return out[0]


def reliability_plot(calibration: Calibration) -> str:
    """A reliability diagram as SVG: how often held-out predictions of a confidence came true."""
    confidence = [each.confidence for each in calibration.bins]
    correct = [each.correct for each in calibration.bins]
    with drawing(1) as ((axes,), out):
        axes.plot([0.5, 1], [0.5, 1], color=LIMIT, ls="--", lw=1, label="exactly right")
        axes.errorbar(
            confidence, [each.share for each in correct], yerr=_reach(correct), fmt="o",
            markersize=4, color=TUNED, label="votes, 95 % interval",
        )  # fmt: skip
        axes.set(
            xlabel="predicted confidence", ylabel="share that came true", xlim=(0.48, 1.02),
            ylim=(0, 1.03),
            title=f"ECE {calibration.ece:.3f}, of exact odds {calibration.floor:.3f}",
        )  # fmt: skip
        axes.legend(frameon=False, loc="lower right")
    return out[0]


def learning_plot(
    curve: LearningCurve, fitted: FittedCurve | None, ceiling: Ceiling | None, more_votes: int
) -> str:
    """Agreement against votes as SVG: measured, fitted, and as far as `more_votes` beyond now."""
    shares = [each.share for each in curve.agreements]
    with drawing(1) as ((axes,), out):
        if fitted is not None:
            at = np.linspace(1, curve.total + more_votes, 80)
            band = [fitted.at(votes) for votes in at]
            axes.plot(at, [each.mean for each in band], color=TUNED, label="fitted")
            axes.fill_between(
                at, [each.low for each in band], [each.high for each in band], color=TUNED,
                alpha=0.15, lw=0,
            )  # fmt: skip
            axes.axvline(curve.total, color=LIMIT, ls=":", lw=1, label="votes now")
        axes.errorbar(
            curve.votes_K, shares, yerr=_reach(curve.agreements), fmt="o", markersize=4, color=BASE,
            label="held out, 95 % interval",
        )  # fmt: skip
        axes.axhline(CHANCE, color=LIMIT, lw=1)
        if ceiling is not None:
            axes.axhline(ceiling.reliability, color=LIMIT, ls="--", lw=1, label="ceiling")
        axes.set(xlabel="votes learnt from", ylabel="agreement with held-out votes", xlim=(0, None))
        axes.legend(frameon=False, fontsize=8)
    return out[0]


def _reach(shares: Sequence[Share] | Sequence[Agreement]) -> np.ndarray:
    """How far each interval reaches below and above its share, (2, N); rounding is no reach."""
    below = [each.share - each.low for each in shares]
    above = [each.high - each.share for each in shares]
    return np.maximum([below, above], 0.0)
