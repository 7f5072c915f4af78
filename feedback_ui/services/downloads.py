"""A melody as files to take along, under names that say what it is and not who wrote it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import to_abc
from music.formats.spelling import key_of
from music.melody import Melody
from music.styles import OTHER


@dataclass(frozen=True, slots=True)
class MelodyFile:
    """One file, made when it is asked for."""

    format: str
    """what a button calls it"""
    use: str
    """what it is good for"""
    name: str
    mime: str
    content: Callable[[], bytes]


def name_of(melody: Melody) -> str:
    """Such as "Reel in D major", for people."""
    header = melody.header
    key = f"{key_of(melody.tonic_midi, header.mode).tonic_name} {header.mode}"
    kind = {"slipjig": "Slip jig", OTHER: "Tune"}.get(header.style, header.style.capitalize())
    return f"{kind} in {key}"


def melody_files(melody: Melody, code: str, wav: Callable[[], bytes]) -> list[MelodyFile]:
    """All formats of a melody.

    Args:
        melody: what is in them.
        code: letters and digits that stand in their names, so that two are not confused.
        wav: makes the sound.
    """
    title = name_of(melody)
    stem = f"{title} {code}".lower().replace("#", "-sharp").replace(" ", "-")
    return [
        MelodyFile("MIDI", "for sequencers", f"{stem}.mid", "audio/midi", lambda: to_midi(melody)),
        MelodyFile(
            "ABC",
            "text notation",
            f"{stem}.abc",
            "text/vnd.abc",
            lambda: to_abc(melody, title=f"{title} {code}").encode(),
        ),
        MelodyFile(
            "MusicXML",
            "for MuseScore, Finale, Sibelius and Dorico",
            f"{stem}.musicxml",
            "application/vnd.recordare.musicxml+xml",
            lambda: to_musicxml(melody, title=f"{title} {code}").encode(),
        ),
        MelodyFile("WAV", "sound", f"{stem}.wav", "audio/wav", wav),
    ]
