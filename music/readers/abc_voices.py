"""Taking one voice out of an ABC tune that has several, as a tune of its own.

A line that begins with `V:NAME` or `[V:NAME]` begins what belongs to that voice; what stands in the
body before the first such line belongs to all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from music.formats.abc import AbcError, AbcTune
from music.formats.abc_reader import read_tune
from music.formats.abc_tokens import FIELD
from music.limits import TUNE_CHARACTERS
from music.readers.part_names import MELODY_NAMES
from music.readers.tune import ReadError

MOST_VOICES = 32
_VOICE = re.compile(r"\s*(?:V:\s*([^\s\]]+)(.*)|\[V:\s*([^\s\]]+)([^\]]*)\](.*))", re.DOTALL)
_INLINE = re.compile(r"(?=\[V:)")
_NAME = re.compile(r"""\b(?:name|nm)\s*=\s*(?:"([^"]*)"|(\S+))""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ChosenVoice:
    """One voice of a tune."""

    read: AbcTune
    detail: str
    """which one it is, for a notice"""
    symbols_of_others: int = 0
    """notes of the other voices, which were read as well"""


def chosen_voice(text: str, wanted: str | None) -> ChosenVoice | None:
    """The voice of the melody of a tune; None for a tune that has no more than one.

    It is the one that `wanted` names, else the first that is called as a melody is, else, of those
    with at least half as many notes as the busiest, the one whose notes are highest on average.

    Raises:
        ReadError: when no voice has the name, or there are more than `MOST_VOICES`.
        AbcError: when the voice that was named, or every voice, cannot be read.
    """
    if len(text) > TUNE_CHARACTERS or text.count("V:") < 2:
        return None
    voices = _voices(text)
    if len(voices) < 2:
        return None
    if len(voices) > MOST_VOICES:
        detail = f"the tune has {len(voices)} voices, and {MOST_VOICES} is the most; take one out"
        raise ReadError("several voices", detail)
    labels = list(voices)
    titles = [_title(text, label) for label in labels]
    if wanted is not None:
        names = zip(labels, titles, map(str, range(1, len(labels) + 1)), strict=True)
        for place, alike in enumerate(names):
            if wanted.lower() in map(str.lower, alike):
                return _chosen(read_tune(voices[labels[place]]), titles, place, "named")
        detail = f"part={wanted[:40]!r} is none of the voices {titles[:20]}; name one"
        raise ReadError("no such part", detail)
    read: dict[int, AbcTune] = {}
    pitches: dict[int, list[int]] = {}
    first_error: AbcError | None = None
    for place, label in enumerate(labels):
        try:
            tune = read_tune(voices[label])
        except AbcError as error:
            first_error = first_error or error
            continue
        found = [n.midi for bar in tune.bars for n in bar.notes if n.midi is not None]
        if found:
            read[place], pitches[place] = tune, found
    if not read:
        raise first_error or ReadError("no notes", "no voice of the tune has notes; write some")
    named = next((place for place in read if MELODY_NAMES.search(titles[place])), None)
    if named is None:
        most = max(map(len, pitches.values()))
        busy = [place for place, found in pitches.items() if 2 * len(found) >= most]
        named = max(busy, key=lambda place: sum(pitches[place]) / len(pitches[place]))
    others = sum(map(len, pitches.values())) - len(pitches[named])
    why = "of the melody, by the rule of docs/reading.md"
    return replace(_chosen(read[named], titles, named, why), symbols_of_others=others)


def _chosen(tune: AbcTune, titles: list[str], place: int, why: str) -> ChosenVoice:
    return ChosenVoice(
        tune, f"voice {place + 1} of {len(titles)}, {titles[place]!r}, is taken ({why})"
    )


def _voices(text: str) -> dict[str, str]:
    """Each voice that has a line in the body -> the tune with that voice alone."""
    header: list[str] = []
    body: list[tuple[str | None, str]] = []
    current: str | None = None
    in_body = music = False
    for line in text.splitlines():
        if music and not line.strip():
            break  # an empty line ends a tune
        field = FIELD.match(line)
        if not in_body:
            header.append(line)
            in_body = field is not None and field[1] == "K"
            continue
        for part in [line] if field else _INLINE.split(line):
            voice = _VOICE.match(part)
            if voice is not None:
                current = (voice[1] or voice[3])[:40]
            body.append((current, part))
        music |= field is None and bool(line.strip()) and not line.startswith("%")
    names = dict.fromkeys(name for name, _ in body if name is not None)
    found: dict[str, str] = {}
    for name in names if len(names) <= MOST_VOICES else ():
        lines = [line for line in header if (one := _VOICE.match(line)) is None or one[1] == name]
        lines += [part for owner, part in body if owner in (None, name) and part.strip()]
        found[name] = "\n".join(lines)
    return found or dict.fromkeys(names, "")


def _title(text: str, label: str) -> str:
    """The name that a `V:` field gives a voice, else its label."""
    for line in text.splitlines():
        voice = _VOICE.match(line)
        if voice is not None and (voice[1] or voice[3]) == label:
            name = _NAME.search(voice[2] or voice[4] or "")
            if name is not None:
                return (name[1] or name[2])[:60]
    return label
