"""Charts of a taste: weights of features, the learning curve, calibration.

Colours come from the theme. Certainty is shown by shape and opacity too, never by colour alone.
Labels are above the intervals, because beside them they would leave no room on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from feedback_ui.views.chart_colours import Colours
from reward.comparisons.agreement import CHANCE, Ceiling
from reward.comparisons.intervals import Z_90
from reward.profile.learning_curve import FittedCurve, LearningCurve
from reward.profile.profile import Reason
from reward.profile.training import FORECAST_VOTES, Calibration

ROW_PX, CURVE_PX = 38, 260
SHARES = alt.Scale(domain=[0.4, 1.0], clamp=True)
"""chance (0.5) is near the bottom, perfect agreement at the top"""
CURVE_POINTS = 60


def forest_chart(reasons: Sequence[Reason], colours: Colours) -> alt.LayerChart | alt.FacetChart:
    """Weights of features with 90 % intervals, most liked on top; filled if the sign is certain."""
    table = pd.DataFrame(
        [
            {
                "feature": reason.label,
                "effect": reason.weight,
                "low": reason.weight - Z_90 * reason.std,
                "high": reason.weight + Z_90 * reason.std,
                "known": abs(reason.weight) > Z_90 * reason.std,
                "sure": f"{100 * reason.sure:.0f} %",
            }
            for reason in reasons
        ]
    )
    left = min([*table["low"], 0.0])
    rows = alt.Y("feature:N", sort=alt.EncodingSortField("effect", order="descending"), axis=None)
    told = [
        alt.Tooltip("feature:N", title="feature"),
        alt.Tooltip("effect:Q", format="+.2f"),
        alt.Tooltip("low:Q", format="+.2f", title="from"),
        alt.Tooltip("high:Q", format="+.2f", title="to"),
        alt.Tooltip("sure:N", title="probability of this sign"),
    ]
    known = alt.condition("datum.known", alt.value(1.0), alt.value(0.6))
    base = alt.Chart(table).encode(y=rows, tooltip=told)
    x = alt.X(
        "effect:Q",
        title="disliked  ←  effect on the score  →  liked",
        axis=alt.Axis(format="+.2~f", tickCount=5),
    )
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q"), x2="high:Q", opacity=known, color=alt.value(colours.accent)
    )
    points = base.mark_point(size=60, strokeWidth=2).encode(
        x=x,
        opacity=known,
        color=alt.value(colours.accent),
        fillOpacity=alt.condition("datum.known", alt.value(1.0), alt.value(0.0)),
        fill=alt.value(colours.accent),
    )
    names = base.mark_text(align="left", baseline="bottom", dy=-6, fontSize=12).encode(
        x=alt.datum(left), text="feature:N", color=alt.value(colours.text)
    )
    zero = (
        alt.Chart(pd.DataFrame({"x": [0.0]}))
        .mark_rule(strokeDash=[4, 4], color=colours.text, opacity=0.6)
        .encode(x="x:Q")
    )
    return alt.layer(zero, lines, points, names).properties(height=ROW_PX * len(table) + 50)


def learning_chart(
    curve: LearningCurve, fitted: FittedCurve | None, ceiling: Ceiling | None, colours: Colours
) -> alt.LayerChart | alt.FacetChart:
    """Agreement on held-out votes against the number of training votes, with a forecast."""
    measured = pd.DataFrame(
        [
            {"votes": float(votes), "agreement": x.share, "low": x.low, "high": x.high}
            for votes, x in zip(curve.votes_K, curve.agreements, strict=True)
        ]
    )
    x = alt.X("votes:Q", title="training answers")
    y = alt.Y(
        "agreement:Q",
        title="agrees with unseen answers",
        scale=SHARES,
        axis=alt.Axis(format=".0%"),
    )
    told = [
        alt.Tooltip("votes:Q", format=".0f", title="answers"),
        alt.Tooltip("agreement:Q", format=".0%"),
        alt.Tooltip("low:Q", format=".0%", title="from"),
        alt.Tooltip("high:Q", format=".0%", title="to"),
    ]
    layers: list[alt.Chart] = []
    if fitted is not None:
        at = np.linspace(1, curve.total + 2 * FORECAST_VOTES, CURVE_POINTS)
        found = [fitted.at(votes) for votes in at]
        band = pd.DataFrame(
            {
                "votes": at,
                "agreement": [x.mean for x in found],
                "low": [x.low for x in found],
                "high": [x.high for x in found],
            }
        )
        shape = alt.Chart(band).encode(x=x)
        layers += [
            shape.mark_area(opacity=0.2, color=colours.accent).encode(
                y=alt.Y("low:Q", title="agrees with unseen answers", scale=SHARES), y2="high:Q"
            ),
            shape.mark_line(color=colours.accent).encode(y=y),
        ]
    points = alt.Chart(measured).encode(x=x, tooltip=told)
    layers += [
        points.mark_rule(strokeWidth=2, color=colours.text).encode(
            y=alt.Y("low:Q", scale=SHARES), y2="high:Q"
        ),
        points.mark_point(filled=True, size=60, opacity=1, color=colours.text).encode(y=y),
    ]
    marks = [(CHANCE, "chance")]
    if ceiling is not None:
        marks.append((ceiling.reliability, "ceiling from repeats"))
    for share, name in marks:
        line = alt.Chart(pd.DataFrame({"agreement": [share], "name": [name]}))
        layers += [
            line.mark_rule(strokeDash=[4, 4], color=colours.text, opacity=0.6).encode(y=y),
            line.mark_text(align="right", baseline="bottom", dx=-2, dy=-2, fontSize=12).encode(
                y=y, x=alt.value("width"), text="name:N", color=alt.value(colours.text)
            ),
        ]
    return alt.layer(*layers).properties(height=CURVE_PX)


def reliability_chart(
    calibration: Calibration, colours: Colours
) -> alt.LayerChart | alt.FacetChart:
    """How often predictions came true, by confidence, with the line of perfect calibration."""
    table = pd.DataFrame(
        [
            {
                "confidence": each.confidence,
                "came true": each.correct.share,
                "low": each.correct.low,
                "high": each.correct.high,
                "answers": each.correct.count,
            }
            for each in calibration.bins
        ]
    )
    x = alt.X(
        "confidence:Q",
        title="how sure it was",
        scale=alt.Scale(domain=[0.5, 1.0]),
        axis=alt.Axis(format=".0%"),
    )
    y = alt.Y("came true:Q", title="how often it was right", axis=alt.Axis(format=".0%"))
    exact = pd.DataFrame({"confidence": [0.5, 1.0], "came true": [0.5, 1.0]})
    points = alt.Chart(table).encode(
        x=x,
        tooltip=[
            alt.Tooltip("confidence:Q", format=".0%", title="sure"),
            alt.Tooltip("came true:Q", format=".0%"),
            alt.Tooltip("answers:Q"),
        ],
    )
    return alt.layer(
        alt.Chart(exact)
        .mark_line(strokeDash=[4, 4], color=colours.text, opacity=0.6)
        .encode(x=x, y=y),
        points.mark_rule(strokeWidth=2, color=colours.accent).encode(
            y=alt.Y("low:Q", title="how often it was right"), y2="high:Q"
        ),
        points.mark_point(filled=True, size=60, opacity=1, color=colours.accent).encode(y=y),
    ).properties(height=CURVE_PX)
