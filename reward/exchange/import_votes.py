"""Votes of another store, from the files that `reward.exchange.export` writes, into this one.

The four tables of an export are imported together, in one transaction: killed at any moment, either
nothing is stored or everything, and to import again stores nothing twice. A row that breaks a rule
is refused with its reasons, what refers to it as well, and all others are kept.

What is the same here and there: a melody by its tokens, a comparison by its id, a vote by its
nonce, a rater by nickname and kind. So a simulated listener stays one, and two people of one
nickname are taken for one. Ids of melodies, raters and votes are this store's own. A rater who is
new here has no token: that secret is in no export.

Of a rater's votes on a comparison one counts. A vote is refused when another counts already and it
does not supersede that one; an export with superseded votes tells what supersedes what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from music.progress import Report, no_report
from reward.exchange.export import FORMATS, TABLES
from reward.exchange.import_blind_tests import store_blind_tests
from reward.exchange.import_pool import once, read_melodies, store_comparisons, store_melodies
from reward.exchange.table_files import Row, read_rows, write_refused
from reward.store.database import RatingsError, database_time
from reward.store.pool import batches
from reward.store.raters import Rater, rater_named
from reward.store.schema import AssignmentRow, ComparisonRow, VoteRow
from reward.store.store import RatingsStore
from reward.store.votes import Answer, is_current, make_stale, outcome_for_a, vote_row

NEEDED = {
    "melodies": "melody_id tokens tonic_midi policy_id step sampler seed created_at",
    "comparisons": "comparison_id position round melody_a melody_b purpose repeat_of strategy "
    "created_at",
    "raters": "rater_id nickname rater_kind consent_version created_at",
    "votes": "vote_id comparison_id rater_id rater_kind outcome left_is_a nonce issued_at "
    "created_at",
}
Said = tuple[int, UUID, bool, str]
"""rater, comparison, whether a was on the left, outcome"""
SIMULATED_RENDERER = "simulated"
"""what stands in a vote that was given without sound, by a simulated listener"""


@dataclass(slots=True)
class Imported:
    """What came of an import, by table."""

    added: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    duplicates: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    """rows that the store, or the file further up, had already"""
    refused: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    refused_files: list[Path] = field(default_factory=list)


def import_ratings(
    store: RatingsStore, path: str | Path, *, report: Report = no_report
) -> Imported:
    """Take up an export: a folder, or its file of votes with the other tables beside it.

    Rows that are refused are written to `<file>.refused.csv` beside each file. `report` is told
    each stage.

    Raises:
        RatingsError: for a table that is not there or cannot be read; nothing is stored then.
    """
    report("reading tables", 0, 0)
    files = _table_files(Path(path))
    rows = {name: read_rows(files[name], NEEDED[name].split()) for name in TABLES}
    done = Imported()
    report(f"checking {len(rows['melodies'])} melodies", 0, 0)
    melodies = read_melodies(rows["melodies"])  # the slow part, while others may still vote
    report(f"storing {len(rows['votes'])} votes", 0, 0)
    with store.writing() as session:
        melody_ids, done.added["melodies"] = store_melodies(session, melodies)
        comparisons, done.added["comparisons"] = store_comparisons(
            session, rows["comparisons"], melody_ids
        )
        store_blind_tests(session, rows["comparisons"], comparisons, now=database_time(session))
        raters, done.added["raters"] = _store_raters(session, rows["raters"])
        done.added["votes"] = _store_votes(session, rows["votes"], comparisons, raters)
    for name in TABLES:
        done.refused[name] = [row for row in rows[name] if row.reasons]
        done.duplicates[name] = len(rows[name]) - done.added[name] - len(done.refused[name])
        refused = write_refused(files[name], done.refused[name])
        if refused is not None:
            done.refused_files.append(refused)
    return done


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


def _store_raters(session: Session, rows: Sequence[Row]) -> tuple[dict[int, Rater], int]:
    """Each rater by their id in the file, and how many are new here."""
    found: dict[int, Rater] = {}
    for key, row in once(rows, "rater_id"):
        nickname, kind = row.text("nickname", 1, 200), row.text("rater_kind", 1, 16)
        consent_version, created_at = row.text("consent_version", 1, 40), row.moment("created_at")
        if row.reasons:
            continue
        try:
            found[key] = rater_named(
                session, nickname, kind=kind, consent_version=consent_version, now=created_at
            )
        except RatingsError as error:
            row.refuse(str(error))
    return found, sum(rater.token is not None for rater in found.values())


@dataclass(frozen=True, slots=True)
class _ReadVote:
    """A vote of the file that is whole by itself."""

    row: Row
    key: int
    supersedes: int | None
    """the key of another vote, which need not be in the file"""
    rater: Rater
    comparison: ComparisonRow
    left_is_a: bool
    answer: Answer
    issued_at: datetime
    created_at: datetime

    @property
    def said(self) -> Said:
        """Who said what of which comparison."""
        return self.rater.id, self.comparison.id, self.left_is_a, self.answer.outcome


def _store_votes(
    session: Session,
    rows: Sequence[Row],
    comparisons: Mapping[UUID, ComparisonRow],
    raters: Mapping[int, Rater],
) -> int:
    """Store the votes that break no rule; how many are new here."""
    read = [_read_vote(key, row, comparisons, raters) for key, row in once(rows, "vote_id")]
    votes = [vote for vote in read if vote is not None]
    by_nonce = _stored_votes(session, [vote.answer.nonce for vote in votes])
    counting = _counting_votes(session, {rater.id for rater in raters.values()})
    by_key: dict[int, VoteRow] = {}
    shown: list[AssignmentRow] = []
    added: list[tuple[VoteRow, VoteRow | None]] = []
    for vote in votes:
        nonce = vote.answer.nonce
        if nonce in by_nonce:
            said, by_key[vote.key] = by_nonce[nonce]
            if said != vote.said:
                vote.row.refuse(f"nonce={nonce!r} came with another vote")
            continue
        before = counting.get(vote.said[:2])
        superseded = None if vote.supersedes is None else by_key.get(vote.supersedes)
        if superseded is not before:
            vote.row.refuse(
                f"supersedes={vote.supersedes} is a vote on another comparison"
                if before is None
                else "another vote of this rater on this comparison counts already, and this one "
                "does not supersede it; if it was undone there, export with superseded votes"
            )
            continue
        assignment = _assignment(vote, reopens=before is not None)
        shown.append(assignment)
        row = vote_row(assignment.id, vote.answer, created_at=vote.created_at)
        added.append((row, before))
        counting[vote.said[:2]] = by_key[vote.key] = row
        by_nonce[nonce] = (vote.said, row)
    session.add_all(shown)
    session.flush()
    for row, before in added:
        if before is not None:
            if before.id is None:
                session.flush()
            row.supersedes = before.id
        session.add(row)
    session.flush()
    for assignment in shown:
        if assignment.reopens:  # a page here may have opened the comparison again too
            make_stale(session, assignment.rater_id, assignment.comparison_id)
    return len(added)


def _read_vote(
    key: int, row: Row, comparisons: Mapping[UUID, ComparisonRow], raters: Mapping[int, Rater]
) -> _ReadVote | None:
    """A row as a vote; None when it is refused."""
    comparison_id, rater_id = row.uuid("comparison_id"), row.whole("rater_id")
    comparison = None if comparison_id is None else comparisons.get(comparison_id)
    if comparison is None and comparison_id is not None:
        row.refuse(f"comparison_id={comparison_id} is no comparison that came in")
    rater = raters.get(rater_id)
    if rater is None:
        row.refuse(f"rater_id={rater_id} is no rater that came in")
    elif row.cells.get("rater_kind") != rater.kind:
        row.refuse(
            f"rater_kind={row.cells.get('rater_kind')!r} is not the rater's, {rater.kind!r}; "
            "people's votes and simulated ones are told apart"
        )
    supersedes = None if row.missing("supersedes") else row.whole("supersedes")
    left_is_a = row.truth("left_is_a")
    issued_at, created_at = row.moment("issued_at"), row.moment("created_at")
    answer = _answer(row)
    if row.reasons or answer is None or comparison is None or rater is None:
        return None
    if rater.kind == "person" and answer.renderer == SIMULATED_RENDERER:
        row.refuse("a simulated listener gave this vote, and it is marked as a person's")
    said = outcome_for_a(answer.outcome, left_is_a=left_is_a)
    if not row.missing("outcome_a") and row.cells["outcome_a"] != said:
        row.refuse(
            f"outcome={answer.outcome!r} with left_is_a={left_is_a} says {said!r}, and "
            f"outcome_a={row.cells['outcome_a']!r}; one of them was changed"
        )
    if row.reasons:
        return None
    return _ReadVote(
        row, key, supersedes, rater, comparison, left_is_a, answer, issued_at, created_at
    )


def _answer(row: Row) -> Answer | None:
    reasons = row.nested("reasons", list)
    numbers = {
        name: row.whole(name, default=0)
        for name in ("heard_ms_left", "heard_ms_right", "plays_left", "plays_right", "latency_ms")
    }
    strength = row.whole("strength", low=1, high=2, default=1)
    if row.reasons:
        return None
    try:
        return Answer(
            outcome=row.text("outcome"),
            nonce=row.text("nonce"),
            strength=strength,
            reasons=reasons,
            comment=row.text("comment"),
            renderer=row.text("renderer"),
            app_version=row.text("app_version"),
            **numbers,
        )
    except RatingsError as error:
        row.refuse(str(error))
        return None


def _assignment(vote: _ReadVote, *, reopens: bool) -> AssignmentRow:
    return AssignmentRow(
        id=uuid4(),
        comparison_id=vote.comparison.id,
        rater_id=vote.rater.id,
        left_is_a=vote.left_is_a,
        reopens=reopens,
        issued_at=vote.issued_at,
        expires_at=max(vote.issued_at, vote.created_at),
        closed_at=vote.created_at,
    )


def _stored_votes(session: Session, nonces: Sequence[str]) -> dict[str, tuple[Said, VoteRow]]:
    """The store's votes with one of these nonces."""
    found: dict[str, tuple[Said, VoteRow]] = {}
    for batch in batches(nonces):
        query = (
            select(VoteRow, AssignmentRow)
            .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
            .where(VoteRow.nonce.in_(batch))
        )
        for vote, shown in session.execute(query):
            said = (shown.rater_id, shown.comparison_id, shown.left_is_a, vote.outcome)
            found[vote.nonce] = (said, vote)
    return found


def _counting_votes(session: Session, raters: Iterable[int]) -> dict[tuple[int, UUID], VoteRow]:
    """These raters' votes that nothing supersedes, by rater and comparison."""
    found: dict[tuple[int, UUID], VoteRow] = {}
    for batch in batches(raters):
        query = (
            select(VoteRow, AssignmentRow.rater_id, AssignmentRow.comparison_id)
            .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
            .where(AssignmentRow.rater_id.in_(batch), is_current())
        )
        for vote, rater_id, comparison_id in session.execute(query):
            found[rater_id, comparison_id] = vote
    return found
