"""Charts of a run: reward, KL, diversity, originality by update, and what they must not pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from feedback_ui.chart_colours import Colours

HEIGHT_PX = 150
CHARTS = (
    ("score_mean", "Reward", "in base deviations; the band is the model's doubt"),
    ("kl_nats", "Distance from the base", "KL in nats a melody; dashed is the target"),
    ("vendi", "Diversity", "Vendi score; dashed is the floor"),
    ("originality", "Originality", "share of new 8-grams; dashed is the floor"),
)
"""key of a log row, title, and what is seen"""


def run_charts(
    rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], colours: Colours
) -> list[alt.LayerChart | alt.FacetChart]:
    """A chart each of `CHARTS`.

    Args:
        rows: the run's log, from update 0.
        settings: the run's.
        colours: of the theme.
    """
    table = pd.DataFrame(list(rows))
    first = rows[0]
    marks = {
        "kl_nats": settings["kl_target_nats"],
        "vendi": settings["diversity_floor"] * first["vendi"],
        "originality": settings["originality_floor"] * first["originality"],
    }
    return [
        _chart(table, key, title, about, marks.get(key), colours) for key, title, about in CHARTS
    ]


def _chart(
    table: pd.DataFrame, key: str, title: str, about: str, mark: float | None, colours: Colours
) -> alt.LayerChart | alt.FacetChart:
    x = alt.X("update:Q", title="update", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y(f"{key}:Q", title=None, scale=alt.Scale(zero=False))
    told = [alt.Tooltip("update:Q"), alt.Tooltip(f"{key}:Q", title=title, format=".2f")]
    base = alt.Chart(table)
    layers = [
        base.mark_line(color=colours.accent, strokeWidth=2, point={"color": colours.accent}).encode(
            x=x, y=y, tooltip=told
        )
    ]
    if key == "score_mean":
        band = table.assign(
            low=table["score_mean"] - table["score_std"],
            high=table["score_mean"] + table["score_std"],
        )
        layers.insert(
            0,
            alt.Chart(band)
            .mark_area(color=colours.accent, opacity=0.18)
            .encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q"),
        )
    if mark is not None:
        layers.append(
            alt.Chart(pd.DataFrame({"mark": [mark]}))
            .mark_rule(color=colours.text, strokeDash=[5, 4], opacity=0.7)
            .encode(y="mark:Q")
        )
    heading = alt.TitleParams(
        title, subtitle=about, anchor="start", fontSize=14, subtitleFontSize=11
    )
    return alt.layer(*layers).properties(height=HEIGHT_PX, title=heading)
