"""Readers of what lies beside a corpus: its data card, its tables, and records of the studio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from feedback_ui.services.corpora.adaptations import RESULT, bits_of, result_of
from feedback_ui.services.corpora.overview import CorpusOverviews
from feedback_ui.services.corpora.recorded_command import RecordedCommand
from feedback_ui.services.corpora.uploads import about_files, kept_files
from feedback_ui.services.subcommand import CommandError
from music.corpora.catalogue import data_card, open_corpus, reading_decisions, refused_passages
from music.corpora.corpus_file import CorpusError
from music.corpora.data_card import in_words
from music.limits import LimitError
from music.readers.tune import Remark
from policy.runs import METRICS, RunError
from tests.fuzz.target import Target, workplace
from tests.support.small_corpus import CARD, REFUSED, make_corpus


@cache
def _root(name: str) -> Path:
    """A folder with the corpus "mine", of which one file is spoilt."""
    root = workplace(name)
    make_corpus(root=root)
    return root


def read_corpus_file(data: bytes) -> None:
    """`mine.npz`, as learning from it and showing it use it."""
    root = _root("corpus-file")
    (root / "mine.npz").write_bytes(data)
    corpus = open_corpus("mine", root)
    for strain in corpus.strains():
        assert strain.melody.notes


def read_card(data: bytes) -> None:
    """`mine.json`, as `corpus show` and the studio use it."""
    root = _root("data-card")
    (root / "mine.json").write_bytes(data)
    shown = CorpusOverviews(root).of("mine")
    assert shown.tunes
    assert shown.facts
    told = (shown.reading, shown.refused, shown.decided, shown.held_out_tunes, shown.trouble)
    assert str(told)
    card = data_card("mine", root)
    assert card is not None
    json.dumps(card)
    assert in_words(card).endswith("\n")


def read_passages(data: bytes) -> None:
    """`mine.refused.csv` and `mine.decisions.csv`, as `corpus show` and the studio use them."""
    root = _root("passages")
    for ending in ("refused", "decisions"):
        (root / f"mine.{ending}.csv").write_bytes(data)
    lines, count = CorpusOverviews(root).refusals("mine")
    assert len(lines) <= count + 1  # a damaged table is told in a line of its own
    for rows in (refused_passages("mine", root), reading_decisions("mine", root)):
        for row in rows:
            str(Remark(**row))


def read_about(data: bytes) -> None:
    """`about.json`, what an organiser entered about uploaded files."""
    root = workplace("about")
    (root / "files").mkdir(exist_ok=True)
    (root / "files" / "0001-tune.abc").write_text("X:1")
    (root / "about.json").write_bytes(data)
    about = about_files(root)
    assert all(isinstance(text, str) for text in (about.licence, about.style))
    assert [file.stored for file in kept_files(root)] == ["0001-tune.abc"]
    json.dumps(asdict(about))


def read_command(data: bytes) -> None:
    """The record of a command beside the page; no process is started or ended by it."""
    root = workplace("recorded-command")
    for ending in ("json", "ended", "log"):
        (root / f"build-mine.{ending}").write_bytes(data)
    command = RecordedCommand(root, "build-mine", "the build of mine")
    assert command.state in ("done", "refused", "stopped", "interrupted", "none")
    assert not command.is_live
    assert all(line.strip() for line in command.lines)
    assert command.failure
    if command.progress is not None:
        assert 0 <= command.progress.done <= command.progress.total


def read_adaptation(data: bytes) -> None:
    """`metrics.jsonl` and `result.json` of a pretraining run, as the page Corpora uses them."""
    root = workplace("adaptation")
    (root / METRICS).write_bytes(data)
    (root / RESULT).write_bytes(data)
    result_of(root)
    for step, bits in bits_of(root):
        assert step >= 0
        assert bits == bits


CARD_WORDS: Sequence[bytes] = (
    *(f'"{name}"'.encode() for name in CARD),
    *(b"null", b"true", b"{}", b"[]", b"-1", b"1e308", b"NaN", b'"train"', b"[" * 2000),
)

TARGETS = (
    Target(
        name="corpus-file",
        read=read_corpus_file,
        refuses=(CorpusError, LimitError),
        seeds=lambda: [make_corpus("seed", root=workplace("corpus-seed"), count=4).read_bytes()],
        words=(b"PK\x03\x04", b"PK\x01\x02", b"\x93NUMPY", b"tokens.npy"),
        share=0.5,
    ),
    Target(
        name="data-card",
        read=read_card,
        refuses=(CorpusError,),
        seeds=lambda: [json.dumps(CARD).encode()],
        words=CARD_WORDS,
        share=0.5,
    ),
    Target(
        name="passages",
        read=read_passages,
        refuses=(CorpusError,),
        seeds=lambda: [REFUSED.encode()],
        words=(b'"', b",", b"\r\n", b"\x00", b"file,tune,bar,reason,detail\r\n"),
    ),
    Target(
        name="about",
        read=read_about,
        seeds=lambda: [
            b'{"licence": "public domain", "style": "air", "styles_of_tunes": true, '
            b'"names": {"0001-tune.abc": "tune.abc"}}'
        ],
        words=(b'"names"', b'"licence"', b"null", b"{}", b"[" * 2000),
    ),
    Target(
        name="recorded-command",
        read=read_command,
        refuses=(CommandError,),
        seeds=lambda: [
            b'{"pid": 0, "created_s": 0.0, "asked_to_stop": false, "arguments": ["corpus"]}',
            b"130",
            b"reading files: 3 of 8\nError: no\n",
        ],
        words=(b'"pid"', b'"created_s"', b"1e400", b"99999999999999999999", b"null"),
    ),
    Target(
        name="adaptation",
        read=read_adaptation,
        refuses=(RunError,),
        seeds=lambda: [
            b'{"step": 0, "validation_bits_per_note": 3.9}\n'
            b'{"step": 10, "validation_bits_per_note": 3.1}\n',
            b'{"bits_per_note": 3.1}',
        ],
        words=(b'"step"', b'"validation_bits_per_note"', b"1e308", b"9" * 400, b"true", b"NaN"),
    ),
)
