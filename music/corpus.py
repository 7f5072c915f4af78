"""The corpus: strains of O'Neill 1903 and Ryan 1883, as numbers, with a split by tune.

`load_corpus()` reads what the package ships (`music/data/strains.npz`: tokens, no text).
`build_corpus(folder)` makes that file anew from the ABC books in music21's package, for whoever has
it installed; nothing else needs it.

A *strain* is what stands between double bars or repeats. First endings are dropped (the second stays);
2/4 written in sixteenths is doubled into 4/4; a last bar that is not the pickup's complement is
extended or cut so that it is. Near-duplicates (7-gram interval Jaccard >= 0.5) are dropped, and tunes
that share one go to the same side of the split, so that no variant of a held-out tune is trained on.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from music.abc import AbcBar, AbcError, AbcTune, read_tune, split_tunes
from music.melody import BAR_TICKS, Header, Melody, MelodyError, Note
from music.tokens import decode, encode

BOOKS = {"oneills1850": "O'Neill 1903", "ryansMammoth": "Ryan 1883"}
SPLITS = ("train", "validation", "test")
DATA = Path(__file__).parent / "data" / "strains.npz"
MODE_OF_ABC = {
    "": "major", "maj": "major", "ion": "major", "m": "minor", "min": "minor", "aeo": "minor",
    "dor": "dorian", "mix": "mixolydian",
}  # fmt: skip
TYPE_WORDS = (
    ("slip jig", "slipjig"), ("slipjig", "slipjig"), ("hop jig", "slipjig"), ("jig", "jig"), ("reel", "reel"),
    ("hornpipe", "hornpipe"), ("clog", "hornpipe"), ("strathspey", "strathspey"), ("fling", "strathspey"),
    ("march", "march"), ("waltz", "waltz"),
)  # fmt: skip


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
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"split={split!r} is not known; choose one of {list(SPLITS)}")
    with np.load(path, allow_pickle=False) as data:
        ends = np.cumsum(data["lengths"].astype(np.int64))
        rows = zip(np.split(data["tokens"], ends[:-1]), data["tonics"], data["books"], data["tunes"],
                   data["splits"], strict=True)  # fmt: skip
        names = tuple(BOOKS)
        return [
            Strain(decode(tokens, tonic_midi=int(tonic)), names[book], int(tune), SPLITS[part])
            for tokens, tonic, book, tune, part in rows
            if split is None or SPLITS[part] == split
        ]


def load_token_rows(split: str, path: Path = DATA) -> list[np.ndarray]:
    """Token ids of a split's strains, uint16, each from BOS to EOS."""
    with np.load(path, allow_pickle=False) as data:
        ends = np.cumsum(data["lengths"].astype(np.int64))
        parts = np.split(data["tokens"], ends[:-1])
        return [row for row, part in zip(parts, data["splits"], strict=True) if SPLITS[part] == split]


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
            "run: pip install 'tastemaker[corpus]' (the built corpus is shipped, so this is rarely needed)"
        )
    return Path(spec.origin).parent / "corpus"


def build_corpus(folder: Path, path: Path = DATA) -> Counter[str]:
    """Read the books in `folder`, write the token file, and return counts of what was kept and why not."""
    counts: Counter[str] = Counter()
    found: list[tuple[str, int, Melody]] = []
    tune_number = 0
    for book in BOOKS:
        for file in sorted((folder / book).glob("*.abc")):
            for text in split_tunes(file.read_text(encoding="latin-1")):
                counts["tunes"] += 1
                try:
                    tune = read_tune(text)
                except AbcError as error:
                    counts["unreadable: " + str(error).split("'")[0].split(";")[0][:30]] += 1
                    continue
                found += [(book, tune_number, melody) for melody in strains_of(tune, counts)]
                tune_number += 1
    groups, kept = _group_and_dedupe([melody for _, _, melody in found], [tune for _, tune, _ in found])
    counts["near-duplicate strains"] = len(found) - len(kept)
    counts["strains"] = len(kept)
    rows = [encode(found[index][2]) for index in kept]
    splits = [_split_of(groups[found[index][1]]) for index in kept]
    books = list(BOOKS)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        tokens=np.concatenate(rows),
        lengths=np.array([len(row) for row in rows], np.uint16),
        tonics=np.array([found[index][2].tonic_midi for index in kept], np.uint8),
        books=np.array([books.index(found[index][0]) for index in kept], np.uint8),
        tunes=np.array([found[index][1] for index in kept], np.uint16),
        splits=np.array(splits, np.uint8),
    )
    for part, name in enumerate(SPLITS):
        counts[f"{name} strains"] = splits.count(part)
    return counts


