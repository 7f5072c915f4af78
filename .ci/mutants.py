"""Change the code in small ways, one at a time, and count how many changes the tests notice.

    python .ci/mutants.py [--each N] [--seed N] [--area NAME]...

A change that no test notices (a survivor) is printed as a diff: it is a missing test, or a change
of nothing that matters. A sample is drawn from each of four areas, because all mutants would take
days. They are made in a copy of the tree, so that somebody can work in it meanwhile.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkResult

PROJECT = Path(__file__).resolve().parents[1]
TESTS = "-m pytest -q -x -p no:cacheprovider"


@dataclass(frozen=True, slots=True)
class Area:
    """What is changed together, and the tests that should notice; the quickest come first."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = {
    "grammar": Area(("music/grammar.py",), ("tests/music/test_grammar.py",)),
    "environment": Area(("env/*.py",), ("tests/env/test_env.py",)),
    "ppo": Area(
        tuple(f"rl/ppo/{name}.py" for name in (
            "advantages", "objective", "guards", "critic", "actor", "rollout", "algorithm",
        )),
        ("tests/rl/ppo", "tests/rl/runs/test_fine_tuning.py"),
    ),
    "store": Area(
        tuple(f"reward/store/{name}.py" for name in (
            "votes", "assignments", "campaigns", "campaign_votes", "pool", "raters", "withdrawal",
        )),
        ("tests/reward/store", "tests/reward/blind_test"),
    ),
}  # fmt: skip


def is_meant(mutation: MutationSpec) -> bool:
    """Leave out changes that can hardly matter: of annotations (`a | b`), and `==` to `is`."""
    return not mutation.operator_name.startswith(
        ("core/ReplaceBinaryOperator_BitOr_", "core/RemoveDecorator")
    ) and not mutation.operator_name.endswith(("_Is", "_IsNot"))


def sample(area: Area, count: int, seed: int) -> list[MutationSpec]:
    """So many mutants of the area, in a random order; all when there are fewer."""
    modules = sorted(path for pattern in area.modules for path in Path().glob(pattern))
    with use_db(":memory:") as database:
        init([module for module in modules if module.name != "__init__.py"], database, {})
        found = [m for item in database.work_items for m in item.mutations if is_meant(m)]
    found.sort(key=lambda m: (str(m.module_path), m.operator_name, m.occurrence))
    return random.Random(seed).sample(found, min(count, len(found)))


def copy_tree(folder: Path) -> None:
    """Copy the files that git knows."""
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(git, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, folder / name)


def seconds_unchanged(area: Area) -> float:
    """How long the area's tests take on the unchanged code, where they must pass."""
    begun = time.monotonic()
    if subprocess.run([sys.executable, *TESTS.split(), *area.tests]).returncode:
        sys.exit("the tests fail on the unchanged code: mend that first")
    return time.monotonic() - begun


def test(mutation: MutationSpec, area: Area, timeout_s: float) -> WorkResult:
    """Change the code, run the area's tests, and change it back."""
    command = f"{sys.executable} {TESTS} {' '.join(area.tests)}"
    return mutate_and_test([mutation], command, timeout_s)


def main() -> None:
    """Print each survivor, and the share that was killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=50, help="mutants of each area")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--area", action="append", choices=sorted(AREAS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # some tests become another user, who has to read it
        copy_tree(Path(scratch))
        os.chdir(scratch)
        os.environ |= {"PYTHONPATH": scratch, "OMP_NUM_THREADS": "1"}
        killed = dict.fromkeys(given.area or AREAS, (0, 0))
        for name in killed:
            area = AREAS[name]
            timeout_s = 60 + 3 * seconds_unchanged(area)
            for mutation in sample(area, given.each, given.seed):
                result = test(mutation, area, timeout_s)
                is_killed = result.test_outcome != TestOutcome.SURVIVED
                killed[name] = (killed[name][0] + is_killed, killed[name][1] + 1)
                if not is_killed:
                    sys.stdout.write(f"\nSURVIVED {mutation.operator_name}\n{result.diff}\n")
                sys.stdout.write(f"{name}: {killed[name][0]} of {killed[name][1]} killed\n")
                sys.stdout.flush()
    rows = [*killed.items(), ("all", tuple(map(sum, zip(*killed.values(), strict=True))))]
    for name, (noticed, count) in rows:
        sys.stdout.write(f"{name:12} {noticed:4} of {count:4} killed, {noticed / count:.0%}\n")


if __name__ == "__main__":
    main()
