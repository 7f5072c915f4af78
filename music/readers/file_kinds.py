"""What a file is that does not hold what the ending of its name says."""

from __future__ import annotations

import re

LOOKED_AT_BYTES = 4000
_ABC_FIELD = re.compile(rb"^[XMK]:", re.MULTILINE)


def kind_remedy(content: bytes, ending: str) -> str:
    """What to do with a file that could not be read, by what it looks like.

    Args:
        content: of the file.
        ending: of its name, such as '.mid'; a file that looks as it says is to be exported anew.
    """
    start = content[:LOOKED_AT_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return "the file is empty: export it anew"
    kinds = (
        (start.startswith(b"MThd"), "MIDI", ".mid"),
        (start.startswith(b"<"), "MusicXML", ".musicxml"),
        (start.startswith(b"PK\x03\x04"), "a packed score", ".mxl"),
        (_ABC_FIELD.search(start) is not None, "ABC", ".abc"),
    )
    for alike, kind, name in kinds:
        if alike and name != ending:
            return f"the file looks like {kind}: let its name end in {name}"
    if start.startswith(b"RIFF"):
        return "the file is a RIFF, sound or packed MIDI: export it as a .mid"
    return "export it anew"
