"""The files that were uploaded for a corpus: `checkpoints/corpora/uploads/NAME/`.

`files/` has the files under names of ours, such as `0001-the-kesh.abc`: the name that a browser
sends is text, and never a part of a path. `about.json` has that text, and what else was entered.
What a file holds is not looked at here; `tastemaker corpus build` reads it in a process of its own.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from music.disk import os_error_line
from music.files import whole_files, whole_folder
from music.json_text import JsonError, read_json, write_json
from music.limits import ABC_BOOK_BYTES, MIB, MIDI_BYTES, MUSICXML_BYTES, size_in_words
from music.messages import shortened
from music.readers.read import ABC_ENDINGS, ENDINGS, MIDI_ENDINGS, MUSICXML_ENDINGS

LIMIT_BYTES = {
    **dict.fromkeys(ABC_ENDINGS, ABC_BOOK_BYTES),
    **dict.fromkeys(MIDI_ENDINGS, MIDI_BYTES),
    **dict.fromkeys(MUSICXML_ENDINGS, MUSICXML_BYTES),
}
"""of one file, by the ending of its name; the readers' own limits"""
MOST_FILES = 5000
MOST_BYTES = 256 * MIB
"""of one corpus"""
SHOWN_NAME = 80
"""characters of a name as it was given"""
_OWN_NAME = re.compile(r"[0-9]{4}-[a-z0-9-]{1,40}\.[a-z]{2,8}")
_LONGEST_STEM = 40


