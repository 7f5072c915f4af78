"""Commands that make melodies and policies: `compose`, `corpus`, `pretrain`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tastemaker.options import (
    RUNS,
    header_options,
    make_conditioning,
    policy_folder,
    policy_option,
    seed_option,
    soundfont_option,
)


@click.command()
@policy_option
@click.option("--count", type=click.IntRange(1, 10_000), default=4)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("composed"))
@click.option("--temperature", type=float, default=1.0)
@click.option("--pickup", type=int, help="Pickup in ticks, 24 a quarter.")
@click.option(
    "--motif",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="ABC file whose notes the melodies begin with.",
)
@click.option("--sound/--no-sound", default=True, help="Render WAV files too.")
@header_options(None, None)
@seed_option
@soundfont_option
def compose(
    policy: str,
    count: int,
    out: Path,
    temperature: float,
    pickup: int | None,
    motif: Path | None,
    sound: bool,
    meter: str,
    mode: str,
    tune_type: str,
    bars: str,
    seed: int,
    soundfont: Path | None,
) -> None:
    """Write melodies as ABC, MIDI and sound, each with its originality."""
    folder = policy_folder(policy)  # first: an unknown name is told before torch is imported
    from policy.checkpoint import load_policy
    from policy.compose import compose as write_melodies
    from rl.composing import conditioning_with_motif, save_melodies

    conditioning = make_conditioning(meter, mode, tune_type, bars, pickup)
    if motif is not None:
        conditioning = conditioning_with_motif(
            conditioning, motif, say=lambda line: click.echo(line, err=True)
        )
    melodies = write_melodies(
        load_policy(folder), count, conditioning=conditioning, temperature=temperature, seed=seed
    )
    for line in save_melodies(melodies, out, sound=sound, soundfont=soundfont):
        click.echo(line)
    click.echo(f"wrote {count} melodies to {out}")


@click.command()
@click.option("--books", type=click.Path(path_type=Path, exists=True), help="Folder of ABC books.")
def corpus(books: Path | None) -> None:
    """Build the shipped corpus anew from music21's package (needs the extra 'corpus')."""
    from music.corpora.corpus import DATA, build_corpus, find_books

    for what, number in build_corpus(books or find_books()).most_common():
        click.echo(f"{number:6d}  {what}")
    click.echo(f"wrote {DATA}   next: tastemaker pretrain")


@click.command()
@click.option("--epochs", type=click.IntRange(1), default=36)
@click.option("--learning-rate", type=float, default=2e-3, help="Peak of the cosine.")
@click.option("--warmup", type=click.IntRange(1), default=200, help="Steps of linear warm-up.")
@click.option("--dropout", type=float, default=0.3)
@click.option("--width", type=click.IntRange(16), default=192)
@click.option("--layers", type=click.IntRange(1), default=4)
@click.option("--save-every", type=click.IntRange(1), default=500, help="Steps to a validation.")
@click.option("--start-from", help="Run whose policy to go on from, with a new schedule.")
@click.option("--run", "name", help="Name of the run; one that was stopped goes on where it was.")
@seed_option
def pretrain(
    epochs: int,
    learning_rate: float,
    warmup: int,
    dropout: float,
    width: int,
    layers: int,
    save_every: int,
    start_from: str | None,
    name: str | None,
    seed: int,
) -> None:
    """Train a base policy on the corpus (about an hour of one core for the shipped one)."""
    from dataclasses import asdict

    from policy.runs import new_run, open_run

    start = None if start_from is None else str(policy_folder(start_from))
    from policy.model_card import write_model_card
    from policy.pretrain import PretrainConfig
    from policy.pretrain import pretrain as train

    config = PretrainConfig(
        epochs=epochs,
        learning_rate=learning_rate,
        warmup_steps=warmup,
        dropout=dropout,
        hidden_size=width,
        num_layers=layers,
        save_every_steps=save_every,
        seed=seed,
        start_from=start,
    )
    if name is not None and (RUNS / name / "run.json").is_file():
        run = open_run(name, kind="pretrain")
    else:
        run = new_run("pretrain", asdict(config), name=name)
    train(config, run.path)
    command = f"`{' '.join(['tastemaker', *sys.argv[1:]])}`, on {run.record['hardware']}"
    write_model_card(run.path / "policy", command)
    click.echo(f"wrote {run.path}/policy   next: tastemaker compose --policy {run.name}")
