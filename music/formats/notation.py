"""Notation: a melody as ABC text, as an engraved SVG, and ABC text as a melody.

`read_melody(to_abc(m)) == m` for every melody, its key included. The SVG is engraved by verovio
from MEI, which says each beam, tie and bracket (verovio's ABC reader gets uneven triplets wrong).
What is printed, and why, is decided in `music.formats.score`; a pickup is a short first measure in
both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from threading import Lock
from typing import TYPE_CHECKING, TypeVar
from xml.sax.saxutils import escape

from music.formats.abc import AbcError, AbcTune
from music.formats.abc_melody import (
    ABC_OF_MODE,
    MODE_OF_ABC,
    joined_at_repeats,
    last_time_through,
    melody_of_bars,
    rhythm_of_style,
    style_of_tune,
)
from music.formats.abc_reader import MODE_DIRECTIVE, STYLE_DIRECTIVE, read_tune
from music.formats.abc_writer import abc_bars
from music.formats.score import Cell, ScoreBar, Sign, in_bass_clef, score_bars
from music.formats.spelling import key_of
from music.key_choice import octaves_from_middle
from music.melody import MODES, TONIC_MIDI_MIN, Header, Melody
from music.metre import BAR_TICKS, METERS

if TYPE_CHECKING:
    import verovio

ABC_VERSION = "%abc-2.1"
"""first line of a file; without it music21 ends an accidental at its note"""
BARS_PER_LINE = 4
MAX_ABC_CHARACTERS = 40_000
MEI_ACCIDENTAL = {0: "n", 1: "s", 2: "x", -1: "f", -2: "ff"}
MEI_VALUE = {
    3: ("32", 0), 6: ("16", 0), 9: ("16", 1), 12: ("8", 0), 18: ("8", 1), 24: ("4", 0),
    36: ("4", 1), 42: ("4", 2), 48: ("2", 0), 72: ("2", 1), 96: ("1", 0), 144: ("1", 1),
}  # fmt: skip
"""printed ticks -> MEI's dur and dots"""
SVG_OPTIONS = {
    "inputFrom": "mei",
    "header": "none",
    "footer": "none",
    "breaks": "encoded",  # at the <sb/> of every fourth bar
    "minLastJustification": 0.0,  # the last line has four bars too
    "pageWidth": 2000,
    "adjustPageHeight": True,
    "pageMarginTop": 30,
    "pageMarginBottom": 30,
    "pageMarginLeft": 20,
    "pageMarginRight": 20,
    "scale": 40,
    "svgViewBox": True,  # the card, not the picture, decides its size
    "svgRemoveXlink": True,
    "svgFormatRaw": True,
    # Ids by content: the same picture for the same melody, and no clash of two on one page.
    "xmlIdChecksum": True,
}
_LOCK = Lock()
Bar = TypeVar("Bar", ScoreBar, str)


def to_abc(melody: Melody, *, title: str | None = None) -> str:
    """Melody -> one ABC tune (standard 2.1) in its own key, four bars a line.

    music21, abc2midi, verovio and abcjs read the same notes from it; see
    `music.formats.abc_writer`. Two directives are for our own reader: one names a style that `R:`
    alone would not give, and one the locrian mode, which not all of those programs know.
    """
    header = melody.header
    lines = [ABC_VERSION, "X:1"]
    if title is not None:
        lines.append("T:" + " ".join(title.split()).replace("%", "\\%"))
    key = key_of(melody.tonic_midi, header.mode)
    rhythm, is_enough = rhythm_of_style(header.style, header.meter)
    lines.append(f"R:{rhythm}")
    if not is_enough:
        lines.append(f"%%{STYLE_DIRECTIVE} {header.style}")
    if header.style == "hornpipe":
        lines.append("%%MIDI ratio 1 1")  # abc2midi plays the eighths of a hornpipe 2:1
    clef = " clef=bass" if in_bass_clef(melody) else ""
    lines += [f"M:{header.meter}", "L:1/8"]
    mode = ABC_OF_MODE[header.mode]
    if header.mode == "locrian":  # music21 reads K:Bloc as B major
        lines.append(f"%%{MODE_DIRECTIVE} {mode}")
        key, mode = key.relative_major, ""
    lines.append(f"K:{key.tonic_name}{mode}{clef}")
    rows = _rows(abc_bars(melody), pickup=header.pickup_ticks > 0)
    return "\n".join(lines) + "\n" + " |\n".join(map(" | ".join, rows)) + " |]\n"


