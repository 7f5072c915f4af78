"""Composing with a motif from a file, and saving melodies as ABC, MIDI and sound."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from music.corpora.originality import TrainingIndex, originality
from music.files import whole_files
from music.formats.abc import AbcBar, AbcError, AbcTune
from music.formats.abc_melody import (
    first_strain,
    joined_at_repeats,
    last_time_through,
    notes_of_bars,
)
from music.formats.midi import to_midi
from music.formats.notation import header_of_tune, to_abc
from music.formats.spelling import key_of
from music.key_choice import octaves_from_middle
from music.melody import (
    BAR_COUNTS,
    TONIC_NAMES,
    Melody,
    MelodyError,
)
from music.progress import Report, no_report
from music.readers.motif import read_motif
from music.rendering.sound import find_soundfont, render_wav
from policy.compose import Conditioning

USUAL_BARS = (8, 16, 24, 32)
"""numbers of bars, of which a melody with a motif gets the first that is longer than the motif"""


def conditioning_with_motif(
    conditioning: Conditioning,
    file: Path,
    *,
    say: Callable[[str], None],
    known_bars: Collection[int] = BAR_COUNTS,
) -> Conditioning:
    """Add the notes of a file as the motif, and its header fields that are not set yet.

    The motif may have any length: a bar or two, or most of a tune. From a whole tune, the first
    strain is taken, or as many bars as `conditioning` asks for. Where it asks for none and the
    strain fills the longest melody that the policy writes, half of that is taken.

    Args:
        conditioning: the header asked for.
        file: ABC, MIDI or MusicXML; its first tune is the motif.
        say: called with a line about each part of the file that is left out or changed.
        known_bars: numbers of bars that the policy knows; one of them is chosen where
            `conditioning` asks for none.

    Raises:
        AbcError: when no tune of the file can be read.
        MelodyError: when the motif does not fit what is asked for.
        LimitError: for a file that is too large to be a tune.
    """
    tune, decided = read_motif(file)
    for line in decided:
        say(line)
    try:
        header = header_of_tune(tune)
    except AbcError as error:
        raise AbcError(f"the motif {file}: {error}") from error
    for line in _read_otherwise(tune):
        say(f"the motif {file}: {line}")
    bars = last_time_through(tune.bars)
    if not any(note.midi is not None for bar in bars for note in bar.notes):
        raise AbcError(f"the motif {file} has no notes; write some after its K: line")
    pickup = int(bars[0].duration_ticks) if len(bars) > 1 else 0
    pickup = pickup if pickup < header.bar_ticks else 0
    whole = joined_at_repeats(bars, header.bar_ticks)
    if conditioning.bars is None:
        bars = joined_at_repeats(first_strain(bars, header.bar_ticks), header.bar_ticks)
    else:
        bars = whole[: conditioning.bars + (pickup > 0)]
    wanted = conditioning.bars or _room_for(bars, header.bar_ticks, known_bars)
    if conditioning.bars is None and _fills(bars, wanted, header.bar_ticks):
        bars = bars[: wanted // 2 + (pickup > 0)]
    if len(bars) < len(whole):
        full, of = (len(some) - (pickup > 0) for some in (bars, whole))
        say(f"the motif {file}: its first {full} of {of} bars are taken")
    for number, bar in enumerate(bars[pickup > 0 :], start=1):
        ticks, last = bar.duration_ticks, bar is bars[-1]
        if ticks > header.bar_ticks or (ticks < header.bar_ticks and not last):
            raise MelodyError(
                f"bar {number} of the motif {file} lasts {ticks} ticks, a bar of {header.meter} "
                f"{header.bar_ticks}, 24 a quarter; check its lengths (only the last may be short)"
            )
    if _fills(bars, wanted, header.bar_ticks):
        say(
            f"the motif {file}: it fills all {wanted} bars, so that the policy has nothing to "
            "write; ask for more bars with --bars, or give a shorter motif"
        )
    placed = replace(header, bars=wanted, pickup_ticks=pickup)
    tonic = 60 + tune.tonic_class
    notes = notes_of_bars(bars, placed.start_ticks, placed.end_ticks, tonic)
    octaves = octaves_from_middle([note.pitch for note in notes])
    notes = [replace(note, pitch=note.pitch - 12 * octaves) for note in notes]
    return Conditioning(
        meter=header.meter,
        mode=conditioning.mode or header.mode,
        style=conditioning.style,
        bars=placed.bars,
        pickup_ticks=pickup,
        motif=tuple(notes),
        motif_tonic_midi=tonic + 12 * octaves,
    )


def _fills(motif: Sequence[AbcBar], bars: int, bar_ticks: int) -> bool:
    """Whether a motif leaves nothing to write of a melody of so many bars."""
    return sum(bar.duration_ticks for bar in motif) >= bars * bar_ticks


def _room_for(motif: Sequence[AbcBar], bar_ticks: int, known_bars: Collection[int]) -> int:
    """A number of bars that is more than the motif's, a usual one if there is; or the largest."""
    known = sorted(known_bars)
    lengths = [*(bars for bars in USUAL_BARS if bars in known_bars), *known]
    return next((bars for bars in lengths if not _fills(motif, bars, bar_ticks)), known[-1])


