"""RL Tuner's table, repeated: base and tuned melodies beside the published columns and real tunes.

What "improves by at least as much in relative terms" means, where base rates differ from theirs:
  - the *rate*: after / before - 1, for what should rise; 1 - after / before for what should fall,
    of the size for autocorrelations. This is the reading wherever the base has room for it.
  - the *gap*: the share of the way from before to the most that can be reached. This is the reading
    for what should rise and cannot rise by their rate: 23 % cannot become 32 times as many.
  - the *floor*: what should fall and is before tuning already below what their table can show
    (0.05 %) has only to stay there, and not to rise.
Both rates and gaps are given for every row, whichever decides. What the authors did not improve has
not to get worse. Intervals are 95 %, by resampling whole melodies.

Letters: N melodies, K resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rl_tuner_metrics import METRICS, THEIR_STEPS, Metric

from music.melody import Melody
from music.note_table import note_table
from reward.comparisons.intervals import resamples

RESAMPLES = 1000
SHOWN = 0.0005
"""half of the last digit of their table's percentages"""
Reading = Literal["rate", "gap", "floor", "not worse"]
Number = float | np.ndarray


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled_K: np.ndarray) -> Estimate:
        """The value with the 2.5 % and 97.5 % quantiles of the resamples that are defined."""
        known = resampled_K[np.isfinite(resampled_K)]
        if len(known) == 0:
            return cls(value, np.nan, np.nan)
        low, high = np.quantile(known, (0.025, 0.975))
        return cls(value, float(low), float(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric: theirs, ours, and whether ours improves as much."""

    metric: Metric
    base: Estimate
    tuned: Estimate
    real: Estimate
    rate: Estimate
    gap: Estimate | None
    """None for correlations and for what should fall, whose rate is its gap to 0"""
    published_rate: float
    published_gap: float | None
    reading: Reading
    wanted: float
    """at least or at most so much, see `wanted`"""
    holds: bool


def compare(
    base: Sequence[Melody],
    tuned: Sequence[Melody],
    real: Sequence[Melody],
    *,
    metrics: Sequence[Metric] = METRICS,
    seed: int = 0,
) -> list[Row]:
    """One row a metric; base and tuned melodies are of one metre and length.

    Raises:
        ValueError: when base and tuned melodies are not all of one length.
    """
    tables = [note_table(side) for side in (base, tuned, real)]
    lengths = {int(ticks) for table in tables[:2] for ticks in table.total_ticks}
    if len(lengths) != 1:
        raise ValueError(
            f"base and tuned melodies last {sorted(lengths)} ticks; ceilings need one length: ask "
            "for one metre and number of bars"
        )
    rng = np.random.default_rng(seed)
    # How often each melody is in each sample.
    weights = [resamples(len(table), RESAMPLES, rng).astype(np.float64) for table in tables]
    steps = lengths.pop() // 6
    rows: list[Row] = []
    for metric in metrics:
        values: list[float] = []
        drawn: list[np.ndarray] = []
        for table, weight_KN in zip(tables, weights, strict=True):
            top, bottom = metric.measure(table)
            values.append(_ratio(top.sum(), bottom.sum()))
            with np.errstate(invalid="ignore", divide="ignore"):
                drawn.append((weight_KN @ top) / (weight_KN @ bottom))
        ceiling = metric.ceiling(steps) if metric.ceiling else 1.0
        rows.append(_row(metric, values, drawn, ceiling))
    return rows


def wanted(
    metric: Metric, before: float, ceiling: float, published_ceiling: float
) -> tuple[Reading, float]:
    """By which reading a metric is judged (see the module), and the figure that it asks for.

    At least so much for what should rise, at most so much for what should fall, of the size for
    autocorrelations.
    """
    if not metric.was_improved:
        return "not worse", before
    published = float(change(metric, *metric.published))
    if metric.better == "more":
        if before * (1 + published) <= ceiling:
            return "rate", before * (1 + published)
        share = float(gap_closed(*metric.published, published_ceiling))
        return "gap", before + share * (ceiling - before)
    if metric.better == "less" and before < SHOWN:
        return "floor", before
    if metric.better == "less" and metric.published[1] == 0:
        # Their 0.0 says no more than "below what is shown", and neither does ours.
        published = float(change(metric, metric.published[0], SHOWN))
    return "rate", abs(before) * (1 - published)


def judged(metric: Metric, after: float, asked: float) -> bool:
    """Whether a figure is what `wanted` asks for."""
    return after >= asked if metric.better == "more" else abs(after) <= asked


def change(metric: Metric, before: Number, after: Number) -> np.ndarray:
    """Relative change for the better: 0.5 is half as much again, or half of it gone.

    NaN where both are 0, minus infinity where what should fall rose from 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(np.asarray(after)) / np.abs(before)
    return ratio - 1 if metric.better == "more" else 1 - ratio


def gap_closed(before: Number, after: Number, ceiling: float) -> np.ndarray:
    """Share of the way to the ceiling; NaN from the ceiling itself."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.asarray(after) - before) / (ceiling - np.asarray(before))


def markdown(rows: Sequence[Row], *, verdicts: bool = True) -> str:
    """The table as it stands in the documents, with or without its last three columns."""
    heads = (
        "metric", "published", "ours", "real tunes", "rate, theirs", "rate, ours", "gap, theirs",
        "gap, ours", *(("judged by", "asked for", "holds") if verdicts else ()),
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        write = _percent if row.metric.is_share else _number
        before, after = row.metric.published
        cells = (
            row.metric.label,
            f"{write(before)} → {write(after)}",
            f"{_with_interval(row.base, write)} → **{_with_interval(row.tuned, write)}**",
            _with_interval(row.real, write),
            _signed(row.published_rate),
            _signed_interval(row.rate),
            "" if row.published_gap is None else _signed(row.published_gap),
            "" if row.gap is None else _signed_interval(row.gap),
            *(
                (row.reading, _bound(row.metric, write(row.wanted)), _yes_or_no(row.holds))
                if verdicts
                else ()
            ),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> dict[str, dict[str, object]]:
    """The figures by metric."""
    return {
        row.metric.name: {
            "published": list(row.metric.published),
            "base": row.base.value,
            "tuned": row.tuned.value,
            "tuned_interval": [row.tuned.low, row.tuned.high],
            "real": row.real.value,
            "published_rate": row.published_rate,
            "rate": row.rate.value,
            "published_gap": row.published_gap,
            "gap": row.gap.value if row.gap else None,
            "reading": row.reading,
            "wanted": row.wanted,
            "holds": row.holds,
        }
        for row in rows
    }


def _row(
    metric: Metric, values: Sequence[float], drawn: Sequence[np.ndarray], ceiling: float
) -> Row:
    before, after, real = values
    before_K, after_K, real_K = drawn
    theirs = metric.ceiling(THEIR_STEPS) if metric.ceiling else 1.0
    gap = published_gap = None
    if metric.better == "more":
        closed_K = gap_closed(before_K, after_K, ceiling)
        gap = Estimate.of(float(gap_closed(before, after, ceiling)), closed_K)
        published_gap = float(gap_closed(*metric.published, theirs))
    reading, asked = wanted(metric, before, ceiling, theirs)
    return Row(
        metric=metric,
        base=Estimate.of(before, before_K),
        tuned=Estimate.of(after, after_K),
        real=Estimate.of(real, real_K),
        rate=Estimate.of(float(change(metric, before, after)), change(metric, before_K, after_K)),
        gap=gap,
        published_rate=float(change(metric, *metric.published)),
        published_gap=published_gap,
        reading=reading,
        wanted=asked,
        holds=judged(metric, after, asked),
    )


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom else np.nan


def _bound(metric: Metric, figure: str) -> str:
    return f"{'≥' if metric.better == 'more' else '≤'} {figure}"


def _yes_or_no(holds: bool) -> str:
    return "yes" if holds else "**no**"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f}" if percent >= 1 or percent == 0 else f"{percent:.2g}"


def _number(value: float) -> str:
    return f"{value:.2f}"


def _signed(share: float) -> str:
    return f"{100 * share:+.0f} %" if np.isfinite(share) else "–"


def _with_interval(estimate: Estimate, write: Callable[[float], str]) -> str:
    return f"{write(estimate.value)} [{write(estimate.low)}, {write(estimate.high)}]"


def _signed_interval(estimate: Estimate) -> str:
    if not np.isfinite(estimate.value):
        return "–"
    low, high = (_signed(bound).removesuffix(" %") for bound in (estimate.low, estimate.high))
    return f"{_signed(estimate.value)} [{low}, {high}]"
