"""Every benchmark starts as its page says: by its path, without this project on the path."""

import json
import subprocess
import sys

import pytest

from tests.support.project import PROJECT

pytestmark = pytest.mark.slow

BENCHMARKS = PROJECT / "benchmarks"
DRIVERS = {"trl_ppo.py", "imitation_rewards.py"}
"""started by a benchmark in a second environment, with a job in the place of options"""
NOT_HERE = {"imitation_rewards.py"}
"""needs the `imitation` library, which the second environment alone has"""

RUN = """
import io, json, pathlib, runpy, sys
from contextlib import redirect_stdout

root, scripts, others = pathlib.Path(sys.argv[1]), *map(json.loads, sys.argv[2:])
path, found = list(sys.path), {}
for name in scripts + others:
    script = root / name
    # As Python does when it is given a file: the file's folder first, no other of ours. Modules
    # that scripts import find what those have put on the path.
    sys.path[:] = [str(script.parent), *path, *([] if name in scripts else [str(root)])]
    sys.argv = [str(script), "--help"]
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            runpy.run_path(str(script), run_name="__main__" if name in scripts else script.stem)
    except SystemExit as end:
        found[name] = [end.code, said.getvalue()]
    for module in [name for name, module in sys.modules.items()
                   if str(getattr(module, "__file__", "")).startswith(str(root))]:
        del sys.modules[module]
print(json.dumps(found))
"""


def test_every_script_imports_and_shows_its_help(tmp_path):
    """In one process, because importing torch takes longer than all the scripts together."""
    files = {str(file.relative_to(BENCHMARKS)): file for file in BENCHMARKS.rglob("*.py")}
    scripts = [
        name
        for name, file in files.items()
        if "\nif __name__ ==" in file.read_text() and file.name not in DRIVERS
    ]
    others = [name for name in files if name not in scripts and files[name].name not in NOT_HERE]
    done = subprocess.run(
        [sys.executable, "-c", RUN, BENCHMARKS, json.dumps(scripts), json.dumps(others)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == set(scripts)
    for name, (code, said) in found.items():
        assert code == 0, name
        assert said.startswith(f"usage: {files[name].name}"), name
        assert "benchmarks/" in said, f"{name} --help does not say how to run it"
