"""Sound: a melody as audio of a chosen instrument, always equally loud.

midirenderer renders at 48 kHz with a SoundFont: by default the one that pretty_midi installs, read
from there, or another `.sf2` file. The clip is mixed to mono, reduced to `sample_rate`, and brought
to `loudness_lufs` (ITU-R BS.1770-4, integrated, measured on the mono file), because people prefer
the louder of two clips. A look-ahead limiter keeps peaks under -1 dBFS; loudness is measured after
it.

Pitch depends on the samples of the SoundFont. In TimGM6mb most instruments are within 10 cents, but
the flute (73) is up to 18 cents off and the accordion (21) up to 55: do not use these two in
listening tests.

A clip lasts as long as the melody plus `TAIL_SECONDS`, in which the last note fades. Clips are WAV
files, because midirenderer's Opus ignores its bit rate (257 kbit/s; these WAV files have 384) and
its loudness is not fixed.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import wave
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from music.files import write_whole
from music.formats.midi import DEFAULT_PROGRAM, to_midi
from music.melody import TICKS_PER_QUARTER, Melody
from music.rendering.soundfont_chunks import chunk_beyond_end
from music.rendering.synthesiser import Synthesiser
from music.tempo import duration_seconds, quarter_microseconds

SAMPLE_RATE = 24_000
"""48 kB a second in 16 bits mono; the instruments have little above 12 kHz"""
SAMPLE_RATE_MIN, SAMPLE_RATE_MAX = 8_000, 48_000
LOUDNESS_LUFS = -16.0
LOUDNESS_MIN_LUFS, LOUDNESS_MAX_LUFS = -40.0, -14.0
LOUDNESS_TOLERANCE_LU = 0.1
CEILING = 10 ** (-1 / 20)
"""highest sample, -1 dBFS"""
TAIL_SECONDS = 1.0
FADE_SECONDS = 0.1
LOOKAHEAD_SECONDS = 0.005
_elsewhere: Synthesiser | None = None
_FORMAT = 1  # of cached files: raise it when the same arguments give other audio


class SoundfontError(ValueError):
    """No SoundFont can be read; the message gives the value, the rule and the remedy."""


def find_soundfont(path: Path | str | None = None) -> Path:
    """The SoundFont to play with: `path`, or TimGM6mb in pretty_midi's package (not imported).

    Raises:
        SoundfontError: when there is no such file, or it is not a SoundFont 2.
    """
    found = _packaged_font() if path is None else Path(path)
    if not found.is_file():
        raise SoundfontError(
            f"soundfont={str(found)!r} is not a file; name an .sf2 file, or none for the one that "
            "pip install pretty_midi brings"
        )
    with found.open("rb") as file:
        start = file.read(12)
    if start[:4] != b"RIFF" or start[8:] != b"sfbk":
        raise SoundfontError(
            f"soundfont={str(found)!r} is not a SoundFont 2 (it begins with {start[:4]!r}); name "
            "an .sf2 file (an .sf3 or .sfz has to be converted)"
        )
    return found


@lru_cache(maxsize=1)
def _packaged_font() -> Path:
    spec = find_spec("pretty_midi")
    if spec is None or spec.origin is None:
        raise SoundfontError(
            "soundfont=None stands for the one in pretty_midi's package, which is not "
            "installed; run: pip install pretty_midi, or name an .sf2 file"
        )
    return Path(spec.origin).parent / "TimGM6mb.sf2"


@lru_cache(maxsize=1)
def _renderer_version() -> str:
    return version("midirenderer")  # reads a file of the package


def renderer_id(soundfont: Path | str | None = None, program: int = DEFAULT_PROGRAM) -> str:
    """The renderer, for the record of a vote: name, version, font with its hash, program.

    Raises:
        SoundfontError: as `find_soundfont`.
    """
    font = find_soundfont(soundfont)
    _, digest = _read_font(font)
    return f"midirenderer {_renderer_version()}; {font.name} {digest[:12]}; program {program}"


def render_wav(
    melody: Melody,
    *,
    soundfont: Path | str | None = None,
    program: int = DEFAULT_PROGRAM,
    tempo_bpm: float | None = None,
    loudness_lufs: float = LOUDNESS_LUFS,
    sample_rate: int = SAMPLE_RATE,
) -> bytes:
    """Melody -> WAV file, 16 bits, mono; the same bytes for the same arguments.

    Args:
        melody: what to play, in its own key.
        soundfont: an `.sf2` file; see `find_soundfont`.
        program: General MIDI program, 0..127.
        tempo_bpm: the metre's beats a minute; `music.tempo.default_tempo_bpm` if None.
        loudness_lufs: integrated loudness of the file, within `LOUDNESS_TOLERANCE_LU`.
        sample_rate: in Hz.

    Raises:
        SoundfontError: as `find_soundfont`, or when the font has no sound for the program.
        ValueError: for a program, tempo, loudness or rate out of range.
    """
    from scipy.signal import resample_poly

    _check_range("loudness_lufs", loudness_lufs, LOUDNESS_MIN_LUFS, LOUDNESS_MAX_LUFS)
    _check_range("sample_rate", sample_rate, SAMPLE_RATE_MIN, SAMPLE_RATE_MAX)
    seconds = duration_seconds(melody.header, tempo_bpm) + TAIL_SECONDS
    quarter_seconds = quarter_microseconds(melody.header, tempo_bpm) / 1e6
    # One tick more than the tail: the renderer's own end falls on a block, ours on a sample.
    tail_ticks = math.ceil(TAIL_SECONDS / quarter_seconds * TICKS_PER_QUARTER) + 1
    midi = to_midi(melody, tempo_bpm=tempo_bpm, program=program, tail_ticks=tail_ticks)
    sound, rate = _synthesise(midi, find_soundfont(soundfont))
    if rate != sample_rate:
        shared = math.gcd(rate, sample_rate)
        sound = resample_poly(sound, sample_rate // shared, rate // shared)
    sound = _of_length(sound, round(seconds * sample_rate))
    fade = np.ones(len(sound))
    fade_samples = round(FADE_SECONDS * sample_rate)
    fade[-fade_samples:] = np.linspace(1, 0, fade_samples)
    sound *= fade
    if not np.abs(sound).max() > 1e-4:
        raise SoundfontError(
            f"program={program} is silent with {renderer_id(soundfont, program)}; choose another"
        )
    return _to_wav(_at_loudness(sound, sample_rate, loudness_lufs), sample_rate)


def cached_wav(
    melody: Melody,
    folder: Path,
    *,
    soundfont: Path | str | None = None,
    program: int = DEFAULT_PROGRAM,
    tempo_bpm: float | None = None,
    loudness_lufs: float = LOUDNESS_LUFS,
    sample_rate: int = SAMPLE_RATE,
) -> Path:
    """Path of a file in `folder` with the output of `render_wav`; rendered if it is missing.

    The name is a hash of the notes as they sound and of the settings. So it reveals nothing about
    the melody, and melodies that sound alike share a file. The file is written atomically.

    Raises:
        SoundfontError, ValueError: as `render_wav`.
    """
    says = {
        "format": _FORMAT,
        "notes": [(n.onset_ticks, n.duration_ticks, n.pitch) for n in melody.notes],
        "span_ticks": (melody.header.start_ticks, melody.header.end_ticks),
        "tonic_midi": melody.tonic_midi,
        "renderer": renderer_id(soundfont, program),
        "quarter_us": quarter_microseconds(melody.header, tempo_bpm),
        "loudness_lufs": float(loudness_lufs),
        "sample_rate": sample_rate,
    }
    digest = hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()
    path = folder / f"{digest}.wav"
    if path.is_file():
        return path
    content = render_wav(
        melody,
        soundfont=soundfont,
        program=program,
        tempo_bpm=tempo_bpm,
        loudness_lufs=loudness_lufs,
        sample_rate=sample_rate,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return path


def loudness_of(sound: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness in LUFS of mono samples (S,) in -1..1, at least 0.4 s of them."""
    import pyloudnorm

    return float(pyloudnorm.Meter(sample_rate).integrated_loudness(sound))


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name}={value!r} is not within {low:g}..{high:g}; choose one that is")


