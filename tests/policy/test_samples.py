"""Every sample is a whole and valid melody of the header that was asked, counted from scratch.

`Reader` knows the token names and the rules as README and music/melody.py tell them to a person. It
shares no code with `music.grammar` or `music.tokens.decode`, the two that could be wrong together:
names come from the tokenizer's file, metres, lengths and durations are written down here.
"""

import json
import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch

from policy.checkpoint import load_policy
from policy.compose import Conditioning
from policy.decode import sample
from policy.model import melody_tokenizer
from policy.shipped import shipped_policy

BASE = shipped_policy()
BAR = {"4/4": 96, "2/4": 48, "3/4": 72, "6/8": 72, "9/8": 108}
MODES = ["major", "minor", "dorian", "mixolydian"]
TYPES = ["reel", "jig", "slipjig", "hornpipe", "strathspey", "march", "waltz", "other"]
LENGTHS = [4, 8, 16]
PICKUPS = [0, 6, 12, 18, 24, 36, 48]
DURATIONS = {3, 4, 6, 8, 9, 12, 16, 18, 24, 30, 36, 42, 48, 60, 72, 96, 108}
HEADERS = [
    {"METER": meter, "MODE": mode, "TYPE": tune_type, "BARS": str(bars), "PICKUP": str(pickup)}
    for meter, mode, tune_type, bars, pickup in product(BAR, MODES, TYPES, LENGTHS, PICKUPS)
    if pickup < BAR[meter]
]
FIELD = re.compile(r"(METER|MODE|TYPE|BARS|PICKUP)_(\S+)")
SOUND = re.compile(r"(?:NOTE_(?P<pitch>-?\d+)|(?P<rest>REST)|(?P<hold>HOLD))_(?P<ticks>\d+)")
BARLINE = re.compile(r"BAR_(\d+)")


class Reader:
    """Reads the names of one melody and notes what it saw; any broken rule is an AssertionError."""

    def __init__(self, names: list[str]) -> None:
        assert names[0] == "BOS"
        assert names[-1] == "EOS"
        assert not {"BOS", "EOS", "PAD"} & set(names[1:-1])
        self.header = dict(FIELD.fullmatch(name).groups() for name in names[1:6])
        assert list(self.header) == ["METER", "MODE", "TYPE", "BARS", "PICKUP"]
        assert self.header in HEADERS
        bars, pickup = int(self.header["BARS"]), int(self.header["PICKUP"])
        bar_ticks = BAR[self.header["METER"]]
        # Cut at the barlines: what stands before the first is the pickup.
        parts, countdown = [[]], []
        for name in names[6:-1]:
            if barline := BARLINE.fullmatch(name):
                countdown.append(int(barline[1]))
                parts.append([])
            else:
                parts[-1].append(SOUND.fullmatch(name))
        assert countdown == list(range(bars, 0, -1))
        assert None not in [sound for part in parts for sound in part]
        filled = [sum(int(sound["ticks"]) for sound in part) for part in parts]
        assert filled == [pickup, *[bar_ticks] * (bars - 1), bar_ticks - pickup]
        self.notes = self.rests = self.holds = 0
        before = "nothing"
        for part in parts:
            for place, sound in enumerate(part):
                assert int(sound["ticks"]) in DURATIONS
                if sound["rest"]:
                    assert before != "rest", "two rests in a row"
                    before = "rest"
                    self.rests += 1
                elif sound["hold"]:
                    assert place == 0, "held within a bar"
                    assert before == "note", "nothing to hold"
                    self.holds += 1
                else:
                    assert -12 <= int(sound["pitch"]) <= 24
                    before = "note"
                    self.notes += 1
        assert self.notes


