"""Reading the melody of a MusicXML score.

Which part: the one that was named, else the first whose name is that of a melody (`MELODY_NAMES`),
else, of the parts with at least half as many notes as the busiest, the one that lies highest.
Which voice of it: the one with most notes on its upper staff; in bars where that one is absent,
the first of that staff. Of a chord the top note is taken; grace notes, cue notes and words are left
out. Where the metre or the key changes, a new section begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from xml.etree.ElementTree import Element

from music.formats.abc import AbcNote
from music.formats.abc_melody import STYLE_FIELD
from music.formats.spelling import MODE_FIFTHS
from music.limits import SCORE_BARS
from music.readers.bars import bar_refusal, repair
from music.readers.key_finder import key_in_words, key_of_signature
from music.readers.musicxml_bar import Measure, MeasureReader, Sound
from music.readers.part_names import MELODY_NAMES
from music.readers.tune import Bar, Notice, ReadError, Refusal, Section, Tune, bar_ticks_of
from music.readers.xml_document import read_document

TONIC_FIFTHS = {mode: -fifths for mode, fifths in MODE_FIFTHS.items()} | {
    "phrygian": 4, "lydian": -1, "locrian": 5,
}  # fmt: skip
"""mode -> how many fifths its tonic is above that of the major key of the same signature"""
Measures = Sequence[Measure | ReadError]


def read_musicxml_file(path: Path, part: str | None) -> tuple[list[Tune], list[Refusal]]:
    """The tune of a score, in one list, and what was refused of it.

    Raises:
        ReadError: for a score without a melody that can be read.
        LimitError, OSError: for a file that is too large, or cannot be read.
    """
    root = read_document(path)
    for element in root.iter():  # MusicXML has no namespace, but some programs write one
        element.tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if root.tag != "score-partwise":
        detail = f"the document is a {root.tag[:40]!r}, not a score-partwise; export as MusicXML"
        raise ReadError("unknown format", detail)
    names = {
        item.get("id", ""): " ".join((item.findtext("part-name") or "").split())[:60]
        for item in root.iter("score-part")
    }
    parts = [(element.get("id", ""), _measures(element)) for element in root.findall("part")]
    title = root.findtext("work/work-title") or root.findtext("movement-title") or ""
    place = _chosen_part(parts, names, part)
    file, notices = str(path), []
    if len(parts) > 1:
        name = names.get(parts[place][0]) or parts[place][0]
        why = "named" if part else "of the melody, by the rule of docs/reading.md"
        detail = f"part {place + 1} of {len(parts)}, {name!r}, is taken ({why})"
        notices.append(Notice(file, "1", "", "part taken", detail))
    tune, refusals = _tune(file, " ".join(title.split())[:200], parts[place][1], notices)
    tune = replace(tune, fields=_fields(root))
    return [tune] if tune.sections else [], refusals


def _fields(root: Element) -> dict[str, list[str]]:
    """The style that our own files name, and as `Z` who wrote the file, as ABC has it."""
    named = root.iterfind("identification/miscellaneous/miscellaneous-field")
    written = (
        *root.iterfind("identification/creator[@type='transcriber']"),
        *root.iterfind("identification/encoding/encoder"),
    )
    found = {
        STYLE_FIELD: [_text(field)[:40] for field in named if field.get("name") == STYLE_FIELD],
        "Z": [_text(element)[:80] for element in written if _text(element)],
    }
    return {name: values for name, values in found.items() if values}


def _text(element: Element) -> str:
    return " ".join((element.text or "").split())


def _measures(part: Element) -> list[Measure | ReadError]:
    """The measures of a part; an error stands for one that cannot be read."""
    elements = part.findall("measure")
    if len(elements) > SCORE_BARS:
        raise ReadError(
            "too large", f"a part has {len(elements)} bars, and {SCORE_BARS} is the most; cut it"
        )
    reader = MeasureReader()
    measures: list[Measure | ReadError] = []
    for element in elements:
        try:
            measures += reader.read(element)
        except ReadError as error:
            measures.append(error)
    return measures


def _sounding(measures: Measures) -> list[int]:
    return [
        s.midi for m in measures if isinstance(m, Measure) for s in m.sounds if s.midi is not None
    ]


def _chosen_part(
    parts: Sequence[tuple[str, Measures]], names: dict[str, str], wanted: str | None
) -> int:
    if not parts:
        raise ReadError("no notes", "the score has no part; export it with its notes")
    titles = [names.get(part_id) or part_id for part_id, _ in parts]
    if wanted is not None:
        for place, (part_id, _) in enumerate(parts):
            if wanted.lower() in (titles[place].lower(), part_id.lower(), str(place + 1)):
                return place
        detail = f"part={wanted[:40]!r} is none of the parts {titles[:20]}; name one, or its number"
        raise ReadError("no such part", detail)
    pitches = [_sounding(measures) for _, measures in parts]
    most = max(map(len, pitches))
    if most == 0:
        first_error = next((m for _, ms in parts for m in ms if isinstance(m, ReadError)), None)
        if first_error is not None:
            raise first_error
        drums = any(m.drums for _, ms in parts for m in ms if isinstance(m, Measure))
        if drums:
            raise ReadError("only drums", "the score has only drums; give one with a melody")
        raise ReadError("no notes", "the score has no notes; give one with a melody")
    for place, title in enumerate(titles):
        if MELODY_NAMES.search(title) and pitches[place]:
            return place
    busy = [place for place, found in enumerate(pitches) if 2 * len(found) >= most]
    return max(busy, key=lambda place: (sum(pitches[place]) / len(pitches[place]), -place))


def _tune(
    file: str, title: str, measures: Measures, notices: list[Notice]
) -> tuple[Tune, list[Refusal]]:
    refusals: list[Refusal] = []
    sections: list[Section] = []
    read = [m for m in measures if isinstance(m, Measure)]
    voice, others = _chosen_voice(read)
    if others:
        detail = f"voice {voice[1]} of staff {voice[0]} is taken, of {others + 1} voices"
        notices.append(Notice(file, "1", "", "voice taken", detail))
    for count, reason, what in (
        (sum(m.chords for m in read), "top notes taken", "notes of chords below the top one"),
        (sum(m.grace_notes for m in read), "grace notes dropped", "grace notes"),
        (sum(m.drums for m in read), "drums left out", "notes without a pitch"),
    ):
        if count:
            notices.append(Notice(file, "1", "", reason, f"{count} {what} are left out"))
    repaired = 0
    for number, (kind, group) in enumerate(groupby(measures, key=_kind)):
        if number:
            notices.append(Notice(file, "1", "", "cut", "cut where metre, key or reading changes"))
        if kind is None:
            refusals += [
                Refusal(file, "1", m.bar, m.reason, str(m))
                for m in group
                if isinstance(m, ReadError)
            ]
            continue
        inside = [m for m in group if isinstance(m, Measure)]
        try:
            found, refused, mended = _sections(file, inside, voice, notices)
        except ReadError as error:
            refusals.append(Refusal(file, "1", inside[0].number, error.reason, str(error)))
            continue
        sections += found
        refusals += refused
        repaired += mended
    overlaps = sum(m.overlaps for m in read)
    if overlaps:
        detail = f"{overlaps} notes that sound on under the next of their voice are cut or left out"
        notices.append(Notice(file, "1", "", "overlaps cut", detail))
    if repaired:
        detail = f"{repaired} bars of wrong length are repaired"
        notices.append(Notice(file, "1", "", "bars repaired", detail))
    return Tune(file, "1", title, tuple(sections), tuple(notices)), refusals


def _kind(measure: Measure | ReadError) -> tuple[str, tuple[int, str | None]] | None:
    """What is constant in a section; None for measures that cannot be read."""
    return (measure.meter, measure.key) if isinstance(measure, Measure) else None


def _chosen_voice(measures: Sequence[Measure]) -> tuple[tuple[str, str], int]:
    """Staff and voice of the melody, and how many other voices sound."""
    notes: Counter[tuple[str, str]] = Counter()
    for measure in measures:
        notes.update(s.voice for s in measure.sounds if s.midi is not None)
    if not notes:
        return ("1", "1"), 0
    staff = min(staff for staff, _ in notes)
    upper = [voice for voice in notes if voice[0] == staff]
    return max(sorted(upper), key=lambda voice: notes[voice]), len(notes) - 1


def _sections(
    file: str, measures: Sequence[Measure], voice: tuple[str, str], notices: list[Notice]
) -> tuple[list[Section], list[Refusal], int]:
    meter, (fifths, mode) = measures[0].meter, measures[0].key
    bar_ticks = bar_ticks_of(meter)
    bars = [_bar(measure, voice, bar_ticks) for measure in measures]
    if not any(note.midi is not None for bar in bars for note in bar.notes):
        return [], [], 0
    if mode in TONIC_FIFTHS:
        tonic = 7 * (fifths + TONIC_FIFTHS[mode]) % 12
    else:
        tonic, mode = key_of_signature(fifths, bars)
        what = "a key signature without a mode" if measures[0].has_key else "no key signature"
        detail = f"{what} is read as {key_in_words(tonic, mode)}"
        notices.append(Notice(file, "1", measures[0].number, "key found", detail))
    runs, wrong, repaired = repair(bars, bar_ticks)
    refusals = [bar_refusal(file, "1", bar, meter) for bar in wrong]
    return [Section(tuple(run), meter, mode, tonic) for run in runs], refusals, repaired


def _bar(measure: Measure, voice: tuple[str, str], bar_ticks: Fraction) -> Bar:
    """One voice of a measure, its gaps filled with rests."""
    sounds = [s for s in measure.sounds if s.voice == voice]
    if not sounds:
        same_staff = sorted({s.voice for s in measure.sounds if s.voice[0] == voice[0]})
        sounds = [s for s in measure.sounds if same_staff and s.voice == same_staff[0]]
    notes: list[AbcNote] = []
    at = Fraction(0)
    kept, measure.overlaps = _one_at_a_time(sounds)
    for sound in kept:
        if sound.onset_ticks > at:
            notes.append(AbcNote(None, sound.onset_ticks - at))
        notes.append(AbcNote(sound.midi, sound.duration_ticks, sound.tied))
        at = sound.onset_ticks + sound.duration_ticks
    end = max(at, min(measure.length_ticks, bar_ticks))
    if end > at:
        notes.append(AbcNote(None, end - at))
    return Bar(
        notes,
        measure.left,
        measure.right,
        measure.endings,
        number=measure.number,
        implicit=measure.implicit,
    )


def _one_at_a_time(sounds: Sequence[Sound]) -> tuple[list[Sound], int]:
    """In order of time; of those that begin together the highest, each up to the next onset.

    Returns:
        Them, and how many of the notes were left out or cut for that.
    """
    kept: list[Sound] = []
    overlaps = 0
    for sound in sorted(sounds, key=lambda s: (s.onset_ticks, -1 if s.midi is None else -s.midi)):
        if kept and sound.onset_ticks == kept[-1].onset_ticks:
            overlaps += sound.midi is not None and kept[-1].midi is not None
            if (kept[-1].midi is None) and sound.midi is not None:
                kept[-1] = sound
            continue
        if kept:
            room = sound.onset_ticks - kept[-1].onset_ticks
            if room < kept[-1].duration_ticks:
                overlaps += kept[-1].midi is not None
                kept[-1].duration_ticks, kept[-1].tied = room, False
        kept.append(sound)
    return kept, overlaps
