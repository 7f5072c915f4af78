"""A folder on a disk that loses power: what programs changed, and what may be left of it.

A file or folder is a number here, as an inode is, so that a rename does not change what it is.
`Disk` has what the folder held at first and every change since, in order. `after_power_cut` gives
what may be there after a cut: what was synced is there; of what was not, each change is kept, lost
or torn at random.

Names follow one of two rules, drawn for each cut. As POSIX says, a change of a name lasts for
certain only once its folder is synced, and each other change of a name lasts or not. As on ext4 and
XFS, changes of names last in their order, and a sync of a file or folder takes along those before
it. In both, a name may last whose file's content does not.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
"""bytes that a disk writes whole or not at all"""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes of a file, from an offset on."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """Another size of a file; what is new is zeros."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Names:
    """Names that come or go, all at once."""

    changes: tuple[tuple[int, str, int, bool], ...]
    """(folder, name, what has the name, whether it comes)"""


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync of a file or folder, or of everything; it takes along the changes before `upto`."""

    of: int | None
    upto: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What a program said between two changes, such as that a vote is saved."""

    text: str


ROOT = 0


class Disk:
    """What a folder holds, and each change of it."""

    def __init__(self, folder: Path) -> None:
        """Take up what is in the folder, all of which counts as synced."""
        self.first_content: dict[int, bytes] = {}
        self.first_names: dict[int, dict[str, int]] = {ROOT: {}}
        self.changes: list[Write | Truncate | Names | Sync | Mark] = []
        self._next = ROOT + 1
        self._take_up(folder, ROOT)
        self.names = {number: dict(names) for number, names in self.first_names.items()}
        """folder -> name -> file or folder, as the programs see it now"""
        self._sizes = {number: len(content) for number, content in self.first_content.items()}

    def _take_up(self, folder: Path, number: int) -> None:
        for path in sorted(folder.iterdir()):
            child = self._next
            self._next += 1
            self.first_names[number][path.name] = child
            if path.is_dir():
                self.first_names[child] = {}
                self._take_up(path, child)
            else:
                self.first_content[child] = path.read_bytes()

    # What programs do

    def create(self, folder: int, name: str, *, is_folder: bool = False) -> int:
        """A new empty file or folder."""
        number = self._next
        self._next += 1
        if is_folder:
            self.first_names[number], self.names[number] = {}, {}
        else:
            self.first_content[number], self._sizes[number] = b"", 0
        self.rename_to([(folder, name, number, True)])
        return number

    def rename_to(self, changes: list[tuple[int, str, int, bool]]) -> None:
        """Let names come and go at once."""
        self.changes.append(Names(tuple(changes)))
        _apply(self.names, changes)

    def write(self, file: int, offset: int | None, data: bytes) -> int:
        """Write at an offset, or at the end for None; returns the offset after it."""
        at = self._sizes[file] if offset is None else offset
        self.changes.append(Write(file, at, data))
        self._sizes[file] = max(self._sizes[file], at + len(data))
        return at + len(data)

    def truncate(self, file: int, size: int) -> None:
        """Cut a file, or lengthen it."""
        if size != self._sizes[file]:
            self.changes.append(Truncate(file, size))
            self._sizes[file] = size

    # What is left

    def after_power_cut(self, cut, chance):
        """A tree that may be there when power goes before change number `cut`.

        Returns path -> content, None for a folder.
        """
        lasts = float(chance.choice((0, 0.5, 0.5, 1)))
        """how many of the changes that were not synced last"""
        synced, names = self._synced(cut), self._names_after(cut, chance, lasts)
        content: dict[int, bytearray] = {}

        def text_of(file):
            if file not in content:
                content[file] = bytearray(self.first_content[file])
            return content[file]

        for index, change in enumerate(self.changes[:cut]):
            match change:
                case Truncate(file, size):
                    if index < synced.get(file, 0) or chance.random() < lasts:
                        _resize(text_of(file), size)
                case Write(file, offset, data):
                    if index < synced.get(file, 0):
                        _put(text_of(file), offset, data)
                    else:
                        _put_torn(text_of(file), offset, data, chance, lasts)
        return self._tree(names, text_of, chance)

    def whole(self):
        """The tree with every change."""
        files = {number: bytearray(content) for number, content in self.first_content.items()}
        for change in self.changes:
            match change:
                case Write(file, offset, data):
                    _put(files[file], offset, data)
                case Truncate(file, size):
                    _resize(files[file], size)
        return self._tree(self.names, files.__getitem__, None)

    def marks(self, cut=None):
        """What was said before a cut."""
        return [change.text for change in self.changes[:cut] if isinstance(change, Mark)]

    def draw_cut(self, chance):
        """A moment at which power goes: any, or near a change of names or a sync."""
        special = [i for i, c in enumerate(self.changes) if isinstance(c, Names | Sync)]
        if not special or chance.random() < 0.5:
            return int(chance.integers(len(self.changes) + 1))
        near = int(chance.choice(special)) + int(chance.integers(-1, 3))
        return min(max(near, 0), len(self.changes))

    def _synced(self, cut):
        """Up to where each file's content, or folder's names, are on the disk."""
        synced: dict[int, int] = {}
        for change in self.changes[:cut]:
            if isinstance(change, Sync):
                every = (*self.first_content, *self.first_names) if change.of is None else ()
                for number in every or (change.of,):
                    synced[number] = max(synced.get(number, 0), change.upto)
        return synced

    def _names_after(self, cut, chance, lasts):
        names = {number: dict(entries) for number, entries in self.first_names.items()}
        changes = [(i, c) for i, c in enumerate(self.changes[:cut]) if isinstance(c, Names)]
        if chance.random() < 0.5:  # as POSIX says
            synced = self._synced(cut)
            for index, change in changes:
                stays = chance.random() < lasts
                # Of a move to another folder, one side may be on the disk and the other not yet.
                _apply(names, [c for c in change.changes if stays or index < synced.get(c[0], 0)])
            return names
        least = 0
        for change in self.changes[:cut]:
            if isinstance(change, Sync):
                touched = [
                    n
                    for n, (index, names_) in enumerate(changes, start=1)
                    if index < change.upto
                    and any(change.of in (None, folder, of) for folder, _, of, _ in names_.changes)
                ]
                least = max([least, *touched])
        most = {0: least, 1: len(changes)}.get(lasts, int(chance.integers(least, len(changes) + 1)))
        for _, change in changes[:most]:
            _apply(names, change.changes)
        return names

    def _tree(self, names, content_of, chance):
        tree: dict[str, bytes | None] = {}

        def walk(folder, path):
            for name, number in names[folder].items():
                where = f"{path}{name}"
                if number in names:
                    tree[where] = None
                    walk(number, f"{where}/")
                elif where.endswith("-shm") and chance is not None:
                    # SQLite's index of its journal, which it writes through memory.
                    tree[where] = chance.bytes(32768) if chance.random() < 0.5 else b""
                else:
                    tree[where] = bytes(content_of(number))

        walk(ROOT, "")
        return tree


