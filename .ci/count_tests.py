"""Count the tests of pytest's reports, and fail when one was skipped that may not be.

    python .ci/count_tests.py REPORT.xml [--without TOOL]...

REPORT.xml is what `pytest --junitxml` wrote. A skip is allowed by an entry of
tests/allowed_skips.toml; an entry that names a tool counts only where `--without` names it too.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ALLOWED_SKIPS = Path(__file__).resolve().parents[1] / "tests" / "allowed_skips.toml"


@dataclass(frozen=True, slots=True)
class Skip:
    """A test that did not run."""

    test: str
    message: str


def skips(report: ElementTree.Element) -> Iterator[Skip]:
    """Each test that was skipped, or failed as expected."""
    for case in report.iter("testcase"):
        for skipped in case.iter("skipped"):
            yield Skip(f"{case.get('classname')}::{case.get('name')}", skipped.get("message", ""))


def passed(report: ElementTree.Element) -> int:
    """How many tests ran to their end without a failure."""
    bad = ("skipped", "failure", "error")
    return sum(all(case.find(what) is None for what in bad) for case in report.iter("testcase"))


def is_allowed(skip: Skip, without: list[str]) -> bool:
    """Whether an entry of the list covers this skip on this machine."""
    entries = tomllib.loads(ALLOWED_SKIPS.read_text())["skip"]
    return any(
        skip.message.startswith(entry["message"])
        and ("without" not in entry or entry["without"] in without)
        for entry in entries
    )


def main() -> None:
    """Print the counts; exit with the tests that may not be skipped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=Path)
    parser.add_argument("--without", action="append", default=[], metavar="TOOL")
    given = parser.parse_args()
    report = ElementTree.parse(given.report).getroot()
    skipped = list(skips(report))
    refused = [skip for skip in skipped if not is_allowed(skip, given.without)]
    if refused:
        listed = "\n".join(f"  {skip.test}: {skip.message}" for skip in refused)
        sys.exit(
            f"{len(refused)} tests were skipped that may not be:\n{listed}\n"
            "make them run, or write them into tests/allowed_skips.toml with a reason"
        )
    if passed(report) < 1:
        sys.exit("no test ran")
    sys.stdout.write(f"{passed(report)} passed, {len(skipped)} skipped\n")


if __name__ == "__main__":
    main()
