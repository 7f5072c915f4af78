"""Readers of ABC, of searches for notes, and of tokens."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from music.corpora.books import build_corpus
from music.corpora.corpus import load_corpus
from music.corpora.tune_search import TuneSearchError, find_tunes, read_pattern
from music.formats.abc import AbcError
from music.formats.abc_text import decode_text
from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import read_melody, to_abc
from music.melody import Melody, MelodyError
from music.note_table import NoteTable, note_table
from music.readers import REASONS, melodies_of, read_tunes
from music.readers.tune import ReadError
from music.rendering.sound import SoundfontError, find_soundfont, render_wav
from music.tokens import VOCABULARY, decode, encode, from_text, to_text
from tests.fuzz.target import Target, workplace
from tests.support.project import PROJECT

ABC_WORDS: Sequence[bytes] = (
    *(b"X:1\n", b"T:Tune\n", b"M:6/8\n", b"M:C|\n", b"M:none\n", b"L:1/8\n", b"L:0/8\n"),
    *(b"K:D\n", b"K:Ador\n", b"K:D exp _b ^f\n", b"K:none\n", b"V:1 octave=-1\n", b"V:2\n"),
    *(b"R:jig\n", b"Q:1/4=120\n", b"w:words\n", b"I:linebreak $\n", b"%%MIDI transpose 2\n"),
    *(b"%%begintext\n", b"%%endtext\n", b"[K:G]", b"[M:3/4]", b"[V:2]", b"|:", b":|", b"::"),
    *(b"|1", b":|2", b"[1", b"[2-4,7", b"||", b"|]", b"(3", b"(3:2:2", b"(9:9:99", b"(0"),
    *(b">", b"<", b">>>>", b"-", b"z", b"Z2", b"X99", b"[CEG]", b"[]", b"{ab}", b'"Am"', b"!p!"),
    *(b"^", b"__", b"=", b"'", b",", b"/", b"//", b"3/2", b"/0", b"0", b"99999999", b"\\", b"$"),
)  # fmt: skip


def _abc_case_files() -> list[Path]:
    return sorted((PROJECT / "tests" / "data" / "v0_1_0").rglob("*.abc"))


@cache
def abc_seeds() -> list[bytes]:
    """Tunes as our own versions wrote them, and as people write them."""
    exported = (PROJECT / "tests" / "data" / "abc_exports.jsonl").read_text().splitlines()
    ours = [json.loads(line)["abc"].encode() for line in exported[:8]]
    return [*ours, *(file.read_bytes() for file in _abc_case_files()[:4]), *BY_HAND]


BY_HAND: Sequence[bytes] = (
    b"X:1\nT:A jig\nR:jig\nM:6/8\nL:1/8\nQ:3/8=120\nK:D\nA|:dfa afd|gfe dcB|AFA d2e|fed e2A|\n"
    b"dfa afd|gfe dcB|AFA Bcd|[1 edc d2A:|[2 edc d3||\n",
    b"X:2\nM:C|\nL:1/8\nK:Edor exp ^f =c clef=treble-8\n\"Em\"E2 {g}BE dEBE|~E2 (3BAG FDAD|"
    b"E>F G<A B2-B2|!trill![EGB]4 z4|Z2|x2 EF G^GA=G|_A__B ^^c'd,e2|d/2d/4d/4 e3/2f/ gab|\n",
    b"\xef\xbb\xbfX:3\r\nM:3/4\r\nL:1/4\r\nK:G transpose=2\r\nV:1 octave=1\r\nG A B|c2 d|"
    b"e f g|d3|\r\nw: not no-tes\r\nG A B|c2 B|A F2|G3|]\r\n\r\nX:4\r\nK:C\r\nCDEF|\r\n",
    "X:5\nT:Größe\nM:2/4\nK:F#m\nF2 A2|B2 c2|d2 c2|F4|\n".encode("utf-16"),
    "X:6\nT:Été\nM:9/8\nK:Bb\nB3 c3 d3|e3 d3 c3|B3 c3 d3|B9|\n".encode("latin-1"),
)  # fmt: skip


def read_abc(data: bytes) -> None:
    """A tune, as a person gives it; what is read is written and read again."""
    melody = read_melody(decode_text(data))
    again = read_melody(to_abc(melody), style=melody.header.style)
    assert again == melody, "the melody is another after it was written and read"


def read_book(data: bytes) -> None:
    """A file of tunes, for the corpus."""
    folder = workplace("abc-book")
    (folder / "oneills1850").mkdir(exist_ok=True)
    (folder / "oneills1850" / "book.abc").write_bytes(data)
    build_corpus(folder, folder / "strains.npz", earlier=None)


def _read_tunes(data: bytes, name: str) -> None:
    """A file with tunes; every strain is a melody or refused."""
    file = workplace("tunes") / name
    file.write_bytes(data)
    tunes, refusals = read_tunes(file)
    refused = [refusal for tune in tunes for refusal in melodies_of(tune)[1]]
    for refusal in (*refusals, *refused):
        assert str(refusal).isprintable(), "a refusal is no printed line"
        assert refusal.reason in REASONS, "a refusal has a reason of its own"
    if not tunes:
        raise ReadError(refusals[0].reason, str(refusals[0]))


def read_midi(data: bytes) -> None:
    """A MIDI file."""
    _read_tunes(data, "tune.mid")


def read_musicxml(data: bytes) -> None:
    """A MusicXML file."""
    _read_tunes(data, "tune.musicxml")


def read_packed_musicxml(data: bytes) -> None:
    """A MusicXML file in a zip file."""
    _read_tunes(data, "tune.mxl")


def _packed(document: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "META-INF/container.xml", '<container><rootfile full-path="a.xml"/></container>'
        )
        file.writestr("a.xml", document)
    return buffer.getvalue()


MIDI_WORDS = (
    b"MThd",
    b"MTrk",
    b"\x00\xff\x2f\x00",
    b"\xff\x58\x04\x03\x02\x18\x08",
    b"\xff\x59\x02",
)
XML_WORDS = (
    *(b"<note>", b"</note>", b"<chord/>", b"<grace/>", b"<rest/>", b"<backup>", b"<forward>"),
    *(b"<duration>", b"</duration>", b"<divisions>0</divisions>", b"1e9", b"-1", b"1/0", b"<time>"),
    *(b"<transpose><chromatic>99</chromatic></transpose>", b"<!DOCTYPE a>", b"<!ENTITY a 'b'>"),
    *(b"<beats>3+2</beats>", b"<beat-type>0</beat-type>", b"<measure>", b"</measure>", b"&amp;"),
)  # fmt: skip


def read_motif(data: bytes) -> None:
    """The file of `compose --motif`."""
    from policy.compose import Conditioning
    from rl.composing import conditioning_with_motif

    file = workplace("motif") / "motif.abc"
    file.write_bytes(data)
    conditioning_with_motif(Conditioning(), file, say=lambda line: None)


@cache
def _library() -> tuple[list[Melody], NoteTable]:
    melodies = [strain.melody for strain in load_corpus("test")[:20]]
    return melodies, note_table(melodies)


def search_tunes(data: bytes) -> None:
    """What somebody types to find a tune."""
    pattern = read_pattern(data.decode("utf-8", "replace"))
    melodies, table = _library()
    pattern.in_words()
    found = find_tunes(pattern, melodies, table)
    assert (found == find_tunes(pattern, melodies)).all(), "the table finds other tunes"


def read_ids(data: bytes) -> None:
    """Tokens by number, as 16 bits each."""
    ids = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
    melody = decode(ids)
    assert decode(encode(melody)) == melody, "the melody is another after encoding"


def read_token_text(data: bytes) -> None:
    """Tokens by name."""
    decode(from_text(data.decode("utf-8", "replace")))


def read_by_tokenizer(data: bytes) -> None:
    """The tokenizer of a policy reads what `from_text` reads, and refuses what that refuses."""
    text = data.decode("utf-8", "replace")
    try:
        wanted = from_text(text)
    except MelodyError as error:
        try:
            ids = _tokenizer()(text)["input_ids"]
        except Exception as refusal:
            if "UNK" not in str(refusal):
                raise
            raise MelodyError("no token") from error
        raise AssertionError(f"the tokenizer reads {ids}, and from_text refuses it") from error
    assert _tokenizer()(text)["input_ids"] == wanted, "the tokenizer reads other tokens"


@cache
def _tokenizer():
    from policy.model import melody_tokenizer

    return melody_tokenizer()


def build_soundfont(random: Random) -> bytes:
    """The usual font, damaged where it names its instruments, or at its beginning, or cut."""
    font = bytearray(find_soundfont().read_bytes())
    for _ in range(random.randint(1, 6)):
        tail = random.random() < 0.8
        at = len(font) - 1 - random.randrange(60_000) if tail else random.randrange(300)
        font[at] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
    return bytes(font[: random.choice((len(font), len(font), random.randrange(len(font))))])


def play_by(data: bytes) -> None:
    """A font named by `--soundfont`."""
    file = workplace("soundfont") / "font.sf2"
    file.write_bytes(data)
    sound = render_wav(_melodies()[0], soundfont=file)
    assert sound[:4] == b"RIFF"


@cache
def _melodies() -> list[Melody]:
    return [strain.melody for strain in load_corpus("validation")[:12]]


def _texts() -> list[bytes]:
    return [to_text(encode(melody)).encode() for melody in _melodies()]


TOKEN_WORDS = tuple(name.encode() for name in (*VOCABULARY[:40], *VOCABULARY[320:330]))
ABC_ERRORS = (AbcError, MelodyError)

TARGETS = (
    Target(
        name="soundfont",
        read=play_by,
        refuses=(SoundfontError, ValueError),
        seeds=lambda: [find_soundfont().read_bytes(), b"RIFF\x04\0\0\0sfbk", b"", b"RIFF"],
        build=build_soundfont,
        share=0.01,
    ),
    Target(
        name="abc", read=read_abc, refuses=ABC_ERRORS, seeds=abc_seeds, words=ABC_WORDS, share=6
    ),
    Target(
        name="abc-book", read=read_book, refuses=(ValueError,), seeds=abc_seeds, words=ABC_WORDS
    ),
    Target(
        name="motif", read=read_motif, refuses=ABC_ERRORS, seeds=abc_seeds, words=ABC_WORDS, share=3
    ),
    Target(
        name="midi",
        read=read_midi,
        refuses=(ReadError,),
        seeds=lambda: [to_midi(melody) for melody in _melodies()],
        words=MIDI_WORDS,
    ),
    Target(
        name="musicxml",
        read=read_musicxml,
        refuses=(ReadError,),
        seeds=lambda: [to_musicxml(melody).encode() for melody in _melodies()[:4]],
        words=XML_WORDS,
    ),
    Target(
        name="packed-musicxml",
        read=read_packed_musicxml,
        refuses=(ReadError,),
        seeds=lambda: [_packed(to_musicxml(melody).encode()) for melody in _melodies()[:4]],
    ),
    Target(
        name="tune-search",
        read=search_tunes,
        refuses=(TuneSearchError,),
        seeds=lambda: [
            b"D F# A",
            b"|dfaf gedB|",
            b"K:D dfaf",
            b"+2 +2 -4",
            b"E B e b",
            "D♭ G♯".encode(),
        ],
        words=(*ABC_WORDS, b"+", "−".encode(), "♯".encode(), "♭".encode(), b"K:Amix", b"K:F#dor"),
        share=3,
    ),
    Target(
        name="token-ids",
        read=read_ids,
        refuses=(MelodyError,),
        seeds=lambda: [np.array(encode(m), "<i2").tobytes() for m in _melodies()],
        words=tuple(
            np.array([i], "<i2").tobytes() for i in (0, 1, 2, 4, 23, 31, 300, 709, 917, 918, -1)
        ),
        share=3,
    ),
    Target(
        name="token-text",
        read=read_token_text,
        refuses=(MelodyError,),
        seeds=lambda: _texts(),
        words=TOKEN_WORDS,
        share=3,
    ),
    Target(
        name="tokenizer",
        read=read_by_tokenizer,
        refuses=(MelodyError,),
        seeds=lambda: _texts(),
        words=TOKEN_WORDS,
        share=2,
    ),
)
