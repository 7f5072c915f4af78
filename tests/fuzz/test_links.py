"""Every page of the studio, under addresses that somebody has written by hand."""

import shutil

import pytest

from tests.support.project import PROJECT
from tests.support.studio_pages import open_page, words

PAGES = ("", "taste", "library", "blind-test", "fine-tune", "corpora", "people")
PARAMETERS = (
    *("rater", "invite", "test", "view", "of", "run", "compare", "first-steps", "breaks", "notes"),
    *("q", "mine", "meter", "mode", "type", "style", "bars", "policy", "round", "sort", "page"),
    *("melody", "corpus"),
)
ODD = {
    "nothing": "",
    "a NUL": "\x00",
    "a giant": "9" * 5000,
    "no digit for int()": "²",
    "below": "-1",
    "a path": "../../etc/passwd",
    "a list": ",,a,b,,",
    "markup": "<script>alert(1)</script> **[red]** $x$",
    "control": "\x1b[31m\u202e\r\n",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Melodies, votes, blind tests and jobs."""
    file = tmp_path_factory.mktemp("links") / "ratings.sqlite"
    shutil.copy(PROJECT / "tests" / "data" / "v0_1_0" / "ratings.sqlite", file)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("organiser", [True, False], ids=["organiser", "anybody"])
def test_a_page_opens_under_an_odd_address(monkeypatch, database, clips, page, odd, organiser):
    app = open_page(
        monkeypatch,
        page,
        f"--database={database}",
        f"--clips={clips}",
        organiser=organiser,
        **dict.fromkeys(PARAMETERS, ODD[odd]),
    )
    assert not app.exception, [element.message for element in app.exception]
    assert words(app).strip()