class UploadError(ValueError):
    """Files that cannot be kept, in one line with the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as a browser sent it."""

    name: str
    """any text"""
    content: bytes


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a corpus on the disk."""

    stored: str
    """its name on the disk"""
    name: str
    """what it was called when it was uploaded; any text"""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class About:
    """What was entered for a corpus."""

    licence: str = ""
    style: str = ""
    """label of all tunes; that of the corpus without it"""
    styles_of_tunes: bool = False
    """whether each tune has the style that its own file names instead"""


@contextmanager
def disk_errors_told() -> Iterator[None]:
    """Raise what goes wrong with the disk as an `UploadError` in one line."""
    try:
        yield
    except OSError as error:
        raise UploadError(os_error_line(error)) from error


def refusal_of(upload: Upload) -> str | None:
    """Why a file cannot be kept, without its name; None if it can."""
    ending = _ending(upload.name)
    if ending not in ENDINGS:
        called = f"a file that ends in {ending[:20]!r}" if ending else "a file without an ending"
        return f"{called} is not read; give ABC, MIDI or MusicXML ({', '.join(ENDINGS)})"
    if not upload.content:
        return "it is empty; save it again and upload it"
    limit = LIMIT_BYTES[ending]
    if len(upload.content) > limit:
        return (
            f"it is larger than {size_in_words(limit)}, the most for {ending}; split it into "
            "several files"
        )
    return None


def keep_files(
    folder: Path, uploads: Sequence[Upload], about: About, *, least: int = 1
) -> list[tuple[str, str]]:
    """Keep files for a new corpus, all of them or, on an error, none.

    Args:
        folder: of the corpus, which must not be there yet.
        uploads: the files.
        about: what else was entered.
        least: so many of them must be of a kind that can be kept.

    Returns:
        The files that were left out: name as given, and reason.

    Raises:
        UploadError: when fewer than `least` can be kept, they are too many or too large in all, or
            cannot be written.
    """
    if folder.exists():
        raise UploadError(
            f"there are files of a corpus {folder.name!r} already; remove them, or choose another "
            "name"
        )
    kept, refused = _sorted_out(uploads, least)
    _check_sum(kept, [])
    with disk_errors_told(), whole_folder(folder) as draft:
        (draft / "files").mkdir()
        names = _write(draft / "files", kept, first=1)
        _write_about(draft / "about.json", about, names)
    return refused


def add_files(folder: Path, uploads: Sequence[Upload]) -> list[tuple[str, str]]:
    """Keep more files for a corpus; returns and raises the same as `keep_files`."""
    kept, refused = _sorted_out(uploads, 1)
    there = kept_files(folder)
    _check_sum(kept, there)
    first = 1 + max((int(file.stored[:4]) for file in there), default=0)
    known = {file.stored: file.name for file in there}
    with disk_errors_told():
        with whole_files(folder / "files") as draft:
            names = _write(draft, kept, first=first)
        _write_about(folder / "about.json", about_files(folder), {**known, **names})
    return refused


def kept_files(folder: Path) -> list[KeptFile]:
    """The files of a corpus, in the order in which they came; only those with a name of ours."""
    names = _about(folder).get("names", {})
    names = names if isinstance(names, dict) else {}
    found = []
    for path in sorted((folder / "files").glob("*")):
        if not _OWN_NAME.fullmatch(path.name) or path.is_symlink():
            continue
        name = names.get(path.name)
        shown = name[:SHOWN_NAME] if isinstance(name, str) else path.name
        with suppress(FileNotFoundError):  # it is removed at this moment
            found.append(KeptFile(path.name, shown, path.stat().st_size))
    return found


def about_files(folder: Path) -> About:
    """What was entered for a corpus; empty where that is not known."""
    fields = _about(folder)
    licence, style = (str(fields.get(name, "")) for name in ("licence", "style"))
    return About(licence, style, fields.get("styles_of_tunes") is True)


def remove_files(folder: Path, stored: Sequence[str] | None = None) -> int:
    """Remove some files of a corpus, or all with what was entered; how many were removed.

    Raises:
        UploadError: when the disk does not let them go.
    """
    there = {file.stored for file in kept_files(folder)}
    with disk_errors_told():
        if stored is None:
            shutil.rmtree(folder)
            return len(there)
        wanted = [name for name in stored if name in there]
        for name in wanted:
            (folder / "files" / name).unlink(missing_ok=True)
        return len(wanted)


def with_given_names(line: str, files: Sequence[KeptFile]) -> str:
    """A line about files, with the names that they were given instead of those on the disk."""
    given = {file.stored: file.name for file in files}
    return re.sub(
        _OWN_NAME.pattern, lambda found: given.get(found[0], found[0]), _without_folders(line)
    )


def _without_folders(line: str) -> str:
    return re.sub(rf"[^\s'\"]*/(?={_OWN_NAME.pattern})", "", line)


def _sorted_out(
    uploads: Sequence[Upload], least: int
) -> tuple[list[Upload], list[tuple[str, str]]]:
    kept, refused = [], []
    for upload in uploads:
        why = refusal_of(upload)
        if why is None:
            kept.append(upload)
        else:
            refused.append((upload.name[:SHOWN_NAME], why))
    if len(kept) < least:
        if not refused:
            raise UploadError(f"there is no file; choose files that end in {', '.join(ENDINGS)}")
        name, why = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise UploadError(f"no file can be kept. {shortened(name)}{more}: {why}")
    return kept, refused


def _check_sum(kept: Sequence[Upload], there: Sequence[KeptFile]) -> None:
    count = len(kept) + len(there)
    if count > MOST_FILES:
        raise UploadError(
            f"{count} files are too many; a corpus takes {MOST_FILES}: put several tunes into one "
            "ABC file, or use tastemaker corpus build on a folder"
        )
    size = sum(len(upload.content) for upload in kept) + sum(file.size_bytes for file in there)
    if size > MOST_BYTES:
        raise UploadError(
            f"these files have {size_in_words(size)} together, and {size_in_words(MOST_BYTES)} is "
            "the most; use tastemaker corpus build on a folder"
        )


def _write(folder: Path, uploads: Sequence[Upload], *, first: int) -> dict[str, str]:
    names = {}
    for number, upload in enumerate(uploads, start=first):
        stored = f"{number:04d}-{_slug(upload.name)}{_ending(upload.name)}"
        (folder / stored).write_bytes(upload.content)
        names[stored] = upload.name[:SHOWN_NAME]
    return names


def _write_about(file: Path, about: About, names: Mapping[str, str]) -> None:
    write_json(file, {**asdict(about), "names": dict(names)})


def _about(folder: Path) -> dict[str, Any]:
    try:
        fields = read_json(folder / "about.json")
    except (OSError, JsonError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _ending(name: str) -> str:
    """Ending of a name from a browser, in lower case; '' if there is none."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem else ""


def _slug(name: str) -> str:
    """A part of a file name that is made of a-z, 0-9 and - only."""
    stem = re.split(r"[/\\]", name)[-1].rpartition(".")[0]
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_STEM].strip("-") or "tune"
