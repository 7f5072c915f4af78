"""The command that makes base policies: `pretrain`, from nothing or from another policy."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from music.json_text import read_json
from music.messages import excerpt
from tastemaker.options import RUNS, policy_folder, seed_option
from tastemaker.progress import shown_progress

if TYPE_CHECKING:
    from policy.pretraining.config import PretrainConfig
    from policy.runs import Run

ASKED_BY = (
    *("epochs", "learning_rate", "warmup", "weight_decay", "dropout", "width", "layers"),
    *("save_every", "patience", "seed"),
)
"""the parameters that give fields of `PretrainConfig`, in the order in which `pretrain` has them"""


@click.command()
@click.option(
    "--corpus",
    "corpora",
    multiple=True,
    default=("books",),
    help="Corpus to learn from, by its name (`tastemaker corpus list`); give it again for more.",
)
@click.option(
    "--start-from",
    help="`base`, or a run whose policy to begin with: its styles stay, and the corpora's are "
    "added. By default a corpus of few tunes adapts the base.",
)
@click.option(
    "--from-nothing", is_flag=True, help="Begin with random weights, however few tunes there are."
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=None,
    help="Passes over the training strains; by default 36 or more, and 10 of adapting.",
)
@click.option(
    "--learning-rate",
    type=float,
    default=None,
    help="Peak of the cosine schedule; by default 2e-3; 1e-3 or 5e-4 when a policy is adapted.",
)
@click.option(
    "--warmup",
    type=click.IntRange(1),
    default=None,
    help="Steps of linear warm-up; by default 200, or 10.",
)
@click.option("--weight-decay", type=float, default=None, help="Decoupled, of matrices.")
@click.option(
    "--dropout", type=float, default=None, help="Share of activations dropped in training."
)
@click.option(
    "--width", type=click.IntRange(16), default=None, help="Width of the model; 192 from nothing."
)
@click.option(
    "--layers", type=click.IntRange(1), default=None, help="Layers of the model; 4 from nothing."
)
@click.option(
    "--save-every",
    type=click.IntRange(1),
    default=None,
    help="Steps between two validations, each with a checkpoint.",
)
@click.option(
    "--patience",
    type=click.IntRange(0),
    default=None,
    help="Validations without a new best after which training ends; 0 never ends it early.",
)
@click.option("--run", "name", help="Name of the run; a run that was stopped goes on where it was.")
@seed_option
def pretrain(
    corpora: tuple[str, ...],
    start_from: str | None,
    from_nothing: bool,
    epochs: int | None,
    learning_rate: float | None,
    warmup: int | None,
    weight_decay: float | None,
    dropout: float | None,
    width: int | None,
    layers: int | None,
    save_every: int | None,
    patience: int | None,
    name: str | None,
    seed: int,
) -> None:
    """Train a base policy on corpora (about an hour of one core for the shipped one).

    When it was stopped or killed, `--run NAME` alone goes on from its newest whole step, with the
    settings that it was started with.
    `checkpoints/base` is only ever replaced by hand.

    A policy that is started from another one is adapted: with a small step, strong weight decay and
    early stopping on the validation tunes of its corpora. It is never kept for one that is worse
    there than what it began with.
    """
    from policy.runs import free_name, new_run, open_run

    if start_from is not None and from_nothing:
        raise click.UsageError("--start-from and --from-nothing exclude each other; give one")
    asked = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "warmup_steps": warmup,
        "weight_decay": weight_decay,
        "dropout": dropout,
        "hidden_size": width,
        "num_layers": layers,
        "save_every_steps": save_every,
        "patience": patience,
        "seed": seed,
    }
    run: Run | None = None
    if name is not None and (RUNS / name / "run.json").is_file():
        run = open_run(name, kind="pretrain")
        config = _settings_of(run)
        _refuse_other_settings(run.name, config, corpora, start_from, from_nothing, asked)
    else:
        if name is not None:
            free_name(name)
        config = _planned(corpora, start_from, from_nothing, asked)
    from policy.model_card import write_model_card
    from policy.pretraining.start import begin
    from policy.pretraining.train import RESULT
    from policy.pretraining.train import pretrain as train

    start = None
    if run is None:
        start = begin(config, RUNS / (name or "pretrain"))  # what is refused here makes no run
        command = " ".join(["tastemaker", *sys.argv[1:]])
        run = new_run("pretrain", config.json(), name=name, more={"command": command})
    with shown_progress() as shown:
        train(config, run.path, start=start, progress=partial(shown, "training steps"))
        if (run.path / RESULT).is_file():
            shown("measuring for the model card")
            write_model_card(run.path / "policy", _how_trained(run.record))
    if (run.path / RESULT).is_file():
        click.echo(read_json(run.path / RESULT)["said"])
        done = f"wrote {run.path}/policy"
    else:
        done = f"run {run.name!r} was trained to its end by version 0.1.0; nothing has changed"
    click.echo(f"{done}   next: tastemaker compose --policy {run.name}")


def _planned(
    corpora: Sequence[str],
    start_from: str | None,
    from_nothing: bool,
    asked: Mapping[str, Any],
) -> PretrainConfig:
    """The settings of a new run; what was decided is told."""
    from music.corpora.catalogue import CORPORA, corpora_named, corpus_names, corpus_path
    from policy.pretraining.plan import planned

    opened = corpora_named(corpora)
    for corpus in opened:
        if corpus.name not in corpus_names() or corpus_path(corpus.name) != corpus.path:
            raise click.UsageError(
                f"the corpus {excerpt(str(corpus.path), 100)} does not lie in {CORPORA}, where its "
                f"policy would look for it; build it with: tastemaker corpus build FOLDER --name "
                f"{corpus.name}"
            )
    plan = planned(
        opened,
        start_from=None if start_from is None else policy_folder(start_from),
        base=None if from_nothing else policy_folder("base"),
        asked=asked,
    )
    for line in plan.said:
        click.echo(line, err=True)
    return plan.config


def _settings_of(run: Run) -> PretrainConfig:
    """The settings that a run was started with.

    Raises:
        RunError: when its record has others than a pretraining run has.
    """
    from policy.pretraining.config import PretrainConfig
    from policy.runs import RunError

    try:
        return PretrainConfig(**run.record["config"])
    except (TypeError, ValueError) as error:
        raise RunError(
            f"the settings in {run.path}/run.json cannot be used ({error}); put the file back from "
            "a copy, or choose a new --run"
        ) from error


def _refuse_other_settings(
    name: str,
    config: PretrainConfig,
    corpora: Sequence[str],
    start_from: str | None,
    from_nothing: bool,
    asked: Mapping[str, Any],
) -> None:
    """Refuse options that are not what the run was started with.

    Raises:
        click.UsageError: with these options, and what the run has.
    """
    context = click.get_current_context()
    options = {p.name: p.opts[0] for p in context.command.params if isinstance(p, click.Option)}
    fields = dict(zip(asked, ASKED_BY, strict=True))
    other = []
    for field, value in asked.items():
        was_given = context.get_parameter_source(fields[field]) != ParameterSource.DEFAULT
        if was_given and value != getattr(config, field):
            other.append(f"{options[fields[field]]} {value} (it has {getattr(config, field)})")
    if context.get_parameter_source("corpora") != ParameterSource.DEFAULT and (
        tuple(dict.fromkeys(corpora)) != config.corpora
    ):
        other.append(f"--corpus {' '.join(corpora)} (it has {' '.join(config.corpora)})")
    began = config.start_from
    if from_nothing and began is not None:
        other.append(f"--from-nothing (it began with {began})")
    if start_from is not None and str(policy_folder(start_from)) != began:
        other.append(f"--start-from {start_from} (it began with {began or 'nothing'})")
    if other:
        raise click.UsageError(
            f"run {name!r} was started with other settings than {', '.join(other)}; to go on, "
            f"leave these options out: tastemaker pretrain --run {name}; or choose a new --run"
        )


def _how_trained(record: Mapping[str, Any]) -> str:
    """By which command a policy was made, and on what, for its model card."""
    from music.corpora.data_card import quantity

    hardware = record["hardware"]
    cores = quantity(hardware["cores"] or 1, "core")
    command = record.get("command", f"tastemaker {' '.join(sys.argv[1:])}")
    return f"`{command}`, on {hardware['machine']} with {cores}"
