"""A corpus as a file: what is written comes back, and nothing in a damaged file is trusted."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from music.corpora import corpus_file
from music.corpora.corpus_file import CorpusError, Strain, read_corpus, write_corpus
from music.earlier_tokens import EARLIER_VOCABULARY
from music.limits import LimitError
from music.melody import MelodyError
from music.styles import Styles
from music.tokens import encode

LABELS = Styles(("other", "tango", "milonga"))


def written(path, melodies, *, sources=True, more=None):
    write_corpus(
        path,
        [encode(melody, LABELS) for melody in melodies],
        tonics=[melody.tonic_midi for melody in melodies],
        tunes=[number // 2 for number in range(len(melodies))],
        splits=[number // 2 % 3 for number in range(len(melodies))],
        labels=LABELS,
        sources=[(f"{n}.abc", str(n), f"Tune {n} é") for n in range(-(-len(melodies) // 2))]
        if sources
        else (),
        fingerprint="abc-def",
        more=more,
    )
    return path


@pytest.fixture
def melodies(random_melodies):
    labels = ["tango", "other", "milonga", "tango", "tango", "other"]
    return [
        replace(melody, header=replace(melody.header, style=label))
        for melody, label in zip(random_melodies(6, seed=5), labels, strict=True)
    ]


def test_what_is_written_comes_back(tmp_path, melodies):
    corpus = read_corpus(written(tmp_path / "mine.npz", melodies))
    assert (corpus.name, len(corpus), corpus.tunes) == ("mine", 6, 3)
    assert corpus.fingerprint == "abc-def"
    strains = corpus.strains()
    assert [strain.melody for strain in strains] == melodies
    assert strains[3] == Strain(melodies[3], "mine", 1, "validation", "Tune 1 é", "1.abc")
    assert strains[3].source == "mine, Tune 1 é (1.abc)"
    assert corpus.melodies("test") == melodies[4:]
    assert corpus.styles == {"tango": 3, "other": 2, "milonga": 1}
    assert corpus.melodies(earlier=True) == []
    for melody, row in zip(melodies[:2], corpus.token_rows("train"), strict=True):
        assert (row == encode(melody)).all(), "a label that a policy does not know is slot 0"


def test_rows_are_copies(tmp_path, melodies):
    corpus = read_corpus(written(tmp_path / "mine.npz", melodies))
    corpus.token_rows("train", LABELS)[0][:] = 0
    assert corpus.melodies("train") == melodies[:2]


def damaged(path, **changes):
    """The file with other columns; None leaves one out."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokens": None}, "has no tokens"),
        ({"sources": None}, "has no books"),
        ({"splits": np.zeros(5, np.uint8)}, "different lengths"),
        ({"splits": np.full(6, 3, np.uint8)}, "its splits are not all within 0 to 2"),
        ({"tunes": np.full(6, 3, np.uint8)}, "its tunes are not all within 0 to 2"),
        ({"tonics": np.zeros(6, np.uint8)}, "its tonics are not all within"),
        ({"tonics": np.full(6, 62.0)}, "its tonics are no list of whole numbers"),
        ({"splits": np.zeros((6, 1), np.uint8)}, "its splits are no list of whole numbers"),
        ({"lengths": np.full(6, 9, np.uint16)}, "its lengths are not those of its tokens"),
        ({"lengths": np.full(6, 2**63, np.uint64)}, "its lengths are not"),
        ({"lengths": np.zeros(0, np.uint16)}, "it has 0 strains"),
        ({"labels": np.frombuffer(b'["other"]', np.uint8)}, "a style without a label"),
        ({"labels": np.frombuffer(b'["tango"]', np.uint8)}, "its labels: styles="),
        ({"labels": np.frombuffer(b'["other", 3]', np.uint8)}, "its labels: style=3"),
        ({"labels": np.frombuffer(b'["other", []]', np.uint8)}, "its labels: style="),
        ({"labels": np.frombuffer(b"[", np.uint8)}, "its labels: "),
        ({"labels": np.zeros(3)}, "its labels are no text"),
        ({"sources": np.frombuffer(b'[["a", "b"]]', np.uint8)}, "its sources are not files"),
        ({"sources": np.frombuffer(b"{}", np.uint8)}, "its sources are not files"),
    ],
)
def test_a_damaged_file_is_refused_in_a_line(tmp_path, melodies, changes, words):
    path = damaged(written(tmp_path / "mine.npz", melodies), **changes)
    with pytest.raises(CorpusError, match=r"mine.npz' is damaged: .*; build it anew") as told:
        read_corpus(path)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_rows_that_are_cut_elsewhere_are_refused(tmp_path, melodies):
    path = written(tmp_path / "mine.npz", melodies)
    with np.load(path) as data:
        lengths, tokens = data["lengths"].copy(), data["tokens"].copy()
    lengths[0] += 1
    lengths[1] -= 1
    with pytest.raises(CorpusError, match="does not go from BOS to EOS"):
        read_corpus(damaged(path, lengths=lengths))
    written(path, melodies)
    tokens[6] = 0xFFFF
    with pytest.raises(CorpusError, match="its tokens are not all within"):
        read_corpus(damaged(path, tokens=tokens))


