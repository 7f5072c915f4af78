"""One function that reads tunes from a file, whatever its format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from music.limits import LimitError
from music.readers.melodies import notices_of
from music.readers.tune import ReadError, Refusal, Tune

ABC_ENDINGS = (".abc",)
MIDI_ENDINGS = (".mid", ".midi")
MUSICXML_ENDINGS = (".xml", ".musicxml", ".mxl")
ENDINGS = (*ABC_ENDINGS, *MIDI_ENDINGS, *MUSICXML_ENDINGS)


def read_tunes(path: Path, *, part: str | None = None) -> tuple[list[Tune], list[Refusal]]:
    """The tunes of an ABC, MIDI or MusicXML file, and what was refused of it and why.

    The ending of the file's name says the format. docs/reading.md has the rules; what was decided
    by them stands in the `notices` of each tune.

    Args:
        path: the file.
        part: name or number (from 1) of the part of a score or MIDI file, or of the voice of an ABC
            tune, that has the melody; the one that the rule of `music.readers.musicxml_part`
            finds, if None.

    Raises:
        OSError: when the file cannot be read. Whatever is in it gives refusals.
    """
    ending = path.suffix.lower()
    try:
        if ending in ABC_ENDINGS:
            from music.readers.abc_book import read_abc_file

            return _with_cuts(read_abc_file(path, part))
        if ending in MIDI_ENDINGS:
            from music.readers.midi_voice import read_midi_file

            return _with_cuts(read_midi_file(path, part))
        if ending in MUSICXML_ENDINGS:
            from music.readers.musicxml_part import read_musicxml_file

            return _with_cuts(read_musicxml_file(path, part))
        detail = f"a file that ends in {ending[:20]!r} is not read; give one of {list(ENDINGS)}"
        raise ReadError("unknown format", detail)
    except LimitError as error:
        return [], [Refusal(str(path), "", "", "too large", str(error))]
    except ReadError as error:
        return [], [Refusal(str(path), "", error.bar, error.reason, str(error))]


def _with_cuts(found: tuple[list[Tune], list[Refusal]]) -> tuple[list[Tune], list[Refusal]]:
    """With notices of where strains are cut and joined, and of note values that are changed."""
    tunes, refusals = found
    return [replace(t, notices=(*t.notices, *notices_of(t))) for t in tunes], refusals
