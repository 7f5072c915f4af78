"""XML of unknown origin, plain or in a zip file (.mxl), within limits.

Documents that declare entities are refused, so nothing is expanded and nothing is fetched. The
size is checked before a document is unpacked, and the elements are counted while it is parsed.
"""

from __future__ import annotations

import codecs
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

from music.limits import (
    MUSICXML_BYTES,
    XML_DEPTH,
    XML_ELEMENTS,
    ZIP_MEMBERS,
    read_bytes,
    size_in_words,
)
from music.readers.file_kinds import kind_remedy
from music.readers.tune import ReadError

PIECE_BYTES = 2**16
CONTAINER = "META-INF/container.xml"


def read_document(path: Path) -> ElementTree.Element:
    """The root of the document in a file; of a zip file the one that its container names.

    Raises:
        ReadError: for a document that is damaged or over the limits.
        LimitError, OSError: for a file that is too large, or cannot be read.
    """
    content = read_bytes(path, MUSICXML_BYTES, remedy="export a shorter passage")
    if content.startswith(b"PK"):
        content = _unpacked(content)
    return parse(content)


def parse(content: bytes) -> ElementTree.Element:
    """Bytes of a document -> its root.

    Raises:
        ReadError: for a document that is no XML, declares entities or is over the limits.
    """
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    looked_at = content.decode("utf-16", "replace").encode() if utf16 else content
    if b"<!ENTITY" in looked_at:
        raise ReadError("damaged", "the document declares entities, which no score needs; refused")
    parser = ElementTree.XMLPullParser(("start", "end"))
    root: ElementTree.Element | None = None
    elements = depth = 0
    try:
        for start in range(0, len(content), PIECE_BYTES):
            parser.feed(content[start : start + PIECE_BYTES])
            events = cast("Iterator[tuple[str, ElementTree.Element]]", parser.read_events())
            for event, element in events:
                root = element if root is None else root
                depth += 1 if event == "start" else -1
                elements += event == "start"
                if elements > XML_ELEMENTS or depth > XML_DEPTH:
                    raise ReadError(
                        "too large",
                        f"the document has more than {XML_ELEMENTS:,} elements, or more than "
                        f"{XML_DEPTH} in one another; export a shorter passage",
                    )
        parser.close()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        if isinstance(error, ReadError):
            raise
        remedy = kind_remedy(content, ".musicxml")
        raise ReadError("damaged", f"it is no XML{_place(error)}; {remedy}") from error
    if root is None:
        raise ReadError("damaged", "the document is empty; export it anew")
    return root


def _place(error: Exception) -> str:
    """From where on a document is damaged, where that is known."""
    if not isinstance(error, ElementTree.ParseError):
        return ""
    line, column = error.position
    return f" from line {line}, column {column + 1} on"


def _unpacked(content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            names = packed.namelist()
            if len(names) > ZIP_MEMBERS:
                raise ReadError(
                    "too large", f"the zip file has {len(names)} files; a score has a few"
                )
            name = None
            if CONTAINER in names:
                files = parse(_member(packed, CONTAINER)).iter("{*}rootfile")
                name = next((file.get("full-path") for file in files), None)
            if name not in names:
                scores = (".xml", ".musicxml")
                inside = [n for n in names if n.endswith(scores) and not n.startswith("META-INF")]
                name = inside[0] if inside else None
            if name is None:
                raise ReadError("damaged", "the zip file holds no score; export it anew")
            return _member(packed, name)
    except ReadError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError,
        OSError, ValueError, LookupError,
    ) as error:  # fmt: skip
        raise ReadError("damaged", "it is no readable zip file; export it anew") from error


def _member(packed: zipfile.ZipFile, name: str) -> bytes:
    if packed.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ReadError("damaged", "the zip file is not packed as scores are; export it anew")
    with packed.open(name) as member:  # what its header says of its size may be wrong
        content = member.read(MUSICXML_BYTES + 1)
    if len(content) > MUSICXML_BYTES:
        raise ReadError(
            "too large",
            f"the score unpacks to more than {size_in_words(MUSICXML_BYTES)}; export a shorter "
            "passage",
        )
    return content
