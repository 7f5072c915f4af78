"""Exported ABC in other programs: music21, verovio, abc2midi and abcjs read the same melody.

Pitches, onsets and durations of all; metre and key of those that tell them.
"""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from music.formats.midi import pitches_midi
from music.formats.notation import to_abc
from music.formats.score import score_bars
from music.formats.spelling import LETTER_FIFTHS, key_of
from music.melody import MODES
from music.metre import METERS
from tests.support.studio_server import missing

SLACK_TICKS = 1.1
"""verovio and abc2midi end a note a little early, so that it sounds apart from the next"""
ABCJS = """
const abcjs = require(process.argv[1]);
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const notesOf = (text) => abcjs.parseOnly(text)[0].setUpAudio({}).tracks.flat()
  .filter((event) => event.cmd === "note")
  .map((event) => [event.start * 96, event.pitch, event.duration * 96]);
console.log(JSON.stringify(texts.map(notesOf)));
"""
"""a whole note is 1 there, and 96 ticks here"""
VEROVIO = """
import json, sys
import verovio
verovio.enableLog(verovio.LOG_OFF)
toolkit = verovio.toolkit()
toolkit.setOptions({"inputFrom": "abc"})
files = []
for text in json.load(sys.stdin):
    assert toolkit.loadData(text)
    files.append(toolkit.renderToMIDI())
print(json.dumps(files))
"""


@pytest.fixture(scope="module")
def melodies(random_melodies, real_melodies):
    """Every metre, mode, key and oddity of the grammar, and tunes as people write them."""
    odd = [replace(m, tonic_midi=60 + n % 12) for n, m in enumerate(random_melodies(160, seed=12))]
    return odd + real_melodies[::3]


def notes_of(melody):
    """(onset, MIDI number, duration) of each note, from the start of the pickup, in ticks."""
    return [
        (note.onset_ticks - melody.header.start_ticks, midi, note.duration_ticks)
        for note, midi in zip(melody.notes, pitches_midi(melody), strict=True)
    ]


def notes_of_midi(data):
    """The same of a MIDI file."""
    file = mido.MidiFile(file=io.BytesIO(data))
    found, began = [], defaultdict(list)
    for track in file.tracks:
        at = 0
        for message in track:
            at += message.time * 24 / file.ticks_per_beat
            if message.type == "note_on" and message.velocity:
                began[message.note].append(at)
            elif message.type in ("note_on", "note_off"):
                onset = began[message.note].pop(0)  # verovio may begin a note before it ends one
                found.append((onset, message.note, at - onset))
    return found


def meter_and_key_of_midi(data):
    """The last time signature and the sharps of a MIDI file; verovio writes none for none."""
    messages = [m for track in mido.MidiFile(file=io.BytesIO(data)).tracks for m in track]
    meter = [m for m in messages if m.type == "time_signature"][-1]
    keys = [m.key for m in messages if m.type == "key_signature"]
    sharps = {fifths_of_key(key) for key in keys}
    (found,) = sharps or {0}
    return f"{meter.numerator}/{meter.denominator}", found


def fifths_of_key(name):
    """Sharps (positive) or flats of a key such as 'F#m'."""
    key = name.removesuffix("m")
    return LETTER_FIFTHS[key[0]] + 7 * (key.count("#") - key.count("b")) - 3 * name.endswith("m")


def meter_and_key_of(melody):
    """The same of a melody."""
    key = key_of(melody.tonic_midi, melody.header.mode)
    return melody.header.meter, key.signature_fifths


def check(melody, found):
    expected, found = notes_of(melody), sorted(found)
    assert len(found) == len(expected), to_abc(melody)
    for mine, theirs in zip(expected, found, strict=True):
        assert mine[1] == theirs[1], to_abc(melody)
        assert abs(mine[0] - theirs[0]) < SLACK_TICKS / 2, to_abc(melody)
        assert abs(mine[2] - theirs[2]) < SLACK_TICKS, to_abc(melody)


