"""Composed melodies as files: ABC, MIDI and sound, each with how original it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from music.corpora.originality import originality
from music.formats.abc import AbcError, read_tune
from music.formats.abc_bars import notes_of_bars, without_first_endings
from music.formats.midi import to_midi
from music.formats.notation import header_of_tune, to_abc
from music.melody import BAR_COUNTS, Melody, MelodyError
from music.progress import Report, no_report
from music.rendering.sound import find_soundfont, render_wav
from policy.compose import Conditioning
from rl.evaluation.evaluate import training_index


def conditioning_with_motif(conditioning: Conditioning, file: Path) -> Conditioning:
    """What is asked, with the notes of an ABC file to begin with and, where open, its header.

    The motif may be of any length: a bar or two, or most of a tune.

    Raises:
        AbcError: when the file is not one tune in ABC.
        MelodyError: when the motif does not fit what is asked.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AbcError(f"the motif {file} is not text in UTF-8; save it as such") from error
    tune = read_tune(text)
    header = header_of_tune(tune)
    bars = without_first_endings(tune.bars)
    if not any(note.midi is not None for bar in bars for note in bar.notes):
        raise AbcError(f"the motif {file} has no notes; write some after its K: line")
    pickup = int(bars[0].duration_ticks) if len(bars) > 1 else 0
    pickup = pickup if pickup < header.bar_ticks else 0
    for number, bar in enumerate(bars[pickup > 0 :], start=1):
        ticks, last = bar.duration_ticks, bar is bars[-1]
        if ticks > header.bar_ticks or (ticks < header.bar_ticks and not last):
            raise MelodyError(
                f"bar {number} of the motif {file} lasts {ticks} ticks, a bar of {header.meter} "
                f"{header.bar_ticks}, 24 a quarter; check its lengths (only the last may be short)"
            )
    full = len(bars) - (pickup > 0)
    enough = next((count for count in BAR_COUNTS if count >= max(full, 8)), BAR_COUNTS[-1])
    whole = replace(header, bars=conditioning.bars or enough, pickup_ticks=pickup)
    notes = notes_of_bars(bars, whole.start_ticks, whole.end_ticks, 60 + tune.tonic_class)
    return Conditioning(
        meter=header.meter,
        mode=conditioning.mode or header.mode,
        tune_type=conditioning.tune_type,
        bars=whole.bars,
        pickup_ticks=pickup,
        motif=tuple(notes),
    )


def save_melodies(
    melodies: Sequence[Melody],
    folder: Path,
    *,
    sound: bool,
    soundfont: Path | None = None,
    report: Report = no_report,
) -> list[str]:
    """Write each melody's files; a line about each.

    Raises:
        SoundfontError: before anything is written, when there is no font to render with.
    """
    if sound:
        find_soundfont(soundfont)
    folder.mkdir(parents=True, exist_ok=True)
    report("comparing with the training tunes", 0, 0)
    found = originality(melodies, training_index())
    lines: list[str] = []
    for number, melody in enumerate(melodies, start=1):
        report("writing files", number - 1, len(melodies))
        name = f"melody-{number:03d}"
        (folder / f"{name}.abc").write_text(to_abc(melody, title=f"Melody {number}"))
        (folder / f"{name}.mid").write_bytes(to_midi(melody))
        if sound:
            (folder / f"{name}.wav").write_bytes(render_wav(melody, soundfont=soundfont))
        header = melody.header
        lines.append(
            f"{name}  {melody.key}, {header.tune_type}, {header.meter}, {header.bars} bars, "
            f"{len(melody.notes)} notes, originality {found.originality[number - 1]:.2f}, "
            f"longest run of a training tune {found.longest_run_notes[number - 1]} notes"
        )
    return lines
