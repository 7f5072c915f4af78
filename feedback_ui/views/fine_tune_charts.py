"""Charts of a run: reward, distance from the base, diversity and originality by update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from feedback_ui.views.chart_colours import Colours

CHART_PX = 170


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One figure of a run's log, and the reference lines drawn with it."""

    key: str
    """of the figure in a row of `metrics.jsonl`"""
    title: str
    words: str
    """what it means, for a musician"""
    format: str
    lines: Mapping[str, float]
    """reference lines: name -> value"""
    band: str | None = None
    """key of the figure's standard deviation in a row, drawn as a band"""


def curves_of(config: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """The four figures of a run.

    Args:
        config: the settings of its PPO.
        rows: its log; the first row is of the base policy.
    """
    first = rows[0]
    return [
        Curve(
            key="score_mean",
            title="Reward",
            words="The score in standard deviations of the base; the band is its uncertainty.",
            format="+.2f",
            lines={"base": float(first["score_mean"])},
            band="score_std",
        ),
        Curve(
            key="kl_nats",
            title="Distance from the base",
            words="KL from the base policy, in nats per melody.",
            format=".1f",
            lines={
                **({"aim": float(aim)} if (aim := config["kl_target_nats"]) else {}),
                "limit": float(config["kl_limit_nats"]),
            },
        ),
        Curve(
            key="vendi",
            title="Diversity",
            words="How many different melodies an update's are worth (Vendi score).",
            format=".0f",
            lines={"floor": float(config["diversity_floor"]) * float(first["vendi"])},
        ),
        Curve(
            key="originality",
            title="Originality",
            words="Share of a melody that occurs in no training tune.",
            format=".2f",
            lines={"floor": float(config["originality_floor"]) * float(first["originality"])},
        ),
    ]


def curve_chart(
    curve: Curve, rows: Sequence[Mapping[str, Any]], updates: int, colours: Colours
) -> alt.LayerChart | alt.FacetChart:
    """One figure by update; rows that break a guard have a cross instead of a point."""
    table = pd.DataFrame(
        [
            {
                "update": int(row["update"]),
                "value": float(row[curve.key]),
                "guards": "broken" if row.get("guards_broken") else "held",
                "low": float(row[curve.key]) - _reach(row, curve),
                "high": float(row[curve.key]) + _reach(row, curve),
            }
            for row in rows
            if row.get(curve.key) is not None
        ]
    )
    x = alt.X(
        "update:Q",
        title=None,
        scale=alt.Scale(domain=[0, max(1, updates)]),
        axis=alt.Axis(format="d", tickMinStep=1, tickCount=6),
    )
    y = alt.Y(
        "value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format=curve.format)
    )
    base = alt.Chart(table).encode(x=x, y=y)
    layers: list[alt.Chart] = [
        base.mark_line(color=colours.accent, strokeWidth=2),
        base.mark_point(size=36, opacity=1, strokeWidth=2).encode(
            color=alt.value(colours.accent),
            fill=alt.condition(
                "datum.guards == 'held'", alt.value(colours.accent), alt.value("transparent")
            ),
            shape=alt.Shape(
                "guards:N",
                scale=alt.Scale(domain=["held", "broken"], range=["circle", "cross"]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("update:Q", title="update"),
                alt.Tooltip("value:Q", title=curve.title, format=curve.format),
                alt.Tooltip("guards:N"),
            ],
        ),
    ]
    if curve.band:
        doubt = base.mark_area(color=colours.accent, opacity=0.18)
        layers.insert(0, doubt.encode(y=alt.Y("low:Q", title=None), y2="high:Q"))
    for name, value in curve.lines.items():
        line = alt.Chart(pd.DataFrame({"value": [value], "name": [name]})).encode(y=y)
        layers += [
            line.mark_rule(strokeDash=[4, 4], color=colours.text, opacity=0.6),
            line.mark_text(align="right", baseline="bottom", dx=-2, dy=-2, fontSize=11).encode(
                x=alt.value("width"), text="name:N", color=alt.value(colours.text)
            ),
        ]
    return alt.layer(*layers).properties(height=CHART_PX)


def _reach(row: Mapping[str, Any], curve: Curve) -> float:
    return float(row[curve.band]) if curve.band else 0.0
