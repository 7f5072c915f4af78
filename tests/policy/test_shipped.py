"""The base policy comes along with the program, and is found from anywhere."""

import tomllib
from fnmatch import fnmatchcase

from env.reference import Reference
from policy.checkpoint import policy_hash, save_policy
from policy.shipped import shipped_policy
from tests.support.project import PROJECT


def test_the_wheel_takes_every_file_of_the_base_policy():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "checkpoints.base" in settings["packages"]["find"]["include"]
    patterns = settings["package-data"]["checkpoints.base"]
    files = [file.name for file in (PROJECT / "checkpoints" / "base").iterdir()]
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= {*files}
    assert [f for f in files if not any(fnmatchcase(f, pattern) for pattern in patterns)] == []


def test_the_shipped_base_is_found_from_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped_policy() == PROJECT / "checkpoints" / "base"


def test_a_base_in_the_working_folder_comes_first(tmp_path, monkeypatch, tiny_policy):
    monkeypatch.chdir(tmp_path)
    save_policy(tiny_policy, tmp_path / "checkpoints" / "base")
    assert shipped_policy().resolve() == tmp_path / "checkpoints" / "base"
    assert policy_hash(shipped_policy()) != policy_hash(PROJECT / "checkpoints" / "base")
    # The environment plays against the same base as the command line.
    assert Reference().model.config.hidden_size == tiny_policy.config.hidden_size
