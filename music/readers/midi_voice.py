"""Making one voice in bars of the notes of a MIDI file.

Which part: as in `music.readers.musicxml_part`. Of notes that begin together the highest is taken;
a lower note that begins while a higher one goes on is left out, unless the two are slurred.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path

from music.formats.abc import AbcNote
from music.formats.abc_melody import STYLE_FIELD
from music.limits import SCORE_BARS
from music.readers.key_finder import find_key, key_in_words
from music.readers.midi_grid import MidiNote, on_grid
from music.readers.midi_song import MidiPart, Song, read_song
from music.readers.part_names import MELODY_NAMES
from music.readers.tune import Bar, Notice, ReadError, Refusal, Section, Tune, bar_ticks_of

DEFAULT_METER = "4/4"
GRACE_TICKS = 2
"""a shorter note is a grace note if another begins less than `AFTER_GRACE_TICKS` after it does"""
AFTER_GRACE_TICKS = 3
LEGATO_TICKS = 6
"""that a note of a melody may be held into the next one"""
MOST_SILENT_BARS = 32
"""at the end of a file of one part"""


def read_midi_file(path: Path, part: str | None) -> tuple[list[Tune], list[Refusal]]:
    """The tune of a file, in one list, and what was refused of it.

    Raises:
        ReadError: for a file without a melody that can be read.
        LimitError, OSError: for a file that is too large, or cannot be read.
    """
    song = read_song(path)
    file, notices = str(path), []
    if song.drums:
        detail = f"{song.drums} notes of drums (channel 10) are left out"
        notices.append(Notice(file, "1", "", "drums left out", detail))
    chosen = _chosen_part(song, part)
    if len(song.parts) > 1:
        why = "named" if part else "of the melody, by the rule of docs/reading.md"
        place = song.parts.index(chosen) + 1
        detail = f"part {place} of {len(song.parts)}, {chosen.name!r}, is taken ({why})"
        notices.append(Notice(file, "1", "", "part taken", detail))
    if chosen.unended:
        detail = (
            f"{chosen.unended} notes that the file never ends are ended at the next note, or at "
            "the end of the track"
        )
        notices.append(Notice(file, "1", "", "lengths rounded", detail))
    played, graces = _without_grace_notes(chosen.notes)
    if graces:
        detail = f"{graces} notes shorter than {GRACE_TICKS} ticks before another are left out"
        notices.append(Notice(file, "1", "", "grace notes dropped", detail))
    notes, moved = on_grid(played)
    if moved:
        detail = f"{moved} notes are moved to the grid of sixteenths and triplets"
        notices.append(Notice(file, "1", "", "lengths rounded", detail))
    voice, left_out = _one_voice(notes)
    if left_out:
        detail = f"{left_out} notes below a higher one, or held into the next, are left out or cut"
        notices.append(Notice(file, "1", "", "top notes taken", detail))
    sections: list[Section] = []
    refusals: list[Refusal] = []
    stretches = _stretches(song, voice, alone=len(song.parts) == 1)
    if len(stretches) > 1:
        detail = "the tune is cut where metre or key changes"
        notices.append(Notice(file, "1", "", "cut", detail))
    for start, end, meter, key, number in stretches:
        try:
            bar_ticks = bar_ticks_of(meter)
            pickup = _pickup(song) if start == 0 else Fraction(0)
            is_last = end == stretches[-1][1]
            bars = _bars(voice, (start, end), bar_ticks, number, pickup, is_last=is_last)
        except ReadError as error:
            refusals.append(Refusal(file, "1", str(number), error.reason, str(error)))
            continue
        if not any(note.midi is not None for bar in bars for note in bar.notes):
            continue
        silent = next(k for k, bar in enumerate(bars) if any(n.midi is not None for n in bar.notes))
        if len(song.parts) > 1:
            bars = _without_empty_ends(bars)
        elif silent and not sections and not song.as_ours:
            bars = bars[silent:]
            detail = f"{silent} bars of rest before the melody begins are left out"
            notices.append(Notice(file, "1", str(number), "cut", detail))
        if key is None:
            key = find_key(bars)
            detail = f"the file names no key; its notes are those of {key_in_words(*key)}"
            notices.append(Notice(file, "1", str(number), "key found", detail))
        sections.append(Section(tuple(bars), meter, key[1], key[0]))
    if not song.meters:
        detail = f"the file names no metre; it is read in {DEFAULT_METER}"
        notices.append(Notice(file, "1", "", "metre assumed", detail))
    fields = {STYLE_FIELD: [song.style]} if song.style else {}
    return [Tune(file, "1", song.title, tuple(sections), tuple(notices), fields)], refusals


def _chosen_part(song: Song, wanted: str | None) -> MidiPart:
    parts = song.parts
    if wanted is not None:
        for place, part in enumerate(parts, start=1):
            if wanted.lower() in (part.name.lower(), str(place)):
                return part
        names = [part.name for part in parts][:20]
        detail = f"part={wanted[:40]!r} is none of the parts {names}; name one, or its number"
        raise ReadError("no such part", detail)
    if not parts:
        if song.drums:
            raise ReadError("only drums", "the file has only drums; give one with a melody")
        raise ReadError("no notes", "the file has no notes; give one with a melody")
    for part in parts:
        if MELODY_NAMES.search(part.name):
            return part
    most = max(len(part.notes) for part in parts)
    busy = [part for part in parts if 2 * len(part.notes) >= most]
    return max(busy, key=lambda part: sum(note.midi for note in part.notes) / len(part.notes))


def _without_grace_notes(notes: Sequence[MidiNote]) -> tuple[list[MidiNote], int]:
    """The notes, which are in order of time, without grace notes, and how many those were."""
    kept: list[MidiNote] = []
    following: Fraction | None = None  # the next later onset
    later: Fraction | None = None
    for note in reversed(notes):
        if later is not None and later > note.onset_ticks:
            following = later
        short = note.end_ticks - note.onset_ticks < GRACE_TICKS
        near = following is not None and following - note.onset_ticks < AFTER_GRACE_TICKS
        if not (short and near):
            kept.append(note)
        later = note.onset_ticks
    return kept[::-1], len(notes) - len(kept)


def _one_voice(notes: Sequence[MidiNote]) -> tuple[list[MidiNote], int]:
    """Notes one after the other, and how many were left out or cut."""
    voice: list[MidiNote] = []
    left_out = 0
    ordered = sorted(notes, key=lambda note: (note.onset_ticks, -note.midi))
    onsets = [note.onset_ticks for note in ordered]
    for note in ordered:
        last = voice[-1] if voice else None
        if last is not None and note.onset_ticks < last.end_ticks:
            left_out += 1
            if note.onset_ticks == last.onset_ticks:
                continue
            if note.midi < last.midi:
                after = bisect_right(onsets, note.onset_ticks)
                following = onsets[after] if after < len(onsets) else None
                if not _slurred(last, note, following):
                    continue
            voice[-1] = MidiNote(last.onset_ticks, note.onset_ticks, last.midi)
        voice.append(note)
    return voice, left_out


def _slurred(last: MidiNote, note: MidiNote, following: Fraction | None) -> bool:
    """Whether a lower note follows the one before it, which is held a little into it.

    Where another note begins as soon as the higher one ends, the lower one accompanies them.
    """
    over = last.end_ticks - note.onset_ticks
    return (
        over <= min(LEGATO_TICKS, (last.end_ticks - last.onset_ticks) / 2)
        and note.end_ticks > last.end_ticks
        and (following is None or following > last.end_ticks)
    )


def _pickup(song: Song) -> Fraction:
    """Length of the pickup, which the first two metres tell; 0 without one.

    A first metre of one bar that is shorter than the next one's is the pickup's. A pickup that no
    metre can name is what stands before the same metre comes a second time, in less than a bar.
    """
    if len(song.meters) < 2 or song.meters[0][0] != 0:
        return Fraction(0)
    second_at = song.meters[1][0]
    try:
        first, second = (bar_ticks_of(meter) for _, meter in song.meters[:2])
    except ReadError:
        return Fraction(0)
    own_bar = first == second_at and first < second
    again = song.meters[0][1] == song.meters[1][1] and 0 < second_at < second
    return second_at if own_bar or again else Fraction(0)


def _stretches(
    song: Song, voice: Sequence[MidiNote], *, alone: bool
) -> list[tuple[Fraction, Fraction, str, tuple[int, str] | None, int]]:
    """Start, end, metre, key and first bar's number of what has one metre and one key."""
    pickup = _pickup(song)
    meters = song.meters[1:] if pickup else song.meters
    last = max(note.end_ticks for note in voice)
    end = max(last, song.end_ticks) if alone else last
    # What stands first holds from the beginning on, wherever it stands.
    meter_at = {at if place else Fraction(0): m for place, (at, m) in enumerate(meters)}
    key_at = {at if place else Fraction(0): (t, m) for place, (at, t, m) in enumerate(song.keys)}
    times = sorted(at for at in {Fraction(0), *meter_at, *key_at} if at < last)
    found: list[tuple[Fraction, Fraction, str, tuple[int, str] | None, int]] = []
    meter, key = DEFAULT_METER, None
    number = 0 if pickup else 1
    for at, until in zip(times, (*times[1:], end), strict=True):
        meter, key = meter_at.get(at, meter), key_at.get(at, key)
        if found and found[-1][2:4] == (meter, key):
            found[-1] = (found[-1][0], until, meter, key, found[-1][4])
        else:
            found.append((at, until, meter, key, number))
        number += _count_bars(until - at, meter)
        if number > SCORE_BARS:
            detail = f"the file has more than {SCORE_BARS:,} bars; export a passage"
            raise ReadError("too large", detail)
    return found


