"""Atomic file writes: a reader finds either the old file or the complete new one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


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
            _sync(temporary)
            temporary.replace(path)
            _sync_folder(path.parent)  # the new name too
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder`; on success all its files are moved to `folder`.

    On an exception none is, and folders that were made for them are removed. Files of the same
    names are replaced. A kill while they are moved leaves some of the new ones, each whole.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    draft = folder / f".{uuid4().hex[:8]}.tmp"
    with _named(draft, folder):
        try:
            draft.mkdir(parents=True)
            yield draft
            files = sorted(draft.iterdir())
            for file in files:
                _sync(file)
                if (folder / file.name).is_dir():  # found before the first is moved
                    raise IsADirectoryError(
                        errno.EISDIR, os.strerror(errno.EISDIR), str(folder / file.name)
                    )
            for file in files:
                file.replace(folder / file.name)
            _sync_folder(folder)
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


def _sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
