"""Records what programs write into a folder, with strace: no rights, no modules, no compiler.

`record` runs a command and its children and returns the folder as a `Disk`. A system call that
changes files in a way that is not understood here (such as a write through mapped memory) is an
error, so that nothing is missed. SQLite's index of its journal (`-shm`) is the exception: it is
written through memory, and its content after a power cut does not matter.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.disk import ROOT, Disk, Mark, Sync
from tests.support.studio_server import missing

CALLS = (
    "open,openat,openat2,creat,write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,rename,"
    "renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,"
    "fdatasync,sync,syncfs,fallocate,copy_file_range,sendfile,splice,mmap,lseek,chdir,fchdir,"
    "clone,clone3,fork,vfork,dup,dup2,dup3,fcntl,io_uring_setup"
)
UNKNOWN = (
    "fallocate", "copy_file_range", "sendfile", "splice", "pwritev", "pwritev2", "symlink",
    "symlinkat", "openat2", "io_uring_setup",
)  # fmt: skip
"""calls that are refused where they touch the folder"""
LINE = re.compile(r"(\d+)\s+(.*)")
UNFINISHED = " <unfinished ...>"
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)(.*)")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
HANDLE = re.compile(r"(-?\d+|AT_FDCWD)(?:<((?:\\x[0-9a-f]{2})*)>)?(\(deleted\))?")


class RecordingError(Exception):
    """Something was done to the folder that the recording cannot follow."""


@dataclass
class Position:
    """Where the next write through a handle goes."""

    offset: int | None
    """None: nobody knows, because reads move it too"""
    appends: bool = False


@dataclass
class Process:
    """Handles and working folder of a process."""

    folder: str
    positions: dict[int, Position] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """A folder with all that a command did in it."""

    disk: Disk
    code: int
    said: str


def has_strace():
    """The path of strace; skips the test where it may not trace, and fails it in CI without one."""
    found = shutil.which("strace")
    if found is None:
        missing("no strace on the path; install it")
    done = subprocess.run([found, "-o", "/dev/null", "true"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no strace: it may not trace here ({done.stderr.strip()})")
    return found


def record(
    command: Sequence[str],
    folder: Path,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Recording:
    """Run a command that writes into a folder, and return the folder as a disk.

    What the command writes into the file named by `TASTEMAKER_CHAOS_MARKS` becomes marks.
    """
    folder, cwd = folder.resolve(), (cwd or folder).resolve()
    disk = Disk(folder)
    with tempfile.TemporaryDirectory() as scratch:
        log, marks = Path(scratch) / "log", Path(scratch) / "marks"
        given = {**(environment or os.environ), "TASTEMAKER_CHAOS_MARKS": str(marks)}
        strace = [has_strace(), "-f", "-q", "--seccomp-bpf", "-y", "-xx", "-s", str(1 << 26)]
        done = subprocess.run(
            [*strace, "-o", str(log), "-e", f"trace={CALLS}", *command],
            cwd=cwd,
            env=given,
            capture_output=True,
            text=True,
        )
        with log.open() as lines:
            Reader(disk, folder, marks, cwd).read(list(lines))
    return Recording(disk, done.returncode, done.stdout + done.stderr)


class Reader:
    """Reads strace's lines, and does to the disk what they say."""

    def __init__(self, disk: Disk, folder: Path, marks: Path, cwd: Path) -> None:
        """The folder and the file of marks as programs name them."""
        self.disk, self.folder, self.marks = disk, str(folder), str(marks)
        self.processes: dict[str, Process] = {}
        self.cwd = str(cwd)
        self.parents: dict[str, tuple[str, bool]] = {}

    def read(self, lines: list[str]) -> None:
        """All lines of a log, in order."""
        calls = list(joined(lines))
        for who, call, _ in calls:
            found = CALL.fullmatch(call)
            if found and found[1] in ("clone", "clone3", "fork", "vfork"):
                self.parents[found[3]] = (who, "CLONE_THREAD" in found[2])
        begun_at: dict[int, int] = {}
        for number, (who, call, begun) in enumerate(calls):
            begun_at[number] = len(self.disk.changes)
            found = CALL.fullmatch(call)
            if found is None or found[3].startswith("-") or found[3] == "?":
                continue
            self.upto = begun_at[begun] if begun is not None else len(self.disk.changes)
            self.do(self.process(who), found[1], found[2], found[3], found[4])

    def process(self, who: str) -> Process:
        """The process of a thread; a new one begins with its parent's handles."""
        if who not in self.processes:
            parent, is_thread = self.parents.get(who, (None, False))
            if parent is None:
                self.processes[who] = Process(self.cwd)
            elif is_thread:
                self.processes[who] = self.process(parent)
            else:
                before = self.process(parent)
                self.processes[who] = Process(before.folder, dict(before.positions))
        return self.processes[who]

    def do(self, process: Process, name: str, given: str, result: str, rest: str) -> None:
        """One call that succeeded."""
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in TEXT.findall(given)]
        handle = HANDLE.match(given)
        handle_path = _path(handle[2]) if handle and handle[2] is not None else None
        handle_is_gone = bool(handle and handle[3]) or (handle_path or "").endswith(" (deleted)")
        if name in UNKNOWN:
            touched = [_path(m[2]) for m in HANDLE.finditer(given) if m[2] is not None]
            touched += [self._full(process, handle, t) for t in texts if name != "io_uring_setup"]
            if any(self._is_inside(path) for path in touched) or name == "io_uring_setup":
                raise RecordingError(f"{name}({given[:200]}) is not understood")
        elif name in ("open", "openat", "creat"):
            path = self._full(process, handle if name == "openat" else None, texts[0])
            flags = "O_WRONLY|O_CREAT|O_TRUNC" if name == "creat" else given
            self._open(process, path, flags, int(result))
        elif name in ("write", "writev", "pwrite64"):
            assert handle is not None
            if handle_path == self.marks:
                self.disk.changes.append(Mark(texts[0].decode()))
            elif self._is_inside(handle_path) and not handle_is_gone:
                data = b"".join(texts)[: int(result)]
                at = int(given.rpartition(", ")[2]) if name == "pwrite64" else None
                self._write(process, int(handle[1]), handle_path, data, at)
        elif name in ("truncate", "ftruncate"):
            path = handle_path if name == "ftruncate" else self._full(process, None, texts[0])
            if self._is_inside(path) and not handle_is_gone:
                self.disk.truncate(self._find(path), int(given.rpartition(", ")[2]))
        elif name in ("fsync", "fdatasync"):
            if self._is_inside(handle_path) and not handle_is_gone:
                self.disk.changes.append(Sync(self._find(handle_path), self.upto))
        elif name in ("sync", "syncfs"):
            self.disk.changes.append(Sync(None, self.upto))
        elif name in ("rename", "renameat", "renameat2", "link", "linkat"):
            self._rename(process, name, given, texts)
        elif name in ("unlink", "rmdir", "unlinkat"):
            path = self._full(process, handle if name == "unlinkat" else None, texts[0])
            if self._is_inside(path):
                folder, last = self._place(path)
                of = self.disk.names[folder][last]
                self.disk.rename_to([(folder, last, of, False)])
        elif name in ("mkdir", "mkdirat"):
            path = self._full(process, handle if name == "mkdirat" else None, texts[0])
            if self._is_inside(path):
                self.disk.create(*self._place(path), is_folder=True)
        elif name == "mmap":
            path = next((_path(m[2]) for m in HANDLE.finditer(given) if m[2] is not None), None)
            writes = "MAP_SHARED" in given and "PROT_WRITE" in given
            if writes and self._is_inside(path) and not str(path).endswith("-shm"):
                raise RecordingError(f"{path} is written through memory")
        elif name == "lseek":
            assert handle is not None
            if position := process.positions.get(int(handle[1])):
                position.offset = int(result)
        elif name in ("dup", "dup2", "dup3") or (name == "fcntl" and "F_DUPFD" in given):
            assert handle is not None
            if position := process.positions.get(int(handle[1])):
                process.positions[int(result)] = position
        elif name == "chdir":
            process.folder = self._full(process, None, texts[0])
        elif name == "fchdir":
            process.folder = str(handle_path)

    def _open(self, process: Process, path: str, flags: str, handle: int) -> None:
        process.positions.pop(handle, None)
        if not self._is_inside(path) or ("O_WRONLY" not in flags and "O_RDWR" not in flags):
            return
        if "O_TMPFILE" in flags:
            raise RecordingError(f"{path} is opened without a name")
        folder, last = self._place(path)
        file = self.disk.names[folder].get(last)
        is_new = file is None
        if is_new:
            self.disk.create(folder, last)
        elif "O_TRUNC" in flags:
            self.disk.truncate(file, 0)
        offset = None if "O_RDWR" in flags and not is_new else 0
        process.positions[handle] = Position(offset, appends="O_APPEND" in flags)

    def _write(
        self, process: Process, handle: int, path: str | None, data: bytes, at: int | None
    ) -> None:
        file = self._find(path)
        if at is not None:
            self.disk.write(file, at, data)
            return
        position = process.positions.get(handle)
        if position is None or (position.offset is None and not position.appends):
            raise RecordingError(f"nobody knows where in {path} these {len(data)} bytes go")
        position.offset = self.disk.write(file, None if position.appends else position.offset, data)

    def _rename(self, process: Process, name: str, given: str, texts: list[bytes]) -> None:
        if "RENAME_EXCHANGE" in given:
            raise RecordingError(f"{name}({given[:200]}) is not understood")
        handles: list[re.Match[str] | None] = [None, None]
        if name not in ("rename", "link"):
            parts = given.split(", ")
            handles = [HANDLE.match(parts[0]), HANDLE.match(parts[2])]
        source, target = (
            self._full(process, handle, text) for handle, text in zip(handles, texts, strict=True)
        )
        if self._is_inside(source) != self._is_inside(target):
            raise RecordingError(f"{source} moves to {target}, out of the folder or into it")
        if self._is_inside(source):
            (folder, last), (new_folder, new_last) = self._place(source), self._place(target)
            of = self.disk.names[folder][last]
            gone = [] if "link" in name else [(folder, last, of, False)]
            self.disk.rename_to([*gone, (new_folder, new_last, of, True)])

    def _full(self, process: Process, handle: re.Match[str] | None, text: bytes) -> str:
        begins = process.folder
        if handle is not None and handle[2] is not None:
            begins = _path(handle[2])
        return os.path.normpath(os.path.join(begins, os.fsdecode(text)))  # noqa: PTH118

    def _is_inside(self, path: str | None) -> bool:
        return path is not None and (path == self.folder or path.startswith(self.folder + "/"))

    def _find(self, path: str | None) -> int:
        assert path is not None
        if path == self.folder:
            return ROOT
        folder, last = self._place(path)
        return self.disk.names[folder][last]

    def _place(self, path: str) -> tuple[int, str]:
        """The folder of a path, and its last name there."""
        *before, last = path[len(self.folder) + 1 :].split("/")
        folder = ROOT
        for name in before:
            folder = self.disk.names[folder][name]
        return folder, last


def joined(lines):
    """The calls in the order in which they ended: who, the call, where it began if not there."""
    open_calls: dict[str, tuple[str, int]] = {}
    number = 0
    for line in lines:
        found = LINE.fullmatch(line.rstrip("\n"))
        if found is None:
            continue
        who, call = found[1], found[2]
        if call.endswith(UNFINISHED):
            open_calls[who] = (call.removesuffix(UNFINISHED), number)
            # So that what ends while this one runs does not count as before it.
            yield who, "", None
            number += 1
            continue
        begun = None
        if resumed := RESUMED.fullmatch(call):
            first, begun = open_calls.pop(who)
            call = first + resumed[2]
        yield who, call, begun
        number += 1


def _path(hexadecimal: str) -> str:
    return os.fsdecode(bytes.fromhex(hexadecimal.replace("\\x", "")))
