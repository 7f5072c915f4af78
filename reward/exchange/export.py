"""Ratings as files: CSV, JSONL and Parquet tables, and the preference pairs that TRL reads.

`reward.exchange.import_votes` reads the tables back, so they hold all that a store needs to take
them up. All files of an export are written whole in a temporary folder and then moved to their
places, so nobody reads half of one, and an export that fails changes none. All tables of one export
show the same moment. Parquet needs pyarrow (which streamlit installs).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from music.disk import os_error_reason
from music.files import make_folder, whole_file, whole_files
from music.progress import Progress, no_progress
from music.styles import SHIPPED_STYLES, Styles
from music.tokens import ID, to_text
from reward.comparisons.learnable import TRAINED_PURPOSES
from reward.store import frames
from reward.store.schema import PURPOSES
from reward.store.store import RatingsError, RatingsStore

FORMATS = ("csv", "jsonl", "parquet")
TABLES = ("melodies", "comparisons", "raters", "votes")
PREFERENCE_TEXTS = ("prompt", "chosen", "rejected")
"""columns of a preference pair that TRL's trainers of policies read"""
STYLE_PLACE = 3
"""of the style among the tokens of a melody"""
LISTS = ("tokens", "reasons")
NESTED = (*LISTS, "features")
FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""text that a spreadsheet may run, in ASCII or full width; or that an escape has begun already"""


def export_ratings(
    store: RatingsStore,
    folder: str | Path,
    *,
    formats: Collection[str] | None = None,
    kind: str | None = None,
    current_only: bool = True,
    progress: Progress = no_progress,
) -> list[Path]:
    """Write votes, comparisons, melodies and raters into a folder; the paths written.

    Args:
        store: what to export.
        folder: made when it is not there; files of an earlier export are replaced.
        formats: of `FORMATS`; None for all that can be written here.
        kind: 'person' or 'simulated' for the votes and raters of that kind only.
        current_only: leave out votes that an undo has superseded.
        progress: is told how many files are written.

    Raises:
        RatingsError: for an unknown format or kind, Parquet without pyarrow, or a folder that
            cannot be written.
    """
    has_parquet = find_spec("pyarrow") is not None
    if formats is None:
        formats = [name for name in FORMATS if name != "parquet" or has_parquet]
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise RatingsError(f"format={unknown[0]!r} is not known; choose of {FORMATS}")
    if "parquet" in formats and not has_parquet:
        raise RatingsError("format='parquet' needs pyarrow; install it, or choose csv or jsonl")
    with store.reading() as session:
        raters = frames.raters_frame(session)
        tables = {
            "votes": frames.votes_frame(session, kind=kind, current_only=current_only),
            "comparisons": frames.comparisons_frame(session),
            "melodies": frames.melodies_frame(session),
            "raters": raters if kind is None else raters.loc[raters["rater_kind"] == kind],
        }
    names: list[str] = []
    with exported_files(Path(folder)) as draft:
        for name, table in tables.items():
            for suffix in FORMATS:
                if suffix not in formats:
                    continue
                progress(len(names), len(tables) * len(formats))
                names.append(f"{name}.{suffix}")
                temporary = draft / names[-1]
                if suffix == "csv":
                    write_csv(temporary, table)
                elif suffix == "jsonl":
                    _write_jsonl(temporary, (plain_row(row) for row in table.to_dict("records")))
                else:
                    flat = table.assign(
                        **{
                            name: [_json_text(value) for value in table[name]]
                            for name in table.columns.intersection(["features"])
                        }
                    )  # or each melody would get the features of all others, as missing
                    flat.to_parquet(temporary, engine="pyarrow", index=False)
    return [Path(folder) / name for name in names]


def export_preferences(
    store: RatingsStore,
    path: str | Path,
    *,
    kind: str | None = "person",
    purposes: Collection[str] = TRAINED_PURPOSES,
    styles: Styles = SHIPPED_STYLES,
) -> int:
    """Write TRL's preference pairs as JSONL; how many.

    Votes on sealed melodies, and votes that were set aside, are left out. `styles` are those of the
    policy that is to be trained (`policy.scope.styles_of`).

    Raises:
        RatingsError: for an unknown kind or purpose, or a file that cannot be written.
    """
    unknown = sorted(set(purposes) - set(PURPOSES))
    if unknown:
        raise RatingsError(f"purpose={unknown[0]!r} is not known; choose of {PURPOSES}")
    with store.reading() as session:
        votes = frames.votes_frame(session, kind=kind, current_only=True)
        melodies = frames.melodies_frame(session)
    counts = ~votes["sealed"] & votes["set_aside"].isna()
    wanted = votes.loc[votes["purpose"].isin(list(purposes)) & counts]
    pairs = list(preference_pairs(wanted, melodies, styles))
    with exported_file(Path(path)) as temporary:
        _write_jsonl(temporary, iter(pairs))
    return len(pairs)


def preference_pairs(
    votes: pd.DataFrame, melodies: pd.DataFrame, styles: Styles = SHIPPED_STYLES
) -> Iterator[dict[str, Any]]:
    """One record a decided vote, with the columns of TRL's trainers (docs/trl.md).

    `chosen_ids` and `rejected_ids` are whole melodies, BOS to EOS, with the style tokens of a
    policy that has these `styles`; `prompt`, `chosen` and `rejected` are the same as text. Ties,
    `both_bad` and `skip` have no winner and are left out.
    `group` is the same for a comparison and its repeats, which belong on one side of any split;
    `strength` is 1 or 2.
    """
    columns = (melodies[name] for name in ("melody_id", "tokens", "style"))
    tokens = {
        key: [*ids[:STYLE_PLACE], ID[f"STYLE_{styles.slot(style)}"], *ids[STYLE_PLACE + 1 :]]
        for key, ids, style in zip(*columns, strict=True)
    }
    for vote in votes.to_dict("records"):
        if vote["outcome_a"] not in ("a", "b"):
            continue
        a, b = tokens[vote["melody_a"]], tokens[vote["melody_b"]]
        chosen, rejected = (a, b) if vote["outcome_a"] == "a" else (b, a)
        repeated = vote["repeat_of"]
        yield {
            "chosen_ids": chosen,
            "rejected_ids": rejected,
            **preference_texts(chosen, rejected),
            "strength": int(vote["strength"]),
            "vote_id": int(vote["vote_id"]),
            "group": vote["comparison_id"] if pd.isna(repeated) else repeated,
            "rater_id": int(vote["rater_id"]),
            "rater_kind": vote["rater_kind"],
        }


def preference_texts(chosen_ids: Sequence[int], rejected_ids: Sequence[int]) -> dict[str, str]:
    """Two melodies as a prompt and two completions.

    The prompt is BOS: the two may differ in their headers, which are a part of what was voted on.
    """
    texts = (to_text(chosen_ids[:1]), to_text(chosen_ids[1:]), to_text(rejected_ids[1:]))
    return dict(zip(PREFERENCE_TEXTS, texts, strict=True))


@contextmanager
def exported_file(path: Path) -> Iterator[Path]:
    """As `music.files.whole_file`; the folder is made.

    Raises:
        RatingsError: when the folder cannot be written, or `path` is a folder.
    """
    try:
        make_folder(path.parent)
        with whole_file(path) as temporary:
            yield temporary
    except OSError as error:
        raise _not_written(path, error) from error


@contextmanager
def exported_files(folder: Path) -> Iterator[Path]:
    """As `music.files.whole_files`.

    Raises:
        RatingsError: when the folder cannot be written, or one of the files is a folder.
    """
    try:
        with whole_files(folder) as draft:
            yield draft
    except OSError as error:
        raise _not_written(folder, error) from error


def _not_written(path: Path, error: OSError) -> RatingsError:
    file = error.filename or path
    return RatingsError(f"{file} cannot be written: {os_error_reason(error, path)}")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV (RFC 4180), to be read by `text_of_csv` and safe for spreadsheets."""
    # Lines end in CR LF: Python 3.11 quotes a CR inside a cell only where it ends lines too.
    _for_csv(table).to_csv(path, index=False, lineterminator="\r\n")


def _for_csv(table: pd.DataFrame) -> pd.DataFrame:
    """Lists and mappings as JSON; and no text that a spreadsheet would run as a formula.

    Such text gets an apostrophe before it, text that has one already another: `text_of_csv` takes
    one off again. See OWASP, "CSV Injection".
    """
    table = table.copy()
    for name in table.columns:
        values = table[name]
        if values.dtype == object or pd.api.types.is_string_dtype(values):
            plain = [_json_text(value) if name in NESTED else value for value in values]
            table[name] = [
                f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value
                for value in plain
            ]
    return table


def text_of_csv(cell: str) -> str:
    """The text that `write_csv` has written as this cell."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _json_text(value: object) -> str | None:
    """JSON of a list or mapping; text stays as it is, and what is missing stays missing."""
    return (
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def plain_row(row: dict[Any, Any]) -> dict[str, Any]:
    """A row as JSON has it: missing values as null, moments as ISO 8601."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list | dict):
            plain[name] = value
        elif pd.isna(value):
            plain[name] = None
        else:
            plain[name] = value.isoformat() if isinstance(value, pd.Timestamp) else value
    return plain


def _write_jsonl(path: Path, records: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            file.write(json.dumps(record, allow_nan=False) + "\n")
