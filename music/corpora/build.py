"""Building a corpus from files of tunes: read, cut into strains, compared, split and written.

Five files are written, all or none: `NAME.npz` with the strains as tokens, `NAME.json` with the
data card, `NAME.md` with the same for people, `NAME.refused.csv` with every passage that was
refused, and `NAME.decisions.csv` with what was decided so that tunes could be read. A corpus whose
files, options and readers have not changed is not built again.

Of near-duplicates the first stays (`music.corpora.near_duplicates`). The split is by tune
(`music.corpora.sides`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from music.corpora.build_options import BuildOptions
from music.corpora.catalogue import CORPORA, data_card
from music.corpora.corpus_file import STRAINS, STYLE_PLACE, CorpusError, read_corpus, write_corpus
from music.corpora.data_card import CARD_VERSION, describe_strains, in_words, quantity
from music.corpora.file_reading import FileReading, read_files
from music.corpora.near_duplicates import Groups, overlaps
from music.corpora.remark_tables import DECISIONS, REFUSED, RemarkTable
from music.corpora.sides import split_groups
from music.corpora.sources import Source, find_sources, fingerprint
from music.files import whole_files
from music.json_text import write_json
from music.limits import UNPACKED_CORPUS_BYTES, LimitError
from music.messages import excerpt
from music.progress import Report, no_report
from music.readers import Refusal
from music.styles import OTHER, STYLE_SLOTS, Styles
from music.tokens import ID

TOKENS = UNPACKED_CORPUS_BYTES // 4
"""of one corpus at most; a file of more would not be read"""
SHOWN_REASONS = 2
"""in the message that nothing can be used"""
EXAMPLE_CHARACTERS = 220
"""of a refusal in it, so that the whole is not cut"""


@dataclass(slots=True)
class _Found:
    """What was read of all files."""

    files_refused: int = 0
    unread_tunes: int = 0
    tunes: list[tuple[str, str, str]] = field(default_factory=list)
    """file, number and title of each tune with a strain"""
    tunes_without_strain: int = 0
    labels: list[str] = field(default_factory=list)
    """of each strain"""
    transcribers: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Refusal] = field(default_factory=dict)
    """the first refusal of each reason"""
    notices: Counter[str] = field(default_factory=Counter)
    rows: list[np.ndarray] = field(default_factory=list)
    tonics: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    """place in `tunes` of each strain's tune"""
    tokens: int = 0


def build(
    given: Sequence[Path],
    options: BuildOptions,
    *,
    root: Path = CORPORA,
    rebuild: bool = False,
    report: Report = no_report,
) -> tuple[dict[str, Any], bool]:
    """Build a corpus of the files; its data card, and whether it was built now.

    Args:
        given: folders, or files.
        options: name, styles and licence.
        root: folder of all corpora.
        rebuild: build it even if nothing has changed, or if its name is that of a corpus from
            other folders.
        report: is told the stage and how far it is.

    Raises:
        CorpusError: for no files, no strain that can be kept, a name that is taken, or more than a
            corpus may hold. What was there stays as it is.
        OSError: when a folder cannot be read, or the corpus cannot be written.
    """
    sources, others = find_sources(given)
    origin = _origin(given)
    before = None if rebuild else _card_before(options.name, root, origin)
    looking = partial(report, "looking for changes")
    known = f"{origin}-{fingerprint(sources, options.deciding, progress=looking)}"
    if before is not None and before.get("fingerprint") == known:
        return before, False
    with whole_files(root, last=f"{options.name}.json") as draft:
        found = _read(draft, sources, options, report)
        if not found.rows:
            raise CorpusError(_nothing_kept(sources, found))
        card = _write(draft, sources, options, found, known, report)
        card |= {
            "read": [str(path) for path in given],
            "other_files": others,
        }
        text = in_words(card).encode("utf-8", "backslashreplace")  # names of files may not be UTF-8
        (draft / f"{options.name}.md").write_bytes(text)
        write_json(draft / f"{options.name}.json", card)
    return card, True


def _card_before(name: str, root: Path, origin: str) -> dict[str, Any] | None:
    """The data card of a corpus of these folders; None where it has to be built.

    Raises:
        CorpusError: when the name is that of a corpus of other folders, or of a damaged one.
    """
    path = root / f"{name}.npz"
    if not path.exists():
        return None
    try:
        corpus = read_corpus(path)
    except (CorpusError, LimitError) as error:
        raise CorpusError(
            f"there is a corpus {name!r} that cannot be read; choose another --name, or replace "
            "it with --rebuild"
        ) from error
    try:
        card = data_card(name, root)
    except CorpusError:
        card = None
    if corpus.fingerprint.partition("-")[0] != origin:
        read = ", ".join(map(str, card.get("read", []))) if card else ""
        of = f" ({excerpt(read, 120)})" if read else ""
        raise CorpusError(
            f"there is a corpus {name!r} from other folders{of}; choose another --name, or "
            "replace it with --rebuild"
        )
    # A kill may leave the card of the corpus before, or none.
    return card if card and card.get("fingerprint") == corpus.fingerprint else None


def _origin(given: Sequence[Path]) -> str:
    """Which folders were given, as a hash; a corpus that is passed on does not say where."""
    places = "\n".join(sorted(str(path.resolve()) for path in given))
    return hashlib.sha256(places.encode(errors="surrogateescape")).hexdigest()[:16]


