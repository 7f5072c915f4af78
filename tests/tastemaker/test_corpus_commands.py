"""The commands `corpus build`, `corpus list` and `corpus show`, as a person types them."""

import json
import re

import numpy as np
import pytest

from music.corpora.catalogue import corpora_named, styles_of_corpora
from music.corpora.corpus_file import SPLITS
from music.styles import SHIPPED_STYLES, STYLE_SLOTS

TUNES = """X:1
T:One
M:2/4
L:1/8
K:C
CDEF|GABc|cBAG|FEDC||EFGA|BAGF|EGCE|DFB,D|]

X:2
T:Two
M:2/4
L:1/8
K:C
CGEc|GcCG|cECG|EGcC|CDEFG|FAcf|fcAF|CFAc|fafc|]
"""


@pytest.fixture
def tunes(folder):
    (folder / "tunes").mkdir()
    (folder / "tunes" / "a.abc").write_text(TUNES)
    (folder / "tunes" / "b.mid").write_bytes(b"no MIDI")
    return folder / "tunes"


def build(typed, *words):
    return typed("corpus", "build", "tunes", "--name", "mine", *words)


def test_building_and_doing_it_again(tunes, typed, folder):
    code, out, err = build(typed, "--licence", "mine", "--json")
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])
    assert {name: found[name] for name in ("name", "files", "tunes", "tunes_kept", "strains")} == {
        "name": "mine", "files": 2, "tunes": 2, "tunes_kept": 2, "strains": 4,
    }  # fmt: skip
    assert (found["refused"], found["unchanged"]) == ({"bar length": 1, "damaged": 1}, False)
    assert "2 files, 2 of 2 tunes gave 4 strains, 0 of them near-duplicates\n" in out
    assert "\n4 strains of 2 tunes (1 train, 0 validation, 1 test)\n" in out
    assert "\nrefused: bar length (1), damaged (1)\n" in out
    assert "wrote checkpoints/corpora/mine.npz   no tune is left for validation; build the" in out
    assert "reading files: 2 of 2" in err
    times = {path: path.stat().st_mtime_ns for path in (folder / "checkpoints").rglob("*")}
    code, out, err = build(typed, "--licence", "mine", "--json")
    assert json.loads(out.splitlines()[-1]) == {**found, "unchanged": True}
    assert "nothing has changed   no tune is left for validation; build the corpus of more" in out
    assert times == {path: path.stat().st_mtime_ns for path in (folder / "checkpoints").rglob("*")}


def random_tunes(folder, number, style="mine"):
    rng = np.random.default_rng(number)
    bars = "|".join("".join(rng.choice(list("CDEFGABcdefg"), 4)) for _ in range(4))
    (folder / style).mkdir(parents=True, exist_ok=True)
    file = folder / style / f"{number}.abc"
    file.write_text(f"X:1\nT:Tune\nM:2/4\nL:1/8\nK:C\n{bars}|]\n")


@pytest.mark.parametrize(
    ("tunes", "styles", "step"),
    [
        (1, 1, "--corpus mine --corpus books --start-from base"),
        (2, 1, "--corpus mine --corpus books --start-from base"),
        (3, 1, "--corpus mine --start-from base"),
        (26, 25, "--corpus mine --start-from base"),
        (25, 24, "--corpus mine --start-from base"),
    ],
)
def test_the_next_step_is_one_that_works(folder, typed, tunes, styles, step):
    """Of a corpus that has no tune for validation, or more styles than fit beside the base's."""
    for number in range(tunes):
        random_tunes(folder / "tunes", number, f"style {number % styles}")
    code, out, err = build(typed, "--style-from", "folder")
    assert code == 0, err
    assert out.endswith(f"next: tastemaker pretrain {step}\n")
    assert ("no tune is left for validation; build the corpus of more tunes" in out) == (tunes < 3)
    assert ("the base and this corpus have 33 styles, and a policy" in out) == (styles == 25)
    opened = corpora_named(re.findall(r"--corpus (\S+)", step))
    assert all(any(corpus.token_rows(split) for corpus in opened) for split in SPLITS[:2])
    assert len(styles_of_corpora(opened, SHIPPED_STYLES).labels) <= STYLE_SLOTS


def test_one_of_a_thing_is_told_as_one(folder, typed):
    random_tunes(folder / "tunes", 1)
    code, out, _ = build(typed)
    assert (code, out.splitlines()[:2]) == (0, [
        "1 file, 1 of 1 tune gave 1 strain, 0 of them near-duplicates",
        "1 strain of 1 tune (1 train, 0 validation, 0 test)",
    ])  # fmt: skip
    _, out, _ = typed("corpus", "list")
    assert "\nmine: 1 strain of 1 tune; styles mine" in out
    _, out, _ = typed("corpus", "show", "mine")
    assert (
        "\n1 file, of which 0 gave no tune (0 files of other kinds left alone). 1 of 1 tune" in out
    )
    assert "The corpus has 1 strain of 1 tune with 16 notes.\n" in out
    (folder / "checkpoints" / "corpora" / "mine.json").unlink()
    _, out, _ = typed("corpus", "show", "mine")
    assert out.startswith("# Corpus mine\n1 strain of 1 tune with 16 notes.\n")


