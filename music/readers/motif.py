"""The first tune of a file as the motif of `compose`: ABC, MIDI or MusicXML."""

from __future__ import annotations

from pathlib import Path

from music.formats import abc_text
from music.formats.abc import AbcError, AbcTune
from music.formats.abc_melody import MODE_OF_ABC
from music.readers.read import MIDI_ENDINGS, MUSICXML_ENDINGS, read_tunes

_ABC_OF_MODE = {mode: name for name, mode in reversed(MODE_OF_ABC.items())}


def read_motif(file: Path) -> tuple[AbcTune, list[str]]:
    """The first tune of a file, and lines about what was decided for it.

    What does not end as a MIDI or MusicXML file does is read as ABC. Of a MIDI or MusicXML file
    the bars up to the first change of metre or key are taken.

    Raises:
        AbcError: when there is no tune in it that can be read.
        LimitError: for an ABC file that is too large, which is not read.
        OSError: when the file cannot be read.
    """
    if file.suffix.lower() not in (*MIDI_ENDINGS, *MUSICXML_ENDINGS):
        return abc_text.read_motif(file), []
    tunes, refusals = read_tunes(file)
    sections = [section for tune in tunes for section in tune.sections]
    if not sections:
        reason = str(refusals[0]) if refusals else f"{file} has no notes; give one with a melody"
        raise AbcError(f"the motif {reason}")
    first = sections[0]
    lines = [str(notice) for notice in tunes[0].notices]
    if refusals:
        lines.append(str(refusals[0]))
    if len(sections) > 1:
        lines.append(f"the motif {file}: the first of its {len(sections)} passages is taken")
    mode = _ABC_OF_MODE.get(first.mode, first.mode)
    tune = AbcTune({}, first.meter, first.tonic_class, mode, list(first.bars))
    return tune, lines
