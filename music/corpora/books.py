"""Building the shipped corpus from two books, whose ABC files are in music21's package.

The strains of version 0.1.0 stay as they were, each on its side of the split, so that figures on
its test tunes stay comparable. What else of the books is a melody now follows them:

- a strain that is a near-duplicate of one before it is left out;
- a tune of version 0.1.0 is known by what its strains share, and its new strains follow it;
- another tune that shares half of a strain with a held-out tune is held out with it. The rest is
  divided by the hash of a number, as the tunes of version 0.1.0 were;
- a new strain that shares half of its 7-grams with one on another side of the split is left out;
- only whole strains are taken: what stands before or after a bar that could not be read is left
  out. So is a strain of fewer than four bars, with a pickup of more than half a bar, or that
  begins with a bar of silence;
- 2/2 is read as 4/4, and 2/4 that is written in sixteenths is doubled into 4/4.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from music.corpora.corpus import DATA
from music.corpora.corpus_file import BOOKS, SPLITS, CorpusError, Strain, read_corpus, write_corpus
from music.corpora.near_duplicates import Groups, Overlap, overlaps
from music.files import whole_file
from music.formats.abc import AbcTune
from music.formats.abc_melody import type_of_tune
from music.melody import Melody
from music.progress import Progress, no_progress
from music.readers import Section, Tune, melodies_of, read_tunes
from music.styles import SHIPPED_STYLES
from music.tokens import encode

LEAST_BARS = 4
SIXTEENTH_TICKS = 6
SIXTEENTHS_SHARE = 0.3
"""of the notes of a tune in 2/4 from which on it is doubled"""


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


@dataclass(frozen=True, slots=True)
class BookTune:
    """A tune of a book and its strains."""

    book: str
    melodies: tuple[Melody, ...]


def read_books(
    folder: Path, counts: Counter[str], *, progress: Progress = no_progress
) -> list[BookTune]:
    """The tunes of the books in `folder` that have a strain; counts what was read and refused."""
    tunes: list[BookTune] = []
    files = [(book, file) for book in BOOKS for file in sorted((folder / book).glob("*.abc"))]
    for place, (book, file) in enumerate(files):
        progress(place, len(files))
        try:
            read, refusals = read_tunes(file)
        except OSError as error:
            counts[f"files left out: {error.strerror}"] += 1
            continue
        unread = {refusal.tune for refusal in refusals} - {tune.number for tune in read}
        counts["tunes"] += len(read) + len(unread)
        counts.update(f"refused: {refusal.reason}" for refusal in refusals)
        for tune in read:
            if any(notice.reason == "top notes taken" for notice in tune.notices):
                counts["tunes of whose chords the top notes are taken"] += 1
            melodies = tuple(_strains(tune, counts))
            if melodies:
                tunes.append(BookTune(book, melodies))
    return tunes


def _strains(tune: Tune, counts: Counter[str]) -> Iterator[Melody]:
    """The whole strains of a tune, in our metres."""
    last = len(tune.sections) - 1
    for place, section in enumerate(tune.sections):
        section = _in_our_metre(section)
        melodies, refused = melodies_of(replace(tune, sections=(section,)), whole=True)
        counts.update(f"refused: {refusal.reason}" for refusal in refused)
        starts = 1 if place else 0
        whole = melodies[starts : len(melodies) - (place < last)]
        counts["parts of strains beside unread bars"] += len(melodies) - len(whole)
        for melody in whole:
            reason = _oddity(melody)
            if reason:
                counts[f"strains {reason}"] += 1
                continue
            like = AbcTune(tune.fields, section.meter, section.tonic_class, section.mode, [])
            style = type_of_tune(like, section.meter)
            yield replace(melody, header=replace(melody.header, style=style))


def _oddity(melody: Melody) -> str:
    """What makes a strain of these books doubtful; empty for most."""
    header = melody.header
    if header.bars < LEAST_BARS:
        return f"of fewer than {LEAST_BARS} bars"
    if 2 * header.pickup_ticks > header.bar_ticks:
        return "with a pickup of more than half a bar"  # a first bar that lacks a note
    if melody.notes[0].onset_ticks >= header.bar_ticks:
        return "that begin with a bar of silence"
    return ""


def _in_our_metre(section: Section) -> Section:
    if section.meter == "2/2":
        return replace(section, meter="4/4")
    written = [note.duration_ticks for bar in section.bars for note in bar.notes]
    short = sum(ticks <= SIXTEENTH_TICKS for ticks in written)
    if section.meter != "2/4" or short <= SIXTEENTHS_SHARE * len(written):
        return section
    for bar in section.bars:
        for note in bar.notes:
            note.duration_ticks *= 2
    return replace(section, meter="4/4")


def build_corpus(
    folder: Path,
    path: Path = DATA,
    *,
    earlier: Path | None = DATA,
    progress: Progress = no_progress,
) -> Counter[str]:
    """Read the books in `folder`, write the token file, count what was kept and why not.

    What cannot be read, a file, a tune or a strain, is counted with its reason, and the rest is
    read.

    Args:
        folder: with a folder of ABC files for each of `BOOKS`.
        path: the file to write.
        earlier: a corpus file with the strains of version 0.1.0, which stay; None for none.
        progress: is told how many files are read.

    Raises:
        CorpusError: when no strain of the books can be used; an earlier file stays as it is.
    """
    counts: Counter[str] = Counter()
    old = [] if earlier is None else read_corpus(earlier).strains(earlier=True)
    tunes = read_books(folder, counts, progress=progress)
    if not tunes:
        told = "; ".join(f"{number} {what}" for what, number in counts.most_common(3) if number)
        raise CorpusError(
            f"no strain of {folder} can be used ({told or 'it has no books'}); give a folder with "
            f"folders of ABC files called {' and '.join(BOOKS)}"
        )
    new = _added(old, tunes, counts)
    strains = [*old, *new]
    path.parent.mkdir(parents=True, exist_ok=True)
    books = list(BOOKS)
    with whole_file(path) as temporary:
        write_corpus(
            temporary,
            [encode(strain.melody, SHIPPED_STYLES) for strain in strains],
            tonics=[strain.melody.tonic_midi for strain in strains],
            tunes=[strain.tune for strain in strains],
            splits=[SPLITS.index(strain.split) for strain in strains],
            labels=SHIPPED_STYLES,
            more={
                "books": np.array([books.index(strain.book) for strain in strains], np.uint8),
                "earlier": np.array([strain.earlier for strain in strains], np.uint8),
            },
        )
    counts["strains"] = len(strains)
    counts["strains of version 0.1.0"] = len(old)
    for name in SPLITS:
        counts[f"{name} strains"] = sum(strain.split == name for strain in strains)
    return counts


def _added(old: Sequence[Strain], tunes: Sequence[BookTune], counts: Counter[str]) -> list[Strain]:
    """The new strains of the tunes, on their sides of the split."""
    first_new = 1 + max((strain.tune for strain in old), default=-1)
    melodies = [strain.melody for strain in old]
    owners = [strain.tune for strain in old]
    for number, tune in enumerate(tunes, start=first_new):
        melodies += tune.melodies
        owners += [number] * len(tune.melodies)
    shared = list(overlaps([encode(melody) for melody in melodies]))[len(old) :]
    owners = _known(owners, len(old), shared)
    side_of_tune = _sides(old, owners, shared)
    sides: list[str | None] = [strain.split for strain in old]
    added: list[Strain] = []
    books = [tune.book for tune in tunes for _ in tune.melodies]
    for overlap, book in zip(shared, books, strict=True):
        index = len(sides)
        side = side_of_tune[owners[index]]
        like = {sides[other] for other in overlap.held_in()} - {None, side}
        if overlap.near():
            counts["near-duplicate strains"] += 1
            side = None
        elif like:
            counts["strains like one on another side of the split"] += 1
            side = None
        else:
            added.append(Strain(melodies[index], book, owners[index], side))
        sides.append(side)
    return added


def _known(owners: Sequence[int], old: int, shared: Sequence[Overlap]) -> list[int]:
    """The numbers of the tunes, where a tune of version 0.1.0 has the number that it had.

    It is the tune whose strains share most with it, half of a strain at least.
    """
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for index, overlap in enumerate(shared, start=old):
        alike = set(overlap.held_in())
        for other, both in zip(overlap.others.tolist(), overlap.shared.tolist(), strict=True):
            if other < old and other in alike:
                votes[owners[index]][owners[other]] += both
    return [votes[owner].most_common(1)[0][0] if owner in votes else owner for owner in owners]


def _sides(
    old: Sequence[Strain], owners: Sequence[int], shared: Sequence[Overlap]
) -> dict[int, str]:
    """The side of each tune; tunes of version 0.1.0 keep theirs."""
    sides = {strain.tune: strain.split for strain in old}
    groups = Groups()
    for index, overlap in enumerate(shared, start=len(old)):
        for other in overlap.held_in():
            groups.join(owners[index], owners[other])
    held_out: dict[int, str] = {}
    for tune, side in sides.items():
        root = groups.root(tune)
        held_out[root] = max(side, held_out.get(root, side), key=SPLITS.index)
    for tune in owners:
        root = groups.root(tune)
        sides.setdefault(tune, held_out.get(root) or side_of(root))
    return sides


def side_of(group: int) -> str:
    """A group's side by the hash of its number: 7 % test, 4 % validation, the rest training."""
    bucket = int(hashlib.sha256(str(group).encode()).hexdigest(), 16) % 100
    return SPLITS[2 if bucket < 7 else 1 if bucket < 11 else 0]