def test_a_strain_that_is_no_melody_is_told_when_it_is_asked_for(tmp_path, melodies):
    path = written(tmp_path / "mine.npz", melodies)
    with np.load(path) as data:
        tokens = data["tokens"].copy()
    tokens[7] = tokens[0]
    corpus = read_corpus(damaged(path, tokens=tokens))
    assert corpus.melodies("test") == melodies[4:]
    with pytest.raises(CorpusError, match="damaged: its strain 1: BOS") as told:
        corpus.strains("train")
    assert isinstance(told.value.__cause__, MelodyError)


def test_tokens_of_another_vocabulary_are_refused(tmp_path, melodies):
    path = damaged(written(tmp_path / "mine.npz", melodies), vocabulary=np.array("0" * 16))
    with pytest.raises(CorpusError, match=r"has vocabulary '0{16}', here .* build it anew or use"):
        read_corpus(path)


def test_a_file_of_the_earlier_version_is_read(tmp_path):
    names = "BOS METER_2/4 MODE_dorian TYPE_slipjig BARS_4 PICKUP_0 BAR_4 NOTE_0_48 BAR_3 HOLD_48 "
    names += "BAR_2 REST_48 BAR_1 NOTE_7_48 EOS"
    tokens = [EARLIER_VOCABULARY.index(name) for name in names.split()]
    columns = {"tonics": 62, "books": 1, "tunes": 4, "splits": 2}
    arrays = {name: np.array([value], np.uint8) for name, value in columns.items()}
    path = tmp_path / "old.npz"
    np.savez(path, tokens=np.array(tokens, np.uint16), lengths=np.array([len(tokens)]), **arrays)
    with pytest.raises(CorpusError, match="lengths are no list"):
        read_corpus(path)
    arrays["lengths"] = np.array([len(tokens)], np.uint16)
    np.savez(path, tokens=np.array(tokens, np.uint16), **arrays)
    corpus = read_corpus(path)
    (strain,) = corpus.strains("test", earlier=True)
    assert strain.melody.header.style == "slipjig"
    assert [note.duration_ticks for note in strain.melody.notes] == [96, 48]
    assert strain.source == "Ryan 1883, tune 5 of the collection"
    np.savez(path, tokens=np.array([*tokens[:-1], 709], np.uint16), **arrays)
    with pytest.raises(CorpusError, match="its tokens are not all within 0 to 708"):
        read_corpus(path)


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04" + b"\0" * 40])
def test_what_is_no_corpus_file_is_refused_in_a_line(tmp_path, content):
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="is damaged: it is no file of arrays"):
        read_corpus(path)


def test_what_is_pickled_is_not_loaded(tmp_path, melodies):
    path = written(tmp_path / "mine.npz", melodies)
    damaged(path, tonics=np.array([{}] * 6, object))
    with pytest.raises(CorpusError, match="is damaged"):
        read_corpus(path)


def test_a_header_that_promises_more_than_there_is_takes_no_memory(tmp_path):
    """Of an array of 2**50 numbers of which none follows."""
    file = io.BytesIO()
    header = {"descr": "<u2", "fortran_order": False, "shape": (2**50,)}
    np.lib.format.write_array_header_1_0(file, header)
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as packed:
        packed.writestr("tokens.npy", file.getvalue())
    with pytest.raises(CorpusError, match="is damaged"):
        read_corpus(tmp_path / "mine.npz")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, melodies, monkeypatch):
    path = written(tmp_path / "mine.npz", melodies)
    monkeypatch.setattr(corpus_file, "UNPACKED_CORPUS_BYTES", 1000)
    with pytest.raises(LimitError, match=r"unpacks to .* is the most; build a smaller corpus"):
        read_corpus(path)
