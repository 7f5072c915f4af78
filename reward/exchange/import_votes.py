"""Votes of another store, from the files that `reward.exchange.export` writes, into this one.

The four tables of an export are imported together. First they are read and checked, a piece at a
time; while that goes on others may vote. Then all is stored in one transaction: killed at any
moment, either nothing is stored or everything, and to import again stores nothing twice. A row that
breaks a rule is refused with its reasons, what refers to it as well, and all others are kept. The
refused rows are written before the transaction ends, so nothing can fail after it.

What is the same here and there: a melody by its tokens, a comparison by its id, a vote by its
nonce, a rater by nickname and kind. Ids of melodies, raters and votes are this store's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from music.limits import TableLimits
from music.progress import Report, no_report
from reward.exchange.export import FORMATS, TABLES
from reward.exchange.import_answers import read_raters, read_votes, store_raters, store_votes
from reward.exchange.import_blind_tests import store_blind_tests
from reward.exchange.import_comparisons import read_comparisons, store_comparisons
from reward.exchange.import_pool import read_melodies, store_melodies
from reward.exchange.refused_rows import write_refused
from reward.exchange.table_files import TableFile
from reward.exchange.table_row import NO_CELLS, Row
from reward.store.database import database_time
from reward.store.store import RatingsStore

NEEDED = {
    "melodies": "melody_id tokens tonic_midi policy_id step sampler seed created_at",
    "comparisons": "comparison_id position round melody_a melody_b purpose repeat_of strategy "
    "created_at",
    "raters": "rater_id nickname rater_kind consent_version created_at",
    "votes": "vote_id comparison_id rater_id rater_kind outcome left_is_a nonce issued_at "
    "created_at",
}


@dataclass(slots=True)
class Imported:
    """What came of an import, by table."""

    added: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    duplicates: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    """rows that the store, or the file further up, had already"""
    refused: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    """with their numbers and reasons, and without their cells"""
    refused_files: list[Path] = field(default_factory=list)


def import_ratings(
    store: RatingsStore,
    path: str | Path,
    *,
    limits: TableLimits | None = None,
    report: Report = no_report,
) -> Imported:
    """Take up an export: a folder, or its file of votes with the other tables beside it.

    Rows that are refused are written to `<file>.refused.csv` beside each file. `report` is told
    each stage.

    Raises:
        RatingsError: for a table that is not there, cannot be read or is larger than the limits, or
            refused rows that cannot be written; nothing is stored then.
    """
    report("reading tables", 0, 0)
    files = _table_files(Path(path))
    limits = limits or TableLimits()
    tables = {name: TableFile(files[name], NEEDED[name].split(), limits) for name in TABLES}
    rows: dict[str, list[Row]] = {name: [] for name in TABLES}

    def read(name: str) -> Iterator[Row]:
        report(f"checking {name}", 0, 0)
        return _kept(tables[name].rows(), rows[name])

    raters, votes = read_raters(read("raters")), read_votes(read("votes"))
    comparisons, melodies = read_comparisons(read("comparisons")), read_melodies(read("melodies"))
    done = Imported()
    report(f"storing {len(votes)} votes", 0, 0)
    with store.writing() as session:
        melody_ids, done.added["melodies"] = store_melodies(session, melodies)
        compared, done.added["comparisons"] = store_comparisons(session, comparisons, melody_ids)
        store_blind_tests(session, comparisons, compared, now=database_time(session))
        known_raters, done.added["raters"] = store_raters(session, raters)
        done.added["votes"] = store_votes(session, votes, compared, known_raters)
        for name in TABLES:
            refused = done.refused[name] = [row for row in rows[name] if row.reasons]
            done.duplicates[name] = len(rows[name]) - done.added[name] - len(refused)
            written = write_refused(tables[name], refused)
            if written is not None:
                done.refused_files.append(written)
    return done


def _kept(read: Iterable[Row], rows: list[Row]) -> Iterator[Row]:
    """Rows one at a time; when the next is asked for, what was in the cells is in a record."""
    for row in read:
        rows.append(row)
        yield row
        row.cells = NO_CELLS


def _table_files(path: Path) -> dict[str, Path]:
    """The file of each table: of the format of the votes where there is one, else of any."""
    folder, endings = path, FORMATS
    files: dict[str, Path] = {}
    if not path.is_dir():
        files["votes"] = path
        folder, endings = path.parent, (path.suffix.removeprefix(".").lower(), *FORMATS)
    # By name in lower case: spreadsheets and old systems write `votes.CSV`.
    there = {}
    if folder.is_dir():
        there = {file.name.lower(): file for file in sorted(folder.iterdir()) if file.is_file()}
    for name in TABLES:
        names = [f"{name}.{ending}" for ending in endings]
        found = [there[file] for file in names if file in there]
        files.setdefault(name, found[0] if found else folder / names[0])
    return files
