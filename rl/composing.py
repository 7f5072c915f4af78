"""Composed melodies as files: ABC, MIDI and sound, each with how original it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from music.melody import Melody
from music.midi import to_midi
from music.notation import read_melody, to_abc
from music.originality import originality
from music.sound import find_soundfont, render_wav
from policy.compose import Asked
from rl.evaluate import training_index


def asked_with_motif(asked: Asked, abc: str) -> Asked:
    """What is asked, with the notes of an ABC melody to begin with and, where open, its header.

    Raises:
        AbcError: when the text is not one melody.
    """
    motif = read_melody(abc)
    bars = asked.bars or motif.header.bars
    return replace(
        asked,
        meter=motif.header.meter,
        mode=asked.mode or motif.header.mode,
        bars=bars,
        pickup_ticks=motif.header.pickup_ticks,
        motif=motif.notes,
    )


def save_melodies(
    melodies: Sequence[Melody], folder: Path, *, sound: bool, soundfont: Path | None = None
) -> Iterator[str]:
    """Write each melody's files; yields a line about each.

    Raises:
        SoundfontError: before anything is written, when there is no font to render with.
    """
    if sound:
        find_soundfont(soundfont)
    folder.mkdir(parents=True, exist_ok=True)
    found = originality(melodies, training_index())
    for number, melody in enumerate(melodies, start=1):
        name = f"melody-{number:03d}"
        (folder / f"{name}.abc").write_text(to_abc(melody, title=f"Melody {number}"))
        (folder / f"{name}.mid").write_bytes(to_midi(melody))
        if sound:
            (folder / f"{name}.wav").write_bytes(render_wav(melody, soundfont=soundfont))
        header = melody.header
        yield (
            f"{name}  {melody.key}, {header.tune_type}, {header.meter}, {header.bars} bars, "
            f"{len(melody.notes)} notes, originality {found.originality[number - 1]:.2f}, "
            f"longest run of a training tune {found.longest_run_notes[number - 1]} notes"
        )
