"""A table of judgements: scores of melody files, or choices between two of them.

A table of scores has the columns `melody` and `score`, one of choices `melody_a`, `melody_b` and
`winner`; either may have `rater`. `COLUMN_NAMES` has the other names that are understood. Rows that
say nothing are refused, each with its reason, and the others are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from music.limits import COLUMNS, TableLimits
from music.messages import shortened
from music.progress import Progress, no_progress
from reward.comparisons.preferences import LEFT, RIGHT, TIE
from reward.exchange.table_files import TableFile
from reward.exchange.table_row import Row
from reward.validation.melody_folds import ValidationError

COLUMN_NAMES = {
    "melody": ("melody", "melody_file", "file", "path"),
    "score": ("score", "rating", "value"),
    "melody_a": ("melody_a", "a", "left"),
    "melody_b": ("melody_b", "b", "right"),
    "winner": ("winner", "choice", "preferred"),
    "rater": ("rater", "rater_id", "participant", "listener"),
}
"""names of columns, in lower case; spaces count as underscores"""
KNOWN = {name for names in COLUMN_NAMES.values() for name in names}
FORMS = {"scores": ("melody", "score"), "choices": ("melody_a", "melody_b", "winner")}
SIDES = {"a": LEFT, "left": LEFT, "b": RIGHT, "right": RIGHT, "tie": TIE, "draw": TIE}
PATH_CHARACTERS = 1000
RATER_CHARACTERS = 200
PROGRESS_EVERY = 1000
"""rows"""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A score of a melody."""

    row: int
    """as an editor shows it"""
    melody: str
    """path, as the table has it"""
    score: float
    rater: str
    """empty if the table has no raters"""


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A choice between two melodies."""

    row: int
    melody_a: str
    melody_b: str
    outcome: int
    """`LEFT` where a wins, `TIE`, or `RIGHT`"""
    rater: str


Judgement = ScoreRow | ChoiceRow


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is not used, and why."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class JudgementTable:
    """What a table says."""

    form: str
    """a key of `FORMS`"""
    judgements: list[Judgement]
    refused: list[RefusedRow]
    has_raters: bool


def read_judgements(
    path: Path, limits: TableLimits, *, progress: Progress = no_progress
) -> JudgementTable:
    """Read a CSV (cells between commas, semicolons or tabs), TSV, JSONL or Parquet file.

    Raises:
        RatingsError: for a file that cannot be read or is larger than the limits.
        ValidationError: for a table without rows, or without the columns that are needed.
    """
    file = TableFile(path, (), limits)
    form, columns = _columns(path, _names(file))
    reader: Callable[[Row, Mapping[str, str]], Judgement | None]
    reader = _score if form == "scores" else _choice
    table = JudgementTable(form, [], [], "rater" in columns)
    for number, row in enumerate(file.rows()):
        if number % PROGRESS_EVERY == 0:
            progress(number, 0)
        read = None if row.reasons else reader(row, columns)
        if row.reasons:
            table.refused.append(RefusedRow(row.number, "; ".join(row.reasons)))
        elif read is not None:
            table.judgements.append(read)
    return table


def _names(file: TableFile) -> list[str]:
    """The names of the columns; those of JSONL from all rows, because an object may lack some.

    Raises:
        RatingsError: for a file that cannot be read or is larger than the limits.
        ValidationError: for a table without rows, or none that can be read.
    """
    names: dict[str, None] = {}
    empty, unread = True, None
    for row in file.rows():
        empty = False
        if row.reasons and set(row.cells) == {"line"}:  # not read as a row: no names in it
            unread = unread or row
            continue
        names.update(
            (name, None) for name in row.cells if len(names) < COLUMNS or _plain(name) in KNOWN
        )
        if not row.reasons and file.path.suffix.lower() != ".jsonl":
            break  # it has a cell under each name of the header
    if not names and unread is not None:
        raise ValidationError(f"row {unread.number} of {file.path}: {unread.reasons[0]}; mend it")
    if empty:
        raise ValidationError(
            f"{file.path} has no rows below its header; {_what_is_needed()}, "
            "a line for each judgement"
        )
    return list(names)


def _plain(name: str) -> str:
    return "_".join(name.lower().split())


def _columns(path: Path, names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The form of a table, and what its columns are called there.

    Raises:
        ValidationError: when it has the columns of neither form, or two columns for one thing
            that its form has.
    """
    there: dict[str, list[str]] = {}
    for name in names:
        for ours, known in COLUMN_NAMES.items():
            if _plain(name) in known:
                there.setdefault(ours, []).append(name)
    for form in ("choices", "scores"):
        if not all(needed in there for needed in FORMS[form]):
            continue
        used = {ours: there[ours] for ours in (*FORMS[form], "rater") if ours in there}
        for ours, found in used.items():
            if len(found) > 1:
                raise ValidationError(
                    f"{path} has the columns {found[0]!r} and {found[1]!r}, which both mean "
                    f"{ours!r}; rename or remove one"
                )
        return form, {ours: found[0] for ours, found in used.items()}
    shown = ", ".join(name[:40] for name in names[:10])
    raise ValidationError(f"{path} has the columns {shown}; {_what_is_needed()}")


def _what_is_needed() -> str:
    forms = (", ".join(names) for names in FORMS.values())
    return f"give the columns {' or '.join(forms)}, and rater if there is one"


def _score(row: Row, columns: Mapping[str, str]) -> ScoreRow | None:
    melody = row.text(columns["melody"], 1, PATH_CHARACTERS)
    score = row.fraction(columns["score"])
    if score is None and not row.reasons:
        row.refuse(f"{columns['score']} is empty; give a number")
    rater = _rater(row, columns)
    return None if row.reasons or score is None else ScoreRow(row.number, melody, score, rater)


def _choice(row: Row, columns: Mapping[str, str]) -> ChoiceRow | None:
    one, other = (row.text(columns[name], 1, PATH_CHARACTERS) for name in ("melody_a", "melody_b"))
    said = row.text(columns["winner"], 1, PATH_CHARACTERS)
    rater = _rater(row, columns)
    if row.reasons:
        return None
    if _same_file(one, other):
        row.refuse(f"{shortened(one)} is compared with itself; name two melodies")
        return None
    outcome = _outcome(said, one, other)
    if outcome is None:
        row.refuse(
            f"{columns['winner']}={shortened(said)} is neither a, b, left, right or tie, nor the "
            "name of one of the two files"
        )
        return None
    return ChoiceRow(row.number, one, other, outcome, rater)


def _outcome(said: str, one: str, other: str) -> int | None:
    """Who wins. A file that is called `a` or `tie` has to be named by its side."""
    word = said.strip().lower()
    if word in SIDES:
        return SIDES[word]
    for same in (_same_file, _same_name):
        wins = [outcome for file, outcome in ((one, LEFT), (other, RIGHT)) if same(said, file)]
        if len(wins) == 1:
            return wins[0]
    return None


def _same_file(one: str, other: str) -> bool:
    return PurePath(one.strip()) == PurePath(other.strip())


def _same_name(one: str, other: str) -> bool:
    return PurePath(one.strip()).name == PurePath(other.strip()).name


def _rater(row: Row, columns: Mapping[str, str]) -> str:
    return row.text(columns["rater"], 1, RATER_CHARACTERS) if "rater" in columns else ""


def named_melodies(judgements: list[Judgement]) -> Iterator[str]:
    """The paths that judgements name, in order, each as often as it is named."""
    for judgement in judgements:
        if isinstance(judgement, ScoreRow):
            yield judgement.melody
        else:
            yield judgement.melody_a
            yield judgement.melody_b
