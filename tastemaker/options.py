"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from policy.compose import Conditioning

HERE = Path(__file__).resolve().parents[1]
"""the folder of our packages"""
RUNS = Path("checkpoints/runs")
DATABASE = "checkpoints/ratings.sqlite"
METERS = ("4/4", "2/4", "3/4", "6/8", "9/8")
MODES = ("major", "minor", "dorian", "mixolydian")
TUNE_TYPES = ("reel", "jig", "slipjig", "hornpipe", "strathspey", "march", "waltz", "other")
TASTES = ("arches", "calm", "dance", "form", "contrast")


def header_options(meter: str | None = "4/4", bars: str | None = "8") -> Callable[..., Any]:
    """Options that ask for a kind of melody; 'any' leaves a field to the policy."""

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option(
                "--bars", type=click.Choice(["4", "8", "16", "any"]), default=bars or "any"
            ),
            click.option(
                "--type", "tune_type", type=click.Choice([*TUNE_TYPES, "any"]), default="any"
            ),
            click.option("--mode", type=click.Choice([*MODES, "any"]), default="any"),
            click.option("--meter", type=click.Choice([*METERS, "any"]), default=meter or "any"),
        ):
            command = option(command)
        return command

    return wrap


database_option = click.option(
    "--database",
    default=DATABASE,
    envvar="TASTEMAKER_DATABASE",
    help="SQLite file or postgresql:// URL.",
)
policy_option = click.option("--policy", default="base", help="'base' or the name of a run.")
seed_option = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0)
detach_option = click.option(
    "--detach", is_flag=True, help="Return at once; the job goes on in the background."
)
slots_option = click.option(
    "--slots",
    type=click.IntRange(1),
    default=1,
    envvar="TASTEMAKER_JOB_SLOTS",
    help="Jobs at a time on this machine; this one waits for its turn.",
)
job_argument = click.argument("job")
job_database_option = click.option(
    "--database",
    callback=lambda context, _, value: value or context.obj,
    help="By default that of 'tastemaker jobs'.",
)
soundfont_option = click.option(
    "--soundfont",
    type=click.Path(path_type=Path),
    help="A .sf2 file instead of the one that comes along.",
)


def base_folder() -> Path:
    """The shipped base policy: in the working folder, or beside the packages."""
    from policy.shipped import shipped_policy

    return shipped_policy()


def policy_folder(name: str) -> Path:
    """Folder of a policy: 'base', or the one that a run made.

    Raises:
        RunError: when there is no such run, or it has not finished.
    """
    if name == "base":
        return base_folder()
    from policy.runs import RunError, open_run

    folder = open_run(name).path / "policy"
    if not folder.is_dir():
        raise RunError(
            f"run {name!r} has no policy yet; let it finish (tastemaker ppo --resume {name})"
        )
    return folder


def make_conditioning(
    meter: str, mode: str, tune_type: str, bars: str, pickup: int | None = None
) -> Conditioning:
    """What the header options ask for."""
    from policy.compose import Conditioning

    def chosen(value: str) -> str | None:
        return None if value == "any" else value

    return Conditioning(
        meter=chosen(meter),
        mode=chosen(mode),
        tune_type=chosen(tune_type),
        bars=None if bars == "any" else int(bars),
        pickup_ticks=pickup,
    )
