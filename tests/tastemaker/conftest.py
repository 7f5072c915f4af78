"""The command line as these tests call it: in this process, in a folder of their own."""

import sys

import pytest

from policy.checkpoint import save_policy
from tastemaker.__main__ import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder, with no database named by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TASTEMAKER_DATABASE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def base(folder, tiny_policy):
    """The working folder with a small base policy."""
    save_policy(tiny_policy, folder / "checkpoints" / "base")
    return folder


@pytest.fixture
def typed(folder, monkeypatch, capfd):
    """Calls `tastemaker` with these words: exit code, what went to stdout, what to stderr."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["tastemaker", *map(str, words)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code or 0
        said = capfd.readouterr()
        return code, said.out, said.err

    return call
