"""Writes `docs/commands.md` from the commands themselves: `make docs`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from rl.ppo.config import PPOConfig
from tastemaker.__main__ import cli

PAGE = Path(__file__).with_name("commands.md")
BEGINNING = """# Commands

<!-- Written by `make docs` from the commands' own help; change that. -->

`make` installs `tastemaker` into `.venv/bin`. `tastemaker COMMAND --help` says what this page says,
and `tastemaker --version` the version.

Results go to stdout. Progress goes to stderr: a bar on a terminal, plain lines anywhere else. What
you got wrong is told in one line (what, why, what to do) with exit code 2; ctrl-c gives 130.

Runs are made in `checkpoints/runs/<name>/` of the working folder. Wherever a policy is asked for,
`base` is `checkpoints/base`, in the working folder or beside the program.
"""


def page() -> str:
    """The whole page."""
    sections = [_section(name, command) for name, command in commands(cli)]
    return "\n".join([BEGINNING, *sections])


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Each command by its whole name; those of a group come after it."""
    for word, command in group.commands.items():
        yield f"{before}{word}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{word} ")


def _section(name: str, command: click.Command) -> str:
    with click.Context(command) as context:
        arguments = [
            parameter.make_metavar(context)
            for parameter in command.params
            if isinstance(parameter, click.Argument)
        ]
        options = [
            _option_row(option, context)
            for option in command.params
            if isinstance(option, click.Option)
        ]
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    lines = [f"## {' '.join(['tastemaker', name, *arguments])}", "", text, ""]
    if options:
        lines += ["| option | default | what |", "|---|---|---|", *options, ""]
    if name == "ppo":
        lines += [_settings()]
    return "\n".join(lines)


def _option_row(option: click.Option, context: click.Context) -> str:
    default = option.get_default(context)
    if option.is_flag and option.secondary_opts:
        default = (option.opts if default else option.secondary_opts)[0]
    says_default = default is not False and isinstance(default, str | int | float | Path)
    what = [option.help or ""]
    if isinstance(option.type, click.Choice):
        what.append(f"One of {' '.join(f'`{choice}`' for choice in option.type.choices)}.")
    elif isinstance(option.type, click.IntRange | click.FloatRange) and not option.is_flag:
        what.append(_range(option.type))
    if option.envvar:
        what.append(f"Also from `{option.envvar}`.")
    earlier = getattr(option, "earlier_names", ())
    names = " / ".join([*(n for n in option.opts if n not in earlier), *option.secondary_opts])
    shown = f"`{default}`" if says_default else "–"
    return f"| `{names}` | {shown} | {' '.join(filter(None, what))} |"


def _range(kind: click.IntRange | click.FloatRange) -> str:
    if kind.max is None:
        return f"At least {kind.min}." if kind.min is not None and kind.min > 1 else ""
    return "" if kind.max > 1_000_000 else f"From {kind.min} to {kind.max:,}."


def _settings() -> str:
    """The table of PPO's settings: fields of `PPOConfig`, with the docstring below each."""
    [body] = ast.parse(inspect.getsource(PPOConfig)).body
    assert isinstance(body, ast.ClassDef)
    said: dict[str, str] = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            said[field.target.id] = " ".join(str(text.value.value).split())
    rows = [
        f"| `{field.name}` | `{'none' if field.default is None else field.default}` | "
        f"{said.get(field.name, '–')} |"
        for field in dataclasses.fields(PPOConfig)
    ]
    return "\n".join(
        [
            "Settings of PPO, for `--set`; the options above are short for some of them. `meter`,",
            "`mode`, `style` and `bars` are those of the reward run where there is one; `none`",
            "leaves them to the base policy.",
            "",
            "| setting | default | what |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
