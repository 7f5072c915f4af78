"""Strains under other headers: the two books have few metres, modes and lengths, the base all.

The base has to write sane melodies under every header, and most metres, modes, lengths and pickups
hardly occur in the two books. `reheaded` makes a melody under another header out of strains of one
tune, by rules that leave most of the tune as it was:

- metre: two bars become one (3/4 -> 6/4, 6/8 -> 12/8), one becomes two (4/4 -> 2/4, 6/8 -> 3/8),
  the last note of each bar is lengthened (4/4 -> 5/4 and 3/2, 6/8 -> 9/8) or cut (4/4 -> 7/8), or
  the metre has another name (4/4 -> 2/2);
- mode: each degree of the scale becomes the same degree of the other scale;
- bars: the strains one after the other, repeated as often as needed; the last bars of that, so that
  the end stays an end;
- pickup: what stands before the first of these bars.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from music.melody import (
    BAR_COUNTS,
    MODE_SCALES,
    MODES,
    PICKUPS_TICKS,
    PITCH_MAX,
    PITCH_MIN,
    Header,
    Melody,
    MelodyError,
    Note,
)
from music.metre import BAR_TICKS, METERS

_SOURCES: dict[str, tuple[str, ...]] = {
    "2/2": ("4/4",),
    "3/2": ("4/4", "3/4"),
    "2/4": ("4/4", "2/4"),
    "3/4": ("3/4",),
    "4/4": ("4/4", "2/4"),
    "5/4": ("4/4", "3/4"),
    "6/4": ("3/4",),
    "3/8": ("6/8", "9/8"),
    "6/8": ("6/8",),
    "7/8": ("4/4", "3/4"),
    "9/8": ("6/8", "9/8"),
    "12/8": ("6/8",),
}
"""metre -> metres of strains that it can be made of"""


def reheaded(strains: Sequence[Melody], header: Header, *, tonic_midi: int = 62) -> Melody | None:
    """A melody under `header` made of strains of one tune; None where the rules give none.

    Args:
        strains: of one metre, mode and pickup.
        header: of the new melody.
        tonic_midi: MIDI number of its tonic.
    """
    source = strains[0].header
    old, new = source.bar_ticks, header.bar_ticks
    joined = [
        Note(note.onset_ticks + shift, note.duration_ticks, note.pitch)
        for strain, shift in zip(strains, _shifts(strains), strict=True)
        for note in strain.notes
    ]
    length = sum(strain.header.bars for strain in strains) * old
    if _is_regrouped(old, new):
        length_today = length

        def moved(ticks: int) -> int:
            return ticks
    else:
        length_today = length // old * new

        def moved(ticks: int) -> int:
            bar, within = divmod(ticks, old)
            return bar * new + min(within, new)

    end = length_today // new * new
    wanted = header.bars * new
    start = end - wanted
    repeats = max(0, -((start - header.pickup_ticks) // length_today)) if length_today else 0
    low, high = start - header.pickup_ticks, end - header.pickup_ticks
    notes: list[Note] = []
    for repeat in range(-repeats, 1):
        for note in joined:
            onset = max(low, moved(note.onset_ticks) + repeat * length_today)
            stop = min(high, moved(note.end_ticks) + repeat * length_today)
            pitch = moved_pitch(note.pitch, source.mode, header.mode)
            if stop > onset and PITCH_MIN <= pitch <= PITCH_MAX:
                notes.append(Note(onset - start, stop - onset, pitch))
    try:
        return Melody(header, tuple(notes), tonic_midi)
    except MelodyError:
        return None


def _shifts(strains: Sequence[Melody]) -> list[int]:
    bars = np.cumsum([0, *(strain.header.bars for strain in strains[:-1])])
    return [int(bar) * strains[0].header.bar_ticks for bar in bars]


def _is_regrouped(old: int, new: int) -> bool:
    """Whether bars become one bar, or one becomes several, without another length of beats."""
    return new % old == 0 or old % new == 0


def moved_pitch(pitch: int, mode: str, to: str) -> int:
    """The same degree of another scale, with the same alteration."""
    octave, within = divmod(pitch, 12)
    scale = MODE_SCALES[mode]
    degree = max(place for place, semitones in enumerate(scale) if semitones <= within)
    return octave * 12 + MODE_SCALES[to][degree] + within - scale[degree]


def random_header(rng: np.random.Generator, style: str, pickup_ticks: int) -> Header:
    """A header with every metre and mode alike, and short melodies oftener than long ones.

    Half of them have no pickup, and a quarter that of the strain, if the metre can have it.
    """
    meter = METERS[rng.integers(len(METERS))]
    weights = 1 / np.array(BAR_COUNTS, float)
    bars = int(rng.choice(BAR_COUNTS, p=weights / weights.sum()))
    pickups = PICKUPS_TICKS[meter]
    lot = rng.random()
    pickup = 0
    if lot < 0.25 and pickup_ticks in pickups:
        pickup = pickup_ticks
    elif lot > 0.75:
        pickup = pickups[rng.integers(len(pickups))]
    return Header(meter, MODES[rng.integers(len(MODES))], style, bars, pickup)


def reheaded_strains(
    strains: Sequence[tuple[int, Melody]], count: int, rng: np.random.Generator
) -> list[Melody]:
    """Melodies under random headers, made of strains of tunes.

    Args:
        strains: number of the tune and strain.
        count: how many melodies.
        rng: of the headers and strains.
    """
    by_meter: dict[str, list[list[Melody]]] = {meter: [] for meter in METERS}
    tunes: dict[tuple[int, str, str, int], list[Melody]] = {}
    for tune, strain in strains:
        header = strain.header
        tunes.setdefault((tune, header.meter, header.mode, header.pickup_ticks), []).append(strain)
    for (_, meter, _, _), alike in tunes.items():
        by_meter[meter].append(alike)
    made: list[Melody] = []
    while len(made) < count:
        header = random_header(rng, "other", 0)
        sources = [one for meter in _SOURCES[header.meter] for one in by_meter[meter]]
        if not sources:
            continue
        tune = sources[rng.integers(len(sources))]
        asked = random_header(rng, tune[0].header.style, tune[0].header.pickup_ticks)
        if asked.meter != header.meter:
            asked = Header(header.meter, asked.mode, asked.style, asked.bars)
        melody = reheaded(tune, asked)
        if melody is not None:
            made.append(melody)
    return made


assert BAR_TICKS.keys() == _SOURCES.keys()
