"""Files that are uploaded for a corpus: no name or size is trusted, and they are kept whole."""

import pytest

from feedback_ui.services.corpora import uploads
from feedback_ui.services.corpora.uploads import (
    About,
    Upload,
    UploadError,
    about_files,
    add_files,
    keep_files,
    kept_files,
    refusal_of,
    remove_files,
    with_given_names,
)
from music.limits import MIDI_BYTES

ABOUT = About("public domain", "airs")
TUNE = b"X:1\nM:4/4\nL:1/4\nK:D\nDEFG|\n"


def names(folder):
    return [file.stored for file in kept_files(folder)]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("The Kesh.abc", "0001-the-kesh.abc"),
        ("../../../etc/passwd.abc", "0001-passwd.abc"),
        ("C:\\tunes\\Ännchen.MID", "0001-annchen.mid"),
        ("..abc", "0001-tune.abc"),
        ("夜曲.musicxml", "0001-tune.musicxml"),
        ("a\0b\n<b>c</b>.mxl", "0001-b.mxl"),
        ("-rf *;$(id).abc", "0001-rf-id.abc"),
        ("x" * 5000 + ".abc", "0001-" + "x" * 40 + ".abc"),
    ],
)
def test_a_name_is_text_and_no_part_of_a_path(tmp_path, given, stored):
    keep_files(tmp_path / "mine", [Upload(given, TUNE)], ABOUT)
    (file,) = kept_files(tmp_path / "mine")
    assert (file.stored, file.name) == (stored, given[:80])
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in written) == sorted([stored, "about.json"])
    assert (tmp_path / "mine" / "files" / stored).read_bytes() == TUNE


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("notes.txt", TUNE, "ends in '.txt' is not read"),
        ("abc", TUNE, "without an ending"),
        (".abc", TUNE, "without an ending"),
        ("a.abc", b"", "it is empty"),
        ("a.mid", b"M" * (MIDI_BYTES + 1), "larger than 512 KiB, the most for .mid"),
        ("evil.abc.exe", TUNE, "'.exe'"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_reason(tmp_path, name, content, says):
    assert says in refusal_of(Upload(name, content))
    refused = keep_files(tmp_path / "mine", [Upload(name, content), Upload("a.abc", TUNE)], ABOUT)
    assert [(given, says in why) for given, why in refused] == [(name, True)]
    assert names(tmp_path / "mine") == ["0001-a.abc"]


def test_nothing_is_left_of_files_none_of_which_can_be_kept(tmp_path):
    with pytest.raises(UploadError, match=r"no file can be kept. 'a.txt' \(and 1 more\): a file"):
        keep_files(tmp_path / "mine", [Upload("a.txt", b"x"), Upload("b.txt", b"x")], ABOUT)
    with pytest.raises(UploadError, match="there is no file"):
        keep_files(tmp_path / "mine", [], ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_too_many_and_too_large_together(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    with pytest.raises(UploadError, match="3 files are too many; a corpus takes 2"):
        keep_files(tmp_path / "mine", [Upload("a.abc", TUNE)] * 3, ABOUT)
    keep_files(tmp_path / "mine", [Upload("a.abc", TUNE)] * 2, ABOUT)
    with pytest.raises(UploadError, match="3 files are too many"):
        add_files(tmp_path / "mine", [Upload("a.abc", TUNE)])
    monkeypatch.setattr(uploads, "MOST_BYTES", 10)
    with pytest.raises(UploadError, match="is the most; use tastemaker corpus build"):
        keep_files(tmp_path / "other", [Upload("a.abc", TUNE)], ABOUT)
    assert not (tmp_path / "other").exists()


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads, "write_json", fail)
    with pytest.raises(UploadError, match="No space left"):
        keep_files(tmp_path / "mine", [Upload("a.abc", TUNE)], ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_files_are_not_kept_over_others(tmp_path):
    keep_files(tmp_path / "mine", [Upload("a.abc", TUNE)], ABOUT)
    with pytest.raises(UploadError, match="already"):
        keep_files(tmp_path / "mine", [Upload("b.abc", TUNE)], ABOUT)
    assert names(tmp_path / "mine") == ["0001-a.abc"]


def test_files_are_added_and_removed(tmp_path):
    folder = tmp_path / "mine"
    keep_files(folder, [Upload("a.abc", TUNE), Upload("b.abc", TUNE)], ABOUT)
    assert add_files(folder, [Upload("a.abc", TUNE), Upload("c.txt", TUNE)])[0][0] == "c.txt"
    assert names(folder) == ["0001-a.abc", "0002-b.abc", "0003-a.abc"]
    assert [file.name for file in kept_files(folder)] == ["a.abc", "b.abc", "a.abc"]
    assert about_files(folder) == ABOUT
    assert remove_files(folder, ["0002-b.abc", "../about.json", "0009-x.abc"]) == 1
    assert names(folder) == ["0001-a.abc", "0003-a.abc"]
    assert remove_files(folder) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", '{"names": 3, "licence": 4}', "{"])
def test_a_damaged_note_costs_only_the_names(tmp_path, text):
    folder = tmp_path / "mine"
    keep_files(folder, [Upload("A.abc", TUNE)], ABOUT)
    (folder / "about.json").write_text(text)
    (folder / "files" / "stranger.abc").write_text("not ours")
    assert [file.name for file in kept_files(folder)] == ["0001-a.abc"]
    assert about_files(folder).style == ""


def test_lines_about_files_have_the_names_that_people_know(tmp_path):
    folder = tmp_path / "mine"
    keep_files(folder, [Upload("My Tune (1).abc", TUNE)], ABOUT)
    line = "checkpoints/corpora/uploads/mine/files/0001-my-tune-1.abc, tune 3, bar 2: too long"
    assert with_given_names(line, kept_files(folder)) == "My Tune (1).abc, tune 3, bar 2: too long"
