"""Ratings as files: CSV, JSONL and Parquet tables, and the preference pairs that TRL reads.

Each file is written whole beside its name and then put in its place, so nobody reads half of one.
All tables of one export show the same moment. Parquet needs pyarrow (which streamlit installs).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from reward import frames
from reward.ratings import RatingsError, RatingsStore
from reward.schema import PURPOSES

FORMATS = ("csv", "jsonl", "parquet")
TRAINED_PURPOSES = ("train", "repeat")
"""what a reward model may learn from: no traps, and no blind test, which is to judge it"""
LISTS = ("tokens", "reasons")
FREE_TEXT = ("nickname", "comment")


def export_ratings(
    store: RatingsStore,
    folder: str | Path,
    *,
    formats: Collection[str] | None = None,
    kind: str | None = None,
    current_only: bool = True,
) -> list[Path]:
    """Write votes, comparisons, melodies and raters into a folder; the paths written.

    Args:
        store: what to export.
        folder: made when it is not there; files of an earlier export are replaced.
        formats: of `FORMATS`; None for all that can be written here.
        kind: 'person' or 'simulated' for the votes and raters of that kind only.
        current_only: leave out votes that an undo has superseded.

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
    written: list[Path] = []
    for name, table in tables.items():
        for suffix in FORMATS:
            if suffix not in formats:
                continue
            path = Path(folder) / f"{name}.{suffix}"
            with whole_file(path) as temporary:
                if suffix == "csv":
                    _for_csv(table).to_csv(temporary, index=False)
                elif suffix == "jsonl":
                    _write_jsonl(temporary, (_plain(row) for row in table.to_dict("records")))
                else:
                    table.to_parquet(temporary, engine="pyarrow", index=False)
            written.append(path)
    return written


def export_preferences(
    store: RatingsStore,
    path: str | Path,
    *,
    kind: str | None = "person",
    purposes: Collection[str] = TRAINED_PURPOSES,
) -> int:
    """Write TRL's preference pairs as JSONL; how many.

    Raises:
        RatingsError: for an unknown kind or purpose, or a file that cannot be written.
    """
    unknown = sorted(set(purposes) - set(PURPOSES))
    if unknown:
        raise RatingsError(f"purpose={unknown[0]!r} is not known; choose of {PURPOSES}")
    with store.reading() as session:
        votes = frames.votes_frame(session, kind=kind, current_only=True)
        melodies = frames.melodies_frame(session)
    wanted = votes.loc[votes["purpose"].isin(list(purposes))]
    pairs = list(preference_pairs(wanted, melodies))
    with whole_file(Path(path)) as temporary:
        _write_jsonl(temporary, iter(pairs))
    return len(pairs)


def preference_pairs(votes: pd.DataFrame, melodies: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One record a decided vote, with TRL's `chosen_ids` and `rejected_ids` (BOS to EOS).

    Ties, `both_bad` and `skip` have no winner and are left out. `group` is the same for a
    comparison and its repeats, which belong on one side of any split; `strength` is 1 or 2.
    """
    tokens = dict(zip(melodies["melody_id"], melodies["tokens"], strict=True))
    for vote in votes.to_dict("records"):
        if vote["outcome_a"] not in ("a", "b"):
            continue
        a, b = tokens[vote["melody_a"]], tokens[vote["melody_b"]]
        chosen, rejected = (a, b) if vote["outcome_a"] == "a" else (b, a)
        repeated = vote["repeat_of"]
        yield {
            "chosen_ids": chosen,
            "rejected_ids": rejected,
            "strength": int(vote["strength"]),
            "vote_id": int(vote["vote_id"]),
            "group": vote["comparison_id"] if pd.isna(repeated) else repeated,
            "rater_id": int(vote["rater_id"]),
            "rater_kind": vote["rater_kind"],
        }


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`; at the end it is on disk and takes the name, or it is gone.

    Raises:
        RatingsError: when the folder cannot be written, or `path` is a folder.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name too
        finally:
            os.close(folder)
    except OSError as error:
        raise RatingsError(
            f"{path} cannot be written ({error.strerror or error}); choose another place"
        ) from error
    finally:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)


def _for_csv(table: pd.DataFrame) -> pd.DataFrame:
    """Lists as JSON; and no text of a person that a spreadsheet would run as a formula."""
    table = table.copy()
    for name in table.columns.intersection(list(LISTS)):
        table[name] = [json.dumps(value, ensure_ascii=False) for value in table[name]]
    for name in table.columns.intersection(list(FREE_TEXT)):
        table[name] = [
            f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
            for text in table[name]
        ]
    return table


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """A row as JSON has it: missing values as null, moments as ISO 8601."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
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
