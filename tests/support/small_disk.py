"""A disk of little room, for tests of what happens when it is full."""

import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE_KB = 1024


@contextmanager
def mounted(folder, size_kb=SIZE_KB):
    """A file system in memory at a folder; skips the test where none may be mounted."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


@contextmanager
def fill(folder):
    """Leave no room on the disk at `folder` meanwhile."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 1024):
                    pass
            except OSError:
                pass
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(disk):
    """Let nothing be written on a mounted disk meanwhile."""
    remount = ["mount", "-o"]
    subprocess.run([*remount, "remount,ro", str(disk)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run([*remount, "remount,rw", str(disk)], check=True, capture_output=True)
