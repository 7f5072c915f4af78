"""Commands about corpora, which policies are trained on: `corpus build`, `list` and `show`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tastemaker.options import base_folder
from tastemaker.progress import shown_progress

if TYPE_CHECKING:
    from music.corpora.build_options import BuildOptions

SHOWN_PASSAGES = 10
JSON_FIELDS = (
    *("name", "files", "files_refused", "tunes", "tunes_kept", "tunes_in_corpus", "strains"),
    *("near_duplicates", "splits", "styles", "licence", "refused", "notices"),
)
"""of a data card, that `corpus build --json` prints"""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def corpus() -> None:
    """Corpora: build one from your tunes, list them, show one.

    A corpus is what a policy is trained on, and what the originality of its melodies is measured
    against.
    """


@corpus.command("build")
@click.argument("given", nargs=-1, metavar="[FOLDER_OR_FILE]...", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the corpus: a-z, 0-9 and -, at most 32 of them.")
@click.option("--style", help="Style of all its tunes; by default the name of the corpus.")
@click.option(
    "--style-from",
    type=click.Choice(["folder", "field"]),
    help="The style of each tune: the name of its folder, or what its file says, as in `R:`. The "
    "31 commonest are kept; the others are `other`.",
)
@click.option("--licence", help="Licence of the files, for the data card.")
@click.option("--part", help="Name or number of the part of scores that has the melody.")
@click.option("--rebuild", is_flag=True, help="Build it anew, whatever has its name.")
@click.option(
    "--books",
    is_flag=True,
    help="Build the shipped corpus anew, from the ABC books in music21's package or in "
    "FOLDER_OR_FILE. Needs `pip install tastemaker[corpus]`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def corpus_build(
    given: tuple[Path, ...],
    name: str | None,
    style: str | None,
    style_from: str | None,
    licence: str | None,
    part: str | None,
    rebuild: bool,
    books: bool,
    as_json: bool,
) -> None:
    """Build a corpus from ABC, MIDI and MusicXML files.

    Folders are read with all that is in them. Tunes are cut into strains, near-duplicates are left
    out, and some tunes are held out. The data card says what was read, what was refused and why.
    If nothing has changed since the last time, nothing is done.

    It writes `checkpoints/corpora/NAME.npz`, `.json`, `.md`, `.refused.csv` and `.decisions.csv`.
    """
    if books:
        others = {"--name": name, "--style": style, "--style-from": style_from, "--part": part}
        wrong = [option for option, value in others.items() if value is not None]
        if wrong or len(given) > 1 or as_json or licence or rebuild:
            raise click.UsageError(
                "--books builds the shipped corpus; give one folder of books, or none, and no "
                "other option"
            )
        _build_books(given[0] if given else None)
        return
    if not given:
        raise click.UsageError("give a folder or file of tunes")
    if name is None:
        raise click.UsageError("give the corpus a name: --name mine")
    from music.corpora.build import build
    from music.corpora.build_options import NOT_STATED, BuildOptions

    options = BuildOptions(
        name=name,
        style=style,
        style_from=style_from,
        licence=licence or NOT_STATED,
        part=part,
    )
    with shown_progress() as shown:
        card, is_new = build(given, options, rebuild=rebuild, report=shown)
    _tell_built(card, is_new, options)
    if as_json:
        found = {field: card[field] for field in JSON_FIELDS}
        click.echo(json.dumps({**found, "unchanged": not is_new}))


def _build_books(folder: Path | None) -> None:
    from music.corpora.books import build_corpus, find_books
    from music.corpora.corpus import DATA

    with shown_progress() as shown:
        built = build_corpus(folder or find_books(), progress=partial(shown, "reading books"))
    for what, number in built.most_common():
        click.echo(f"{number:6d}  {what}")
    click.echo(f"wrote {DATA}   next: tastemaker pretrain")


def _tell_built(card: Mapping[str, Any], is_new: bool, options: BuildOptions) -> None:
    from music.corpora.catalogue import CORPORA
    from music.corpora.data_card import quantity

    click.echo(
        f"{quantity(card['files'], 'file')}, {card['tunes_kept']:,} of "
        f"{quantity(card['tunes'], 'tune')} gave {quantity(card['strains_read'], 'strain')}, "
        f"{card['near_duplicates']:,} of them near-duplicates"
    )
    sides = ", ".join(f"{side['tunes']} {split}" for split, side in card["splits"].items())
    strains, tunes = card["strains"], card["tunes_in_corpus"]
    click.echo(f"{quantity(strains, 'strain')} of {quantity(tunes, 'tune')} ({sides})")
    if card["refused"]:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in card["refused"].items())
        click.echo(f"refused: {reasons}")
    if card.get("notices"):
        decisions = ", ".join(f"{what} ({count})" for what, count in card["notices"].items())
        click.echo(f"decided: {decisions}   each of them: corpus show {options.name} --decisions")
    if card["styles_joined"]:
        click.echo(f"rarer styles joined as other: {card['styles_joined']}")
    done = f"wrote {CORPORA / options.name}.npz" if is_new else "nothing has changed"
    click.echo(f"{done}   {_next_step(card, options.name)}")


def _next_step(card: Mapping[str, Any], name: str) -> str:
    """A command that works with the corpus, and why it is not the usual one where it is not."""
    from music.styles import STYLE_SLOTS
    from policy.folder import CheckpointError, read_policy_folder

    if not card["splits"]["validation"]["tunes"]:
        return (
            "no tune is left for validation; build the corpus of more tunes, or learn from others "
            f"too; next: tastemaker pretrain --corpus {name} --corpus books --start-from base"
        )
    said = ""
    try:
        base = read_policy_folder(base_folder()).scope.styles.labels
    except CheckpointError:  # `pretrain` tells it
        base = ()
    together = len({*base, *card["styles"]})
    if together > STYLE_SLOTS:
        said = (
            f"the base and this corpus have {together} styles, and a policy has at most "
            f"{STYLE_SLOTS}: adapting the base joins the rarest as other, --from-nothing keeps "
            "those of the corpus; "
        )
    return f"{said}next: tastemaker pretrain --corpus {name} --start-from base"


@corpus.command("list")
@json_option
def corpus_list(as_json: bool) -> None:
    """List the corpora: the shipped one, `books`, and those in `checkpoints/corpora`."""
    from music.corpora.catalogue import corpus_names, data_card, open_corpus
    from music.corpora.data_card import quantity
    from music.messages import one_line

    rows: list[dict[str, Any]] = []
    for name in corpus_names():
        try:
            found = open_corpus(name)
            card = data_card(name) or {}
        except (ValueError, OSError) as error:
            rows.append({"name": name, "error": one_line(error)})
            continue
        rows.append(
            {
                "name": name,
                "tunes": found.tunes,
                "strains": len(found),
                "styles": found.styles,
                "licence": card.get("licence", "see NOTICE" if name == "books" else ""),
            }
        )
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        if "error" in row:
            click.echo(f"{row['name']}: {row['error']}")
            continue
        styles = ", ".join(list(row["styles"])[:6]) + ("…" if len(row["styles"]) > 6 else "")
        click.echo(
            f"{row['name']}: {quantity(row['strains'], 'strain')} of "
            f"{quantity(row['tunes'], 'tune')}; styles {styles}; licence {row['licence']}"
        )


@corpus.command("show")
@click.argument("name")
@click.option("--refused", "all_refused", is_flag=True, help="Show every refused passage.")
@click.option(
    "--decisions", "all_decisions", is_flag=True, help="Show what was decided for every passage."
)
@json_option
def corpus_show(name: str, all_refused: bool, all_decisions: bool, as_json: bool) -> None:
    """Show the data card of a corpus, and some of the passages that were refused."""
    from music.corpora.catalogue import (
        data_card,
        open_corpus,
        reading_decisions,
        refused_passages,
    )
    from music.corpora.data_card import in_words, without_card
    from music.readers.tune import Remark

    found = open_corpus(name)
    card = data_card(name)
    passages = refused_passages(name)
    shown = list(passages if all_refused or as_json else islice(passages, SHOWN_PASSAGES))
    decisions = list(reading_decisions(name)) if all_decisions or as_json else []
    if card is None:
        card, text = without_card(found)
    else:
        text = in_words(card)
    if as_json:
        click.echo(json.dumps({**card, "refused_passages": shown, "decisions": decisions}))
        return
    click.echo(text)
    for row in shown:
        click.echo(str(Remark(**row)))
    if sum(card.get("refused", {}).values()) > len(shown):
        click.echo(f"all refused passages: tastemaker corpus show {name} --refused")
    for row in decisions:
        click.echo(f"{row['reason']}: {Remark(**row)}")
