"""Strains: cutting the tunes of a corpus into melodies.

`strains_of` cuts a tune at its repeats and double bars and mends what old books leave loose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from music.formats.abc import AbcTune
from music.formats.abc_melody import (
    MODE_OF_ABC,
    cut_into_strains,
    melody_of_bars,
    type_of_tune,
)
from music.melody import Header, Melody, MelodyError
from music.metre import BAR_TICKS


def strains_of(tune: AbcTune, counts: Counter[str] | None = None) -> Iterator[Melody]:
    """The strains of a tune that the representation holds; the others are counted by reason."""
    counts = Counter() if counts is None else counts
    mode = MODE_OF_ABC.get(tune.mode)
    if tune.changes_meter_or_key or mode is None or tune.meter not in BAR_TICKS:
        counts["tunes in other metres or modes, or changing"] += 1
        return
    meter = tune.meter
    written = [note.duration_ticks for bar in tune.bars for note in bar.notes]
    if meter == "2/4" and sum(ticks <= 6 for ticks in written) > 0.3 * len(written):
        meter = "4/4"
        for bar in tune.bars:
            for note in bar.notes:
                note.duration_ticks *= 2
    style = type_of_tune(tune, meter)
    for bars in cut_into_strains(tune.bars):
        header = Header(meter, mode, style)
        try:
            yield melody_of_bars(bars, header, 60 + tune.tonic_class, mend_last_bar=True)
        except MelodyError as error:
            counts["strain: " + str(error).split("=")[0][:38]] += 1
