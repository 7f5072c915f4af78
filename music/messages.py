"""The text of an error, as a person is shown it: one line, with long values cut.

A message quotes what somebody gave, tells the rule and ends with what to do. Whatever was given may
be a thousand characters long; what to do must not be lost behind it.
"""

from __future__ import annotations

import re

MOST_VALUE_CHARACTERS = 200
"""of one value that a message quotes; paths in the commands that it names are shorter"""
MOST_CHARACTERS = 600
"""of a whole message: of a longer one the start and the end are kept"""
_END_SHARE = 0.6  # the rule and what to do stand at the end
_QUOTED = re.compile(rf"""(['"])((?:(?!\1).){{{MOST_VALUE_CHARACTERS + 1},}})\1""")
_UNBROKEN = re.compile(rf"\S{{{MOST_VALUE_CHARACTERS + 1},}}")


def one_line(error: object) -> str:
    """The text of an error in one line, its long values cut."""
    return shorten(" ".join(str(error).split()))


def shorten(message: str) -> str:
    """A message with its long values cut.

    Of more than `MOST_VALUE_CHARACTERS` in quotes, or without a space, the start and the last
    characters are kept. Of what is still longer than `MOST_CHARACTERS`, the middle is left out.
    """
    message = _QUOTED.sub(lambda found: f"{found[1]}{_cut(found[2])}{found[1]}", message)
    message = _UNBROKEN.sub(lambda found: _cut(found[0]), message)
    if len(message) <= MOST_CHARACTERS:
        return message
    end = int(_END_SHARE * MOST_CHARACTERS)
    return f"{message[: MOST_CHARACTERS - end]} … {message[-end:]}"


def _cut(value: str) -> str:
    end = MOST_VALUE_CHARACTERS // 4
    return f"{value[: MOST_VALUE_CHARACTERS - end]}…{value[-end:]}"
