"""Which files of a folder are read, and what a fingerprint covers."""

import ast
import os

import pytest

from music.corpora import sources
from music.corpora.corpus_file import CorpusError
from music.corpora.sources import find_sources, fingerprint
from tests.support.project import PROJECT

MUSIC = PROJECT / "music"


@pytest.fixture
def folder(tmp_path):
    """Tunes in two folders, and what is no tune."""
    for name in ("b.abc", "reels/a.abc", "jigs/deep/c.MID", ".hidden.abc", ".git/d.abc", "e.txt"):
        file = tmp_path / "tunes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "tunes"


def found(*given):
    return [(source.name, source.folder) for source in find_sources(given)[0]]


def test_folders_are_read_with_all_that_is_in_them_but_what_is_hidden(folder):
    assert found(folder) == [("b.abc", ""), ("jigs/deep/c.MID", "jigs"), ("reels/a.abc", "reels")]
    assert find_sources([folder])[1] == 1


def test_of_several_folders_each_names_its_tunes(folder):
    assert found(folder / "reels", folder / "jigs") == [
        ("reels/a.abc", "reels"), ("jigs/deep/c.MID", "jigs")
    ]  # fmt: skip
    assert found(folder / "jigs", folder / "jigs") == [("deep/c.MID", "deep")]


def test_files_of_the_same_name_are_told_apart(folder, tmp_path):
    for name in ("other/reels/a.abc", "other/b.abc", "deep/other/reels/a.abc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    given = [folder / "reels", tmp_path / "other/reels", tmp_path / "deep/other/reels"]
    assert found(*given) == [
        ("tunes/reels/a.abc", "reels"),
        (f"{tmp_path.name}/other/reels/a.abc", "reels"),
        ("deep/other/reels/a.abc", "reels"),
    ]
    files = [folder / "b.abc", tmp_path / "other" / "b.abc", folder / "reels" / "a.abc"]
    assert found(*files) == [("tunes/b.abc", ""), ("other/b.abc", ""), ("a.abc", "")]
    assert found(folder / "b.abc") == [("b.abc", "")]


def test_a_file_that_was_given_is_taken_whatever_it_is_called(folder):
    assert found(folder / "e.txt", folder / ".hidden.abc") == [("e.txt", ""), (".hidden.abc", "")]


def test_what_is_reached_twice_is_read_once(folder):
    (folder / "loop").symlink_to(folder)
    (folder / "reels" / "again.abc").symlink_to(folder / "b.abc")
    (folder / "reels" / "nowhere.abc").symlink_to(folder / "nothing")
    (folder / "up").symlink_to("/")
    os.mkfifo(folder / "pipe.abc")
    assert found(folder, folder / "reels")[:2] == [
        ("tunes/b.abc", "tunes"), ("tunes/jigs/deep/c.MID", "tunes")
    ]  # fmt: skip
    assert len(found(folder, folder / "reels")) == 3
    assert find_sources([folder])[1] == 5


def test_what_is_not_there_or_holds_no_tunes_is_told_in_a_line(folder, tmp_path, monkeypatch):
    with pytest.raises(CorpusError, match=r"nowhere' is not there; give a folder or file"):
        find_sources([tmp_path / "nowhere"])
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "song.mp3").write_text("")
    with pytest.raises(
        CorpusError, match=r"no files of tunes in .*empty' \(other files: 1\).*\.abc"
    ):
        find_sources([empty])
    monkeypatch.setattr(sources, "MOST_FILES", 2)
    with pytest.raises(CorpusError, match="more than 2 files; give a part of them"):
        find_sources([folder])


def test_a_fingerprint_covers_names_contents_options_and_our_readers(folder, monkeypatch):
    def known(options=None):
        return fingerprint(find_sources([folder])[0], options or {"style": None})

    seen = {known()}
    assert known() in seen
    times = (folder / "b.abc").stat().st_mtime + 100
    os.utime(folder / "b.abc", (times, times))
    assert known() in seen, "when a file was touched does not matter"
    for change in (
        lambda: (folder / "b.abc").write_text("B.abc"),
        lambda: (folder / "b.abc").rename(folder / "z.abc"),
        lambda: (folder / "new.abc").write_text(""),
        lambda: (folder / "reels").rename(folder / "airs"),
        lambda: monkeypatch.setattr(sources, "reading_version", lambda: "another"),
    ):
        change()
        assert known() not in seen
        seen.add(known())
    assert known({"style": "jig"}) not in seen
    (folder / "e.txt").write_text("changed")
    assert known() in seen, "a file that is not read does not matter"


def imported(file):
    """The modules of `music` that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("music"):
            for name in (node.module, *(f"{node.module}.{one.name}" for one in node.names)):
                module = PROJECT / f"{name.replace('.', '/')}.py"
                if module.is_file():
                    yield module


def test_our_code_that_a_fingerprint_covers_is_all_that_building_imports():
    """Not more either: an edit of what does not decide must not build all corpora anew."""
    found, waiting = set(), [MUSIC / "corpora" / "build.py"]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += imported(file)
    does_not_decide = {
        "corpora/catalogue.py", "corpora/corpus.py", "corpora/corpus_checks.py",
        "earlier_tokens.py", "files.py", "json_text.py", "progress.py",
    }  # fmt: skip
    names = {str(file.relative_to(MUSIC)) for file in found}
    assert does_not_decide <= names
    covered = {str(file.relative_to(MUSIC)) for file in sources.reading_files()}
    beside = {"readers/__init__.py", "readers/motif.py"}  # no corpus is built with them
    assert covered - beside == names - does_not_decide - beside


def test_a_change_of_our_rules_is_another_version(tmp_path, monkeypatch):
    (tmp_path / "music" / "corpora").mkdir(parents=True)
    (tmp_path / "music" / "melody.py").write_text("PITCH_MAX = 36\n")
    monkeypatch.setattr(sources, "__file__", str(tmp_path / "music" / "corpora" / "sources.py"))
    before = sources.reading_version()
    (tmp_path / "music" / "corpora" / "books.py").write_text("")
    (tmp_path / "music" / "corpora" / "originality.py").write_text("")
    assert sources.reading_version() == before
    (tmp_path / "music" / "melody.py").write_text("PITCH_MAX = 37\n")
    assert sources.reading_version() != before


def test_a_file_that_is_too_large_to_be_read_is_known_by_its_size(folder, monkeypatch):
    monkeypatch.setattr(sources, "ABC_BOOK_BYTES", 4)
    (folder / "b.abc").write_text("12345")
    before = fingerprint(find_sources([folder])[0], {})
    (folder / "b.abc").write_text("54321")
    assert fingerprint(find_sources([folder])[0], {}) == before
    (folder / "b.abc").write_text("543210")
    assert fingerprint(find_sources([folder])[0], {}) != before
