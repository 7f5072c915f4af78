"""`tastemaker ratings`: export the ratings, import them, look at raters, check on other data."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from music.files import make_folder
from music.limits import TABLE_MIB, TABLE_ROWS, TableLimits
from music.messages import shorten
from tastemaker.options import DATABASE, database_option, on_database, seed_option
from tastemaker.progress import shown_progress

RATINGS_FORMATS = ("csv", "jsonl", "parquet", "trl")
Command = TypeVar("Command", bound=Callable[..., object])


def limit_options(rows_help: str) -> Callable[[Command], Command]:
    """The options that limit how much of a table is read; `rows_help` explains `--max-rows`."""
    most_mib = click.option(
        "--max-mib",
        type=click.IntRange(1, 2**20),
        default=TABLE_MIB,
        help="Largest table that is read, in MiB, packed or unpacked.",
    )
    most_rows = click.option(
        "--max-rows", type=click.IntRange(1, 10**9), default=TABLE_ROWS, help=rows_help
    )
    return lambda command: most_mib(most_rows(command))


@click.group()
def ratings() -> None:
    """Export ratings, import them, see how each rater votes, check the profile on other data."""


@ratings.command("export")
@database_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("ratings"),
    help="Folder for the files; those of an earlier export are replaced.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(RATINGS_FORMATS),
    help="May be given several times; by default the tables in every format.",
)
@click.option(
    "--votes-of",
    "kind",
    type=click.Choice(["person", "simulated", "both"]),
    help="Whose votes; by default both in tables, and in TRL's pairs whichever kind there is.",
)
@click.option("--superseded", is_flag=True, help="Export votes that were undone too.")
def export_votes(
    database: str, out: Path, formats: tuple[str, ...], kind: str | None, superseded: bool
) -> None:
    """Write votes, comparisons, melodies and raters as CSV, JSONL and Parquet, or TRL's pairs.

    Raters are pseudonyms; the tokens by which they come back are not exported. Parquet needs
    pyarrow. In CSV, text that a spreadsheet would run as a formula begins with an apostrophe.

    `--format trl` writes `preferences.jsonl` for TRL's trainers (`chosen_ids`, `rejected_ids`,
    strength, rater): decided votes without traps and blind tests. Votes of people and of simulated
    listeners come into one such file only with `--votes-of both`. Each file is written whole or not
    at all.
    """
    from reward.comparisons.learnable import only_kind
    from reward.exchange.export import export_preferences, export_ratings
    from reward.store.store import open_ratings

    with open_ratings(database) as store:
        tables = [name for name in formats if name != "trl"]
        one = None if kind == "both" else kind
        if "trl" in formats:
            trained = None if kind == "both" else kind or only_kind(store)
            exported = export_preferences(store, out / "preferences.jsonl", kind=trained)
            studio = on_database("tastemaker studio", database)
            step = "recipes for TRL's trainers: docs/trl.md" if exported else studio
            click.echo(f"{exported} pairs: {out}/preferences.jsonl   next: {step}")
        if tables or not formats:
            with shown_progress() as shown:
                written = export_ratings(
                    store,
                    out,
                    formats=tables or None,
                    kind=one,
                    current_only=not superseded,
                    progress=partial(shown, "writing files"),
                )
            for path in written:
                click.echo(path)
            click.echo(f"next, elsewhere: tastemaker ratings import {shlex.quote(str(out))}")


@ratings.command("import")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@database_option
@limit_options("Most rows of a table that are read; a row takes about 2 KiB of memory.")
def import_votes(path: Path, database: str, max_mib: int, max_rows: int) -> None:
    """Import an export: PATH is its folder, or its file of votes with the tables beside it.

    All is stored in one transaction. What is already in the store is counted and not stored twice:
    a melody is known by its tokens, a comparison by its id, a vote by its nonce, a rater by
    nickname and kind. Rows that break a rule are refused, with the rows that depend on them, and
    written to `<file>.refused.csv` with the column `refused_because`. Mend them in their tables and
    import PATH again. A table that is too large is refused before it is read (`docs/limits.md`).

    A rater who is new in this store has no token to come back with. An old export brings back
    raters who have withdrawn since, so do not import one.
    """
    from reward.exchange.import_votes import import_ratings
    from reward.store.store import RatingsStore

    limits = TableLimits(size_mib=max_mib, rows=max_rows)
    make_folder(Path(DATABASE).parent)
    with RatingsStore(database) as store, shown_progress() as shown:
        done = import_ratings(store, path, limits=limits, report=shown)
    for table, added in done.added.items():
        refused = done.refused[table]
        click.echo(
            f"{table}: {added} added, {done.duplicates[table]} there already, "
            f"{len(refused)} refused"
        )
        for row in refused[:3]:
            click.echo(f"  row {row.number}: {shorten('; '.join(row.reasons))}")
    for file in done.refused_files:
        click.echo(f"wrote {file}")
    if done.refused_files:
        step = on_database(f"tastemaker ratings import {shlex.quote(str(path))}", database)
        click.echo(f"mend these rows in their tables   next: {step}")


@ratings.command("stats")
@database_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ratings_stats(database: str, as_json: bool) -> None:
    """Show how each rater votes: ties, sides, agreement with themselves and others, flags.

    People and simulated listeners also have Krippendorff's alpha each. Intervals are 95 %. A flag
    says that a rater's answers say nothing of the melodies, as far as others' votes and repeats
    tell: *always left*, *always right*, *always ties*, *by chance* or *fails traps*. It is a reason
    to look, not a verdict.
    """
    from reward.comparisons.rater_statistics import (
        ratings_statistics,
        statistics_json,
        statistics_table,
    )
    from reward.store.store import open_ratings

    with open_ratings(database) as store, shown_progress() as shown:
        shown("reading votes")
        found = ratings_statistics(store)
    if as_json:
        click.echo(statistics_json(found))
        return
    from rl.jobs.terminal import make_console

    make_console().print(*statistics_table(found), sep="\n")


@ratings.command("check")
@click.argument(
    "path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--melodies",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder where the paths in the table begin; by default that of the table.",
)
@limit_options("Most rows of the table that are read.")
@seed_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(
    path: Path, melodies: Path | None, max_mib: int, max_rows: int, seed: int, as_json: bool
) -> None:
    """Check how well a taste profile predicts judgements of your own, on melodies it has not heard.

    FILE is a table (CSV, TSV, JSONL or Parquet) with the columns `melody` and `score`, or
    `melody_a`, `melody_b` and `winner` (a, b, tie, left, right, or the name of the file). A column
    `rater` says who judged. Melodies are ABC, MIDI or MusicXML files.

    Printed are agreement, calibration, the same for logistic regression, what people agree on among
    themselves, and the profile in words. Rows that cannot be used are listed with the reason.
    Nothing is stored. `docs/checking.md` says what the figures mean.
    """
    from reward.validation import report
    from reward.validation.check import check_table

    limits = TableLimits(size_mib=max_mib, rows=max_rows)
    with shown_progress() as shown:
        done = check_table(path, melodies, limits=limits, seed=seed, report=shown)
    click.echo(json.dumps(report.as_json(done)) if as_json else report.in_words(done))