@lru_cache(maxsize=2)
def _font_content(path: Path, _modified_ns: int, _size: int) -> tuple[bytes, str]:
    content = path.read_bytes()
    if (damage := chunk_beyond_end(content)) is not None:
        raise SoundfontError(
            f"soundfont={str(path)!r} is damaged: {damage}; get it anew, or name another .sf2 file"
        )
    return content, hashlib.sha256(content).hexdigest()


def _read_font(path: Path) -> tuple[bytes, str]:
    """Content and sha256 of a font, kept in memory until the file changes."""
    stat = path.stat()
    return _font_content(path, stat.st_mtime_ns, stat.st_size)


def use_synthesiser_process() -> Synthesiser:
    """Synthesise in another process from now on, so that a server's pages do not stand still."""
    global _elsewhere
    if _elsewhere is None:
        _elsewhere = Synthesiser()
    return _elsewhere


def _rendered(midi: bytes, font: Path) -> bytes:
    if _elsewhere is not None:
        with suppress(OSError):  # no process can be made, so it is done here
            return _elsewhere.render(font, midi)
    import midirenderer

    content, _ = _read_font(font)
    return midirenderer.render_wave_from(content, midi)


def _synthesise(midi: bytes, font: Path) -> tuple[np.ndarray, int]:
    """MIDI -> mono samples (S,) in -1..1, and their rate in Hz."""
    _read_font(font)  # a damaged one is refused here, before another process is given it
    try:
        rendered = _rendered(midi, font)
    except (RuntimeError, ValueError) as error:
        raise SoundfontError(
            f"soundfont={str(font)!r} cannot be played ({error}); name another .sf2 file"
        ) from error
    with wave.open(io.BytesIO(rendered)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return samples.reshape(-1, file.getnchannels()).mean(1) / 32768, file.getframerate()


def _of_length(sound: np.ndarray, samples: int) -> np.ndarray:
    """The same sound, cut or padded with silence to this number of samples."""
    return np.pad(sound[:samples], (0, max(0, samples - len(sound))))


def _at_loudness(sound: np.ndarray, sample_rate: int, loudness_lufs: float) -> np.ndarray:
    """Scaled to a loudness and limited to `CEILING`, with the limiter's loss compensated.

    Raises:
        ValueError: when the loudness cannot be reached under the ceiling.
    """
    gain_db, short_lu = 0.0, 0.0
    for _ in range(12):
        limited = _limited(sound * 10 ** (gain_db / 20), sample_rate)
        short_lu = loudness_lufs - loudness_of(limited, sample_rate)
        if abs(short_lu) < LOUDNESS_TOLERANCE_LU / 2:
            return limited
        gain_db += short_lu
    raise ValueError(
        f"loudness_lufs={loudness_lufs:g} cannot be reached below -1 dBFS with this instrument; "
        f"ask for {loudness_lufs - short_lu:.0f} or less"
    )


def _limited(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples limited to `CEILING`: the gain falls and rises smoothly around each peak."""
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    peaks = np.abs(sound)
    if peaks.max() <= CEILING:
        return sound
    window = 2 * round(LOOKAHEAD_SECONDS * sample_rate) + 1
    gain = np.minimum(1, CEILING / np.maximum(peaks, CEILING))
    # The mean of minima over one window is at most the gain that the peak in its middle needs.
    return sound * uniform_filter1d(minimum_filter1d(gain, window), window)


def _to_wav(sound: np.ndarray, sample_rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    return buffer.getvalue()
