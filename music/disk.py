"""The disk under a path: where it is mounted, whether it is full, and its errors in plain words."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

LEAST_FREE_BYTES = 65_536
"""a disk with less is full: a database or a file system needs some pages to do anything"""


def disk_of(path: Path) -> Path:
    """Where the disk is mounted that holds `path`, which need not exist yet."""
    folder = _existing(path)
    while not folder.is_mount() and folder != folder.parent:
        folder = folder.parent
    return folder


def is_full(path: Path) -> bool:
    """Whether the disk that holds `path` has no room for a file; false where nobody can say."""
    try:
        return shutil.disk_usage(_existing(path)).free < LEAST_FREE_BYTES
    except OSError:
        return False


def os_error_line(error: OSError) -> str:
    """The name of the file, if the error has one, what the system said, and the remedy."""
    reason = os_error_reason(error)
    return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"


def os_error_reason(error: OSError, path: Path | None = None) -> str:
    """The same without the name of the file; `path` is that where the error does not name it."""
    if isinstance(error.filename, str | bytes):
        path = Path(os.fsdecode(error.filename))
    said, code = error.strerror or str(error), error.errno
    disk = "the disk" if path is None else f"the disk at {disk_of(path)}"
    if code == errno.ENOSPC or "No space left on device" in said:
        return f"{disk} is full ({said}); free some space on it and try again"
    if code == errno.EDQUOT:
        return f"your share of {disk} is used up ({said}); free some space on it and try again"
    if code == errno.EROFS:
        return f"{disk} may only be read ({said}); choose a place that can be written"
    if code == errno.EIO:
        return f"{disk} has failed ({said}); look into the system's log, and use another disk"
    if code == errno.EFBIG:
        return f"{said}; raise the limit on the size of files (ulimit -f) and try again"
    return f"{said}; check the path, its permissions and the disk"


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
