"""The text of an error, as a person is shown it: one line, with long values cut, all of it printed.

A message quotes what somebody gave, tells the rule and ends with what to do. Whatever was given may
be a thousand characters long; what to do must not be lost behind it. It may also hold signs that a
terminal or a page acts on, such as one that clears the screen, or half of a character.
"""

from __future__ import annotations

import re

MOST_VALUE_CHARACTERS = 200
"""of one value that a message quotes; paths in the commands that it names are shorter"""
MOST_CHARACTERS = 600
"""of a whole message: of a longer one the start and the end are kept"""
EXCERPT_CHARACTERS = 40
"""of a value or a text of which a message shows the beginning"""
_END_SHARE = 0.6  # the rule and what to do stand at the end
_QUOTED = re.compile(rf"""(['"])((?:(?!\1).){{{MOST_VALUE_CHARACTERS + 1},}})\1""")
_UNBROKEN = re.compile(rf"\S{{{MOST_VALUE_CHARACTERS + 1},}}")


def one_line(error: object) -> str:
    """The text of an error in one line, its long values cut."""
    return shorten(" ".join(str(error).split()))


def shorten(message: str) -> str:
    r"""A message with its long values cut; signs that are not printed are written as `\x1b`.

    Of more than `MOST_VALUE_CHARACTERS` in quotes, or without a space, the start and the last
    characters are kept. Of what is still longer than `MOST_CHARACTERS`, the middle is left out.
    """
    message = _printed(message)
    message = _QUOTED.sub(lambda found: f"{found[1]}{_cut(found[2])}{found[1]}", message)
    message = _UNBROKEN.sub(lambda found: _cut(found[0]), message)
    if len(message) <= MOST_CHARACTERS:
        return message
    end = int(_END_SHARE * MOST_CHARACTERS)
    return f"{message[: MOST_CHARACTERS - end]} … {message[-end:]}"


def shortened(value: object, width: int = EXCERPT_CHARACTERS) -> str:
    """A value for a message: as Python writes it, in one line of at most `width` characters."""
    if isinstance(value, str):
        value = value[:width]  # a longer one is cut below, by its quotes
    if isinstance(value, dict | list | tuple):  # a nested one could take long to write
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return excerpt(repr(value), width)


def excerpt(text: str, width: int = EXCERPT_CHARACTERS) -> str:
    """A text for a message: in one line of at most `width` characters."""
    text = " ".join(text[: 4 * width].split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _printed(message: str) -> str:
    if message.isprintable():
        return message
    return "".join(
        sign if sign.isprintable() or sign == "\u00a0" else sign.encode("unicode_escape").decode()
        for sign in message
    )


def _cut(value: str) -> str:
    end = MOST_VALUE_CHARACTERS // 4
    return f"{value[: MOST_VALUE_CHARACTERS - end]}…{value[-end:]}"