def _count_bars(ticks: Fraction, meter: str) -> int:
    try:
        return max(1, int(ticks // bar_ticks_of(meter)))
    except ReadError:  # that passage is refused later
        return 1


def _bars(
    voice: Sequence[MidiNote],
    stretch: tuple[Fraction, Fraction],
    bar_ticks: Fraction,
    number: int,
    pickup: Fraction,
    *,
    is_last: bool,
) -> list[Bar]:
    """The bars of a stretch, gaps filled with rests, notes cut at barlines and tied."""
    start, end = stretch
    onsets = [bisect_left(voice, at, key=lambda note: note.onset_ticks) for at in (start, end)]
    inside = list(voice[onsets[0] : onsets[1]])
    if is_last and inside:
        inside[-1] = _within_barlines(inside[-1], (start, start + pickup), end, bar_ticks)
    sounding_end = max((min(n.end_ticks, end) for n in inside), default=start)
    lines = _barlines(start, sounding_end, end, bar_ticks, pickup)
    if not is_last:  # where the metre changes inside a bar, that bar is cut
        lines[-1] = min(lines[-1], end)
    bars: list[Bar] = []
    at, place = start, 0
    for count, line in enumerate(lines):
        bar = Bar(number=str(number + count))
        while at < line:
            while place < len(inside) and inside[place].end_ticks <= at:
                place += 1
            note = inside[place] if place < len(inside) else None
            if note is None or note.onset_ticks >= line:
                bar.notes.append(AbcNote(None, line - at))
                at = line
            elif note.onset_ticks > at:
                bar.notes.append(AbcNote(None, note.onset_ticks - at))
                at = note.onset_ticks
            else:
                cut = min(note.end_ticks, line)
                bar.notes.append(AbcNote(note.midi, cut - at, tied=note.end_ticks > cut))
                at = cut
        bars.append(bar)
    return bars


def _within_barlines(
    note: MidiNote, starts: tuple[Fraction, ...], end: Fraction, bar_ticks: Fraction
) -> MidiNote:
    """The last note, without the little that it is held over the barline at the end.

    Args:
        note: the last one.
        starts: where bars may be counted from: the last one may lack what the pickup has.
        end: of the file; where it has a whole bar from that barline on, nothing is cut.
        bar_ticks: length of a bar.
    """
    over = min((note.end_ticks - start) % bar_ticks for start in starts)
    most = min(LEGATO_TICKS, (note.end_ticks - note.onset_ticks) / 2)
    if over > most or end >= note.end_ticks - over + bar_ticks:
        return note
    return MidiNote(note.onset_ticks, note.end_ticks - over, note.midi)


def _barlines(
    start: Fraction, sounding_end: Fraction, end: Fraction, bar_ticks: Fraction, pickup: Fraction
) -> list[Fraction]:
    """Ends of the bars of a stretch; the last one is shorter by the pickup where it has room.

    A stretch that ends on a barline may have bars of rest at its end.
    """
    first = start + pickup
    whole = (end - start) / bar_ticks
    if whole.denominator == 1 and whole and end - sounding_end <= MOST_SILENT_BARS * bar_ticks:
        count, last = int(whole), end
    else:
        count = max(0, ceil((sounding_end - first) / bar_ticks))
        last = first + count * bar_ticks
        if count and sounding_end <= last - pickup:
            last -= pickup
    lines = [first + number * bar_ticks for number in range(count)]
    return [*(lines if pickup else lines[1:]), last]


def _without_empty_ends(bars: list[Bar]) -> list[Bar]:
    """Without the bars of rest before the part begins and after it ends."""
    sounding = [
        place for place, bar in enumerate(bars) if any(n.midi is not None for n in bar.notes)
    ]
    return bars[sounding[0] : sounding[-1] + 1]
