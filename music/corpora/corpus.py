"""The corpus: strains of O'Neill 1903 and Ryan 1883, as numbers, with a split by tune.

`load_corpus()` reads what the package ships (`music/corpora/data/strains.npz`: tokens, no text).
`build_corpus(folder)` makes that file anew from the ABC books in music21's package, for whoever has
it installed; nothing else needs it.

A *strain* is what stands between double bars or repeats. First endings are dropped (the second
stays); 2/4 written in sixteenths is doubled into 4/4; a last bar that is not the pickup's
complement is extended or cut so that it is (`music.corpora.strains`). Near-duplicates (7-gram
interval Jaccard >= 0.5) are dropped, and tunes that share one go to the same side of the split, so
that no variant of a held-out tune is trained on.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from music.corpora.strains import strains_of
from music.earlier_tokens import TODAY_OF_EARLIER
from music.files import whole_file
from music.formats.abc import AbcError
from music.formats.abc_reader import read_tune
from music.formats.abc_text import decode_text, split_tunes
from music.limits import (
    ABC_BOOK_BYTES,
    UNPACKED_CORPUS_BYTES,
    LimitError,
    check_unpacked,
    read_bytes,
    size_in_words,
)
from music.melody import Melody
from music.progress import Progress, no_progress
from music.tokens import VOCABULARY_HASH, decode, encode

BOOKS = {"oneills1850": "O'Neill 1903", "ryansMammoth": "Ryan 1883"}
SPLITS = ("train", "validation", "test")
DATA = Path(__file__).parent / "data" / "strains.npz"


class CorpusError(ValueError):
    """Books of which no corpus can be made; one line with the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Strain:
    """One strain of the corpus."""

    melody: Melody
    book: str
    tune: int
    """number of the tune in the corpus; strains of one tune share it"""
    split: str


def load_corpus(split: str | None = None, path: Path = DATA) -> list[Strain]:
    """The shipped strains, or those of one split.

    Raises:
        ValueError: for a split that is not one of `SPLITS`.
        LimitError: for a file that unpacks to more than `UNPACKED_CORPUS_BYTES`.
        CorpusError: for a file of tokens that are not known here.
    """
    if split is not None:
        _check_split(split)
    check_unpacked(path, UNPACKED_CORPUS_BYTES, remedy="build a smaller corpus")
    with np.load(path, allow_pickle=False) as data:
        ends = np.cumsum(data["lengths"].astype(np.int64))
        columns = (data[name] for name in ("tonics", "books", "tunes", "splits"))
        rows = zip(np.split(_tokens_today(data), ends[:-1]), *columns, strict=True)
        names = tuple(BOOKS)
        return [
            Strain(decode(tokens, tonic_midi=int(tonic)), names[book], int(tune), SPLITS[part])
            for tokens, tonic, book, tune, part in rows
            if split is None or SPLITS[part] == split
        ]


def load_token_rows(split: str) -> list[np.ndarray]:
    """Token ids of a split's strains, uint16, each from BOS to EOS.

    Raises:
        ValueError: for a split that is not one of `SPLITS`.
    """
    _check_split(split)
    with np.load(DATA, allow_pickle=False) as data:
        ends = np.cumsum(data["lengths"].astype(np.int64))
        parts = np.split(_tokens_today(data), ends[:-1])
        return [
            row for row, part in zip(parts, data["splits"], strict=True) if SPLITS[part] == split
        ]


def _tokens_today(data: Mapping[str, np.ndarray]) -> np.ndarray:
    """The ids of a corpus file; a file without the name of a vocabulary is of version 0.1.0."""
    if "vocabulary" not in data:
        return TODAY_OF_EARLIER[data["tokens"]]
    named = str(data["vocabulary"])
    if named != VOCABULARY_HASH:
        raise CorpusError(
            f"the corpus file has vocabulary {named[:16]}, here {VOCABULARY_HASH}; build it anew "
            "or use the release that it was built with"
        )
    return data["tokens"]


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is not known; choose one of {list(SPLITS)}")


