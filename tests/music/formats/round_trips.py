"""Melodies written and read again by our own readers: which come back equal.

    python -m tests.music.formats.round_trips 10000

draws so many random melodies over all headers, keys and styles and prints how many are equal after
tokens, ABC, MIDI and MusicXML. Every field of a melody comes back: notes, metre, mode, bars,
pickup, style and tonic. Tokens do not hold the tonic, and its octave is not in a file: melodies
here have their tonic in middle C's octave, in which files are read.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import read_melody, to_abc
from music.melody import TONIC_MIDI_MAX, TONIC_MIDI_MIN, Melody
from music.readers import melodies_of, read_tunes
from music.styles import Styles
from music.tokens import decode, encode
from tests.support.random_melodies import random_melodies

OWN_STYLES = Styles(("other", "polka", "slow reel", "slip jig", "slipjig", "9-8 air", "march"))
"""of a policy of somebody's own"""
FORMATS = ("tokens", "ABC as one melody", "ABC", "MIDI", "MusicXML")
BATCH = 100


def melodies_in_all_keys(size: int, seed: int) -> list[Melody]:
    """Random melodies, each in a key of its own, and every third in a style of our own."""
    rng = np.random.default_rng([seed, 1])
    melodies = []
    for number, melody in enumerate(random_melodies(size, seed)):
        header = melody.header
        if number % 3 == 0:
            header = replace(header, style=str(rng.choice(OWN_STYLES.labels)))
        tonic = int(rng.integers(TONIC_MIDI_MIN, TONIC_MIDI_MAX + 1))
        melodies.append(replace(melody, header=header, tonic_midi=tonic))
    return melodies


def read_again(melody: Melody, folder: Path) -> Iterator[tuple[str, Melody | str]]:
    """For each format the melody that was read, or why none was."""
    styles = Styles(tuple(dict.fromkeys((*OWN_STYLES.labels, melody.header.style))))
    yield "tokens", decode(encode(melody, styles), melody.tonic_midi, styles)
    text = to_abc(melody)
    yield "ABC as one melody", read_melody(text)
    for name, ending, content in (
        ("ABC", "abc", text.encode()),
        ("MIDI", "mid", to_midi(melody)),
        ("MusicXML", "musicxml", to_musicxml(melody).encode()),
    ):
        file = folder / f"melody.{ending}"
        file.write_bytes(content)
        yield name, only_melody(file)


def only_melody(file: Path) -> Melody | str:
    """The melody of a file, or what was read instead."""
    tunes, refusals = read_tunes(file)
    found = [melody for tune in tunes for melody in melodies_of(tune)[0]]
    refusals = refusals + [refusal for tune in tunes for refusal in melodies_of(tune)[1]]
    if len(found) == 1 and not refusals:
        return found[0]
    return f"{len(found)} melodies, {[str(refusal) for refusal in refusals]}"


def differences(melody: Melody, folder: Path) -> list[tuple[str, str]]:
    """Format and difference, for each format after which the melody is another."""
    return [
        (name, difference(melody, again))
        for name, again in read_again(melody, folder)
        if again != melody
    ]


def difference(melody: Melody, again: Melody | str) -> str:
    """In words."""
    if isinstance(again, str):
        return f"{melody.header}: {again}"
    fields = ("header", "tonic_midi", "notes")
    unlike = [name for name in fields if getattr(melody, name) != getattr(again, name)]
    return f"{melody.header}: {unlike} differ, {again.header}"


def main(count: int, seed: int = 0) -> int:
    """Print the count of each format; return how many melodies are not equal after all of them."""
    equal: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, count, BATCH):
            for melody in melodies_in_all_keys(min(BATCH, count - start), seed + start):
                found = differences(melody, Path(folder))
                wrong += bool(found)
                equal.update(set(FORMATS) - {name for name, _ in found})
                if found and wrong <= 20:
                    print(*found, sep="\n")  # noqa: T201
    print({name: equal[name] for name in FORMATS}, f"of {count}, {wrong} unequal")  # noqa: T201
    return wrong


if __name__ == "__main__":
    sys.exit(min(1, main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)))