def write_tree(tree, folder):
    """Put a tree in the place of all that is in a folder."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for where, content in tree.items():
        if content is None:
            (folder / where).mkdir()
        else:
            (folder / where).write_bytes(content)


def read_tree(folder):
    """What is in a folder, as `Disk.whole` gives it."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def _apply(names, changes):
    for folder, name, of, comes in changes:
        if comes:
            names[folder][name] = of
        elif names[folder].get(name) == of:
            del names[folder][name]


def _resize(content, size):
    del content[size:]
    content.extend(bytes(size - len(content)))


def _put(content, offset, data):
    if len(content) < offset:
        _resize(content, offset)
    content[offset : offset + len(data)] = data


def _put_torn(content, offset, data, chance, lasts):
    """Write what a power cut leaves of a write that was not synced."""
    if lasts < 1 and chance.random() < 0.4:  # torn
        kind = chance.integers(3)
        if kind == 0:  # it stops somewhere
            _put(content, offset, data[: int(chance.integers(len(data) + 1))])
        elif kind == 1:  # some sectors
            for start in range(0, len(data), SECTOR):
                if chance.random() < 0.5:
                    _put(content, offset + start, data[start : start + SECTOR])
        elif offset + len(data) > len(content):  # the size, and not the content
            _resize(content, offset + len(data))
    elif chance.random() < lasts:
        _put(content, offset, data)