def find_books() -> Path:
    """Folder of music21's ABC books.

    Raises:
        FileNotFoundError: when music21 is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec("music21")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "building the corpus reads the ABC books in music21's package, which is not installed; "
            "run: pip install 'tastemaker[corpus]' (rarely needed: the built corpus is shipped)"
        )
    return Path(spec.origin).parent / "corpus"


def build_corpus(
    folder: Path, path: Path = DATA, *, progress: Progress = no_progress
) -> Counter[str]:
    """Read the books in `folder`, write the token file, count what was kept and why not.

    What cannot be read, a file, a tune or a strain, is counted with its reason, and the rest is
    read. `progress` is told how many files are read.

    Raises:
        CorpusError: when no strain is left; an earlier token file stays as it is.
    """
    counts: Counter[str] = Counter()
    found: list[tuple[str, int, Melody]] = []
    tune_number = 0
    files = [(book, file) for book in BOOKS for file in sorted((folder / book).glob("*.abc"))]
    for place, (book, file) in enumerate(files):
        progress(place, len(files))
        try:
            content = read_bytes(file, ABC_BOOK_BYTES, remedy="split it into several files")
        except LimitError:
            counts[f"files left out: larger than {size_in_words(ABC_BOOK_BYTES)}"] += 1
            continue
        except OSError as error:
            counts[f"files left out: {error.strerror}"] += 1
            continue
        for text in split_tunes(decode_text(content)):
            counts["tunes"] += 1
            try:
                tune = read_tune(text)
            except AbcError as error:
                counts["unreadable: " + str(error).split("'")[0].split(";")[0][:30]] += 1
                continue
            if tune.chords:
                counts["tunes with chords"] += 1
                continue
            if not tune.bars:
                counts["tunes without notes"] += 1
                continue
            found += [(book, tune_number, melody) for melody in strains_of(tune, counts)]
            tune_number += 1
    melodies, tunes = [melody for _, _, melody in found], [tune for _, tune, _ in found]
    groups, kept = _group_and_dedupe(melodies, tunes)
    counts["near-duplicate strains"] = len(found) - len(kept)
    counts["strains"] = len(kept)
    if not kept:
        told = "; ".join(f"{number} {what}" for what, number in counts.most_common(3) if number)
        raise CorpusError(
            f"no strain of {folder} can be used ({told or 'it has no books'}); give a folder with "
            f"folders of ABC files called {' and '.join(BOOKS)}"
        )
    rows = [encode(found[index][2]) for index in kept]
    splits = [_split_of(groups[found[index][1]]) for index in kept]
    books = list(BOOKS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary, temporary.open("wb") as packed:
        np.savez_compressed(
            packed,
            vocabulary=np.array(VOCABULARY_HASH),
            tokens=np.concatenate(rows),
            lengths=np.array([len(row) for row in rows], np.uint16),
            tonics=np.array([found[index][2].tonic_midi for index in kept], np.uint8),
            books=np.array([books.index(found[index][0]) for index in kept], np.uint8),
            tunes=np.array(
                [found[index][1] for index in kept],
                np.uint16 if tune_number <= 2**16 else np.uint32,
            ),
            splits=np.array(splits, np.uint8),
        )
    for part, name in enumerate(SPLITS):
        counts[f"{name} strains"] = splits.count(part)
    return counts


def interval_grams(melody: Melody, size: int = 7) -> frozenset[tuple[int, ...]]:
    """The melody's interval n-grams, by which near-duplicates are known."""
    pitches = [note.pitch for note in melody.notes]
    steps = [b - a for a, b in pairwise(pitches)]
    return frozenset(tuple(steps[i : i + size]) for i in range(len(steps) - size + 1))


def _group_and_dedupe(
    melodies: Sequence[Melody], tunes: Sequence[int]
) -> tuple[dict[int, int], list[int]]:
    """Groups of tunes joined by near-duplicates, and the strains kept (first of each kind)."""
    parent = {tune: tune for tune in tunes}

    def root(tune: int) -> int:
        while parent[tune] != tune:
            parent[tune] = parent[parent[tune]]
            tune = parent[tune]
        return tune

    holders: dict[tuple[int, ...], list[int]] = defaultdict(list)
    grams = [interval_grams(melody) for melody in melodies]
    kept: list[int] = []
    first_with: dict[frozenset[tuple[int, ...]], int] = {}
    for index, mine in enumerate(grams):
        # Whatever is near a copy is near the first of its kind: a book of copies takes no n² steps.
        first = first_with.setdefault(mine, index)
        if mine and first != index:
            parent[root(tunes[index])] = root(tunes[first])
            continue
        shared = Counter(other for gram in mine for other in holders[gram])
        near = [o for o, n in shared.items() if n / (len(mine) + len(grams[o]) - n) >= 0.5]
        for other in near:
            parent[root(tunes[index])] = root(tunes[other])
        if mine and not near:
            kept.append(index)
        for gram in mine:
            holders[gram].append(index)
    smallest: dict[int, int] = {}
    for tune in sorted(parent):
        smallest.setdefault(root(tune), tune)
    return {tune: smallest[root(tune)] for tune in parent}, kept


def _split_of(group: int) -> int:
    """A group's side by the hash of its number: 7 % test, 4 % validation, the rest training."""
    bucket = int(hashlib.sha256(str(group).encode()).hexdigest(), 16) % 100
    return 2 if bucket < 7 else 1 if bucket < 11 else 0
