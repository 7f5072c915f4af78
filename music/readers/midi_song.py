"""Reading the notes of a MIDI file: its parts, metres and keys, in fractions of a tick.

A part is a channel of a track. Channel 10 has drums and is left out. Onsets and ends are exact in
the file's own resolution here; `music.readers.midi_grid` puts them on the grid.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import mido
from mido.midifiles.meta import KeySignatureError

from music.formats.midi import KEY_TEXT, STYLE_TEXT
from music.limits import MIDI_BYTES, read_bytes
from music.melody import TICKS_PER_QUARTER, TONIC_NAMES
from music.readers.file_kinds import kind_remedy
from music.readers.key_finder import mode_by_name
from music.readers.midi_grid import MidiNote
from music.readers.tune import ReadError

DRUM_CHANNEL = 9
LONGEST_TICKS = 24 * 4 * 10_000
"""of a whole file"""


@dataclass(slots=True)
class MidiPart:
    """The notes of a channel of a track, in order of time."""

    name: str
    notes: list[MidiNote] = field(default_factory=list)
    unended: int = 0
    """notes that the file never ends"""


@dataclass(slots=True)
class Song:
    """What a file says."""

    parts: list[MidiPart]
    meters: list[tuple[Fraction, str]]
    """from which tick on; may be empty"""
    keys: list[tuple[Fraction, int, str]]
    """from which tick on, tonic and mode; may be empty"""
    end_ticks: Fraction
    title: str
    drums: int
    style: str = ""
    """that our own files name"""
    as_ours: bool = False
    """whether it counts time as our own files do, which come back equal, with bars of rest"""


def read_song(path: Path) -> Song:
    """The content of a file.

    Raises:
        ReadError: for a file that is damaged, or without notes or a beat.
        LimitError, OSError: for a file that is too large, or cannot be read.
    """
    content = read_bytes(path, MIDI_BYTES, remedy="export a shorter passage")
    if not content.startswith(b"MThd"):
        raise ReadError("damaged", f"it is no MIDI file; {kind_remedy(content, '.mid')}")
    try:
        file = mido.MidiFile(file=io.BytesIO(content), clip=True)
    except EOFError as error:
        detail = "the file ends in the middle of a track; export it anew"
        raise ReadError("damaged", detail) from error
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        KeySignatureError,
    ) as error:
        detail = "the file holds what no MIDI file may hold; export it anew"
        raise ReadError("damaged", detail) from error
    if not 0 < file.ticks_per_beat < 0x8000:
        detail = "the file counts time in frames of film, not in beats; export it with a tempo"
        raise ReadError("no beat", detail)
    scale = Fraction(TICKS_PER_QUARTER, file.ticks_per_beat)
    as_ours = file.ticks_per_beat == TICKS_PER_QUARTER
    song = Song([], [], [], Fraction(0), "", 0, as_ours=as_ours)
    named: dict[Fraction, tuple[int, str]] = {}
    for number, track in enumerate(file.tracks, start=1):
        _read_track(song, named, track, number, scale)
    song.keys = [key for key in song.keys if key[0] not in named]
    song.keys += [(at, *key) for at, key in named.items()]
    song.meters = sorted(set(song.meters))  # every track of some files names them
    song.keys.sort(key=lambda key: key[0])
    if song.end_ticks > LONGEST_TICKS:
        raise ReadError("too large", "the file lasts more than 10,000 bars; export a passage")
    return song


def _read_track(
    song: Song,
    named: dict[Fraction, tuple[int, str]],
    track: mido.MidiTrack,
    number: int,
    scale: Fraction,
) -> None:
    """Add the content of a track to a song, and to `named` the keys that texts of ours name."""
    name = f"track {number}"
    parts: dict[int, MidiPart] = {}
    open_notes: dict[tuple[int, int], Fraction] = {}
    at = 0
    for message in track:
        at += message.time
        now = at * scale
        if message.type == "track_name":
            name = " ".join(message.name.split())[:60] or name
            song.title = song.title or (name if number == 1 else "")
        elif message.type == "time_signature":
            song.meters.append((now, f"{message.numerator}/{message.denominator}"))
        elif message.type == "text" and message.text.startswith(KEY_TEXT):
            tonic, _, mode = message.text.removeprefix(KEY_TEXT).strip().partition(" ")
            if tonic in TONIC_NAMES and mode:
                named[now] = TONIC_NAMES.index(tonic), mode_by_name(mode[:20])
        elif message.type == "text" and message.text.startswith(STYLE_TEXT):
            song.style = song.style or message.text.removeprefix(STYLE_TEXT).strip()[:40]
        elif message.type == "key_signature":
            tonic, mode = _key(message.key)
            song.keys.append((now, tonic, mode))
        elif message.type in ("note_on", "note_off"):
            if message.channel == DRUM_CHANNEL:
                song.drums += message.type == "note_on" and message.velocity > 0
                continue
            place = (message.channel, message.note)
            start = open_notes.pop(place, None)
            if start is not None and now > start:
                part = parts.setdefault(message.channel, MidiPart(name))
                part.notes.append(MidiNote(start, now, message.note))
            if message.type == "note_on" and message.velocity > 0:
                open_notes[place] = now
    song.end_ticks = max(song.end_ticks, at * scale)
    _end_notes(parts, open_notes, name, at * scale)
    for part in parts.values():
        part.name = name
        part.notes.sort(key=lambda note: (note.onset_ticks, -note.midi))
        song.parts.append(part)


def _end_notes(
    parts: dict[int, MidiPart],
    open_notes: dict[tuple[int, int], Fraction],
    name: str,
    end: Fraction,
) -> None:
    """End each open note at the next one, else at the end of its track, else after a quarter."""
    by_channel: dict[int, list[tuple[Fraction, int]]] = {}
    for (channel, midi), start in open_notes.items():
        by_channel.setdefault(channel, []).append((start, midi))
    for channel, begun in by_channel.items():
        part = parts.setdefault(channel, MidiPart(name))
        starts = {start for start, _ in begun}
        onsets = sorted({note.onset_ticks for note in part.notes} | starts)
        for start, midi in begun:
            after = bisect_right(onsets, start)
            following = onsets[after] if after < len(onsets) else end
            if following == start:
                following += TICKS_PER_QUARTER
            part.notes.append(MidiNote(start, following, midi))
        part.unended = len(begun)


def _key(name: str) -> tuple[int, str]:
    mode = "minor" if name.endswith("m") else "major"
    letter = name.removesuffix("m")
    natural = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter[0]]
    return (natural + letter.count("#") - letter.count("b")) % 12, mode