@pytest.mark.slow
def test_music21(melodies):
    from music21 import converter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its warnings are not ours
        short = [m for m in melodies if m.header.bars <= 10]  # it reads some 50 bars a second
        assert {m.header.meter for m in short} == set(METERS)
        assert {m.header.mode for m in short} == set(MODES)
        for melody in short[: len(short) // 2]:
            score = converter.parse(to_abc(melody), format="abc", forceSource=True).stripTies()
            (meter,) = score.recurse().getElementsByClass("TimeSignature")
            (key,) = score.recurse().getElementsByClass("KeySignature")
            assert (meter.ratioString, key.sharps) == meter_and_key_of(melody)
            check(
                melody,
                [
                    (float(n.offset) * 24, n.pitch.midi, float(n.quarterLength) * 24)
                    for n in score.flatten().notes
                ],
            )


@pytest.mark.slow
def test_verovio(melodies):
    """A process for each key: it keeps the key that it read before where a tune has none."""
    readable = [legato(m) if has_rest_in_triplet(m) else m for m in melodies]
    readable = [m for m in readable if not has_rest_in_triplet(m)]
    assert len(readable) > len(melodies) - 20
    assert {m.header.meter for m in readable} == set(METERS)
    plain = [m for m in readable if not key_of(m.tonic_midi, m.header.mode).signature_fifths]
    assert len(plain) >= 10
    for tunes in (plain, [m for m in readable if m not in plain]):
        command = [sys.executable, "-c", VEROVIO]
        for melody, file in zip(tunes, answer(command, tunes), strict=True):
            check(melody, notes_of_midi(base64.b64decode(file)))
            assert meter_and_key_of_midi(base64.b64decode(file)) == meter_and_key_of(melody)


def legato(melody):
    """Each note held until the next one, so that rests are left only at the beginning."""
    ends = [*(note.onset_ticks for note in melody.notes[1:]), melody.header.end_ticks]
    return replace(
        melody,
        notes=tuple(
            replace(note, duration_ticks=end - note.onset_ticks)
            for note, end in zip(melody.notes, ends, strict=True)
        ),
    )


def has_rest_in_triplet(melody):
    """Which verovio puts outside of it, however it is written."""
    groups = (group for bar in score_bars(melody) for group in bar.groups)
    cells = (cell for group in groups for cell in group if cell.triplet)
    return any(sign.pitch is None for cell in cells for sign in cell.signs)


@pytest.mark.slow
def test_abc2midi(melodies, tmp_path):
    program = shutil.which("abc2midi")
    if program is None:
        missing("no abc2midi; apt-get install abcmidi")
    # One book, for a process a tune takes long: a file a tune, named by its number.
    book = (
        to_abc(melody).replace("X:1\n", f"X:{number}\n") for number, melody in enumerate(melodies)
    )
    (tmp_path / "book.abc").write_text("\n".join(book))
    done = subprocess.run([program, "book.abc"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    for number, melody in enumerate(melodies):
        file = (tmp_path / f"book{number}.mid").read_bytes()
        check(melody, notes_of_midi(file))
        assert meter_and_key_of_midi(file) == meter_and_key_of(melody)


@pytest.mark.slow
def test_abcjs(melodies):
    node = shutil.which("node")
    named = os.environ.get("TASTEMAKER_ABCJS")
    folder = Path(named or Path(sys.prefix) / "node_modules" / "abcjs")
    if node is None or not folder.is_dir():
        missing(f"no node or no abcjs at {folder}; npm install --prefix .venv abcjs")
    for melody, found in zip(melodies, answer([node, "-e", ABCJS, folder], melodies), strict=True):
        check(melody, found)


def answer(command, melodies):
    """What a program says of the melodies' texts; both as JSON."""
    texts = json.dumps([to_abc(melody) for melody in melodies])
    done = subprocess.run(command, input=texts, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