def motif_moves(conditioning: Conditioning, melodies: Sequence[Melody]) -> str | None:
    """A line that says to which key or octave the motif was moved; None where it was not."""
    given = conditioning.motif_tonic_midi
    moved = sorted({melody.tonic_midi for melody in melodies} - {given})
    if given is None or not moved:
        return None
    if len(moved) > 1:
        return f"the motif is transposed from {TONIC_NAMES[given % 12]} to the key of each melody"
    (tonic,) = moved
    if (tonic - given) % 12 == 0:
        octaves = abs(tonic - given) // 12
        where = "up" if tonic > given else "down"
        return (
            f"the motif is moved {where} by {octaves} octave{'s' * (octaves > 1)}, into the range"
        )
    return f"the motif is transposed from {TONIC_NAMES[given % 12]} to {TONIC_NAMES[tonic % 12]}"


def _read_otherwise(tune: AbcTune) -> Iterator[str]:
    """Lines about parts of the tune that are not used as written."""
    if tune.chords == 1:
        yield "its chord is read as its top note"
    elif tune.chords:
        yield f"its {tune.chords} chords are read as their top notes"
    if tune.tunes_after:
        yield f"the first of its {tune.tunes_after + 1} tunes is taken"


def save_melodies(
    melodies: Sequence[Melody],
    folder: Path,
    *,
    index: TrainingIndex | None,
    sound: bool,
    soundfont: Path | None = None,
    report: Report = no_report,
) -> list[str]:
    """Write each melody's files, all or none; return a line about each, with its originality.

    `index` is of the tunes that the policy was trained on; None where they are not here.

    Raises:
        SoundfontError: when there is no soundfont to render with.
        OSError: when the folder cannot be written, or its disk is full.
    """
    if sound:
        find_soundfont(soundfont)
    found = None
    if index is not None:
        report("comparing with the training tunes", 0, 0)
        found = originality(melodies, index)
    lines: list[str] = []
    with whole_files(folder) as draft:
        for number, melody in enumerate(melodies, start=1):
            report("writing files", number - 1, len(melodies))
            name = f"melody-{number:03d}"
            (draft / f"{name}.abc").write_text(to_abc(melody, title=f"Melody {number}"))
            (draft / f"{name}.mid").write_bytes(to_midi(melody))
            if sound:
                (draft / f"{name}.wav").write_bytes(render_wav(melody, soundfont=soundfont))
            header = melody.header
            key = f"{key_of(melody.tonic_midi, header.mode).tonic_name} {header.mode}"
            line = (
                f"{name}  {key}, {header.style}, {header.meter}, {header.bars} bars, "
                f"{len(melody.notes)} notes"
            )
            if found is not None:
                line += (
                    f", originality {found.originality[number - 1]:.2f}, longest run of a "
                    f"training tune {found.longest_run_notes[number - 1]} notes"
                )
            lines.append(line)
    return lines
