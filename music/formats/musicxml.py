"""MusicXML of a melody for notation programs, with note values, ties, triplets and beams.

`to_musicxml(m)` is a partwise score of version 4.0 with one part on one staff. What is printed is
decided in `music.formats.score`, for ABC and engraving too, so that all three look alike.
One division is one tick, 24 a quarter; a pickup is a measure without a number of its own. A style
that `music.formats.abc_melody.style_of_tune` would not guess stands in a field of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby
from xml.sax.saxutils import escape

from music.formats.abc_melody import STYLE_FIELD, style_without_name
from music.formats.score import Cell, Sign, in_bass_clef, score_bars
from music.formats.spelling import key_of
from music.melody import TICKS_PER_QUARTER, Melody
from music.tempo import US_PER_MINUTE, quarter_microseconds

TYPE_OF_VALUE = {
    3: ("32nd", 0), 6: ("16th", 0), 9: ("16th", 1), 12: ("eighth", 0), 18: ("eighth", 1),
    24: ("quarter", 0), 36: ("quarter", 1), 42: ("quarter", 2), 48: ("half", 0), 72: ("half", 1),
    96: ("whole", 0), 144: ("whole", 1),
}  # fmt: skip
"""printed ticks -> MusicXML's type and dots"""
ACCIDENTAL = {0: "natural", 1: "sharp", 2: "double-sharp", -1: "flat", -2: "flat-flat"}
BEAMS = {"eighth": 1, "16th": 2, "32nd": 3}
"""beams or flags of a type"""
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)


def to_musicxml(melody: Melody, *, title: str | None = None) -> str:
    """Melody -> a MusicXML document, in its own key and at its usual tempo."""
    header = melody.header
    bars = score_bars(melody)
    first = 0 if header.pickup_ticks else 1
    measures = []
    for number, bar in enumerate(bars, start=first):
        implicit = "" if bar.whole else ' implicit="yes"'
        inside = _attributes(melody) + _tempo(melody) if number == first else ""
        inside += "".join(_group(group) for group in bar.groups)
        if bar is bars[-1]:
            inside += '<barline location="right"><bar-style>light-heavy</bar-style></barline>'
        measures.append(f'<measure number="{number}"{implicit}>{inside}</measure>')
    style = ""
    if header.style != style_without_name(header.meter):
        style = (
            f'<identification><miscellaneous><miscellaneous-field name="{STYLE_FIELD}">'
            f"{header.style}</miscellaneous-field></miscellaneous></identification>"
        )
    work = "" if title is None else f"<work><work-title>{escape(title)}</work-title></work>"
    return (
        f'{HEAD}<score-partwise version="4.0">{work}{style}<part-list><score-part id="P1">'
        "<part-name>Melody</part-name></score-part></part-list>\n"
        f'<part id="P1">{"".join(measures)}</part></score-partwise>\n'
    )


def _attributes(melody: Melody) -> str:
    header = melody.header
    key = key_of(melody.tonic_midi, header.mode)
    beats, unit = header.meter.split("/")
    sign, line = ("F", 4) if in_bass_clef(melody) else ("G", 2)
    return (
        f"<attributes><divisions>{TICKS_PER_QUARTER}</divisions><key><fifths>"
        f"{key.signature_fifths}</fifths><mode>{header.mode}</mode></key><time><beats>{beats}"
        f"</beats><beat-type>{unit}</beat-type></time><clef><sign>{sign}</sign>"
        f"<line>{line}</line></clef>"
        "</attributes>"
    )


def _tempo(melody: Melody) -> str:
    """The tempo in beats of the metre and, for playback, in quarters per minute."""
    header = melody.header
    quarters = Fraction(US_PER_MINUTE, quarter_microseconds(header))
    beats = round(quarters * TICKS_PER_QUARTER / header.beat_ticks)
    unit, dots = TYPE_OF_VALUE[header.beat_ticks]
    return (
        f'<direction placement="above"><direction-type><metronome><beat-unit>{unit}</beat-unit>'
        f"{'<beat-unit-dot/>' * dots}<per-minute>{beats}</per-minute></metronome></direction-type>"
        f'<sound tempo="{float(quarters):g}"/></direction>'
    )


