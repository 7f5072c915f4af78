"""The files that a corpus is built from, and a fingerprint of all that it depends on.

Folders are read with all that is in them. Hidden files and folders are left out, and so are
folders that are symbolic links, which may lead anywhere. A file that is reached twice is read once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from music.corpora.corpus_file import CorpusError
from music.limits import ABC_BOOK_BYTES
from music.messages import shortened
from music.progress import Progress, no_progress
from music.readers.read import ENDINGS

MOST_FILES = 100_000
"""of one corpus"""
PATH_CHARACTERS = 120
"""of a path in a message"""
READING = (
    "readers/*.py",
    *("formats/abc.py", "formats/abc_key.py", "formats/abc_melody.py", "formats/abc_reader.py"),
    *("formats/abc_text.py", "formats/abc_tokens.py", "formats/midi.py", "formats/spelling.py"),
    *("melody.py", "metre.py", "durations.py", "limits.py", "key_choice.py", "descriptors/key.py"),
    *("note_table.py", "styles.py", "tempo.py", "tokens.py", "messages.py"),
    *("corpora/build.py", "corpora/build_options.py", "corpora/file_reading.py"),
    *("corpora/near_duplicates.py", "corpora/sides.py", "corpora/sources.py"),
    *("corpora/corpus_file.py", "corpora/data_card.py", "corpora/remark_tables.py"),
)
"""files of `music` whose code decides what becomes of a file of tunes, and what is told of it"""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read."""

    path: Path
    name: str
    """its path below the folder that was given, or its name; of several that were given, it begins
    with as much of the path given as tells them apart"""
    folder: str
    """the folder that its style may be named after; empty for none"""


def find_sources(given: Sequence[Path]) -> tuple[list[Source], int]:
    """The files in what was given that can be read, by name, and how many others there are.

    A file that was given itself is taken whatever its name ends in. Where one folder was given, a
    file's `folder` is the one inside it; where several were, it is the one that was given.

    Raises:
        CorpusError: for what is not there, for no files, and for more than `MOST_FILES`.
    """
    seen: set[tuple[int, int]] = set()
    sources: list[Source] = []
    others = 0
    places = list(dict.fromkeys(path.resolve() for path in given))
    for path in given:
        if not path.exists():
            shown = shortened(str(path), PATH_CHARACTERS)
            raise CorpusError(f"{shown} is not there; give a folder or file of tunes")
        found, left_out = _below(path, seen)
        others += left_out
        for file in found:
            inside = file.relative_to(path)  # "." for a file that was given
            top = inside.parts[0] if len(inside.parts) > 1 else ""
            folder = path.resolve().name if len(places) > 1 and path.is_dir() else top
            is_alone = len(places) == 1 and path.is_dir()
            name = inside if is_alone else _told_apart(path.resolve(), places) / inside
            sources.append(Source(file, str(name), folder))
        if len(sources) > MOST_FILES:
            raise CorpusError(f"there are more than {MOST_FILES} files; give a part of them")
    if not sources:
        shown = ", ".join(shortened(str(path), PATH_CHARACTERS) for path in given)
        raise CorpusError(
            f"there are no files of tunes in {shown} (other files: {others}); give a folder with "
            f"files that end in {', '.join(ENDINGS)}"
        )
    return sources, others


def _told_apart(path: Path, places: Sequence[Path]) -> Path:
    """The end of a path that no other of these places has: its name, if no other is called so."""
    parts = path.parts
    for count in range(1, len(parts)):
        end = parts[-count:]
        if sum(place.parts[-count:] == end for place in places) == 1:
            return Path(*end)
    return path


def _below(given: Path, seen: set[tuple[int, int]]) -> tuple[list[Path], int]:
    """The files to read in a folder, by name, and the number of others; itself if it is a file."""
    found: list[Path] = []
    others = 0
    waiting = [given]
    while waiting:
        path = waiting.pop()
        try:
            status = path.stat()  # of what a link leads to
            inside = sorted(path.iterdir(), reverse=True) if path.is_dir() else []
        except OSError:
            if path == given:
                raise
            others += 1  # a link that leads nowhere, or a folder that may not be opened
            continue
        key = (status.st_dev, status.st_ino)
        if key in seen:
            continue
        seen.add(key)
        visible = [one for one in inside if not one.name.startswith(".")]
        linked = [one for one in visible if one.is_symlink() and one.is_dir()]
        others += len(linked)
        waiting += [one for one in visible if one not in linked]
        if path.is_dir():
            continue
        if path.is_file() and (path == given or path.suffix.lower() in ENDINGS):
            found.append(path)
            if len(found) > MOST_FILES:
                break
        else:
            others += 1
    return found, others


def fingerprint(
    sources: Sequence[Source],
    options: Mapping[str, object],
    *,
    progress: Progress = no_progress,
) -> str:
    """Hash of all that a corpus depends on: files, options, and the code that reads them.

    A file is known by its name, size and content; one that is too large to be read, by its name
    and size. `progress` is told how many files are looked at.
    """
    digest = hashlib.sha256(json.dumps([dict(options), reading_version()]).encode())
    for place, source in enumerate(sources):
        progress(place, len(sources))
        try:
            size = source.path.stat().st_size
            content = b""
            if size <= ABC_BOOK_BYTES:
                with source.path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:  # it is refused when it is read
            size, content = -1, str(error.errno).encode()
        known = json.dumps([source.name, source.folder, size, content.hex()])
        digest.update(known.encode())
    return digest.hexdigest()[:32]


def reading_version() -> str:
    """Hash of our code that reads tunes, so that a corpus is built anew when it has changed."""
    digest = hashlib.sha256()
    for file in reading_files():
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def reading_files() -> list[Path]:
    """The files of `READING`."""
    music = Path(__file__).parents[1]
    return sorted(file for pattern in READING for file in music.glob(pattern))
