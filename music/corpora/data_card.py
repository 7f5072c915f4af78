"""The data card of a corpus: what was read, what is in it, what was refused, and whose work it is.

Written as JSON for programs and as Markdown for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from music.corpora.corpus_file import SPLITS, Corpus
from music.formats.spelling import key_of

CARD_VERSION = 1
SHOWN_KEYS = 12
SHOWN_TRANSCRIBERS = 20
_TEXTS = ("name", "built_at", "licence")
_NUMBERS = (
    *("files", "files_refused", "other_files", "tunes", "tunes_kept", "strains_read", "strains"),
    *("near_duplicates", "tunes_in_corpus", "notes", "styles_joined", "style_bits"),
)
_COUNTS = ("transcribers", "meters", "modes", "bars", "keys", "styles", "refused", "notices")


def describe_strains(corpus: Corpus) -> dict[str, Any]:
    """Counts of what a corpus holds: sides, metres, modes, bars, keys, styles and notes."""
    strains = corpus.strains()
    headers = [strain.melody.header for strain in strains]
    styles = Counter(header.style for header in headers)
    return {
        "splits": {
            split: {
                "tunes": len({strain.tune for strain in strains if strain.split == split}),
                "strains": sum(strain.split == split for strain in strains),
            }
            for split in SPLITS
        },
        "notes": sum(len(strain.melody.notes) for strain in strains),
        "meters": _counted(header.meter for header in headers),
        "modes": _counted(header.mode for header in headers),
        "bars": {str(bars): n for bars, n in sorted(Counter(h.bars for h in headers).items())},
        "keys": _counted(
            f"{key_of(strain.melody.tonic_midi, strain.melody.header.mode).tonic_name} "
            f"{strain.melody.header.mode}"
            for strain in strains
        ),
        "styles": dict(styles.most_common()),
        "style_bits": round(entropy_bits(styles), 3),
    }


def entropy_bits(counts: Mapping[str, int]) -> float:
    """How many bits the label of a strain tells, on average; 0 where all are the same."""
    shares = np.array(list(counts.values()), float)
    shares = shares[shares > 0] / shares.sum()
    return float(abs(np.sum(shares * np.log2(shares))))


def quantity(number: int, noun: str) -> str:
    """A number of things that have a regular plural, in words: "1 tune", "2,000 tunes"."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def check_card(card: Mapping[str, Any]) -> None:
    """Check that a data card has all that it is shown by, of the right kinds.

    Raises:
        ValueError: for the first field that is missing or of another kind.
    """

    def check(name: str, is_right: bool, kind: str) -> None:
        if name not in card:
            raise ValueError(f"it has no {name!r}")
        if not is_right:
            raise ValueError(f"its {name!r} is not {kind}")

    for name in _TEXTS:
        check(name, isinstance(card.get(name), str), "a text")
    for name in _NUMBERS:
        check(name, _is_number(card.get(name)), "a number")
    for name in _COUNTS:
        counts = card.get(name)
        whole = isinstance(counts, dict) and all(map(_is_whole, counts.values()))
        check(name, whole, "a table of whole numbers")
    read, splits = card.get("read"), card.get("splits")
    texts = isinstance(read, list) and all(isinstance(path, str) for path in read)
    check("read", texts, "a list of texts")
    sides = isinstance(splits, dict) and all(
        isinstance(splits.get(split), dict)
        and all(_is_whole(splits[split].get(what)) for what in ("tunes", "strains"))
        for split in SPLITS
    )
    check("splits", sides, "the tunes and strains of each part")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float)


def in_words(card: Mapping[str, Any]) -> str:
    """The data card in Markdown; `check_card` tells whether it has all that is needed."""
    kept, tunes = card["tunes_kept"], card["tunes"]
    parts = [
        f"# Corpus {card['name']}",
        f"Built {card['built_at']} from {_listed(card['read'])}.",
        f"- Licence: {_cell(card['licence'])}",
        f"- Transcribed by: {_transcribers(card['transcribers'])}",
        "",
        "## What was read",
        f"{quantity(card['files'], 'file')}, of which {card['files_refused']:,} gave no tune "
        f"({quantity(card['other_files'], 'file')} of other kinds left alone). {kept:,} of "
        f"{quantity(tunes, 'tune')} gave {quantity(card['strains_read'], 'strain')}; left out as "
        f"near-duplicates of others: {card['near_duplicates']:,}. The corpus has "
        f"{quantity(card['strains'], 'strain')} of {quantity(card['tunes_in_corpus'], 'tune')} "
        f"with {quantity(card['notes'], 'note')}.",
        "",
        *_sides(card),
        "## What is in it",
        *_strains_in_words(card),
    ]
    if card["styles_joined"]:
        parts.append(f"Rarer styles joined as `other`: {card['styles_joined']}.")
    parts += ["", "## What was refused"]
    if card["refused"]:
        parts += [*_table("reason", card["refused"])]
        parts.append(
            f"Each passage stands in `{card['name']}.refused.csv`; docs/reading.md has the reasons."
        )
    else:
        parts.append("Nothing.")
    if card["notices"]:
        parts += ["", "## What was decided to read it", *_table("decision", card["notices"])]
        parts.append(
            f"Each passage stands in `{card['name']}.decisions.csv`; docs/reading.md has the rules."
        )
    return "\n".join(parts) + "\n"


def without_card(corpus: Corpus) -> tuple[dict[str, Any], str]:
    """What can be told of a corpus that has no data card, as the shipped one; and in Markdown."""
    card = {
        "name": corpus.name,
        "strains": len(corpus),
        "tunes_in_corpus": corpus.tunes,
        **describe_strains(corpus),
    }
    parts = [
        f"# Corpus {corpus.name}",
        f"{quantity(len(corpus), 'strain')} of {quantity(corpus.tunes, 'tune')} with "
        f"{quantity(card['notes'], 'note')}.",
        "",
        *_sides(card),
        *_strains_in_words(card),
    ]
    return card, "\n".join(parts) + "\n"


def _strains_in_words(card: Mapping[str, Any]) -> list[str]:
    """The fields of `describe_strains` in Markdown, but for the sides."""
    return [
        *_table("metre", card["meters"]),
        *_table("mode", card["modes"]),
        *_table("bars", card["bars"]),
        *_table("key", dict(list(card["keys"].items())[:SHOWN_KEYS])),
        *_table("style", card["styles"]),
        f"The style of a strain tells {card['style_bits']:.2f} bits.",
    ]


def _sides(card: Mapping[str, Any]) -> list[str]:
    splits = card["splits"]
    rows = [f"| {one} | {splits[one]['tunes']} | {splits[one]['strains']} |" for one in SPLITS]
    return ["| part | tunes | strains |", "|---|---|---|", *rows, ""]


def _table(what: str, counts: Mapping[str, int]) -> list[str]:
    rows = [f"| {_cell(name)} | {count} |" for name, count in counts.items()]
    return [f"| {what} | |", "|---|---|", *rows, ""]


def _transcribers(found: Mapping[str, int]) -> str:
    if not found:
        return "not stated in the files"
    shown = [f"{_cell(who)} ({count})" for who, count in list(found.items())[:SHOWN_TRANSCRIBERS]]
    more = len(found) - len(shown)
    return "; ".join(shown) + (f"; and {more} more, in the JSON file" if more else "")


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(f"`{_cell(path).replace('`', chr(39))}`" for path in paths)


def _cell(text: str) -> str:
    """A text that may be anybody's, in a cell: one line, no column, no HTML."""
    plain = " ".join(str(text).split())
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
