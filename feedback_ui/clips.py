"""Clips: melodies as audio, made when they are asked for or a little before.

Rendering takes longer than a person wants to wait between two pairs, so what will probably come
next is rendered in the background. Only the pair that is issued goes to the browser.
"""

from __future__ import annotations

import threading
import wave
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from music.melody import TICKS_PER_QUARTER, Header, Melody
from music.midi import quarter_microseconds
from music.sound import cached_wav, renderer_id

MIN_HEARD_MS = 3000
"""enough to have met the motif (two bars at a walking tempo), too long to vote by reflex"""
WHOLE_CLIP = 0.9
"""share of a short clip that counts as all of it: the last tenth is the sound dying away"""


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
        # One at a time: whoever asks for a pair now must not wait behind those that may come.
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="clips")
        self._coming: dict[Melody, Future[Path]] = {}
        self._lock = threading.Lock()

    def clip(self, melody: Melody) -> Clip:
        """A melody as audio.

        Raises:
            SoundfontError: when it cannot be rendered.
        """
        with self._lock:
            coming = self._coming.get(melody)
        if coming is not None and (coming.running() or coming.done()) and not coming.cancelled():
            path = coming.result()
        else:
            path = self._render(melody)
        header = melody.header
        return Clip(
            path,
            duration_ms(path),
            _ms(header, -header.start_ticks),
            _ms(header, header.bar_ticks),
            self._least_heard_ms,
        )

    def prepare(self, melodies: Sequence[Melody]) -> None:
        """Render these in the background, in order; forget what was to come and is not any more."""
        with self._lock:
            wanted = set(melodies)
            for melody, coming in list(self._coming.items()):
                if coming.done() or (melody not in wanted and coming.cancel()):
                    del self._coming[melody]
            for melody in melodies:
                if melody not in self._coming:
                    self._coming[melody] = self._ahead.submit(self._render, melody)

    def _render(self, melody: Melody) -> Path:
        return cached_wav(melody, self._folder, soundfont=self._soundfont)


def duration_ms(path: Path) -> int:
    """How long a WAV file plays."""
    with wave.open(str(path), "rb") as clip:
        return round(1000 * clip.getnframes() / clip.getframerate())


def _ms(header: Header, ticks: int) -> float:
    return ticks / TICKS_PER_QUARTER * quarter_microseconds(header) / 1000
