"""What a corpus file has to be: every array of it is checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from music.json_text import JsonError, parse_json
from music.melody import HIGHEST_TONIC_MIDI, LOWEST_TONIC_MIDI
from music.styles import SHIPPED_STYLES, StyleError, Styles
from music.tokens import BOS, EOS, HEADER_LENGTH, ID, VOCABULARY_HASH

BOOKS = {"oneills1850": "O'Neill 1903", "ryansMammoth": "Ryan 1883"}
"""folder of a book in music21's package -> what people call it"""
SPLITS = ("train", "validation", "test")
STRAINS = 500_000
"""of one corpus at most"""
COLUMNS = ("tokens", "lengths", "tonics", "tunes", "splits", "books", "earlier")
STYLE_PLACE = 3
"""of the style token in a strain: BOS METER MODE STYLE"""


class CorpusError(ValueError):
    """A corpus that is not there, or cannot be read or built; one line with the remedy."""


def check_split(split: str) -> None:
    """Refuse what is none of `SPLITS`.

    Raises:
        ValueError: with the splits that there are.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is not known; choose one of {list(SPLITS)}")


def damaged(path: Path, what: str) -> CorpusError:
    """That a file is damaged, and how."""
    return CorpusError(f"the corpus file {str(path)!r} is damaged: {what}; build it anew")


def check_vocabulary(path: Path, vocabulary: np.ndarray) -> None:
    """Refuse tokens of another vocabulary.

    Raises:
        CorpusError: with the hashes of both.
    """
    named = str(vocabulary)[:16]
    if named != VOCABULARY_HASH:
        raise CorpusError(
            f"the corpus file {str(path)!r} has vocabulary {named!r}, here {VOCABULARY_HASH}; "
            "build it anew or use the release that it was built with"
        )


def _json(path: Path, found: Mapping[str, np.ndarray], name: str) -> object:
    if found[name].dtype != np.uint8:
        raise damaged(path, f"its {name} are no text")
    try:
        return parse_json(found[name].tobytes())
    except JsonError as error:
        raise damaged(path, f"its {name}: {error}") from error


def labels_of(path: Path, found: Mapping[str, np.ndarray]) -> Styles:
    """What the style tokens of a file stand for.

    Raises:
        CorpusError: for labels that are none.
    """
    if "labels" not in found:
        return SHIPPED_STYLES
    labels = _json(path, found, "labels")
    try:
        return Styles(tuple(labels) if isinstance(labels, list) else (str(labels),))
    except (StyleError, TypeError) as error:
        raise damaged(path, f"its labels: {error}") from error


def sources_of(path: Path, found: Mapping[str, np.ndarray]) -> list[tuple[str, str, str]]:
    """File, number and title of each tune; empty for the shipped corpus.

    Raises:
        CorpusError: for what is no list of them.
    """
    if "sources" not in found:
        return []
    sources = _json(path, found, "sources")
    if not isinstance(sources, list) or not all(
        isinstance(one, list) and len(one) == 3 and all(isinstance(text, str) for text in one)
        for one in sources
    ):
        raise damaged(path, "its sources are not files, numbers and titles")
    return [(file, number, title) for file, number, title in sources]


def check_columns(
    path: Path, columns: Mapping[str, np.ndarray], *, tunes: int, vocabulary: int
) -> None:
    """Refuse columns that are missing, of other lengths, or with numbers that mean nothing.

    Args:
        path: the file.
        columns: its columns.
        tunes: how many tunes it has sources of; 0 for the shipped corpus.
        vocabulary: how many tokens there are.

    Raises:
        CorpusError: with what is wrong.
    """
    lacking = [
        one for one in ("tokens", "lengths", "tonics", "tunes", "splits") if one not in columns
    ]
    if not tunes and "books" not in columns:
        lacking.append("books")
    if lacking:
        raise damaged(path, f"it has no {' and no '.join(lacking)}")
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "ub":
            raise damaged(path, f"its {name} are no list of whole numbers")
    count = len(columns["lengths"])
    if not 0 < count <= STRAINS:
        raise damaged(path, f"it has {count} strains, and 1 to {STRAINS} are allowed")
    if any(len(column) != count for name, column in columns.items() if name != "tokens"):
        raise damaged(path, "its columns have different lengths")
    if int(columns["lengths"].sum(dtype=np.int64)) != len(columns["tokens"]):
        raise damaged(path, "its lengths are not those of its tokens")
    tonics = columns["tonics"]
    for name, column, low, high in (
        ("lengths", columns["lengths"], HEADER_LENGTH + 1, 2**16),
        ("tokens", columns["tokens"], 0, vocabulary - 1),
        ("tonics", tonics, LOWEST_TONIC_MIDI, HIGHEST_TONIC_MIDI),
        ("splits", columns["splits"], 0, len(SPLITS) - 1),
        ("books", columns.get("books", tonics[:0]), 0, len(BOOKS) - 1),
        ("tunes", columns["tunes"], 0, tunes - 1 if tunes else 2**32),
    ):
        if len(column) and not (low <= int(column.min()) and int(column.max()) <= high):
            raise damaged(path, f"its {name} are not all within {low} to {high}")


def check_rows(path: Path, columns: Mapping[str, np.ndarray], labels: Styles) -> None:
    """Refuse strains that do not go from BOS to EOS, or whose style has no label.

    Raises:
        CorpusError: with what is wrong.
    """
    tokens, lengths = columns["tokens"], columns["lengths"].astype(np.int64)
    ends = np.cumsum(lengths) - 1
    starts = ends - lengths + 1
    if not ((tokens[starts] == BOS).all() and (tokens[ends] == EOS).all()):
        raise damaged(path, "a strain of it does not go from BOS to EOS")
    slots = tokens[starts + STYLE_PLACE].astype(np.int64) - ID["STYLE_0"]
    if not ((slots >= 0) & (slots < len(labels.labels))).all():
        raise damaged(path, "a strain of it has a style without a label")
