"""Files that survive a power cut: whole or absent, and on the disk before what relies on them.

All that a run is resumed from is written here. A write syncs the content, then the folder that
holds the name: a file whose name was not synced may be gone after a power cut. `sync` and
`replace` are the only two calls that the other functions make for this.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(old: Path, new: Path) -> None:
    """Rename `old`, whose content is synced, to `new` in one step; the new name is synced."""
    old.replace(new)
    sync(new.parent)
    if old.parent != new.parent:
        sync(old.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing; their names are synced."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, renamed to `path` on success and removed on an exception.

    A killed process leaves it behind. Threads and processes may write one path at the same time;
    the last one to finish wins. An OSError of a write, which names no file, is given this one.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    with _named(temporary, path):
        try:
            yield temporary
            sync(temporary)
            replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_files(folder: Path, *, last: str | None = None) -> Iterator[Path]:
    """A temporary folder inside `folder`; on success all its files are moved to `folder`.

    On an exception none is, and folders that were made for them are removed. Files of the same
    names are replaced. A kill while they are moved leaves some of the new ones, each whole. The
    file called `last` is moved when the names of all others are on the disk.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    draft = folder / f".{uuid4().hex[:8]}.tmp"
    with _named(draft, folder):
        try:
            make_folder(draft)
            yield draft
            files = sorted(draft.iterdir())
            for file in files:
                sync(file)
                if (folder / file.name).is_dir():  # found before the first is moved
                    raise IsADirectoryError(
                        errno.EISDIR, os.strerror(errno.EISDIR), str(folder / file.name)
                    )
            for file in [file for file in files if file.name != last]:
                file.replace(folder / file.name)
            sync(folder)
            if last is not None:
                replace(draft / last, folder / last)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            for path in made:
                with suppress(OSError):  # it has files: those that were written
                    path.rmdir()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file atomically; text as UTF-8."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_folder(path: Path, *, temporary: Path | None = None) -> Iterator[Path]:
    """A temporary folder to write into, renamed to `path` on success, removed on an exception.

    All that is in it is synced before the rename. A folder that is at `path` already is removed
    first, so give a path that holds nothing, or nothing that is needed. One writer at a time.

    Args:
        path: where the folder is to be; the folder above it is made.
        temporary: where it is written, on the same disk; by default beside `path`.
    """
    make_folder(path.parent)
    draft = temporary or path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    with _named(draft, path):
        draft.mkdir()
        try:
            yield draft
            for inside in draft.rglob("*"):
                sync(inside)
            sync(draft)
            if path.exists():
                shutil.rmtree(path)
            replace(draft, path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def append_line(path: Path, line: str) -> None:
    """Append a line of text to a file and sync it; a power cut may leave a part of this line."""
    is_new = not path.exists()
    with _named(path, path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync(path.parent)


@contextmanager
def _named(temporary: Path, path: Path) -> Iterator[None]:
    """Name the file that was to be written in an OSError of the temporary one, or of no name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            error.filename = os.fsdecode(error.filename).replace(str(temporary), str(path))
        elif error.errno is not None:
            error.filename = str(path)
        raise
