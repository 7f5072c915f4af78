"""`docs/commands.md` is what the commands say of themselves."""

import importlib.util

import click

from tastemaker.__main__ import cli
from tests.support.project import PROJECT

SOURCE = importlib.util.spec_from_file_location(
    "make_commands", PROJECT / "docs" / "make_commands.py"
)
make_commands = importlib.util.module_from_spec(SOURCE)
SOURCE.loader.exec_module(make_commands)


def test_the_page_is_up_to_date():
    page = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert page == make_commands.page(), "run: make docs"


def test_the_page_has_each_command_and_each_option():
    page = make_commands.page()
    for name, command in make_commands.commands(cli):
        assert f"\n## tastemaker {name}" in page
        for option in command.params:
            if isinstance(option, click.Option):
                earlier = getattr(option, "earlier_names", ())
                names = [*option.opts, *option.secondary_opts]
                shown = " / ".join(name for name in names if name not in earlier)
                assert f"| `{shown}` |" in page
                assert all(f"`{name}`" not in page for name in earlier)


def test_each_command_and_each_option_says_what_it_is():
    for name, command in make_commands.commands(cli):
        assert len((command.help or "").split()) >= 5, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, (name, option.name)


def test_settings_of_ppo_are_told_with_their_defaults():
    page = make_commands.page()
    assert "| `updates` | `32` | rounds of sampling and learning |" in page
    assert "| `layers_trained` | `1` |" in page
