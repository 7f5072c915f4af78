"""The command that makes melodies: `compose`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tastemaker.options import (
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