def strains_of(tune: AbcTune, counts: Counter[str] | None = None) -> Iterator[Melody]:
    """The strains of a tune that the representation holds; the others are counted by reason."""
    counts = Counter() if counts is None else counts
    mode = MODE_OF_ABC.get(tune.mode)
    if tune.changes_meter_or_key or mode is None or tune.meter not in BAR_TICKS:
        counts["tunes in other metres or modes, or changing"] += 1
        return
    meter = tune.meter
    written = [note.duration_ticks for bar in tune.bars for note in bar.notes]
    if meter == "2/4" and sum(ticks <= 6 for ticks in written) > 0.3 * len(written):
        meter = "4/4"
        for bar in tune.bars:
            for note in bar.notes:
                note.duration_ticks *= 2
    for bars in _split_bars(tune.bars):
        try:
            yield _strain(bars, meter, mode, _tune_type(tune, meter), 60 + tune.tonic_class)
        except MelodyError as error:
            counts["strain: " + str(error).split("=")[0][:38]] += 1


def _tune_type(tune: AbcTune, meter: str) -> str:
    words = " ".join(tune.fields.get("R", []) + tune.fields.get("T", [])).lower()
    for word, name in TYPE_WORDS:
        if word in words:
            return "slipjig" if name == "jig" and meter == "9/8" else name
    return "slipjig" if meter == "9/8" else "other"


def _split_bars(bars: Sequence[AbcBar]) -> Iterator[list[AbcBar]]:
    strain: list[AbcBar] = []
    for bar, after in zip(bars, [*bars[1:], None], strict=True):
        if bar.ending != "1":
            strain.append(bar)
        second_follows = after is not None and after.ending == "2" and bar.ending == "1"
        ends = any(mark in bar.right for mark in (":", "||", "]", "[|")) or (
            after is not None and any(mark in after.left for mark in (":", "||", "["))
        )
        if strain and not second_follows and (ends or after is None) and bar.ending != "1":
            yield strain
            strain = []
    if strain:
        yield strain


def _strain(bars: Sequence[AbcBar], meter: str, mode: str, tune_type: str, tonic_midi: int) -> Melody:
    """Bars as written -> Melody, with the last bar made the complement of the pickup.

    Raises:
        MelodyError: with the rule that the strain breaks.
    """
    bar_ticks = BAR_TICKS[meter]
    lengths = [bar.duration_ticks for bar in bars]
    pickup = int(lengths[0]) if lengths[0] < bar_ticks and len(bars) > 1 else 0
    full = lengths[1:] if pickup else lengths
    if any(length != bar_ticks for length in full[:-1]):
        raise MelodyError("inexact bars=")
    if not bar_ticks / 2 <= full[-1] + pickup <= bar_ticks + pickup:
        raise MelodyError("inexact last bar=")
    header = Header(meter, mode, tune_type, len(full), pickup)
    notes: list[Note] = []
    at, tied = header.start_ticks, False
    for written in (note for bar in bars for note in bar.notes):
        ticks = int(written.duration_ticks)
        if ticks != written.duration_ticks:
            raise MelodyError("off the tick grid=")
        if written.midi is not None and at < header.end_ticks:
            pitch = written.midi - tonic_midi
            length = min(ticks, header.end_ticks - at)
            if tied and notes[-1].pitch == pitch:
                notes[-1] = replace(notes[-1], duration_ticks=notes[-1].duration_ticks + length)
            else:
                notes.append(Note(at, length, pitch))
        at += ticks
        tied = written.tied
    if at < header.end_ticks and notes and bars[-1].notes[-1].midi is not None:
        notes[-1] = replace(notes[-1], duration_ticks=header.end_ticks - notes[-1].onset_ticks)
    return Melody(header, tuple(notes), tonic_midi)


def interval_grams(melody: Melody, size: int = 7) -> frozenset[tuple[int, ...]]:
    """The melody's interval n-grams, by which near-duplicates are known."""
    pitches = [note.pitch for note in melody.notes]
    steps = [b - a for a, b in zip(pitches, pitches[1:], strict=False)]
    return frozenset(tuple(steps[i : i + size]) for i in range(len(steps) - size + 1))


def _group_and_dedupe(melodies: Sequence[Melody], tunes: Sequence[int]) -> tuple[dict[int, int], list[int]]:
    """Groups of tunes joined by near-duplicate strains, and the strains kept (first of each kind)."""
    parent = {tune: tune for tune in tunes}

    def root(tune: int) -> int:
        while parent[tune] != tune:
            parent[tune] = parent[parent[tune]]
            tune = parent[tune]
        return tune

    holders: dict[tuple[int, ...], list[int]] = defaultdict(list)
    grams = [interval_grams(melody) for melody in melodies]
    kept: list[int] = []
    for index, mine in enumerate(grams):
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


def melodies_of(strains: Iterable[Strain]) -> list[Melody]:
    """Just the melodies."""
    return [strain.melody for strain in strains]
