"""Building a corpus of one's own: what is kept, told and refused, and nothing that is half done."""

import json
import os
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from music.corpora import build as build_module
from music.corpora import file_reading
from music.corpora.build import build
from music.corpora.build_options import BuildOptions
from music.corpora.catalogue import data_card, open_corpus, refused_passages
from music.corpora.corpus_file import CorpusError
from music.corpora.file_reading import read_files
from music.corpora.sources import find_sources
from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.styles import StyleError
from tests.support.tune_files import abc, built, music


def test_building_by_hand(folder, root):
    card, is_new = built(folder, root, licence="CC0")
    assert is_new
    assert {name: card[name] for name in (
        "name", "files", "files_refused", "other_files", "tunes", "tunes_kept", "tunes_in_corpus",
        "strains_read", "near_duplicates", "strains", "refused", "licence", "transcribers",
        "styles", "meters", "modes", "bars", "style_bits",
    )} == {
        "name": "mine", "files": 4, "files_refused": 1, "other_files": 1, "tunes": 13,
        "tunes_kept": 12, "tunes_in_corpus": 12, "strains_read": 19, "near_duplicates": 0,
        "strains": 19, "refused": {"bar length": 1, "no notes": 1, "damaged": 1}, "licence": "CC0",
        "transcribers": {"A. Nyone": 6}, "styles": {"mine": 19}, "meters": {"2/4": 19},
        "modes": {"major": 19}, "bars": {"4": 19}, "style_bits": 0.0,
    }  # fmt: skip
    corpus = open_corpus("mine", root)
    assert (len(corpus), corpus.tunes) == (19, 12)
    assert corpus.fingerprint == card["fingerprint"]
    assert card["notes"] == sum(len(melody.notes) for melody in corpus.melodies()) == 19 * 16
    strain = corpus.strains()[0]
    assert (strain.file, strain.title) == ("c.abc", "Tune 1")
    splits = {split: side["tunes"] for split, side in card["splits"].items()}
    assert splits == {"train": 8, "validation": 2, "test": 2}
    assert data_card("mine", root) == json.loads(json.dumps(card))
    assert sorted(path.name for path in root.iterdir()) == [
        "mine.decisions.csv", "mine.json", "mine.md", "mine.npz", "mine.refused.csv",
    ]  # fmt: skip


def test_a_second_time_nothing_is_done_until_something_changes(folder, root):
    first, _ = built(folder, root)
    files = {path.name: path.stat().st_mtime_ns for path in root.iterdir()}
    again, is_new = built(folder, root)
    assert (again, is_new) == (json.loads(json.dumps(first)), False)
    assert {path.name: path.stat().st_mtime_ns for path in root.iterdir()} == files
    assert built(folder, root, style="tango")[1], "another option"
    assert not built(folder, root, style="tango")[1]
    (folder / "reels" / "new.abc").write_text(abc(1, music(30)))
    card, is_new = built(folder, root, style="tango")
    assert (card["strains"], is_new) == (20, True)
    assert built(folder, root, style="tango", rebuild=True)[1]


def test_a_name_of_another_folder_is_taken(folder, root, tmp_path):
    first, _ = built(folder, root)
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.abc").write_text(abc(1, music(40)))
    with pytest.raises(CorpusError, match=r"'mine' from other folders \(.*tunes\); choose .*--reb"):
        built(other, root)
    assert data_card("mine", root)["fingerprint"] == first["fingerprint"]
    assert built(other, root, rebuild=True)[0]["strains"] == 1


def test_what_a_kill_left_is_built_again(folder, root):
    """The data card is moved last, so a corpus without its own is not whole."""
    card, _ = built(folder, root)
    (root / "mine.json").unlink()
    assert built(folder, root)[1]
    (root / "mine.json").write_text(json.dumps({**card, "fingerprint": "of the one before"}))
    assert built(folder, root)[1]
    (root / "mine.npz").write_bytes(b"damaged")
    with pytest.raises(CorpusError, match="'mine' that cannot be read; choose another --name, or"):
        built(folder, root)
    assert built(folder, root, rebuild=True)[1]


