"""Plots of the report, as SVG text that stands alone.

Colours: base grey-blue, tuned orange, limits dashed; the same in every plot.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from policy.runs import check_fields

BASE, TUNED, LIMIT = "#5b7083", "#d9622b", "#8a8a8a"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tastemaker",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
}


@contextmanager
def drawing(columns: int) -> Iterator[tuple[list[Axes], list[str]]]:
    """Axes side by side; what is appended to the list is the finished SVG."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6 * columns, 3.0), layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False)[0]
        out: list[str] = []
        yield list(axes), out
        text = io.StringIO()
        # Tight: the layout leaves no room for a label that is longer than its axis.
        figure.savefig(
            text, format="svg", metadata={"Date": None}, transparent=True, bbox_inches="tight"
        )
        svg = text.getvalue()
        out.append(svg[svg.index("<svg") :])


def training_plot(rows: Sequence[dict[str, Any]], best_update: int, kl_limit_nats: float) -> str:
    """Score, KL and the guards over the updates of a PPO run.

    Raises:
        RunError: when a row lacks one of these figures.
    """
    names = ("update", "score_mean", "score_std", "kl_nats", "vendi", "originality", "notes")
    check_fields(rows, names)
    at = [row["update"] for row in rows]
    with drawing(3) as ((score, kl, guards), out):
        mean = np.array([row["score_mean"] for row in rows])
        doubt = np.array([row["score_std"] for row in rows])
        score.plot(at, mean, color=TUNED)
        score.fill_between(at, mean - doubt, mean + doubt, color=TUNED, alpha=0.15, lw=0)
        score.set(title="score by the reward model", xlabel="update", ylabel="base std")
        kl.plot(at, [row["kl_nats"] for row in rows], color=TUNED)
        kl.axhline(kl_limit_nats, color=LIMIT, ls="--", lw=1)
        kl.set(title="distance from the base", xlabel="update", ylabel="nats a melody")
        for name, label in (
            ("vendi", "diversity"), ("originality", "originality"), ("notes", "notes")
        ):  # fmt: skip
            of_base = [row[name] / (rows[0][name] or np.nan) for row in rows]
            guards.plot(at, of_base, label=label)
        guards.set(title="guards, 1 = base", xlabel="update", ylim=(0, 1.6))
        guards.legend(frameon=False)
        for axes in (score, kl, guards):
            axes.axvline(best_update, color=LIMIT, ls=":", lw=1)
    return out[0]


def histogram_plot(base: np.ndarray, tuned: np.ndarray, label: str) -> str:
    """Two distributions of one number, on one grid."""
    edges = np.histogram_bin_edges(np.concatenate([base, tuned]), bins=40).tolist()
    with drawing(1) as ((axes,), out):
        axes.hist(base, edges, color=BASE, alpha=0.6, label="base", density=True)
        axes.hist(tuned, edges, color=TUNED, alpha=0.6, label="tuned", density=True)
        axes.set(xlabel=label, ylabel="density")
        axes.legend(frameon=False)
    return out[0]


def taste_plot(reasons: Sequence[Any]) -> str:
    """What the profile likes and dislikes, surest first, with 95 % intervals."""
    with drawing(1) as ((axes,), out):
        places = np.arange(len(reasons))[::-1]
        axes.errorbar(
            [reason.weight for reason in reasons],
            places,
            xerr=[1.96 * reason.std for reason in reasons],
            fmt="o",
            color=TUNED,
        )
        axes.set_yticks(places, [reason.label for reason in reasons])
        axes.axvline(0, color=LIMIT, lw=1)
        axes.set(xlabel="effect of one base standard deviation on the score")
    return out[0]
