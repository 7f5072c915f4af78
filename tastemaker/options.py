"""Options that several commands share, and what they mean."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from music.melody import BAR_COUNTS, MODES
from music.messages import shortened
from music.metre import METERS
from music.styles import SHIPPED_STYLES, StyleError, check_label

if TYPE_CHECKING:
    from music.key_choice import Compass, KeyChoice
    from policy.compose import Conditioning

HERE = Path(__file__).resolve().parents[1]
"""the folder of our packages"""
RUNS = Path("checkpoints/runs")
DATABASE = "checkpoints/ratings.sqlite"
TASTES = ("arches", "calm", "dance", "form", "contrast")

ANY = "any"


class BarsType(click.ParamType):
    """A number of bars that a melody may have, or `any`."""

    name = "bars"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The number as text, without leading zeros; or `any`."""
        text = str(value).strip()
        if text == ANY:
            return text
        if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) in BAR_COUNTS):
            self.fail(
                f"{shortened(text)} is not a number of bars; give {BAR_COUNTS[0]} to "
                f"{BAR_COUNTS[-1]}, or {ANY}",
                param,
                ctx,
            )
        return str(int(text))


class StyleType(click.ParamType):
    """A label of a style, or `any`. Which labels there are depends on the policy."""

    name = "LABEL"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The label."""
        try:
            return check_label(str(value).strip())
        except StyleError as error:
            self.fail(str(error), param, ctx)


class StyleOption(click.Option):
    """The option `--style`. Its name in version 0.1.0, `--type`, is taken too, but not shown."""

    earlier_names = ("--type",)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """What the help shows: the name of today alone."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        names, about = record
        for name in self.earlier_names:
            names = names.replace(f", {name}", "")
        return names, about

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """What an error calls the option: by the name of today."""
        return "'--style'"


def header_options(meter: str | None = "4/4", bars: str | None = "8") -> Callable[..., Any]:
    """Options that ask for a kind of melody; 'any' leaves a field to the policy."""

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option(
                "--bars",
                type=BarsType(),
                metavar=f"{BAR_COUNTS[0]}..{BAR_COUNTS[-1]}|{ANY}",
                default=bars or ANY,
                help=f"Number of bars, {BAR_COUNTS[0]} to {BAR_COUNTS[-1]}.",
            ),
            click.option(
                "--style",
                "--type",
                "style",
                cls=StyleOption,
                type=StyleType(),
                default=ANY,
                help="Style, by its label in the policy's `config.json`; the shipped base knows "
                f"{', '.join(SHIPPED_STYLES.labels[1:])} and {SHIPPED_STYLES.labels[0]}.",
            ),
            click.option("--mode", type=click.Choice([*MODES, ANY]), default=ANY, help="Mode."),
            click.option(
                "--meter",
                type=click.Choice([*METERS, ANY]),
                default=meter or ANY,
                help="Metre; `any` leaves it, like the three below, to the policy.",
            ),
        ):
            command = option(command)
        return command

    return wrap


