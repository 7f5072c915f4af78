"""The report of `rl_tuner.py` on a study, as Markdown, and its place in a document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rl_tuner_table import Row, markdown

from music.corpora.diversity import SAMPLE_SIZE
from music.descriptors.yardsticks import YARDSTICKS, yardstick_means, yardstick_values
from music.melody import Melody

MOST_MOVED = 16
"""yardsticks in the table of what else changed"""
BEGIN, END = "<!-- benchmarks/rl_tuner_study/rl_tuner.py writes from here -->", "<!-- to here -->"


def moved(base: Sequence[Melody], tuned: Sequence[Melody], real: Sequence[Melody]) -> str:
    """The yardsticks that moved most, in base standard deviations, as a table."""
    before, after, human = (yardstick_means(side) for side in (base, tuned, real))
    values = yardstick_values(list(base))
    rows: list[tuple[float, str]] = []
    for name, yardstick in YARDSTICKS.items():
        deviation = float(np.nanstd(values[name]))
        if deviation == 0:
            continue
        shift = (after[name] - before[name]) / deviation
        cells = (yardstick.label, yardstick.unit, f"{before[name]:.3f}", f"{after[name]:.3f}")
        rows.append((shift, f"| {' | '.join(cells)} | {human[name]:.3f} | {shift:+.2f} |"))
    rows.sort(key=lambda row: -abs(row[0]))
    head = (
        "| yardstick | unit | base | tuned | real tunes | moved by, in base deviations |\n"
        "|---|---|---|---|---|---|"
    )
    return "\n".join([head, *(line for _, line in rows[:MOST_MOVED])])


def document(
    table: Sequence[Row],
    coded: Sequence[Row],
    cost: dict[str, float],
    others: str,
    counts: tuple[int, int],
    config: dict[str, Any],
) -> str:
    """The tables, and what they are of.

    Args:
        table: the study's metrics.
        coded: those by the letter of their code.
        cost: figures `*_base`, `*_tuned` and, for some, of real tunes; KL in nats.
        others: the table of `moved`.
        counts: melodies a side, and real tunes.
        config: PPO's configuration, as in the run's record.
    """
    melodies, tunes = counts
    missed = [row.metric.label for row in table if not row.holds]
    verdict = f"Missed: {', '.join(missed)}." if missed else "Every row holds."
    guards = "\n".join(
        f"| {label} | {cost[f'{name}_base']:{shape}} | {cost[f'{name}_tuned']:{shape}} | {real} |"
        for name, label, shape, real in (
            (
                "score",
                "score by the rules, in base deviations",
                "+.2f",
                f"{cost['score_real']:+.2f}",
            ),
            ("vendi", f"diversity (Vendi of {SAMPLE_SIZE})", ".1f", ""),
            (
                "originality",
                "originality (share of 4-grams not in the training tunes)",
                ".3f",
                f"{cost['originality_held_out_humans']:.3f}",
            ),
            ("notes", "notes a melody", ".1f", ""),
        )
    )
    return "\n\n".join(
        (
            f"{melodies:,} melodies a side, {config['meter']}, {config['bars']} bars, the same "
            f"headers on both; {tunes} held-out tunes of that kind. {config['updates']} updates of "
            f"{config['melodies_per_update']} melodies; {cost['kl_nats']:.1f} ± "
            f"{cost['kl_standard_error']:.1f} nats from the base. Shares in percent.",
            markdown(table),
            verdict,
            "What it cost:",
            f"| | base | tuned | real tunes |\n|---|---|---|---|\n{guards}",
            f"The {MOST_MOVED} yardsticks that moved most:",
            others,
            "By the letter of their code (no verdict is drawn from these):",
            markdown(coded, verdicts=False),
        )
    )


def write_between_markers(file: Path, text: str) -> None:
    """Replace what stands between the markers of a document.

    Raises:
        ValueError: when it has not both markers, in order.
    """
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{file} has no place for the tables; put {BEGIN} and {END} into it")
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
