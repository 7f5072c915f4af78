"""A small corpus on the disk, as `tastemaker corpus build` writes it."""

import json
from dataclasses import replace

from music.corpora.catalogue import CORPORA
from music.corpora.corpus import load_corpus
from music.corpora.corpus_file import write_corpus
from music.styles import Styles
from music.tokens import encode

CARD = {
    "card_version": 1, "name": "mine", "licence": "public domain", "transcribers": {"**Ada**": 12},
    "files": 3, "files_refused": 1, "other_files": 0, "tunes": 14, "tunes_kept": 12,
    "tunes_in_corpus": 12, "strains_read": 13, "near_duplicates": 1, "strains": 12, "notes": 400,
    "refused": {"bar length": 3, "<b>new</b>": 1}, "notices": {"grace notes dropped": 4},
    "splits": {
        "train": {"tunes": 10, "strains": 10}, "validation": {"tunes": 1, "strains": 1},
        "test": {"tunes": 1, "strains": 1},
    },
    "meters": {"4/4": 12}, "keys": {"D ionian": 12}, "bars": {"8": 12}, "styles": {"mine": 12},
    "modes": {"ionian": 12}, "style_bits": 0.0, "styles_joined": 0, "read": ["tunes"],
    "built_at": "2026-11-30T08:00:00+00:00",
}  # fmt: skip
REFUSED = """file,tune,bar,reason,detail\r
0001-my-book.abc,3,2,bar length,"the bar has 5 eighths, 4/4 has 8; write **it** whole"\r
0002-photo.abc,,,<b>new</b>,no tune in it\r
"""


def make_corpus(name="mine", *, root=CORPORA, count=12, splits=None):
    """A corpus of real strains, with its data card and its refusals."""
    root.mkdir(parents=True, exist_ok=True)
    styles = Styles(("other", name))
    strains = load_corpus("test")[:count]
    melodies = [
        replace(strain.melody, header=replace(strain.melody.header, style=name))
        for strain in strains
    ]
    rows = [encode(melody, styles).copy() for melody in melodies]
    write_corpus(
        root / f"{name}.npz",
        rows,
        tonics=[strain.melody.tonic_midi for strain in strains],
        tunes=list(range(count)),
        splits=splits or [0] * (count - 2) + [1, 2],
        labels=styles,
        sources=[("0001-my-book.abc", str(n + 1), f"Tune <b>{n}</b>") for n in range(count)],
    )
    (root / f"{name}.json").write_text(json.dumps({**CARD, "name": name}))
    (root / f"{name}.refused.csv").write_text(REFUSED, newline="")
    return root / f"{name}.npz"
