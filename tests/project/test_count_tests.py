"""CI's count of the tests: a skip that is not on the list fails it."""

import subprocess
import sys

import pytest

from tests.support.project import PROJECT

CASES = {
    "passed": '<testcase classname="tests.a" name="test_one"/>',
    "failed": '<testcase classname="tests.a" name="test_bad"><failure message="no"/></testcase>',
    "chromium": (
        '<testcase classname="tests.b" name="test_page"><skipped message="no chromium on the path; '
        'install it"/></testcase>'
    ),
    "another": (
        '<testcase classname="tests.c" name="test_new[x]"><skipped message="not today"/></testcase>'
    ),
}


@pytest.fixture
def count(tmp_path):
    """Runs the script on a report of such cases."""

    def call(*cases, without=()):
        report = tmp_path / "report.xml"
        inside = "".join(CASES[case] for case in cases)
        report.write_text(f"<testsuites><testsuite>{inside}</testsuite></testsuites>")
        options = [word for tool in without for word in ("--without", tool)]
        return subprocess.run(
            [sys.executable, PROJECT / ".ci" / "count_tests.py", report, *options],
            capture_output=True,
            text=True,
        )

    return call


def test_what_passed_is_counted(count):
    done = count("passed", "passed", "failed")
    assert (done.returncode, done.stdout) == (0, "2 passed, 0 skipped\n")


def test_a_skip_that_is_not_on_the_list_fails(count):
    done = count("passed", "another", without=["chromium"])
    assert done.returncode == 1
    assert "tests.c::test_new[x]: not today" in done.stderr
    assert "tests/allowed_skips.toml" in done.stderr


def test_a_missing_tool_is_an_excuse_only_where_it_is_missing(count):
    assert count("passed", "chromium").returncode == 1
    done = count("passed", "chromium", without=["chromium"])
    assert (done.returncode, done.stdout) == (0, "1 passed, 1 skipped\n")


def test_nothing_ran(count):
    assert "no test ran" in count("chromium", without=["chromium"]).stderr
