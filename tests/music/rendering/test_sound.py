"""Audio: in tune, equally loud, as long as asked, cached whole."""

import io
import wave
from dataclasses import replace

import numpy as np
import pytest

from music import files
from music.rendering import sound
from music.rendering.sound import (
    TAIL_SECONDS,
    SoundfontError,
    cached_wav,
    find_soundfont,
    loudness_of,
    render_wav,
    renderer_id,
)
from music.tempo import duration_seconds

PIANO, HARPSICHORD, XYLOPHONE, GUITAR, VIOLIN, HARP, FLUTE = 0, 6, 13, 24, 40, 46, 73


def samples_of(content: bytes) -> tuple[np.ndarray, int]:
    """Samples (S,) in -1..1 and rate of a WAV file, which must be 16-bit mono."""
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data / 32768, file.getframerate()


def frequency_of(samples: np.ndarray, rate: int) -> float:
    """Fundamental in Hz: the first strong peak of the autocorrelation, by a parabola through it."""
    size = 1 << (2 * len(samples) - 1).bit_length()
    power = np.abs(np.fft.rfft(samples - samples.mean(), size)) ** 2
    similar = np.fft.irfft(power)[: rate // 60] / (len(samples) - np.arange(rate // 60))
    low = rate // 2500
    inner = similar[low:-1]
    is_peak = (inner > similar[low - 1 : -2]) & (inner > similar[low + 1 :])
    lag = low + int(np.flatnonzero(is_peak & (inner > 0.85 * inner[is_peak].max()))[0])
    before, here, after = similar[lag - 1 : lag + 2]
    return rate / (lag + (before - after) / (2 * (before - 2 * here + after)))


@pytest.fixture(scope="module")
def short(tune):
    return tune((0, 24), (4, 24), (7, 24), (12, 24), (7, 24), (4, 24), (0, 48))


# Not the flute and the accordion: the font's own samples are up to 18 and 55 cents off.
@pytest.mark.parametrize("program", [PIANO, GUITAR, VIOLIN, HARP])
def test_notes_sound_at_the_pitch_that_is_asked(tune, program):
    pitches = (0, 7, 12, -5)
    content = render_wav(
        tune(*[(pitch, 48) for pitch in pitches]), program=program, tempo_bpm=80, sample_rate=48_000
    )
    samples, rate = samples_of(content)
    half_seconds = 2 * 60 / 80
    for index, pitch in enumerate(pitches):
        start, end = (round((index + part) * half_seconds * rate) for part in (0.2, 0.8))
        asked = 440 * 2 ** ((62 + pitch - 69) / 12)
        cents = 1200 * np.log2(frequency_of(samples[start:end], rate) / asked)
        assert abs(cents) < 15, (program, pitch, cents)


@pytest.mark.parametrize("program", [PIANO, HARPSICHORD, XYLOPHONE, HARP, FLUTE])
def test_all_instruments_are_equally_loud(short, program):
    samples, rate = samples_of(render_wav(short, program=program))
    assert loudness_of(samples, rate) == pytest.approx(-16, abs=0.15)
    assert np.abs(samples).max() <= 10 ** (-1 / 20) + 1e-4


def test_loudness_is_as_asked(short):
    samples, rate = samples_of(render_wav(short, loudness_lufs=-23))
    assert loudness_of(samples, rate) == pytest.approx(-23, abs=0.15)


def test_peaks_are_limited_without_touching_what_is_far_from_them():
    rate = 24_000
    calm = 0.3 * np.sin(2 * np.pi * 220 * np.arange(rate) / rate)
    loud = calm.copy()
    loud[rate // 2] = 1.7
    limited = sound._limited(loud, rate)
    assert np.abs(limited).max() <= sound.CEILING + 1e-9
    assert limited[rate // 2] > 0.85
    far = np.abs(np.arange(rate) - rate // 2) > 0.02 * rate
    np.testing.assert_array_equal(limited[far], calm[far])


@pytest.mark.parametrize("sample_rate", [16_000, 24_000, 44_100, 48_000])
def test_a_clip_lasts_the_melody_and_the_tail(short, sample_rate):
    samples, rate = samples_of(render_wav(short, tempo_bpm=97, sample_rate=sample_rate))
    assert rate == sample_rate
    seconds = duration_seconds(short.header, 97) + TAIL_SECONDS
    assert len(samples) == round(seconds * sample_rate)
    assert seconds == pytest.approx(8 * 60 / 97 + 1, abs=1e-4)


def test_the_last_note_rings_and_fades_to_nothing(short):
    samples, rate = samples_of(render_wav(short, program=PIANO))
    end = len(samples) - round(TAIL_SECONDS * rate)
    assert np.abs(samples[end : end + rate // 20]).max() > 0.01
    assert np.abs(samples[-20:]).max() < 1e-3


def test_notes_begin_when_they_should(tune):
    # Harpsichord: its attack is sharp and its release short.
    melody = tune((0, 24), (None, 24), (0, 24), (None, 24), *[(0, 48)] * 2)
    samples, rate = samples_of(render_wav(melody, program=HARPSICHORD, tempo_bpm=60))
    threshold = 0.2 * np.abs(samples).max()
    for onset_seconds in (0.0, 2.0, 4.0):
        window = np.abs(samples[round(onset_seconds * rate) :][: rate // 2])
        assert np.flatnonzero(window > threshold)[0] / rate < 0.03
    assert np.abs(samples[round(1.8 * rate) : 2 * rate]).max() < threshold


def test_the_shortest_clip_has_a_loudness(tune):
    samples, rate = samples_of(render_wav(tune(*[(0, 48)] * 4), tempo_bpm=400))
    assert loudness_of(samples, rate) == pytest.approx(-16, abs=0.15)


def test_the_same_arguments_give_the_same_bytes(short):
    assert render_wav(short) == render_wav(short)


def test_a_missing_font_says_what_to_do(tmp_path, short, monkeypatch):
    missing = tmp_path / "no.sf2"
    with pytest.raises(SoundfontError, match=r"no\.sf2' is not a file; name an \.sf2 file"):
        render_wav(short, soundfont=missing)
    monkeypatch.setattr(sound, "find_spec", lambda name: None)
    sound._packaged_font.cache_clear()
    with pytest.raises(SoundfontError, match="not installed; run: pip install pretty_midi"):
        find_soundfont()


def test_what_is_no_font_is_refused(tmp_path, short):
    text = tmp_path / "text.sf2"
    text.write_text("not a font at all")
    with pytest.raises(SoundfontError, match=r"is not a SoundFont 2 \(it begins with b'not '\)"):
        find_soundfont(text)
    cut = tmp_path / "cut.sf2"
    cut.write_bytes(find_soundfont().read_bytes()[:4000])
    with pytest.raises(SoundfontError, match=r"cut\.sf2' is damaged: the chunk b'RIFF' .+ 3992"):
        render_wav(short, soundfont=cut)


def test_a_font_that_claims_gigabytes_is_refused_before_they_are_asked_for(tmp_path, short):
    # The renderer would ask for them, and the process ends without a message when there are none.
    content = bytearray(find_soundfont().read_bytes())
    at = content.index(b"smpl") + 4
    content[at : at + 4] = b"\xf0\xff\xff\xff"
    damaged = tmp_path / "damaged.sf2"
    damaged.write_bytes(content)
    with pytest.raises(SoundfontError, match="the chunk b'smpl' is said to have 4294967280 bytes"):
        render_wav(short, soundfont=damaged)


def test_a_font_that_cannot_be_played_is_refused(tmp_path, short):
    empty = tmp_path / "empty.sf2"
    empty.write_bytes(b"RIFF\x04\0\0\0sfbk")
    with pytest.raises(SoundfontError, match=r"empty\.sf2' cannot be played \(.+\); name another"):
        render_wav(short, soundfont=empty)


def test_values_out_of_range_are_refused(short):
    for loudness in (-5, -90, float("nan")):
        with pytest.raises(ValueError, match=f"loudness_lufs={loudness} is not within -40..-14"):
            render_wav(short, loudness_lufs=loudness)
    with pytest.raises(ValueError, match=r"sample_rate=1 is not within 8000\.\.48000"):
        render_wav(short, sample_rate=1)
    with pytest.raises(ValueError, match="program=128 is not a General MIDI program"):
        render_wav(short, program=128)


def test_the_renderer_is_named_with_its_font(tmp_path):
    name = renderer_id(program=FLUTE)
    assert name.startswith("midirenderer ")
    assert "TimGM6mb.sf2" in name
    assert name.endswith("program 73")
    # The same name with another content is another renderer.
    other = tmp_path / "TimGM6mb.sf2"
    other.write_bytes(find_soundfont().read_bytes() + b"\0")
    assert renderer_id(other, FLUTE) != name


def test_the_cache_renders_once_and_leaves_no_half_files(tmp_path, short, monkeypatch):
    folder = tmp_path / "wav"
    path = cached_wav(short, folder)
    assert path.read_bytes() == render_wav(short)
    monkeypatch.setattr(sound, "render_wav", lambda *args, **kwargs: pytest.fail("rendered again"))
    assert cached_wav(short, folder) == path
    assert list(folder.iterdir()) == [path]


def test_melodies_that_sound_alike_share_a_file(tmp_path, short, monkeypatch):
    """Whatever their styles' tokens are: those of a policy of one's own stand for other labels."""
    monkeypatch.setattr(sound, "render_wav", lambda *args, **kwargs: b"RIFF")
    path = cached_wav(short, tmp_path, tempo_bpm=100)
    for header in (replace(short.header, style="slow air"), replace(short.header, mode="lydian")):
        assert cached_wav(replace(short, header=header), tmp_path, tempo_bpm=100) == path


def test_the_cache_tells_settings_apart(tmp_path, short, monkeypatch):
    monkeypatch.setattr(sound, "render_wav", lambda *args, **kwargs: b"RIFF")
    paths = {
        cached_wav(short, tmp_path),
        cached_wav(replace(short, tonic_midi=60), tmp_path),
        cached_wav(replace(short, notes=short.notes[:-1]), tmp_path),
        cached_wav(short, tmp_path, program=FLUTE),
        cached_wav(short, tmp_path, tempo_bpm=100),
        cached_wav(short, tmp_path, loudness_lufs=-20),
        cached_wav(short, tmp_path, sample_rate=16_000),
    }
    assert len(paths) == 7


def test_a_write_that_fails_leaves_nothing(tmp_path, short, monkeypatch):
    monkeypatch.setattr(sound, "render_wav", lambda *args, **kwargs: b"RIFF")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        cached_wav(short, tmp_path)
    assert list(tmp_path.iterdir()) == []