def read_melody(text: str, *, style: str | None = None) -> Melody:
    """ABC text of one melody, as exported here or as a person writes it -> Melody.

    Its length in bars, its pickup and its octave are taken as written. Of several endings the last
    is read, of a chord the top note. A short bar before a repeat is one with the pickup after it.

    Args:
        text: one tune in ABC; `X:` and `T:` may be missing, `K:` may not.
        style: a label; as `music.formats.abc_melody.style_of_tune` reads it, if None.

    Raises:
        AbcError: when the text is not one tune in one voice, metre and key that are known here.
        MelodyError: when its bars or notes break a rule of `music.melody`.
    """
    if len(text) > MAX_ABC_CHARACTERS:
        raise AbcError(
            f"the text has {len(text)} characters; one melody needs no more than "
            f"{MAX_ABC_CHARACTERS}: give a single tune"
        )
    tunes = len(re.findall(r"^X:", text, re.MULTILINE))
    if tunes > 1:
        raise AbcError(f"the text has {tunes} tunes (X: lines); give one of them")
    return melody_from_tune(read_tune(text), style=style)


def melody_from_tune(tune: AbcTune, *, style: str | None = None) -> Melody:
    """A tune of one strain -> Melody; see `read_melody`.

    Raises:
        AbcError: for a metre or mode that is not known here, or one that changes.
        MelodyError: when its bars or notes break a rule of `music.melody`.
    """
    header = header_of_tune(tune, style=style)
    bars = joined_at_repeats(last_time_through(tune.bars), header.bar_ticks)
    tonic = TONIC_MIDI_MIN + tune.tonic_class
    written = [note.midi - tonic for bar in bars for note in bar.notes if note.midi is not None]
    return melody_of_bars(bars, header, tonic + 12 * octaves_from_middle(written))


def header_of_tune(tune: AbcTune, *, style: str | None = None) -> Header:
    """Metre, mode and style of a tune; bars and pickup are left at their defaults.

    Raises:
        AbcError: for a metre or mode that is not known here, or one that changes.
    """
    if tune.changes_meter_or_key:
        raise AbcError("the metre or key changes inside the tune; a melody has one of each")
    if tune.meter not in BAR_TICKS:
        raise AbcError(f"M:{tune.meter[:20]} is not known; choose one of {list(METERS)}, C or C|")
    if tune.mode not in MODE_OF_ABC:
        raise AbcError(
            f"mode {tune.mode!r} of the K: field is not known; choose one of {list(MODES)}"
        )
    label = style_of_tune(tune, tune.meter) if style is None else style
    return Header(tune.meter, MODE_OF_ABC[tune.mode], label)


def to_svg(melody: Melody) -> str:
    """Melody -> an SVG picture with a viewBox, in the text colour of the page it stands in."""
    header = melody.header
    key = key_of(melody.tonic_midi, header.mode)
    about = f"{header.bars} bars of {header.meter} in {key.tonic_name} {header.mode}"
    with _LOCK:  # a toolkit holds one document and is not safe to share between threads
        toolkit = _toolkit()
        if not toolkit.loadData(to_mei(melody)):
            raise RuntimeError(f"verovio could not load {about}; please report the melody")
        svg = toolkit.renderToSVG(1)
    svg = re.sub(r"<desc>.*?</desc>", f"<desc>{escape(about)}</desc>", svg, count=1)
    # Heads and clefs have no fill of their own, and a browser's is black, also at night.
    about = f'role="img" aria-label="{escape(about)}" fill="currentColor"'
    svg = svg.replace("<svg ", f"<svg {about} ", 1)
    return svg.replace('color="black"', 'color="currentColor"')


