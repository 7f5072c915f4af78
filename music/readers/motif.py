"""The first tune of a file as the motif of `compose`: ABC, MIDI or MusicXML."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from music.formats.abc import AbcBar, AbcError, AbcTune
from music.formats.abc_key import NO_KEY
from music.formats.abc_melody import MODE_OF_ABC
from music.formats.abc_reader import read_tune
from music.limits import ABC_FILE_BYTES, read_bytes
from music.readers.abc_tunes import music_after_end, numbered_tunes
from music.readers.abc_voices import chosen_voice
from music.readers.key_finder import find_key, key_in_words
from music.readers.read import MIDI_ENDINGS, MUSICXML_ENDINGS, read_tunes
from music.readers.tune import ReadError

_ABC_OF_MODE = {mode: name for name, mode in reversed(MODE_OF_ABC.items())}


def read_motif(file: Path) -> tuple[AbcTune, list[str]]:
    """The first tune of a file, and lines about what was decided for it.

    What does not end as a MIDI or MusicXML file does is read as ABC. The bars up to the first
    change of metre or key are taken, and of several voices or parts the one of the melody.

    Raises:
        AbcError: when there is no tune in it that can be read.
        LimitError: for an ABC file that is too large, which is not read.
        OSError: when the file cannot be read.
    """
    if file.suffix.lower() not in (*MIDI_ENDINGS, *MUSICXML_ENDINGS):
        content = read_bytes(file, ABC_FILE_BYTES, remedy="give a file with that one tune")
        try:
            tune, lines = _first_abc_tune(content)
        except (AbcError, ReadError) as error:
            raise AbcError(f"the motif {file}: {error}") from error
        return tune, [f"the motif {file}: {line}" for line in lines]
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


def _first_abc_tune(content: bytes) -> tuple[AbcTune, list[str]]:
    texts = (text for _, text in numbered_tunes(content))
    text = next(texts)
    chosen = chosen_voice(text, None)
    tune = read_tune(text) if chosen is None else chosen.read
    lines = [] if chosen is None else [chosen.detail]
    if tune.changes_meter_or_key and tune.bars:

        def signs(bar: AbcBar) -> tuple[str, int, str]:
            return bar.meter, bar.tonic_class, bar.mode

        first = signs(tune.bars[0])
        bars = list(takewhile(lambda bar: signs(bar) == first, tune.bars))
        meter, tonic_class, mode = first
        lines.append(
            f"the metre or key changes, and what comes before is taken, {len(bars)} of its "
            f"{len(tune.bars)} bars"
        )
        tune = replace(
            tune, meter=meter, tonic_class=tonic_class, mode=mode, bars=bars,
            changes_meter_or_key=False,
        )  # fmt: skip
    if tune.mode == NO_KEY:
        tonic_class, mode = find_key(tune.bars)
        tune = replace(tune, tonic_class=tonic_class, mode=_ABC_OF_MODE[mode])
        lines.append(f"K: names no key; the notes are those of {key_in_words(tonic_class, mode)}")
    if music_after_end(text):
        lines.append("what comes after the empty line that ends its tune is not read")
    return replace(tune, tunes_after=sum(1 for _ in texts)), lines
