"""Look the packages in .venv up among known vulnerabilities, with pip-audit.

    make audit        or        .venv/bin/python .ci/audit.py [an option of pip-audit]...

Exit code 0: all were looked up, and nothing is known. 1: something is known, as printed. 2: some or
all could not be looked up. It is not in CI: it needs a service of other people, whose answers
change without a change of ours.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TOOL = Path(".venv") / "audit"
"""an environment of its own, so that what pip-audit needs is not looked up as ours"""


def installed() -> list[str]:
    """The packages beside this Python, such as `numpy==2.4.6`, without our own."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=freeze", "--exclude-editable"],
        capture_output=True,
        text=True,
        check=True,
    )
    # PyTorch's wheels for a CPU are called 2.15.0+cpu, of which no service knows.
    return [re.sub(r"\+[\w.]*$", "", line) for line in listed.stdout.splitlines()]


def pip_audit() -> Path:
    """The program, installed if it is not there."""
    program = TOOL / "bin" / "pip-audit"
    if not program.is_file():
        venv.create(TOOL, clear=True, with_pip=True)
        pip = [str(TOOL / "bin" / "python"), "-m", "pip", "install", "--quiet", "pip-audit>=2.9"]
        if subprocess.run(pip).returncode:
            give_up("pip-audit cannot be installed (the reason is above)")
    return program


def give_up(reason: str) -> None:
    """Say in one line why nothing was looked up, and end."""
    sys.stderr.write(f"audit: no package was looked up: {reason}; try again later\n")
    sys.exit(2)


def main() -> None:
    """Look up, print what is known, and end with the exit code above."""
    program, packages = pip_audit(), installed()
    with tempfile.TemporaryDirectory() as folder:
        wanted, found = Path(folder) / "packages", Path(folder) / "found.json"
        wanted.write_text("\n".join(packages))
        options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]
        done = subprocess.run(
            [str(program), f"--requirement={wanted}", f"--output={found}", *options, *sys.argv[1:]],
            capture_output=True,
            text=True,
        )
        if not found.is_file() or not found.stat().st_size:
            said = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["no answer"]
            give_up(f"the service cannot be reached ({' '.join(said[0].split())[:200]})")
        rows = json.loads(found.read_text())["dependencies"]
    left_out = [row["name"] for row in rows if "skip_reason" in row]
    if len(left_out) == len(rows):
        give_up(f"the service knows none of the {len(rows)}, so it is not the one that was meant")
    known = [(row, flaw) for row in rows for flaw in row.get("vulns", ())]
    for row, flaw in known:
        mended = ", ".join(flaw["fix_versions"]) or "no version yet"
        sys.stdout.write(f"{row['name']} {row['version']}: {flaw['id']}, mended in {mended}\n")
    sys.stdout.write(f"{len(rows) - len(left_out)} packages looked up, {len(known)} flaws known\n")
    if left_out:
        sys.stdout.write(f"not looked up, because the service lacks them: {', '.join(left_out)}\n")
    sys.exit(1 if known else 2 if left_out else 0)


if __name__ == "__main__":
    main()
