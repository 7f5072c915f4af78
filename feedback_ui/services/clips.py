"""Clips: melodies as audio, made when they are asked for or a little before.

Rendering takes longer than a person wants to wait between two pairs, so what will probably come
next is rendered in the background, a moment later: at once, it would take the processor from the
pair that a page is just opening. Only the pair that is issued goes to the browser.
"""

from __future__ import annotations

import threading
import time
import wave
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from music.disk import os_error_reason
from music.melody import TICKS_PER_QUARTER, Header, Melody
from music.rendering.sound import SoundfontError, cached_wav, renderer_id
from music.tempo import quarter_microseconds

MIN_HEARD_MS = 3000
"""enough to have met the motif (two bars at a walking tempo), too long to vote by reflex"""
WHOLE_CLIP = 0.9
"""share of a short clip that counts as all of it: the last tenth is the sound dying away"""
Sound = tuple[Melody, float | None]
"""a melody and its tempo in beats a minute; None for what is usual"""
QUIET_S = 1.0
"""until what comes next is rendered: a page has its pair by then, and nobody has heard it yet"""


@dataclass(frozen=True, slots=True)
class Clip:
    """One melody as audio; it says nothing of where it came from."""

    path: Path
    duration_ms: int
    pickup_ms: float = 0.0
    """from the start to the first barline"""
    bar_ms: float = 2000.0
    """length of a bar"""
    least_heard_ms: int = MIN_HEARD_MS

    @property
    def needed_ms(self) -> int:
        """How much must be heard before voting."""
        return min(self.least_heard_ms, int(WHOLE_CLIP * self.duration_ms))


class ClipFolder:
    """Rendered melodies in a folder; safe to share between threads.

    Args:
        folder: made when it is not there.
        soundfont: a .sf2 file, or None for the usual one.
        least_heard_ms: how much of each side must be heard before a vote.

    Raises:
        SoundfontError: when the soundfont cannot be used.
    """

    def __init__(
        self, folder: Path, *, soundfont: Path | None = None, least_heard_ms: int | None = None
    ) -> None:
        self.renderer = renderer_id(soundfont)
        self._folder, self._soundfont = folder, soundfont
        self._least_heard_ms = MIN_HEARD_MS if least_heard_ms is None else least_heard_ms
        self._coming: dict[Sound, float] = {}  # and when to begin with it, in time.monotonic()
        self._now: Sound | None = None  # rendered ahead at this moment
        self._asked = 0  # pages that wait for a sound at this moment
        self._changed = threading.Condition()
        self._ahead: threading.Thread | None = None

    def clip(self, melody: Melody, tempo_bpm: float | None = None) -> Clip:
        """A melody as audio, by default at its usual tempo (`music.tempo.default_tempo_bpm`).

        Raises:
            SoundfontError: when it cannot be rendered.
        """
        sound = melody, tempo_bpm
        with self._changed:
            self._coming.pop(sound, None)
            self._asked += 1
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._now != sound)
            path = self._render(sound)
        finally:
            with self._changed:
                self._asked -= 1
                self._changed.notify_all()
        header = melody.header
        return Clip(
            path,
            duration_ms(path),
            _ms(header, -header.start_ticks, tempo_bpm),
            _ms(header, header.bar_ticks, tempo_bpm),
            self._least_heard_ms,
        )

    def prepare(self, sounds: Iterable[Sound]) -> None:
        """Render these in the background, in order, after `QUIET_S`."""
        with self._changed:
            for sound in sounds:
                self._coming.setdefault(sound, time.monotonic() + QUIET_S)
            if self._ahead is None:
                # One for all, so that there is a processor left for whoever asks for a pair now; a
                # daemon, so that a server that ends does not wait for it.
                self._ahead = threading.Thread(target=self._render_ahead, daemon=True)
                self._ahead.start()
            self._changed.notify_all()

    def _render_ahead(self) -> None:
        while True:
            sound = self._next()
            with suppress(Exception):  # whoever asks for this one is told; the thread goes on
                self._render(sound)

    def _next(self) -> Sound:
        """Wait for what is due to be rendered ahead, and until no page waits for another sound."""
        with self._changed:
            self._now = None
            self._changed.notify_all()
            while True:
                sound, due = next(iter(self._coming.items()), (None, None))
                if sound is None or due is None or self._asked:
                    self._changed.wait()
                elif due > time.monotonic():
                    self._changed.wait(due - time.monotonic())
                else:
                    del self._coming[sound]
                    self._now = sound
                    return sound

    def _render(self, sound: Sound) -> Path:
        melody, tempo_bpm = sound
        try:
            return cached_wav(melody, self._folder, soundfont=self._soundfont, tempo_bpm=tempo_bpm)
        except OSError as error:
            raise SoundfontError(
                "the sound of a melody cannot be kept, whoever runs this studio can mend it: "
                f"{os_error_reason(error, self._folder)}"
            ) from error


def duration_ms(path: Path) -> int:
    """How long a WAV file plays."""
    with wave.open(str(path), "rb") as clip:
        return round(1000 * clip.getnframes() / clip.getframerate())


def _ms(header: Header, ticks: int, tempo_bpm: float | None) -> float:
    return ticks / TICKS_PER_QUARTER * quarter_microseconds(header, tempo_bpm) / 1000
