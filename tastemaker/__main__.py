"""The command line: one command for each stage of the loop.

    corpus -> pretrain -> [compose] -> pairs -> studio | rate --simulate -> reward -> ppo ->
    evaluate

`demo` goes through all of it with a simulated listener. What a user got wrong is told in one line,
with exit code 2. The commands import what they need inside, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

import click

from music.disk import os_error_line
from music.messages import one_line, shorten
from tastemaker.corpora import corpus
from tastemaker.fine_tuning import baselines, ppo
from tastemaker.jobs import jobs
from tastemaker.judging import blind_test, demo, evaluate
from tastemaker.melodies import compose
from tastemaker.options import HERE, Given, on_database
from tastemaker.pretraining import pretrain
from tastemaker.rating import pairs, rate, studio
from tastemaker.ratings import ratings
from tastemaker.rewards import reward, taste

ROOMS = ("music", "policy", "env", "reward", "rl", "feedback_ui", "tastemaker")
FOLDER_GONE = "the working folder was removed; change to a folder that exists and try again"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="tastemaker")
def cli() -> None:
    """Teach a melody generator a person's taste: rate pairs, learn a reward, fine-tune with PPO."""


for command in (
    *(demo, studio, compose, corpus, pretrain, pairs, rate, reward, taste),
    *(ppo, ratings, jobs, baselines, evaluate, blind_test),
):
    cli.add_command(command)


def _is_ours(error: BaseException) -> bool:
    """Whether an error was raised by our own code, for the user, and not by a library inside."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    raised_in = Path(at.tb_frame.f_code.co_filename).resolve() if at is not None else Path()
    return any(raised_in.is_relative_to(HERE / room) for room in ROOMS)


def main() -> None:
    """Run the command line; what a user got wrong is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show "±" gets "?"
            stream.reconfigure(errors="replace")
    # No command fetches a model or data, nor does a process that it starts.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if _is_folder_gone():
        _refuse(FOLDER_GONE)
    given = Given()
    try:
        cli(prog_name="tastemaker", standalone_mode=False, obj=given)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        lines = shown.getvalue().splitlines()
        click.echo("\n".join(shorten(line) for line in lines), err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except ValueError as error:
        if _is_folder_gone():
            _refuse(FOLDER_GONE)
        if not _is_ours(error):
            raise
        reason = one_line(error)
        _refuse(reason if given.database is None else _steps_on_database(reason, given.database))
    except OSError as error:
        if _is_folder_gone():
            _refuse(FOLDER_GONE)
        _refuse(os_error_line(error))


def _steps_on_database(reason: str, database: str) -> str:
    """An error's text, whose commands use this database; the code that raised it has no options."""

    def with_database(found: re.Match[str]) -> str:
        words = found[0].split(" ")
        command: click.Command | None = cli
        for at, word in enumerate(words[1:], start=2):
            command = command.commands.get(word) if isinstance(command, click.Group) else None
            if command is None:
                break
            if any(option.name == "database" for option in command.params):
                return " ".join([on_database(" ".join(words[:at]), database), *words[at:]])
        return found[0]

    return re.sub(r"\btastemaker [a-z-]+( [a-z-]+)?", with_database, reason)


def _refuse(reason: str) -> NoReturn:
    click.echo(f"tastemaker: {shorten(reason)}", err=True)
    sys.exit(2)


def _is_folder_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  Path.cwd() may answer from $PWD
    except FileNotFoundError:
        return True
    return False


if __name__ == "__main__":
    main()