@lru_cache(maxsize=1)
def _toolkit() -> verovio.toolkit:
    """Verovio's engraver with our options; its log, which it writes to stderr, is off."""
    import verovio

    verovio.enableLog(verovio.LOG_OFF)
    # Its default path of fonts is known only to the thread that imported verovio first.
    toolkit = verovio.toolkit(False)
    toolkit.setResourcePath(str(files("verovio") / "data"))
    toolkit.setOptions(SVG_OPTIONS)
    return toolkit


def to_mei(melody: Melody) -> str:
    """Melody -> MEI, one staff; what verovio engraves."""
    header = melody.header
    fifths = key_of(melody.tonic_midi, header.mode).signature_fifths
    sharps = f"{abs(fifths)}{'s' if fifths > 0 else 'f'}" if fifths else "0"
    count, unit = header.meter.split("/")
    shape, line = ("F", 4) if in_bass_clef(melody) else ("G", 2)
    bars = score_bars(melody)
    measures = []
    for row in _rows(bars, pickup=header.pickup_ticks > 0):
        if measures:
            measures.append("<sb/>")
        for bar in row:
            right = "end" if bar is bars[-1] else "single"
            metcon = "" if bar.whole else ' metcon="false"'
            layer = "".join(xml for group in bar.groups for xml in _mei_group(group))
            measures.append(
                f'<measure right="{right}"{metcon}><staff n="1"><layer n="1">{layer}</layer>'
                "</staff></measure>"
            )
    return (
        '<mei xmlns="http://www.music-encoding.org/ns/mei" meiversion="5.1"><music><body><mdiv>'
        f'<score><scoreDef keysig="{sharps}" meter.count="{count}" meter.unit="{unit}"><staffGrp>'
        f'<staffDef n="1" lines="5" clef.shape="{shape}" clef.line="{line}"/></staffGrp></scoreDef>'
        "<section>"
        f"{''.join(measures)}</section></score></mdiv></body></music></mei>"
    )


def _rows(bars: list[Bar], *, pickup: bool) -> Iterator[list[Bar]]:
    """Lines of four bars; a pickup stands before the first."""
    end = BARS_PER_LINE + pickup
    yield bars[:end]
    for start in range(end, len(bars), BARS_PER_LINE):
        yield bars[start : start + BARS_PER_LINE]


def _mei_group(cells: tuple[Cell, ...]) -> Iterator[str]:
    """The cells of a group, in a beam where neighbouring notes have flags."""
    run: list[Cell] = []
    for cell in (*cells, None):
        if cell is not None and all(s.pitch and s.value_ticks < 24 for s in cell.signs):
            run.append(cell)
            continue
        inside = "".join(map(_mei_cell, run))
        yield f"<beam>{inside}</beam>" if sum(len(c.signs) for c in run) > 1 else inside
        run = []
        if cell is not None:
            yield _mei_cell(cell)


def _mei_cell(cell: Cell) -> str:
    signs = "".join(map(_mei_sign, cell.signs))
    return f'<tuplet num="3" numbase="2">{signs}</tuplet>' if cell.triplet else signs


def _mei_sign(sign: Sign) -> str:
    dur, dots = MEI_VALUE[sign.value_ticks]
    length = f'dur="{dur}"' + (f' dots="{dots}"' if dots else "")
    if sign.pitch is None:
        return f"<rest {length}/>"
    pitch = f'pname="{sign.pitch.letter.lower()}" oct="{sign.pitch.octave}"'
    kind = "accid" if sign.accidental is not None else "accid.ges"
    if sign.accidental is not None or sign.pitch.alter:
        pitch += f' {kind}="{MEI_ACCIDENTAL[sign.pitch.alter]}"'
    tie = {(False, False): "", (False, True): "i", (True, True): "m", (True, False): "t"}
    tied = tie[sign.tie_in, sign.tie_out]
    return f"<note {pitch} {length}" + (f' tie="{tied}"' if tied else "") + "/>"
