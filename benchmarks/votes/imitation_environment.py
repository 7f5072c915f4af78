"""A third environment: `imitation` 1.0.1 with the Gymnasium and stable-baselines3 that it wants.

It pins Gymnasium 0.29 and stable-baselines3 2.2, two years older than ours. The environment holds
these three packages; numpy, torch and the rest are found by path in the environment that runs, so
that both sides compute with the same installed libraries.
"""

from __future__ import annotations

import json
from pathlib import Path

from second_environment import EnvironmentFault, environment_of, run_in

PACKAGES = ("imitation==1.0.1", "gymnasium==0.29.1", "stable-baselines3==2.2.1")
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
    python = environment_of(folder, PACKAGES)
    found = json.loads(run_in(python, "-c", _PROBE).splitlines()[-1])
    if tuple(found) != PACKAGES:
        raise EnvironmentFault(
            f"{python} imports {found}, not {list(PACKAGES)}; remove {python.parents[1]} and run "
            "again"
        )
    return python