def _read(draft: Path, sources: Sequence[Source], options: BuildOptions, report: Report) -> _Found:
    """Read all files; what is refused and decided goes into tables at once."""
    found = _Found()
    progress = partial(report, "reading files")
    with ExitStack() as opened:
        refused = opened.enter_context(RemarkTable(draft / f"{options.name}{REFUSED}"))
        decisions = opened.enter_context(RemarkTable(draft / f"{options.name}{DECISIONS}"))
        read = opened.enter_context(closing(read_files(sources, options.part, progress=progress)))
        for source, reading in zip(sources, read, strict=True):
            _add(found, source, reading, options)
            refused.write(reading.refusals)
            decisions.write(reading.notices)
    return found


def _add(found: _Found, source: Source, reading: FileReading, options: BuildOptions) -> None:
    found.files_refused += not reading.tunes
    found.unread_tunes += reading.unread_tunes
    found.notices.update(notice.reason for notice in reading.notices)
    for refusal in reading.refusals:
        found.refused[refusal.reason] += 1
        found.examples.setdefault(refusal.reason, refusal)
    for tune in reading.tunes:
        if not tune.rows:
            found.tunes_without_strain += 1
            continue
        found.owners += [len(found.tunes)] * len(tune.rows)
        found.tunes.append((source.name, tune.number, tune.title))
        found.labels += options.labels(tune, source)
        found.transcribers.update(set(tune.transcribers))
        found.rows += tune.rows
        found.tonics += tune.tonics
        found.tokens += sum(map(len, tune.rows))
        if len(found.rows) > STRAINS or found.tokens > TOKENS:
            raise CorpusError(
                f"the files have more than {STRAINS:,} strains or {TOKENS:,} tokens, the most of "
                "one corpus; build several corpora, each of a part of them"
            )


def _nothing_kept(sources: Sequence[Source], found: _Found) -> str:
    """That nothing can be used, with an example of each of the commonest reasons."""
    files = quantity(len(sources), "file")
    if not found.refused:
        return f"no strain of {files} can be used, as there are no tunes; give others"
    commonest = [reason for reason, _ in found.refused.most_common(SHOWN_REASONS)]
    examples = [excerpt(str(found.examples[reason]), EXAMPLE_CHARACTERS) for reason in commonest]
    counts = ", ".join(f"{reason} ({found.refused[reason]})" for reason in commonest)
    return f"no strain of {files} can be used: {counts}, such as {'; '.join(examples)}"


def _write(
    draft: Path,
    sources: Sequence[Source],
    options: BuildOptions,
    found: _Found,
    known: str,
    report: Report,
) -> dict[str, Any]:
    """Leave out near-duplicates, split, write the tokens; the data card."""
    groups = Groups()
    kept: list[int] = []
    progress = partial(report, "comparing strains")
    for index, overlap in enumerate(overlaps(found.rows, progress=progress)):
        near = overlap.near()
        for other in near:
            groups.join(found.owners[index], found.owners[other])
        if not near:
            kept.append(index)
    report("writing", 0, 0)
    tunes = sorted({found.owners[index] for index in kept})
    place = {tune: number for number, tune in enumerate(tunes)}
    group_of = {tune: groups.root(tune) for tune in tunes}
    first_strains: dict[int, bytes] = {}
    for index in kept:
        first_strains.setdefault(group_of[found.owners[index]], found.rows[index].tobytes())
    side_of_group = split_groups([group_of[tune] for tune in tunes], first_strains)
    labels = [found.labels[index] for index in kept]
    styles, joined = _styles(labels)
    rows = [found.rows[index] for index in kept]
    for row, label in zip(rows, labels, strict=True):
        row[STYLE_PLACE] = ID[f"STYLE_{styles.slot(label)}"]
    owners = [place[found.owners[index]] for index in kept]
    splits = [side_of_group[group_of[found.owners[index]]] for index in kept]
    tonics = [found.tonics[index] for index in kept]
    write_corpus(
        draft / f"{options.name}.npz",
        rows,
        tonics=tonics,
        tunes=owners,
        splits=splits,
        labels=styles,
        sources=[found.tunes[tune] for tune in tunes],
        fingerprint=known,
    )
    corpus = read_corpus(draft / f"{options.name}.npz", options.name)
    return {
        "card_version": CARD_VERSION,
        "name": options.name,
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": options.licence,
        "transcribers": dict(found.transcribers.most_common()),
        "files": len(sources),
        "files_refused": found.files_refused,
        "tunes": len(found.tunes) + found.tunes_without_strain + found.unread_tunes,
        "tunes_kept": len(found.tunes),
        "tunes_in_corpus": len(tunes),
        "strains_read": len(found.rows),
        "near_duplicates": len(found.rows) - len(kept),
        "strains": len(kept),
        "refused": dict(found.refused.most_common()),
        "notices": dict(found.notices.most_common()),
        "styles_joined": joined,
        "options": options.deciding,
        "fingerprint": known,
        **describe_strains(corpus),
    }


def _styles(labels: Sequence[str]) -> tuple[Styles, int]:
    """The commonest labels of strains, and how many others there are, which become slot 0."""
    counts = Counter(label for label in labels if label != OTHER)
    common = [label for label, _ in counts.most_common(STYLE_SLOTS - 1)]
    return Styles((OTHER, *common)), len(counts) - len(common)
