"""Tokens of ABC: what a line of music consists of, and its lengths."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from music.formats.abc import AbcError

MAX_LENGTH_DIGITS = 4
MOST_PARTS_OF_A_TICK = 96
"""a note may begin and end this finely; it bounds the fractions that lengths add up to"""

# Each character is looked at a bounded number of times: of a run of colons, one token is made.
# 'G:|' at the start of a line is a note before a repeat: no field begins with a barline.
FIELD = re.compile(r"^([A-Za-z+]):(?![|:])(.*)$")
TOKEN = re.compile(
    r"""(?P<words>"[^"\n]*")
      | (?P<inline>\[[A-Za-z]:[^\]\n]*\])
      | (?P<bar>\[\||\|+[\]:|]*|:\|+[\]:|]*|::++(?:\|+[\]:|]*)?)
      | (?P<ending>\[?[1-9](?:[,.\-][1-9])*)
      | (?P<decoration>![^!\n|]*!|\+[A-Za-z0-9.()<>]+\+|\{[^}\n]*\})
      | (?P<chord>\[(?P<inside>[^\]|:\n]{0,200})\](?P<chord_length>[0-9]*(?:/+[0-9]*)?))
      | (?P<tuplet>\([2-9](?::(?:[1-9][0-9]?)?){0,2})
      | (?P<bar_rest>[ZX](?P<bars>[0-9]*))
      | (?P<note>(?P<accidental>\^\^?|__?|=)?(?P<letter>[A-Ga-gzx])(?P<octave>[,']*)
            (?P<length>[0-9]*(?:/+[0-9]*)?))
      | (?P<tie>-)
      | (?P<broken>>{1,3}|<{1,3})
      | (?P<skip>y[0-9]*|[\s\\`~.H-WYh-w()$*!:\]])""",
    re.VERBOSE,
)
METER_ALIASES = {"C": "4/4", "C|": "2/2"}
_SUM = re.compile(r"\(?([0-9]{1,3}(?:\+[0-9]{1,3}){1,9})\)?/([0-9]{1,3})")
_RATIO = re.compile(r"([0-9]{1,4})(?:/([0-9]{1,4}))?$")


@lru_cache(maxsize=256)
def read_length(text: str) -> Fraction:
    """A note-length multiplier: '' is 1, '3/2' is 3/2, '/' is 1/2, '//' is 1/4.

    Raises:
        AbcError: for a length of zero, or with more digits than a note needs.
    """
    if any(len(digits) > MAX_LENGTH_DIGITS for digits in re.findall("[0-9]+|/+", text)):
        raise AbcError(f"note length {text[:20]!r} is too long; write for example 3/2")
    whole, slash, rest = text.partition("/")
    value = Fraction(int(whole) if whole else 1)
    if slash:
        below = rest.lstrip("/")
        if below == "0" * len(below) and below:
            raise AbcError(f"note length {text!r} divides by zero; write for example 3/2")
        value /= int(below) if below else 2 ** (1 + len(rest))
    if value == 0:
        raise AbcError(f"note length {text!r} is zero; write for example 3/2")
    return value


def check_length(duration_ticks: Fraction) -> None:
    """Refuse a length that no notation has.

    Raises:
        AbcError: for a length with more than `MOST_PARTS_OF_A_TICK` parts a tick.
    """
    if duration_ticks.denominator > MOST_PARTS_OF_A_TICK:
        raise AbcError(
            f"a length of {duration_ticks} ticks, 24 a quarter, is divided too finely (a tick into "
            f"{MOST_PARTS_OF_A_TICK} parts at most); write a longer note, or a simpler fraction"
        )


def read_ratio(text: str, field_name: str) -> Fraction:
    """A positive ratio such as '1/8' in a field.

    Raises:
        AbcError: for anything else.
    """
    match = _RATIO.match("".join(text.split()))
    if match is None or not int(match[1]) or not int(match[2] or 1):
        raise AbcError(
            f"{field_name}:{text[:20]} is not a ratio; write for example {field_name}:1/8"
        )
    return Fraction(int(match[1]), int(match[2] or 1))


def read_meter(text: str) -> str:
    """The metre of an `M:` field such as '6/8'; the parts of one such as '(3+2+2)/8' are added."""
    meter = "".join(text.split())
    parts = _SUM.fullmatch(meter)
    if parts is not None:
        return f"{sum(map(int, parts[1].split('+')))}/{parts[2]}"
    return METER_ALIASES.get(meter, meter)
