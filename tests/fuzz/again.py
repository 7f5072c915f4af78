"""Run one reader on the content of a file, and say what it answers.

python -m tests.fuzz.again TARGET FILE
"""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path

from tests.fuzz.target import Fault, answer, limited_memory, warm_up
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Exit with 1 when the reader breaks a rule, with its traceback."""
    if len(sys.argv) != 3 or sys.argv[1] not in TARGETS:
        sys.exit(f"python -m tests.fuzz.again TARGET FILE; the targets are: {', '.join(TARGETS)}")
    target, data = TARGETS[sys.argv[1]], Path(sys.argv[2]).read_bytes()
    sys.stdout.write(f"{len(data)} bytes, which begin {data[:200]!r}\n")
    warm_up(target)
    try:
        with limited_memory(), warnings.catch_warnings():
            warnings.simplefilter("error")
            found = answer(target, data)
    except Fault as fault:
        traceback.print_exception(fault.__cause__)
        sys.exit(f"fault: {fault}")
    said = "accepted" if found.refusal is None else f"refused: {found.refusal}"
    sys.stdout.write(f"{said}\n{found.seconds:.3f} s, {found.memory_bytes / 1e6:.0f} MB\n")


if __name__ == "__main__":
    main()
