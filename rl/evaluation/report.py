"""The report: one self-contained HTML file with figures, plots, scores and sound.

It shows the first melodies sampled from each policy, not the best ones.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from music.descriptors.yardsticks import YARDSTICKS
from music.files import write_whole
from music.formats.notation import to_svg
from music.melody import Melody
from music.rendering.sound import render_wav
from reward.profile.profile import TasteProfile
from reward.training.svg import histogram_plot, taste_plot, training_plot
from rl.evaluation.evaluate import Evaluation, Side

SHOWN_YARDSTICKS = (
    "in_key_share",
    "ends_on_tonic",
    "repeated_bar_share",
    "repeated_rhythm_share",
    "leap_share",
    "leaps_resolved",
    "range_semitones",
    "unique_maximum",
    "notes_per_beat",
    "step_share",
    "rhythm_entropy",
    "arch",
    "syncopation_share",
    "halves_alike",
)
HEARD = 3
"""melodies of each policy shown with score and sound"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """The contents of a report."""

    title: str
    lead: str
    """the result in one or two sentences"""
    facts: Sequence[tuple[str, str]]
    """pairs of a figure and its meaning"""
    evaluation: Evaluation
    profile: TasteProfile | None
    """what was learnt of a taste; None where the reward is not learnt from votes"""
    ppo_rows: Sequence[dict[str, Any]]
    best_update: int
    kl_limit_nats: float
    provenance: Sequence[tuple[str, str]]
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class YardstickRow:
    """A yardstick's mean over real tunes and both policies' melodies."""

    label: str
    unit: str
    real: float
    base: float
    tuned: float
    error: float

    @property
    def verdict(self) -> str:
        """Whether tuning moved it towards real tunes or away, by two standard errors or more."""
        moved = abs(self.tuned - self.real) - abs(self.base - self.real)
        if abs(moved) < 2 * self.error:
            return ""
        return "further from real tunes" if moved > 0 else "nearer to real tunes"


def yardstick_rows(evaluation: Evaluation) -> list[YardstickRow]:
    """The yardsticks that the report shows."""
    return [
        YardstickRow(
            YARDSTICKS[name].label,
            YARDSTICKS[name].unit,
            evaluation.real_yardsticks[name],
            evaluation.base.yardsticks[name],
            evaluation.tuned.yardsticks[name],
            evaluation.yardstick_errors[name],
        )
        for name in SHOWN_YARDSTICKS
    ]


def guard_facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Diversity, originality and length, before and after; every report shows them."""
    base, tuned = evaluation.base, evaluation.tuned
    return [
        (f"{base.vendi:.0f} → {tuned.vendi:.0f}", "diversity (Vendi of 256)"),
        (
            f"{base.originality['originality']:.2f} → {tuned.originality['originality']:.2f}",
            f"originality (humans {evaluation.held_out_originality['originality']:.2f})",
        ),
        (f"{base.notes:.1f} → {tuned.notes:.1f}", "notes a melody"),
    ]


def write_report(path: Path, given: ReportInput, *, soundfont: Path | None = None) -> None:
    """Write the report; a failure leaves no partial file.

    Raises:
        SoundfontError: when there is no soundfont to render with.
    """
    evaluation = given.evaluation
    judged = evaluation.base.utility is not None and evaluation.tuned.utility is not None
    base = evaluation.base.utility if judged else evaluation.base.score
    tuned = evaluation.tuned.utility if judged else evaluation.tuned.score
    assert base is not None
    assert tuned is not None
    label = "the listener's true utility" if judged else "score by the reward model"
    reasons = [] if given.profile is None else given.profile.explain(top=10)
    page = (
        _environment()
        .get_template("report.html.jinja")
        .render(
            given=given,
            evaluation=evaluation,
            training=Markup(training_plot(given.ppo_rows, given.best_update, given.kl_limit_nats)),
            histogram=Markup(histogram_plot(base, tuned, label)),
            taste=Markup(taste_plot(reasons)) if reasons else None,
            reasons=[str(reason) for reason in reasons[:5]],
            yardsticks=yardstick_rows(evaluation),
            sides=[
                ("before", _heard(evaluation.base, soundfont)),
                ("after", _heard(evaluation.tuned, soundfont)),
            ],
        )
    )
    write_whole(path, page)


def _heard(side: Side, soundfont: Path | None) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for number, melody in enumerate(side.melodies[:HEARD]):
        shown.append(
            {
                "svg": Markup(to_svg(melody)),
                "audio": _data_url(melody, soundfont),
                "key": melody.key,
                "style": melody.header.style,
                "score": float(side.score[number]),
                "run": int(side.copies.longest_run_notes[number]),
                "notes": len(melody.notes),
                "strain": int(side.copies.training_strain[number]),
            }
        )
    return shown


def _data_url(melody: Melody, soundfont: Path | None) -> str:
    wav = render_wav(melody, soundfont=soundfont)
    return "data:audio/wav;base64," + base64.b64encode(wav).decode()


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("rl.evaluation", ""), autoescape=select_autoescape(default=True)
    )