def names_of_ids() -> list[str]:
    """Token names by id, from the shipped tokenizer's file."""
    vocabulary = json.loads((BASE / "tokenizer.json").read_text())["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.__getitem__)


def read_samples(model, headers: list[dict[str, str]], *, seed: int, batch: int) -> list[Reader]:
    """Sample one melody of each header and read it."""
    names = names_of_ids()
    ids = {name: index for index, name in enumerate(names)}
    generator = torch.Generator().manual_seed(seed)
    # Like lengths together: a batch lasts as long as its longest melody.
    headers = sorted(headers, key=lambda header: int(header["BARS"]) * BAR[header["METER"]])
    read = []
    for start in range(0, len(headers), batch):
        conditioning = headers[start : start + batch]
        given = np.array(
            [[ids["BOS"], *(ids[f"{k}_{v}"] for k, v in header.items())] for header in conditioning]
        )
        sampled = sample(model, given, generator=generator)
        for header, row in zip(conditioning, sampled.ids.tolist(), strict=True):
            written = [names[i] for i in row]
            while written[-1] == "PAD":
                written.pop()
            read.append(Reader(written))
            assert read[-1].header == header
    return read


def saw_everything(read: list[Reader]) -> None:
    """Rests and notes held over a barline are among what was read, and melodies differ.

    How many is the policy's affair: the corpus ties few notes over barlines, a good base fewer.
    """
    totals = Counter()
    for reader in read:
        totals.update(
            notes=reader.notes, rests=reader.rests, holds=reader.holds,
            with_rest=bool(reader.rests), with_hold=bool(reader.holds),
        )  # fmt: skip
    assert totals["notes"] > 20 * len(read)
    assert totals["with_rest"] > 0, totals
    assert totals["with_hold"] > 0, totals
    assert len({(reader.notes, reader.rests, reader.holds) for reader in read}) > 0.05 * len(read)


def test_all_headers_are_the_3264_that_there_are():
    assert len(HEADERS) == 3264
    assert names_of_ids() == melody_tokenizer().convert_ids_to_tokens(list(range(709)))


@pytest.mark.slow
def test_the_shipped_policy_writes_whole_melodies_for_250_headers():
    headers = [HEADERS[i] for i in np.random.default_rng(0).permutation(len(HEADERS))[:250]]
    read = read_samples(load_policy(BASE), headers, seed=0, batch=250)
    assert len(read) == 250
    saw_everything(read)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a minute or two on an idle core
def test_the_shipped_policy_writes_10000_whole_melodies_over_all_headers():
    headers = [HEADERS[i % len(HEADERS)] for i in range(10_000)]
    read = read_samples(load_policy(BASE), headers, seed=1, batch=500)
    assert len(read) == 10_000
    assert {tuple(reader.header.values()) for reader in read} == {
        tuple(header.values()) for header in HEADERS
    }
    saw_everything(read)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_policy_that_knows_nothing_writes_whole_melodies_for_every_header(tiny_policy):
    """Random weights go to odd corners: the shortest notes, syncopation, rests on the beat."""
    saw_everything(read_samples(tiny_policy, HEADERS, seed=2, batch=544))


def test_a_policy_that_knows_nothing_writes_whole_melodies(tiny_policy):
    headers = [header for header in HEADERS[::11] if header["BARS"] == "4"]
    assert {header["METER"] for header in headers} == set(BAR)
    saw_everything(read_samples(tiny_policy, headers, seed=3, batch=544))


def test_a_header_that_is_left_open_is_a_legal_one(tiny_policy):
    names = names_of_ids()
    prompts = Conditioning(bars=4).prompt(60)
    sampled = sample(tiny_policy, prompts, generator=torch.Generator().manual_seed(4))
    read = [Reader([names[i] for i in row]) for row in sampled.rows()]
    assert len({tuple(reader.header.values()) for reader in read}) > 15


GOOD = (
    "BOS METER_2/4 MODE_major TYPE_other BARS_4 PICKUP_12 REST_6 NOTE_7_6 "
    "BAR_4 NOTE_0_48 BAR_3 HOLD_24 REST_24 BAR_2 NOTE_-12_42 NOTE_24_6 BAR_1 NOTE_5_36 EOS"
)


def test_the_reader_counts_by_hand():
    reader = Reader(GOOD.split())
    assert (reader.notes, reader.rests, reader.holds) == (5, 2, 1)
    assert reader.header == {
        "METER": "2/4", "MODE": "major", "TYPE": "other", "BARS": "4", "PICKUP": "12",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        (" EOS", ""),
        ("EOS", "EOS PAD"),
        ("BOS", "PAD"),
        ("METER_2/4", "METER_5/4"),
        ("METER_2/4 MODE_major", "MODE_major METER_2/4"),
        ("PICKUP_12", "PICKUP_48"),
        ("PICKUP_12", "PICKUP_6"),
        ("BAR_4 ", ""),
        ("BAR_3", "BAR_2"),
        ("BAR_1 NOTE_5_36 ", ""),
        ("NOTE_0_48", "NOTE_0_42"),
        ("NOTE_5_36", "NOTE_5_48"),
        ("NOTE_0_48", "NOTE_0_43 NOTE_0_5"),
        ("NOTE_-12_42", "NOTE_-13_42"),
        ("NOTE_24_6", "NOTE_25_6"),
        ("REST_24", "REST_12 REST_12"),
        ("REST_24 BAR_2 NOTE_-12_42", "REST_24 BAR_2 REST_42"),
        ("REST_24 BAR_2 NOTE_-12_42", "REST_24 BAR_2 HOLD_42"),
        ("NOTE_24_6", "HOLD_6"),
        ("NOTE_24_6", "EOS"),
        ("NOTE_24_6", "MODE_minor"),
    ],
)
def test_the_reader_refuses_what_is_broken(part, instead):
    """Guards the tests here: a reader that lets things pass would show nothing."""
    assert GOOD.count(part) == 1
    with pytest.raises((AssertionError, AttributeError)):
        Reader(GOOD.replace(part, instead).split())
