"""The command that makes base policies: `pretrain`, from nothing or from another policy."""

from __future__ import annotations

import sys
from functools import partial

import click

from music.json_text import read_json
from music.messages import excerpt
from tastemaker.options import RUNS, policy_folder, seed_option
from tastemaker.progress import shown_progress


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

    When it was stopped or killed, the same `--run` goes on from its newest whole step.
    `checkpoints/base` is only ever replaced by hand.

    A policy that is started from another one is adapted: with a small step, strong weight decay and
    early stopping on the validation tunes of its corpora. It is never kept for one that is worse
    there than what it began with.
    """
    from policy.runs import free_name, new_run, open_run

    if start_from is not None and from_nothing:
        raise click.UsageError("--start-from and --from-nothing exclude each other; give one")
    resumed = name is not None and (RUNS / name / "run.json").is_file()
    if name is not None and not resumed:
        free_name(name)
    from music.corpora.catalogue import CORPORA, corpora_named, corpus_names, corpus_path
    from policy.pretrain_plan import planned

    opened = corpora_named(corpora)
    for corpus in opened:
        if corpus.name not in corpus_names() or corpus_path(corpus.name) != corpus.path:
            raise click.UsageError(
                f"the corpus {excerpt(str(corpus.path), 100)} does not lie in {CORPORA}, where its "
                f"policy would look for it; build it with: tastemaker corpus build FOLDER --name "
                f"{corpus.name}"
            )
    start = None if start_from is None else policy_folder(start_from)
    plan = planned(
        opened,
        start_from=start,
        base=None if from_nothing else policy_folder("base"),
        asked={
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
        },
    )
    for line in plan.said:
        click.echo(line, err=True)
    if name is not None and resumed:
        run = open_run(name, kind="pretrain")
    else:
        run = new_run("pretrain", plan.config.json(), name=name)
    from policy.model_card import write_model_card
    from policy.pretrain import RESULT
    from policy.pretrain import pretrain as train

    with shown_progress() as shown:
        train(plan.config, run.path, progress=partial(shown, "training steps"))
        shown("measuring for the model card")
        command = f"`{' '.join(['tastemaker', *sys.argv[1:]])}`, on {run.record['hardware']}"
        write_model_card(run.path / "policy", command)
    click.echo(read_json(run.path / RESULT)["said"])
    click.echo(f"wrote {run.path}/policy   next: tastemaker compose --policy {run.name}")
