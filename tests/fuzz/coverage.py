"""Run the readers coverage-guided: atheris keeps the inputs that reach new lines of our code.

    python -m tests.fuzz.coverage [TARGET ...] [--seconds N]

Each reader runs in a process of its own for `--seconds`, one after the other, and starts from its
seeds and from what earlier runs kept in `.fuzz/corpus/`. An input that breaks a rule ends its
reader's run and is written to `.fuzz/faults/`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from random import Random

from tests.fuzz.target import MOST_MEMORY_BYTES, MOST_SECONDS, ROOMS, Target, answer, warm_up

PLACE = Path(".fuzz")


def run_one(name: str, arguments: list[str]) -> None:
    """Fuzz one reader in this process until libFuzzer's limits; it does not return."""
    import atheris

    with atheris.instrument_imports(include=list(ROOMS)):
        from tests.fuzz.mutation import mutated
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    warm_up(target)
    warnings.simplefilter("error")

    def once(data: bytes) -> None:
        answer(target, data)

    def changed(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.5:
            return atheris.Mutate(data, most)
        if target.build is not None and random.random() < 0.5:
            return target.build(random)[:most]
        return mutated(random, [data, *target.seeds()], target.words)[:most]

    atheris.Setup([sys.argv[0], *arguments], once, custom_mutator=changed)
    atheris.Fuzz()


def run_in_turn(targets: list[Target], seconds: int) -> list[str]:
    """Fuzz each reader in a process of its own; a line about each input that breaks a rule."""
    lines: list[str] = []
    for target in targets:
        corpus, faults = PLACE / "corpus" / target.name, PLACE / "faults"
        corpus.mkdir(parents=True, exist_ok=True)
        faults.mkdir(parents=True, exist_ok=True)
        for seed in target.seeds():
            (corpus / sha256(seed).hexdigest()[:16]).write_bytes(seed)
        before = set(faults.iterdir())
        sys.stdout.write(f"{target.name}: {seconds} s\n")
        sys.stdout.flush()
        with (PLACE / f"{target.name}.log").open("wb") as log:
            ended = subprocess.run(
                [
                    *(sys.executable, "-m", "tests.fuzz.coverage", "--one", target.name),
                    *(str(corpus), f"-max_total_time={seconds}", "-max_len=65536"),
                    # Far above the rules, which the readers are held to by `answer`.
                    f"-timeout={round(60 * MOST_SECONDS)}",
                    f"-rss_limit_mb={round(8 * MOST_MEMORY_BYTES / 1e6)}",
                    *(f"-artifact_prefix={faults}/{target.name}-", "-verbosity=1"),
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        found = sorted(set(faults.iterdir()) - before)
        lines += [f"again: python -m tests.fuzz.again {target.name} {file}" for file in found]
        if ended.returncode and not found:
            lines.append(
                f"{target.name} ended with {ended.returncode}: see {PLACE}/{target.name}.log"
            )
    return lines


def main() -> None:
    """Read the arguments; exit with 1 when something was found, 2 where atheris is missing."""
    if sys.argv[1:2] == ["--one"]:
        run_one(sys.argv[2], sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="readers; all without any")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    given = parser.parse_args()
    if find_spec("atheris") is None:
        sys.stderr.write(
            "atheris is not installed, which has wheels for Linux only; run instead, without "
            "coverage: python -m tests.fuzz.count\n"
        )
        sys.exit(2)
    from tests.fuzz.targets import TARGETS

    unknown = sorted(set(given.targets) - TARGETS.keys())
    if unknown:
        parser.error(f"there is no reader {unknown[0]!r}; there are: {', '.join(TARGETS)}")
    lines = run_in_turn([TARGETS[name] for name in given.targets or TARGETS], given.seconds)
    sys.stdout.write("\n".join([*lines, "" if lines else "no faults\n"]))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
