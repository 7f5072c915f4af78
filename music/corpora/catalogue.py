"""The corpora that there are: `books`, which is shipped, and those under `checkpoints/corpora`.

A corpus is named by what it is called, or by the path of its file (`.npz`). `NAME.json` beside the
file is its data card: what was read, what was refused and why, and the licence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from music.corpora.corpus import DATA
from music.corpora.corpus_file import Corpus, CorpusError, Strain, read_corpus
from music.corpora.data_card import check_card
from music.corpora.remark_tables import DECISIONS, REFUSED, read_table
from music.json_text import JsonError, read_json
from music.melody import Melody
from music.messages import shortened
from music.styles import OTHER, STYLE_SLOTS, Styles

CORPORA = Path("checkpoints/corpora")
SHIPPED = "books"
"""name of the shipped corpus"""
CORPUS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
"""so that a name is also a style label"""


def checked_name(name: str) -> str:
    """The name itself, which a corpus of one's own may have.

    Raises:
        CorpusError: for what is no name, and for that of the shipped corpus.
    """
    if not isinstance(name, str) or not CORPUS_NAME.fullmatch(name):
        raise CorpusError(
            f"{shortened(name)} is not the name of a corpus; use a-z, 0-9 and -, at most 32 of "
            "them, beginning with a letter or digit"
        )
    if name == SHIPPED:
        raise CorpusError(f"{name!r} is the shipped corpus; choose another name")
    return name


def corpus_names(root: Path = CORPORA) -> list[str]:
    """Names of all corpora, the shipped one first."""
    own = sorted(file.stem for file in root.glob("*.npz") if CORPUS_NAME.fullmatch(file.stem))
    return [SHIPPED, *(name for name in own if name != SHIPPED)]


def corpus_path(name: str, root: Path = CORPORA) -> Path:
    """The file of a corpus, by its name or its path.

    Raises:
        CorpusError: when there is none; those that there are, are named.
    """
    if name == SHIPPED:
        return DATA
    if "/" in name or name.endswith(".npz"):
        path = Path(name)
        if not path.is_file():
            raise CorpusError(f"there is no corpus file {name!r}; give the path of an .npz file")
        return path
    path = root / f"{checked_name(name)}.npz"
    if not path.is_file():
        raise CorpusError(
            f"there is no corpus {name!r} in {root}; there are: {', '.join(corpus_names(root))}. "
            f"Build one with: tastemaker corpus build FOLDER --name {name}"
        )
    return path


def open_corpus(name: str, root: Path = CORPORA) -> Corpus:
    """The corpus of this name or path.

    Raises:
        CorpusError: when there is none, or its file is damaged.
        LimitError: when its file is too large.
    """
    path = corpus_path(name, root)
    return read_corpus(path, SHIPPED if path == DATA else path.stem)


def corpora_named(names: Iterable[str] = (SHIPPED,), root: Path = CORPORA) -> list[Corpus]:
    """The corpora of these names, in order, each once.

    Raises:
        CorpusError: for no names, and when one of them is not there or damaged.
    """
    found = [open_corpus(name, root) for name in dict.fromkeys(names)]
    if not found:
        raise CorpusError(f"no corpus is named; name one of {corpus_names(root)}")
    return found


def strains_of_corpora(corpora: Sequence[Corpus], *splits: str) -> list[Strain]:
    """The strains of these splits (of all, if none is named), corpus after corpus."""
    return [
        strain
        for corpus in corpora
        for split in (splits or (None,))
        for strain in corpus.strains(split)
    ]


def melodies_of_corpora(corpora: Sequence[Corpus], *splits: str) -> list[Melody]:
    """The melodies of `strains_of_corpora`."""
    return [strain.melody for strain in strains_of_corpora(corpora, *splits)]


def styles_of_corpora(corpora: Sequence[Corpus], known: Styles | None = None) -> Styles:
    """Labels for a policy that learns from these corpora: those it knows, then their commonest.

    Of labels that are more than a policy can have, the rarest are left out: to the policy they are
    slot 0, `other`.
    """
    counts: Counter[str] = Counter()
    for corpus in corpora:
        counts.update(corpus.styles)
    have = (known or Styles()).labels
    labels = (*have, *(label for label, _ in counts.most_common() if label not in (*have, OTHER)))
    return Styles(labels[:STYLE_SLOTS])


def data_card(name: str, root: Path = CORPORA) -> dict[str, Any] | None:
    """The data card of a corpus, with all its fields; None where there is none beside its file.

    Raises:
        CorpusError: when there is no such corpus, or its card is damaged.
    """
    card = any_card(name, root)
    if card is not None:
        try:
            check_card(card)
        except ValueError as error:
            raise _damaged_card(name, root, error) from error
    return card


def any_card(name: str, root: Path = CORPORA) -> dict[str, Any] | None:
    """The same, of which any field may be missing or of another kind.

    Raises:
        CorpusError: when there is no such corpus, or its card is no JSON object.
    """
    file = corpus_path(name, root).with_suffix(".json")
    if not file.is_file():
        return None
    try:
        card = read_json(file)
    except JsonError as error:
        raise _damaged_card(name, root, error) from error
    if not isinstance(card, dict):
        raise _damaged_card(name, root, "it is no object")
    return card


def _damaged_card(name: str, root: Path, why: object) -> CorpusError:
    file = corpus_path(name, root).with_suffix(".json")
    return CorpusError(f"the data card {str(file)!r} is damaged ({why}); build the corpus anew")


def refused_passages(name: str, root: Path = CORPORA) -> Iterator[dict[str, str]]:
    """What was refused when a corpus was built, each with `REMARK_FIELDS`; nothing for `books`.

    Raises:
        CorpusError: when there is no such corpus, or its table is damaged.
    """
    yield from read_table(corpus_path(name, root).with_suffix(REFUSED))


def reading_decisions(name: str, root: Path = CORPORA) -> Iterator[dict[str, str]]:
    """What was decided so that tunes could be read, each with `REMARK_FIELDS`; none for `books`.

    Raises:
        CorpusError: when there is no such corpus, or its table is damaged.
    """
    yield from read_table(corpus_path(name, root).with_suffix(DECISIONS))