def test_listing_and_showing(tunes, typed, folder):
    code, out, _ = typed("corpus", "list")
    assert (code, out.startswith("books: 6,635 strains of 2,7")) == (0, True)
    build(typed, "--style", "tango")
    (folder / "checkpoints" / "corpora" / "broken.npz").write_bytes(b"")
    code, out, _ = typed("corpus", "list")
    assert "\nmine: 4 strains of 2 tunes; styles tango; licence not stated\n" in out
    assert "\nbroken: the corpus file" in f"\n{out}"
    code, out, _ = typed("corpus", "list", "--json")
    listed = json.loads(out)
    assert [row["name"] for row in listed] == ["books", "broken", "mine"]
    assert listed[2]["styles"] == {"tango": 4}
    code, out, _ = typed("corpus", "show", "mine")
    assert code == 0
    assert "# Corpus mine" in out
    assert "a.abc, tune 2, bar 5: the bar lasts 60 ticks" in out
    code, out, _ = typed("corpus", "show", "mine", "--json")
    shown = json.loads(out)
    assert [row["reason"] for row in shown["refused_passages"]] == ["bar length", "damaged"]
    assert shown["styles"] == {"tango": 4}


def test_only_some_of_many_refused_passages_are_shown(folder, typed):
    (folder / "tunes").mkdir()
    (folder / "tunes" / "a.abc").write_text(TUNES)
    for number in range(14):
        (folder / "tunes" / f"{number}.mid").write_bytes(b"")
    build(typed)
    _, some, _ = typed("corpus", "show", "mine")
    _, every, _ = typed("corpus", "show", "mine", "--refused")
    assert (some.count(".mid: "), every.count(".mid: ")) == (10, 14)
    assert some.endswith("all refused passages: tastemaker corpus show mine --refused\n")
    assert not every.endswith("--refused\n")


def test_what_was_decided_is_counted_and_can_be_shown(folder, typed):
    (folder / "tunes").mkdir()
    for number in range(12):
        bars = "|".join("CDEF" if bar % (number + 2) else "GABc" for bar in range(40))
        (folder / "tunes" / f"{number}.abc").write_text(f"X:5\nM:2/4\nL:1/8\nK:C\n{bars}|]\n")
    code, out, err = build(typed, "--json")
    assert code == 0, err
    assert "decided: cut (12)   each of them: corpus show mine --decisions\n" in out
    assert json.loads(out.splitlines()[-1])["notices"] == {"cut": 12}
    _, out, _ = typed("corpus", "show", "mine")
    assert "\n| cut | 12 |\n" in out
    assert "0.abc, tune 5" not in out
    _, out, _ = typed("corpus", "show", "mine", "--decisions")
    assert out.count("\ncut: ") == 12
    assert "\ncut: 0.abc, tune 5, bar 1: the strain has 40 bars" in out
    _, out, _ = typed("corpus", "show", "mine", "--json")
    decisions = json.loads(out)["decisions"]
    assert {row["reason"] for row in decisions} == {"cut"}
    assert len(decisions) == 12


@pytest.mark.slow
def test_the_shipped_corpus_can_be_shown(folder, typed):
    code, out, err = typed("corpus", "show", "books")
    assert (code, out.startswith("# Corpus books\n6,635 strains of 2,7")) == (0, True), err
    assert "\n| train | 2430 | 5948 |\n" in out
    assert "\n| reel | " in out
    assert "{" not in out, "no Python"
    _, out, _ = typed("corpus", "show", "books", "--json")
    assert json.loads(out)["splits"]["train"] == {"tunes": 2430, "strains": 5948}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tunes",), "give the corpus a name: --name mine"),
        (("--name", "mine"), "give a folder or file of tunes"),
        (("nowhere", "--name", "mine"), "'nowhere' is not there; give a folder or file"),
        (("empty", "--name", "mine"), "there are no files of tunes in 'empty'"),
        (("tunes", "--name", "A name"), "'A name' is not the name of a corpus; use a-z"),
        (("tunes", "--name", "books"), "'books' is the shipped corpus; choose another name"),
        (("tunes", "--name", "mine", "--style", "T!"), "style='T!' is not a label"),
        (
            ("tunes/b.mid", "--name", "mine"),
            "no strain of 1 file can be used: damaged (1), such as b.mid: ",
        ),
        (("tunes", "--books", "--name", "mine"), "--books builds the shipped corpus"),
        (("tunes", "--name", "mine", "--style-from", "file"), "'file' is not one of"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_line(tunes, folder, typed, words, said):
    (folder / "empty").mkdir()
    code, out, err = typed("corpus", "build", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert not (folder / "checkpoints").exists()


def test_a_name_that_is_taken_and_a_corpus_that_is_not_there(tunes, folder, typed):
    build(typed)
    (folder / "tunes").rename(folder / "others")
    code, _, err = typed("corpus", "build", "others", "--name", "mine")
    assert (code, "from other folders (tunes); choose another --name, or rep" in err) == (2, True)
    assert typed("corpus", "build", "others", "--name", "mine", "--rebuild")[0] == 0
    code, _, err = typed("corpus", "show", "yours")
    assert (code, "there are: books, mine. Build one with: tastemaker corpus" in err) == (2, True)
