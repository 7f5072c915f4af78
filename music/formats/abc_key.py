"""Fields of ABC that decide which pitch a letter has: `K:`, `V:`, and directives.

A key is a tonic, a mode and the accidentals in force. Clefs that transpose, `octave=` and
`transpose=` are applied. What else would change pitches is refused, so that no note is read wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from music.formats.abc import AbcError
from music.formats.spelling import LETTER_FIFTHS, LETTER_MIDI, MAX_SIGNATURE, signature

FIFTHS_OF_MODE = {
    "": 0, "maj": 0, "ion": 0, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3,
    "phr": -4, "loc": -5, "lyd": 1,
}  # fmt: skip
NO_KEY = "none"
"""the mode of `K:none` and of an empty `K:`, which name neither a tonic nor a signature"""
PIPES = ("HP", "Hp")
"""the highland pipes: A mixolydian, whether its sharps are printed or not"""
ACCIDENTAL = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
"""semitones of each sign"""
OCTAVE_SEMITONES = {None: 0, "8": 12, "15": 24}
PROPERTIES = (
    "clef|middle|octave|transpose|stafflines|staffscale|staffsep|stem|style|name|nm|subname|sname|"
    "snm|score|sound|shift|instrument|merge|cue|gchord|lyrics|map"
)
CHANGE_PITCH = ("score", "sound", "shift", "instrument", "map")
"""properties that are refused"""
DIRECTIVES_THAT_CHANGE_PITCH = (
    "transpose", "soundtranspose", "propagate-accidentals", "map", "voicemap", "percmap",
    "abc-include", "midi transpose", "midi rtranspose", "midi drummap",
)  # fmt: skip

_TONIC = re.compile(r"\s*([A-G])\s*(#|b(?!ass|ari)|)")  # not the b of a clef, bass or baritone
_PROPERTY = re.compile(
    rf"""\b({PROPERTIES}|[tm](?==))\s*=\s*("[^"]*"|[^\s"]+)""", re.VERBOSE | re.IGNORECASE
)
_CLEF = re.compile(
    r"(?:treble|alto|tenor|bass|soprano|mezzosoprano|baritone|none|perc|[GCFP])\d?([+-](8|15))?",
    re.IGNORECASE,
)
_ACCIDENTALS = re.compile(r"(?:(?:\^\^?|__?|=)[A-Ga-g])+")
_DIRECTIVE = re.compile(r"\s*(midi\s+[a-z]+|[a-z0-9-]+)\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AbcKey:
    """What a `K:` field says of pitches."""

    tonic_class: int
    """pitch class of the tonic as written, C = 0"""
    mode: str
    """three lower-case letters, 'm', '', or `NO_KEY`"""
    altered: dict[str, int]
    """semitones of each letter that is altered, or made natural"""


def read_key(text: str) -> AbcKey:
    """Read a `K:` field such as `D`, `Ador`, `F#m`, `D =c` `D exp _b ^f clef=treble` or `none`.

    Raises:
        AbcError: when the field names no key, or something that is not known here.
    """
    shown = f"K:{text.strip()[:40]}"
    plain = _PROPERTY.sub(" ", text)
    first = (plain.split() or [NO_KEY])[0]
    if first in PIPES:
        plain = plain.replace(first, "Amix", 1)
    no_key = first.lower() == NO_KEY
    if no_key:
        plain = "C" + plain.strip()[len(NO_KEY) :]
    match = _TONIC.match(plain)
    if match is None:
        raise AbcError(f"{shown} names no key; write for example K:D or K:Ador")
    letter, accidental = match.groups()
    mode, explicit, changes = NO_KEY if no_key else "", no_key, {}
    for place, word in enumerate(re.findall(r"[\^_=]\S*|[^\s^_=]+", plain[match.end() :])):
        if word.lower() == "exp":
            explicit = True
        elif _ACCIDENTALS.fullmatch(word):
            for sign, changed in re.findall(r"(\^\^?|__?|=)([A-Ga-g])", word):
                changes[changed.upper()] = ACCIDENTAL[sign]
        elif place == 0 and word.lower()[:3] in FIFTHS_OF_MODE:
            mode = word.lower()[:3]
        elif not _CLEF.fullmatch(word):
            known = [name for name in FIFTHS_OF_MODE if name]
            raise AbcError(
                f"{shown} has an unknown mode {word[:20]!r}; known: {known}, then accidentals "
                "such as ^f or =c, and a clef"
            )
    shift = {"#": 1, "b": -1, "": 0}[accidental]
    fifths = LETTER_FIFTHS[letter] + 7 * shift + FIFTHS_OF_MODE.get(mode, 0)
    if abs(fifths) > MAX_SIGNATURE and not explicit:
        raise AbcError(
            f"{shown} has {abs(fifths)} accidentals; at most {MAX_SIGNATURE} can be "
            "written, so name the key by its other spelling"
        )
    altered = ({} if explicit else signature(fifths)) | changes
    return AbcKey((LETTER_MIDI[letter] + shift) % 12, mode, altered)


def in_mode(key: AbcKey, mode: str) -> AbcKey:
    """The key of another mode that has the same signature.

    Args:
        key: a key.
        mode: one of `FIFTHS_OF_MODE`.

    Raises:
        AbcError: for a mode that is not known.
    """
    if mode not in FIFTHS_OF_MODE:
        raise AbcError(f"mode {mode[:20]!r} is not known; write one of {list(FIFTHS_OF_MODE)[1:]}")
    if key.mode == NO_KEY:
        return key
    tonic = key.tonic_class + 7 * (FIFTHS_OF_MODE[key.mode] - FIFTHS_OF_MODE[mode])
    return AbcKey(tonic % 12, mode, key.altered)


def read_shifts(name: str, text: str) -> dict[str, int]:
    """Semitones that a `K:` or `V:` field moves all notes by, for each property that it has.

    Raises:
        AbcError: for a property that changes pitches in a way that is not read here.
    """
    shown = f"{name}:{text.strip()[:40]}"
    words = _PROPERTY.sub(" ", text).split()
    clefs = words[1:] if name == "V" or _TONIC.match(text) else words
    shifts = {}
    for prop, quoted in _PROPERTY.findall(text):
        kind, value = prop.lower(), quoted.strip('"')
        if kind == "clef":
            if not _CLEF.fullmatch(value):
                raise AbcError(f"{shown}: the clef {value[:20]!r} is not known; write clef=treble")
            clefs.append(value)
        elif kind in ("octave", "transpose", "t"):
            if not re.fullmatch(r"[+-]?\d{1,2}", value):
                raise AbcError(f"{shown}: {kind}={value[:20]} is no small whole number; change it")
            shifts["octave" if kind == "octave" else "transpose"] = int(value) * (
                12 if kind == "octave" else 1
            )
        elif kind in CHANGE_PITCH:
            raise AbcError(
                f"{shown}: {kind}= changes the pitches and is not read here; take it out, and "
                "write the notes as they sound"
            )
    for clef in filter(None, map(_CLEF.fullmatch, clefs)):
        if clef[0].lower().startswith("p"):
            raise AbcError(f"{shown}: notes on a percussion clef have no pitch; give a melody")
        shifts["clef"] = OCTAVE_SEMITONES[clef[2]] * (-1 if clef[1] and clef[1][0] == "-" else 1)
    return shifts


def check_directive(text: str) -> None:
    """Refuse a directive (`%%…` or `I:…`) that changes pitches; all others only change the looks.

    Raises:
        AbcError: with the directive and the remedy.
    """
    match = _DIRECTIVE.match(text)
    if match is None:
        return
    name, value = " ".join(match[1].lower().split()), match[2].strip().lower()
    as_read = (name, value) in (("propagate-accidentals", "pitch"), ("midi transpose", "0"))
    if name in DIRECTIVES_THAT_CHANGE_PITCH and not as_read:
        raise AbcError(
            f"the directive {' '.join(text.split())[:40]!r} changes the pitches and is not read "
            "here; take it out, and write the notes as they sound"
        )
