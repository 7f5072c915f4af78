"""The chunks of a SoundFont 2: whether each ends inside the file.

The renderer takes the sizes in a font at their word and asks for that much memory. For a damaged
font that can be gigabytes, and the process ends when it does not get them.
"""

from __future__ import annotations

import struct

LISTS = (b"RIFF", b"LIST")
"""chunks that hold chunks, after four letters that say of which kind"""


def chunk_beyond_end(content: bytes) -> str | None:
    """The first chunk that is said to be larger than what is left of the file; None if none is."""
    at = 0
    while at + 8 <= len(content):
        name, size_bytes = struct.unpack_from("<4sI", content, at)
        if at + 8 + size_bytes > len(content):
            left_bytes = len(content) - at - 8
            return (
                f"the chunk {name!r} is said to have {size_bytes} bytes, and {left_bytes} are left"
            )
        at += 12 if name in LISTS else 8 + size_bytes + size_bytes % 2
    return None
