"""What came of a check, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from music.messages import shorten
from reward.comparisons.agreement import CHANCE
from reward.validation.check import Check
from reward.validation.held_out_figures import Drawn, HeldOutFigures, Interval

SHOWN_ROWS = 5
"""numbers of refused rows of one reason"""
SHOWN_REASONS = 10
MOST_REFUSED = 1000
"""refused rows in JSON"""
SHOWN_FEATURES = 12


def in_words(check: Check) -> str:
    """For a person, some lines."""
    return "\n".join(line.rstrip() for line in _lines(check))


def _lines(check: Check) -> Iterator[str]:
    melodies = check.melodies
    what = f"{check.judgements} {check.form}"
    of = f" by {check.raters} raters" if check.raters else ""
    yield shorten(f"{check.table}: {what}{of}, {len(melodies.features_MF)} melodies")
    if melodies.several_strains:
        yield f"{melodies.several_strains} melodies have several strains; their features are means"
    if melodies.several_tunes:
        yield f"{melodies.several_tunes} files have several tunes; the first one is taken"
    yield from _refused(check)
    yield ""
    yield (
        f"Agreement of {check.tested} predictions of melodies that the model has not heard, with "
        "95 % intervals over melodies:"
    )
    yield f"{'pairs learnt':>12}  {'taste profile':22}{'logistic regression':22}"
    for size in check.sizes:
        ours, theirs = size.profile.agreement.interval, size.logistic.agreement.interval
        yield f"{size.pairs:12.0f}  {ours!s:22}{theirs!s:22}"
    last = check.sizes[-1].profile
    yield from _beside_chance(last.agreement.interval)
    if check.people is not None:
        yield f"people among themselves: {check.people} (two halves of the raters)"
    else:
        yield "what people agree on among themselves cannot be said: it takes several raters"
    yield ""
    yield "Calibration of the profile (0 is perfect; a coin has a log loss of 0.693):"
    yield f"{'pairs learnt':>12}  {'calibration error':22}{'log loss':22}"
    for size in check.sizes:
        ece, loss = size.profile.ece.interval, size.profile.log_loss.interval
        yield f"{size.pairs:12.0f}  {ece!s:22}{loss!s:22}"
    yield ""
    yield f"The profile, learnt from {check.profile.votes} pairs:"
    yield check.profile.in_words(SHOWN_FEATURES)


def _beside_chance(interval: Interval) -> Iterator[str]:
    """What is said of an agreement that is not clearly better than chance."""
    if interval.high < CHANCE:
        yield (
            f"The last interval is below chance ({CHANCE:.2f}): the profile is worse than guessing."
        )
    elif interval.low <= CHANCE:
        yield f"The last interval holds chance ({CHANCE:.2f}), so this may be luck."


def _refused(check: Check) -> Iterator[str]:
    """The refused rows, those of one reason in a line."""
    if not check.refused:
        return
    rows_of: dict[str, list[int]] = {}
    for row in check.refused:
        rows_of.setdefault(row.reason, []).append(row.row)
    yield f"refused rows: {len(check.refused)}"
    for reason, rows in list(rows_of.items())[:SHOWN_REASONS]:
        more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
        word = "row" if len(rows) == 1 else "rows"
        yield shorten(f"  {word} {', '.join(map(str, rows[:SHOWN_ROWS]))}{more}: {reason}")
    if len(rows_of) > SHOWN_REASONS:
        yield f"  and {len(rows_of) - SHOWN_REASONS} more reasons; --json lists them"


def as_json(check: Check) -> dict[str, Any]:
    """For a program."""
    return {
        "table": str(check.table),
        "form": check.form,
        "judgements": check.judgements,
        "raters": check.raters,
        "melodies": len(check.melodies.features_MF),
        "several_strains": check.melodies.several_strains,
        "several_tunes": check.melodies.several_tunes,
        "pairs": check.pairs,
        "ties": check.ties,
        "pairs_tested": check.tested,
        "sizes": [
            {
                "pairs": size.pairs,
                **_figures(size.profile),
                "logistic": _figures(size.logistic),
                "ahead_of_logistic": _interval(
                    size.profile.agreement.above(size.logistic.agreement)
                ),
            }
            for size in check.sizes
        ],
        "people": None if check.people is None else _interval(check.people),
        "profile": [
            {
                "feature": reason.feature,
                "label": reason.label,
                "weight": reason.weight,
                "std": reason.std,
                "sure": reason.sure,
            }
            for reason in check.profile.explain(SHOWN_FEATURES)
        ],
        "refused": len(check.refused),
        "refused_rows": [
            {"row": row.row, "reason": row.reason} for row in check.refused[:MOST_REFUSED]
        ],
    }


def _figures(figures: HeldOutFigures) -> dict[str, Any]:
    drawn: dict[str, Drawn] = {
        "agreement": figures.agreement, "log_loss": figures.log_loss, "ece": figures.ece,
    }  # fmt: skip
    return {name: _interval(one.interval) for name, one in drawn.items()}


def _interval(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
