"""The page Corpora, without a browser."""

import json
from functools import partial

import pytest
from streamlit import cache_resource

from tests.support.small_corpus import make_corpus
from tests.support.studio_pages import open_page, words


@pytest.fixture
def page(corpora, tmp_path, monkeypatch, new_database):
    cache_resource.clear()
    database = tmp_path / "ratings.db"
    database.write_bytes(new_database.read_bytes())
    yield partial(
        open_page, monkeypatch, "corpora", f"--database={database}", f"--clips={tmp_path / 'clips'}"
    )
    cache_resource.clear()


def tables(app):
    found = [json.loads(each.proto.json or "{}") for each in app.get("bidi_component")]
    return {table["caption"]: table["rows"] for table in found if "caption" in table}


def test_a_stranger_sees_nothing(page):
    make_corpus()
    app = page(organiser=False)
    assert not app.exception
    assert "for the person who runs the studio" in words(app)
    assert "mine" not in words(app)
    assert not app.get("file_uploader")


def test_the_first_visit_offers_to_make_one(page):
    app = page()
    assert not app.exception
    assert app.expander[0].proto.expanded
    assert [row[0] for row in tables(app)["The corpora on this machine"]] == ["books"]


def test_a_corpus_is_shown_as_text(page):
    make_corpus()
    app = page(corpus="mine")
    assert not app.exception
    said = [text.value for text in app.text]
    facts = dict(tables(app)["What is in mine"])
    assert facts["Licence"] == "public domain"
    assert facts["Transcribed by"] == "**Ada** (12)"
    assert facts["Kept apart, to check what was learnt"] == "2 tunes"
    assert any(
        "3 files with 14 tunes were read. 12 of 14 can be used, in 12 strains." in s for s in said
    )
    rows = tables(app)["Why passages were refused"]
    assert rows == [["a bar is too long or too short for its metre", "3"], ["<b>new</b>", "1"]]
    assert "<b>" not in "".join(str(e.value) for e in (*app.markdown, *app.caption))
    (listed,) = [code.value for code in app.code if "bar 2" in code.value]
    assert "0001-my-book.abc, tune 3, bar 2: the bar has 5 eighths" in listed
