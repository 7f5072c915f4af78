"""Commands that make melodies and policies: `compose`, `corpus`, `pretrain`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tastemaker.options import (
    RUNS,
    asked_header,
    header_options,
    key_options,
    make_keys,
    policy_folder,
    policy_option,
    seed_option,
    soundfont_option,
)
from tastemaker.progress import shown_progress

if TYPE_CHECKING:
    from music.key_choice import Compass


@click.command()
@policy_option
@click.option("--count", type=click.IntRange(1, 10_000), default=4, help="Number of melodies.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("composed"),
    help="Folder for the files.",
)
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    help="1 is the policy as it is; lower is safer, higher is stranger.",
)
@click.option("--pickup", type=int, help="Pickup in ticks, 24 a quarter.")
@click.option(
    "--motif",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="ABC, MIDI or MusicXML file whose notes the melodies begin with: of a whole tune the "
    "first strain, or as many bars as --bars asks. Its header fills what is not given.",
)
@click.option("--sound/--no-sound", default=True, help="Render WAV files too.")
@header_options(None, None)
@key_options
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
    style: str,
    bars: str,
    key: str | None,
    compass: Compass | None,
    seed: int,
    soundfont: Path | None,
) -> None:
    """Write melodies as ABC, MIDI and WAV, and say how original each is.

    Originality is the share of a melody's (interval, duration) n-grams that are in no training
    tune. The longest run of notes that is in one is printed too.

    A motif is continued in its own key, unless `--key` names another one; then it is transposed.
    """
    # First: what this policy cannot do is told before torch is imported.
    folder = policy_folder(policy)
    asked = asked_header([folder], meter, mode, style, bars, pickup)
    if motif is not None:
        from music.readers.motif import read_motif

        read_motif(motif)  # and so is a file that cannot be read
    with shown_progress() as shown:
        shown("loading the policy")
        from music.corpora.corpus_file import CorpusError
        from policy.checkpoint import load_policy
        from policy.compose import Conditioning
        from policy.compose import compose as write_melodies
        from policy.folder import read_policy_folder
        from rl.composing import conditioning_with_motif, motif_moves, save_melodies
        from rl.evaluation.evaluate import training_index

        conditioning = Conditioning(**asked)
        if motif is not None:
            scope = read_policy_folder(folder).scope
            conditioning = conditioning_with_motif(
                conditioning,
                motif,
                say=lambda line: click.echo(line, err=True),
                known_bars=scope.trained_on.bars,
            )
            scope.check_asked(conditioning.fields())
        model = load_policy(folder)
        index = None
        try:
            index = training_index(model)
        except CorpusError as error:
            click.echo(f"how original the melodies are is not measured: {error}", err=True)
        melodies = write_melodies(
            model,
            count,
            conditioning=conditioning,
            temperature=temperature,
            seed=seed,
            keys=make_keys(key, compass, conditioning),
            progress=partial(shown, "writing melodies"),
        )
        if (moves := motif_moves(conditioning, melodies)) is not None:
            click.echo(moves, err=True)
        lines = save_melodies(
            melodies, out, index=index, sound=sound, soundfont=soundfont, report=shown
        )
    for line in lines:
        click.echo(line)
    click.echo(f"wrote {count} melodies to {out}")


@click.command()
@click.option(
    "--epochs", type=click.IntRange(1), default=36, help="Passes over the training strains."
)
@click.option("--learning-rate", type=float, default=2e-3, help="Peak of the cosine schedule.")
@click.option("--warmup", type=click.IntRange(1), default=200, help="Steps of linear warm-up.")
@click.option(
    "--dropout", type=float, default=0.3, help="Share of activations dropped in training."
)
@click.option("--width", type=click.IntRange(16), default=192, help="Width of the model.")
@click.option("--layers", type=click.IntRange(1), default=4, help="Layers of the model.")
@click.option(
    "--save-every",
    type=click.IntRange(1),
    default=500,
    help="Steps between two checkpoints, each with a validation.",
)
@click.option("--start-from", help="Run whose policy to begin with, with a new schedule.")
@click.option("--run", "name", help="Name of the run; a run that was stopped goes on where it was.")
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
    """Train a base policy on the corpus (about an hour of one core for the shipped one).

    When it was stopped or killed, the same `--run` goes on from its newest whole step.
    `checkpoints/base` is only ever replaced by hand.
    """
    from dataclasses import asdict

    from policy.runs import free_name, new_run, open_run

    resumed = name is not None and (RUNS / name / "run.json").is_file()
    if name is not None and not resumed:
        free_name(name)
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
    if name is not None and resumed:
        run = open_run(name, kind="pretrain")
    else:
        run = new_run("pretrain", asdict(config), name=name)
    with shown_progress() as shown:
        train(config, run.path, progress=partial(shown, "training steps"))
    command = f"`{' '.join(['tastemaker', *sys.argv[1:]])}`, on {run.record['hardware']}"
    write_model_card(run.path / "policy", command)
    click.echo(f"wrote {run.path}/policy   next: tastemaker compose --policy {run.name}")
