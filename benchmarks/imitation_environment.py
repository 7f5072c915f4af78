"""A third environment: `imitation` 1.0.1 with the Gymnasium and stable-baselines3 that it wants.

It pins Gymnasium 0.29 and stable-baselines3 2.2, two years older than ours. The environment holds
these three packages; numpy, torch and the rest are found by path in the environment that runs, so
that both sides compute with the same installed libraries.
"""

from __future__ import annotations

import json
import sys
import venv
from pathlib import Path

from second_environment import EnvironmentFault, run_in, running_packages

PACKAGES = ("imitation==1.0.1", "gymnasium==0.29.1", "stable-baselines3==2.2.1")
_PATH_FILE = "running-environment.pth"
_PROBE = """
import json
from importlib.metadata import version
from imitation.algorithms import preference_comparisons
from imitation.rewards import reward_nets
print(json.dumps([f"{n}=={version(n)}" for n in ("imitation", "gymnasium", "stable-baselines3")]))
"""


def imitation_environment(folder: Path) -> Path:
    """The Python of the environment in `folder`, made there unless it stands already.

    Raises:
        EnvironmentFault: when the folder is something else, or holds other versions in the end.
    """
    folder = folder.absolute()
    python = folder / "bin" / "python"
    library = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    seal = library / "site-packages" / _PATH_FILE
    packages = "\n".join(running_packages()) + "\n"
    if not (python.exists() and seal.is_file() and seal.read_text() == packages):
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
            raise EnvironmentFault(
                f"{folder} holds something that is not a virtual environment; name another folder"
            )
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(folder)
        # Before the path file: with it, pip would see the running environment's own packages.
        run_in(python, "-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES)
        seal.write_text(packages)
    found = json.loads(run_in(python, "-c", _PROBE).splitlines()[-1])
    if tuple(found) != PACKAGES:
        raise EnvironmentFault(
            f"{python} imports {found}, not {list(PACKAGES)}; remove {folder} and run again"
        )
    return python