def _parsed_key(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    from music.key_choice import parse_key

    if text is not None:
        parse_key(text)  # before a policy is loaded
    return text


def _parsed_range(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> Compass | None:
    from music.key_choice import parse_range

    return None if text is None else parse_range(text)


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for the key and the compass of melodies: `key` as text, `compass` parsed."""
    for option in (
        click.option(
            "--range",
            "compass",
            metavar="LOW-HIGH",
            callback=_parsed_range,
            help="Notes of an instrument or voice, such as A3-E5; no melody goes beyond them.",
        ),
        click.option(
            "--key",
            callback=_parsed_key,
            help="Tonic, such as G, Bb or F#; `any` for a key of its own for each melody. By "
            "default D, or with `compose --motif` the motif's.",
        ),
    ):
        command = option(command)
    return command


def make_keys(
    key: str | None, compass: Compass | None, conditioning: Conditioning | None = None
) -> KeyChoice:
    """What the options of `key_options` ask for, beside a motif if there is one."""
    from music.key_choice import KeyChoice, parse_key
    from policy.compose import DEFAULT_TONIC_MIDI, Conditioning, keys_beside

    asked = DEFAULT_TONIC_MIDI % 12 if key is None else parse_key(key)
    keys = KeyChoice(tonic_class=asked, compass=compass)
    return keys_beside(conditioning or Conditioning(), keys=keys, own_key=key is None)


@dataclass(slots=True)
class Given:
    """What a command was given and `main` needs when the command fails."""

    database: str | None = None


def _keep_database(context: click.Context, _: click.Parameter, database: str) -> str:
    given = context.find_object(Given)
    if given is not None:
        given.database = database
    return database


database_option = click.option(
    "--database",
    default=DATABASE,
    envvar="TASTEMAKER_DATABASE",
    callback=_keep_database,
    help="SQLite file, or the URL of a PostgreSQL database.",
)
policy_option = click.option("--policy", default="base", help="`base`, or the name of a run.")
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    help="The same seed, versions and number of threads give the same result.",
)


def _free_run_name(
    context: click.Context, parameter: click.Parameter, name: str | None
) -> str | None:
    from policy.runs import free_name

    return None if name is None else free_name(name)


name_option = click.option(
    "--name",
    callback=_free_run_name,  # before any work, such as minutes of training, is done
    help="Name of the run: a-z, 0-9 and -; by default the kind and a number.",
)
detach_option = click.option(
    "--detach", is_flag=True, help="Return once the process is up; it goes on in the background."
)
slots_option = click.option(
    "--slots",
    type=click.IntRange(1),
    default=1,
    envvar="TASTEMAKER_JOB_SLOTS",
    help="Jobs at a time on this machine; a job waits for its turn, first come, first served.",
)
job_argument = click.argument("job")
job_database_option = click.option(
    "--database",
    callback=lambda context, option, value: _keep_database(context, option, value or context.obj),
    help="By default the database of `tastemaker jobs`.",
)
soundfont_option = click.option(
    "--soundfont",
    type=click.Path(path_type=Path),
    help="A .sf2 file, instead of the one that pretty_midi installs.",
)


def on_database(command: str, database: str) -> str:
    """A command to print as the next step, with `--database` where it would use another one.

    An address with a password is not printed: the environment variable names such a database.
    """
    if database == os.environ.get("TASTEMAKER_DATABASE", DATABASE) or "@" in database:
        return command
    return f"{command} --database {shlex.quote(database)}"


def base_folder() -> Path:
    """The shipped base policy: in the working folder, or beside the packages."""
    from policy.shipped import shipped_policy

    return shipped_policy()


def policy_folder(name: str) -> Path:
    """Folder of a policy: 'base', or the one that a run made.

    Of a pretraining run that has not finished it says so: its policy is the best so far, and at
    first the one that it started from.

    Raises:
        RunError: when there is no such run, or it has not finished.
    """
    if name == "base":
        return base_folder()
    from policy.runs import RunError, open_run

    run = open_run(name)
    folder = run.path / "policy"
    if not folder.is_dir():
        kind = run.record["kind"]
        if kind == "reward":
            raise RunError(
                f"run {name!r} is a reward model, which has no policy; name a run of ppo or "
                "pretrain, or base"
            )
        option = "run" if kind == "pretrain" else "resume"
        raise RunError(
            f"run {name!r} has no policy yet; let it finish (tastemaker {kind} --{option} {name})"
        )
    record = run.record
    # Version 0.1.0 wrote no result of pretraining.
    if (
        record["kind"] == "pretrain"
        and "record_version" in record
        and not (run.path / "result.json").is_file()
    ):
        click.echo(
            f"run {name!r} has not finished, so this is its best policy so far; go on with: "
            f"tastemaker pretrain --run {name}",
            err=True,
        )
    return folder


def asked_header(
    folders: Sequence[Path], meter: str, mode: str, style: str, bars: str, pickup: int | None = None
) -> dict[str, Any]:
    """The header fields that the options ask for, None where they leave one to the policy.

    Needs no torch. A metre or number of bars that is asked for by default only is left open where a
    policy does not know it.

    Args:
        folders: of the policies that are to write such melodies.
        meter: as `header_options` gives it, and so are the others.
        mode: the same.
        style: the same.
        bars: the same.
        pickup: in ticks.

    Raises:
        ValueError: for a value that one of the policies was not trained on, naming those it was.
    """
    from policy.folder import read_policy_folder
    from policy.usual_header import usual_header

    asked: dict[str, Any] = {
        "meter": None if meter == ANY else meter,
        "mode": None if mode == ANY else mode,
        "style": None if style == ANY else style,
        "bars": None if bars == ANY else int(bars),
        "pickup_ticks": pickup,
    }
    context = click.get_current_context(silent=True)
    for folder in folders:
        scope = read_policy_folder(folder).scope
        for name, usual in usual_header(scope).items():
            if usual is None and (
                context is None or context.get_parameter_source(name) == ParameterSource.DEFAULT
            ):
                asked[name] = None
        scope.check_asked(asked)
    return asked