def test_near_duplicates_are_left_out_and_their_tunes_held_out_together(tmp_path, root):
    place = tmp_path / "tunes"
    place.mkdir()
    pairs = [abc(n, music(n), music(100 + n)) for n in range(40)]
    pairs += [abc(40 + n, music(n), music(200 + n)) for n in range(40)]
    (place / "a.abc").write_text("".join(pairs))
    card, _ = built(place, root)
    assert (card["strains_read"], card["near_duplicates"], card["strains"]) == (160, 40, 120)
    sides = {strain.title: strain.split for strain in open_corpus("mine", root).strains()}
    assert all(sides[f"Tune {n}"] == sides[f"Tune {40 + n}"] for n in range(40))
    counts = {split: side["tunes"] for split, side in card["splits"].items()}
    assert counts == {"train": 64, "validation": 8, "test": 8}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"name": "a b"}, CorpusError, "is not the name of a corpus"),
        ({"name": "books"}, CorpusError, "is the shipped corpus"),
        ({"style": "Tango!"}, StyleError, "is not a label"),
        ({"style_from": "file"}, CorpusError, "is none of"),
        ({"style": "a", "style_from": "folder"}, CorpusError, "exclude one another"),
        ({"licence": "x" * 2001}, CorpusError, "has 2001 characters"),
    ],
)
def test_options_that_cannot_be_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        BuildOptions(**{"name": "mine", **options})


def test_more_than_a_corpus_may_hold_is_refused(folder, root, monkeypatch):
    monkeypatch.setattr(build_module, "STRAINS", 15)
    with pytest.raises(CorpusError, match=r"more than 15 strains .* build several corpora"):
        built(folder, root)
    monkeypatch.undo()
    monkeypatch.setattr(build_module, "TOKENS", 300)
    with pytest.raises(CorpusError, match="or 300 tokens"):
        built(folder, root)
    assert not root.exists()


def test_an_interruption_leaves_the_corpus_as_it_was(folder, root):
    before, _ = built(folder, root)

    def interrupt(stage, done, total):
        if stage == "comparing strains":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(folder, root, rebuild=True, report=interrupt)
    assert built(folder, root) == (json.loads(json.dumps(before)), False)
    assert len(list(root.iterdir())) == 5


def test_a_file_whose_name_is_not_utf_8_is_read(tmp_path, root):
    place = tmp_path / "tunes"
    place.mkdir()
    with Path(os.fsdecode(os.fsencode(place) + b"/\xff.abc")).open("w") as file:
        file.write(abc(1, f"{music(1)}|CDEFGAB|{music(2)}"))
    card, _ = build([place, *place.iterdir()], BuildOptions(name="mine"), root=root)
    assert (card["files"], card["strains"]) == (1, 2)
    assert len(open_corpus("mine", root).strains()) == 2
    assert len(list(refused_passages("mine", root))) == 1
    assert not built(place, root, rebuild=True)[0]["files_refused"]


def test_midi_and_musicxml_are_read_as_well(tmp_path, root, real_melodies):
    place = tmp_path / "tunes"
    place.mkdir()
    (place / "a.mid").write_bytes(to_midi(real_melodies[0]))
    (place / "b.musicxml").write_text(to_musicxml(real_melodies[100]))
    card, _ = built(place, root)
    assert (card["files"], card["tunes_kept"], card["strains"]) == (2, 2, 2)
    notes = [melody.notes for melody in open_corpus("mine", root).melodies()]
    assert notes == [real_melodies[0].notes, real_melodies[100].notes]


@pytest.mark.slow
def test_two_processes_read_what_one_reads(folder, monkeypatch):
    sources, _ = find_sources([folder])
    alone = list(read_files(sources))
    told = []
    monkeypatch.setattr(file_reading, "PARALLEL_BYTES", 0)
    both = list(read_files(sources, progress=lambda done, total: told.append((done, total))))
    assert told == [(n, 4) for n in range(5)]
    for one, other in zip(alone, both, strict=True):
        assert one.refusals == other.refusals
        assert one.notices == other.notices
        assert [t.title for t in one.tunes] == [t.title for t in other.tunes]
        for mine, theirs in zip(one.tunes, other.tunes, strict=True):
            assert all((a == b).all() for a, b in zip(mine.rows, theirs.rows, strict=True))


def ended(*_):
    os._exit(1)


@pytest.mark.slow
def test_a_process_that_is_ended_is_told_in_a_line(folder, root, monkeypatch):
    """As the kernel ends one that takes too much memory."""
    monkeypatch.setattr(file_reading, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(file_reading, "read_file", ended)
    with pytest.raises(CorpusError, match=r"reading stopped near .* build from fewer or smaller"):
        built(folder, root)
    assert not root.exists()


def stays(*_):
    time.sleep(600)


@pytest.mark.slow
def test_whoever_stops_does_not_wait_for_a_long_file(folder, monkeypatch):
    def stop(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(file_reading, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(file_reading, "read_file", stays)
    before, started_s = active_children(), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(read_files(find_sources([folder])[0], progress=stop))
    assert time.monotonic() - started_s < 60
    assert set(active_children()) <= set(before)
