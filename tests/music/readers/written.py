"""Files of every kind of trouble, written by code."""

from __future__ import annotations

import io
from collections.abc import Sequence

import mido

BAR = "C4 D4 E4 F4"
"""four quarters"""


def note(text: str, *, quarters: float = 1, inside: str = "", voice: int = 1) -> str:
    """One quarter, such as 'C4', or 'r' for a rest; divisions are 12."""
    pitch = (
        "<rest/>"
        if text == "r"
        else f"<pitch><step>{text[0]}</step><octave>{text[1]}</octave></pitch>"
    )
    ticks = round(12 * quarters)
    return f"<note>{inside}{pitch}<duration>{ticks}</duration><voice>{voice}</voice></note>"


def notes(text: str) -> str:
    """Several quarters in order."""
    return "".join(note(word) for word in text.split())


def measure(content: str, number: int | str = 1, more: str = "") -> str:
    return f'<measure number="{number}"{more}>{content}</measure>'


def attributes(
    *, meter: str | None = "4/4", fifths: int | None = 0, mode: str = "major", more: str = ""
) -> str:
    key = "" if fifths is None else f"<key><fifths>{fifths}</fifths><mode>{mode}</mode></key>"
    beats, _, unit = (meter or "").partition("/")
    time = f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>" if meter else ""
    return f"<attributes><divisions>12</divisions>{key}{time}{more}</attributes>"


REPEAT = '<barline location="right"><repeat direction="backward"/></barline>'
DOUBLE = '<barline location="right"><bar-style>light-light</bar-style></barline>'


def score(*parts: Sequence[str], names: Sequence[str] = ("Flute", "Tuba", "Viola")) -> bytes:
    """Parts, each of measures, as a document."""
    listed = "".join(
        f'<score-part id="P{k}"><part-name>{names[k - 1]}</part-name></score-part>'
        for k in range(1, len(parts) + 1)
    )
    written = "".join(
        f'<part id="P{k}">{"".join(measures)}</part>' for k, measures in enumerate(parts, start=1)
    )
    return (
        f'<?xml version="1.0"?><score-partwise><part-list>{listed}</part-list>{written}'
        "</score-partwise>"
    ).encode()


def plain(*bars: str, first: str | None = None) -> list[str]:
    """Measures of quarters with the usual attributes in the first."""
    head = attributes() if first is None else first
    return [
        measure((head if k == 1 else "") + (bar if "<" in bar else notes(bar)), k)
        for k, bar in enumerate(bars, start=1)
    ]


def midi(
    *tracks: Sequence[tuple[float, float, int]],
    meta: Sequence[tuple[float, mido.MetaMessage]] = (),
    channels: Sequence[int] = (0, 1, 2),
    names: Sequence[str] = (),
    resolution: int = 480,
) -> bytes:
    """Tracks of notes: onset and end in quarters, and pitch."""
    file = mido.MidiFile(ticks_per_beat=resolution)
    head = [(at, 0, message) for at, message in meta]
    for place, track in enumerate(tracks):
        timed: list[tuple[float, int, mido.Message | mido.MetaMessage]] = []
        timed += head if place == 0 else []
        if names:
            timed.append((0, 0, mido.MetaMessage("track_name", name=names[place])))
        for onset, end, pitch in track:
            channel = channels[place]
            timed.append((onset, 2, mido.Message("note_on", note=pitch, channel=channel)))
            timed.append((end, 1, mido.Message("note_off", note=pitch, channel=channel)))
        timed.sort(key=lambda item: item[:2])
        written, at = mido.MidiTrack(), 0
        for time, _, message in timed:
            ticks = round(time * resolution)
            written.append(message.copy(time=ticks - at))
            at = ticks
        file.tracks.append(written)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


METER = (0.0, mido.MetaMessage("time_signature", numerator=4, denominator=4))
KEY = (0.0, mido.MetaMessage("key_signature", key="C"))


def scale(count: int = 16, *, start: float = 0, pitch: int = 60) -> list[tuple[float, float, int]]:
    """Quarters up and down a scale of five notes."""
    steps = (0, 2, 4, 5, 7, 5, 4, 2)
    return [(start + k, start + k + 1, pitch + steps[k % 8]) for k in range(count)]
