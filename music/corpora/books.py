"""Building the shipped corpus from the ABC books in music21's package."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np

from music.corpora.corpus import DATA
from music.corpora.corpus_file import BOOKS, SPLITS, CorpusError
from music.corpora.near_duplicates import group_and_dedupe
from music.corpora.strains import strains_of
from music.files import whole_file
from music.formats.abc import AbcError
from music.formats.abc_reader import read_tune
from music.formats.abc_text import decode_text, split_tunes
from music.limits import ABC_BOOK_BYTES, LimitError, read_bytes, size_in_words
from music.melody import Melody
from music.progress import Progress, no_progress
from music.tokens import VOCABULARY_HASH, encode


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
    groups, kept = group_and_dedupe(melodies, tunes)
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


def _split_of(group: int) -> int:
    """A group's side by the hash of its number: 7 % test, 4 % validation, the rest training."""
    bucket = int(hashlib.sha256(str(group).encode()).hexdigest(), 16) % 100
    return 2 if bucket < 7 else 1 if bucket < 11 else 0