def _group(cells: tuple[Cell, ...]) -> str:
    """Notes and rests of cells that a beam would join.

    No beam goes over an end of a bracket: verovio would take what follows into the triplet.
    """
    placed = list(_placed(cells))
    beams = [
        beam
        for _, run in groupby(enumerate(cells), key=lambda item: item[0] if item[1].triplet else -1)
        for beam in _beams([sign for _, cell in run for sign in cell.signs])
    ]
    return "".join(
        _note(sign, inside, bracket, beam)
        for (sign, inside, bracket), beam in zip(placed, beams, strict=True)
    )


def _flags(sign: Sign) -> int:
    """How many flags a note has without a beam."""
    return BEAMS.get(TYPE_OF_VALUE[sign.value_ticks][0], 0) if sign.pitch is not None else 0


def _placed(cells: tuple[Cell, ...]) -> Iterator[tuple[Sign, bool, tuple[str, ...]]]:
    """Each sign, whether it is in a triplet, and which ends of the bracket stand at it."""
    for cell in cells:
        for place, sign in enumerate(cell.signs):
            ends = []
            if cell.triplet and place == 0:
                ends.append("start")
            if cell.triplet and place == len(cell.signs) - 1:
                ends.append("stop")
            yield sign, cell.triplet, tuple(ends)


def _beams(signs: list[Sign]) -> list[str]:
    """The beams of each sign: level by level, runs of neighbours that have that many flags."""
    flags = [_flags(sign) for sign in signs]
    beams = [""] * len(signs)
    for place, here in enumerate(flags):
        before = flags[place - 1] if place else 0
        after = flags[place + 1] if place + 1 < len(flags) else 0
        for level in range(1, here + 1):
            joins_before, joins_after = before >= level, after >= level
            if joins_before and joins_after:
                kind = "continue"
            elif joins_after:
                kind = "begin"
            elif joins_before:
                kind = "end"
            elif level > 1 and (before or after):
                kind = "backward hook" if before else "forward hook"
            else:
                continue
            beams[place] += f'<beam number="{level}">{kind}</beam>'
    return beams


def _note(sign: Sign, in_triplet: bool, bracket: tuple[str, ...], beams: str) -> str:
    """One note or rest; the order of its parts is the schema's."""
    kind, dots = TYPE_OF_VALUE[sign.value_ticks]
    ticks = sign.value_ticks * 2 // 3 if in_triplet else sign.value_ticks
    ties = [end for end, there in (("stop", sign.tie_in), ("start", sign.tie_out)) if there]
    parts = []
    if sign.pitch is None:
        parts.append("<rest/>")
    else:
        alter = f"<alter>{sign.pitch.alter}</alter>" if sign.pitch.alter else ""
        parts.append(
            f"<pitch><step>{sign.pitch.letter}</step>{alter}<octave>{sign.pitch.octave}</octave>"
            "</pitch>"
        )
    parts.append(f"<duration>{ticks}</duration>")
    parts += [f'<tie type="{end}"/>' for end in ties]
    parts.append(f"<voice>1</voice><type>{kind}</type>{'<dot/>' * dots}")
    if sign.pitch is not None and sign.accidental is not None:
        parts.append(f"<accidental>{ACCIDENTAL[sign.accidental]}</accidental>")
    if in_triplet:
        parts.append(
            "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes>"
            "</time-modification>"
        )
    parts.append(beams)
    notations = [f'<tied type="{end}"/>' for end in ties]
    notations += [f'<tuplet type="{end}"/>' for end in bracket]
    if notations:
        parts.append(f"<notations>{''.join(notations)}</notations>")
    return f"<note>{''.join(parts)}</note>"
