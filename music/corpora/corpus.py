"""The shipped corpus: strains of O'Neill 1903 and Ryan 1883, as numbers, with a split by tune.

`load_corpus()` reads what the package ships (`music/corpora/data/strains.npz`: tokens, no text).
`music.corpora.books` builds that file; `music.corpora.catalogue` opens any corpus by its name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from music.corpora.corpus_file import Strain, check_split, read_corpus
from music.styles import SHIPPED_STYLES, Styles

DATA = Path(__file__).parent / "data" / "strains.npz"


def load_corpus(split: str | None = None, path: Path = DATA) -> list[Strain]:
    """The shipped strains, or those of one split.

    Raises:
        ValueError: for a split that is not one of `SPLITS`.
        LimitError: for a file that unpacks to more than `UNPACKED_CORPUS_BYTES`.
        CorpusError: for a file of tokens that are not known here.
    """
    if split is not None:
        check_split(split)
    return read_corpus(path).strains(split)


def load_token_rows(split: str, styles: Styles = SHIPPED_STYLES) -> list[np.ndarray]:
    """Token ids of the shipped strains of a split, uint16, each from BOS to EOS.

    Raises:
        ValueError: for a split that is not one of `SPLITS`.
    """
    check_split(split)
    return read_corpus(DATA).token_rows(split, styles)
