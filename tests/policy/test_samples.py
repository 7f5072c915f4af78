"""Every sample is a whole and valid melody of the header that was asked, counted from scratch.

`Reader` knows the token names and the rules as README and music/melody.py tell them to a person. It
shares no code with `music.grammar` or `music.tokens.decode`, the two that could be wrong together:
names come from the tokenizer's file, metres, lengths and durations are written down here.
"""

import re
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch

from music.grammar import initial_state
from music.key_choice import Compass, KeyChoice
from music.melody import Note
from music.styles import SHIPPED_STYLES
from music.tokens import encode
from policy.checkpoint import load_policy
from policy.compose import Conditioning, compose
from policy.decode import sample
from policy.model import MelodyForCausalLM, melody_config, melody_tokenizer
from policy.scope import Scope, scope_of
from policy.shipped import shipped_policy
from tests.support.scale import scaled

BASE = shipped_policy()
BAR = {
    "2/2": 96, "3/2": 144, "2/4": 48, "3/4": 72, "4/4": 96, "5/4": 120, "6/4": 144,
    "3/8": 36, "6/8": 72, "7/8": 84, "9/8": 108, "12/8": 144,
}  # fmt: skip
MODES = ["major", "minor", "dorian", "phrygian", "lydian", "mixolydian", "locrian"]
LENGTHS = range(2, 33)
DURATIONS = [3, 4, 6, 8, 9, 12, 16, 18, 24, 30, 36, 42, 48, 60, 72, 96, 108]
NO_SUMS = {1, 2, 5}
"""lengths that no durations add up to"""
FIELD = re.compile(r"(METER|MODE|STYLE|BARS|PICKUP)_(\S+)")
SOUND = re.compile(r"(?:NOTE_(?P<pitch>-?\d+)|(?P<rest>REST)|(?P<hold>HOLD))_(?P<ticks>\d+)")
BARLINE = re.compile(r"BAR_(\d+)")


def pickups_of(meter: str) -> list[int]:
    """Pickups that notes can fill, as they can the rest of a bar."""
    bar = BAR[meter]
    return [k for k in range(bar) if not {k, bar - k} & NO_SUMS]


@cache
def fewest(ticks: int) -> int:
    """How many durations add up to so many ticks, at least; a large number where none do."""
    return min(
        (1 + fewest(ticks - d) for d in DURATIONS if d <= ticks), default=10**6 * (ticks > 0)
    )


def split_of(ticks: int) -> list[int]:
    """The fewest durations, each as long as it can be, the first before the others."""
    found = []
    while ticks:
        found.append(
            max(d for d in DURATIONS if d <= ticks and fewest(ticks - d) == fewest(ticks) - 1)
        )
        ticks -= found[-1]
    return found


def headers_at_random(count: int, seed: int, styles: int = 8) -> list[dict[str, str]]:
    """Headers over all that there are; every metre and every length among them."""
    rng = np.random.default_rng(seed)
    headers = []
    for number in range(count):
        meter = list(BAR)[number % len(BAR)]
        bars = LENGTHS[number // len(BAR) % len(LENGTHS)] if number % 3 else rng.choice(LENGTHS)
        headers.append(
            {
                "METER": meter,
                "MODE": str(rng.choice(MODES)),
                "STYLE": str(rng.integers(styles)),
                "BARS": str(bars),
                "PICKUP": str(rng.choice(pickups_of(meter)) if rng.random() < 0.7 else 0),
            }
        )
    return headers


class Reader:
    """Reads the names of one melody and notes what it saw; any broken rule is an AssertionError."""

    def __init__(self, names: list[str]) -> None:
        assert names[0] == "BOS"
        assert names[-1] == "EOS"
        assert not {"BOS", "EOS", "PAD"} & set(names[1:-1])
        self.header = dict(FIELD.fullmatch(name).groups() for name in names[1:6])
        assert list(self.header) == ["METER", "MODE", "STYLE", "BARS", "PICKUP"]
        assert self.header["METER"] in BAR
        assert self.header["MODE"] in MODES
        assert int(self.header["STYLE"]) in range(32)
        assert int(self.header["BARS"]) in LENGTHS
        assert int(self.header["PICKUP"]) in pickups_of(self.header["METER"])
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
        self.splits = 0
        before = "nothing"
        for part in parts:
            segments: list[list[int]] = []  # durations of each note or rest in this part
            for place, sound in enumerate(part):
                assert int(sound["ticks"]) in DURATIONS
                if sound["rest"]:
                    new = before != "rest" or place == 0
                    before = "rest"
                    self.rests += 1
                elif sound["hold"]:
                    assert before == "note", "nothing to hold"
                    new = place == 0
                    self.holds += 1
                else:
                    assert -12 <= int(sound["pitch"]) <= 24
                    new = True
                    before = "note"
                    self.notes += 1
                if new:
                    segments.append([])
                segments[-1].append(int(sound["ticks"]))
            for durations in segments:
                assert durations == split_of(sum(durations))
                self.splits += len(durations) > 1
        assert self.notes


def names_of_ids() -> list[str]:
    """Token names by id, from the tokenizer."""
    vocabulary = melody_tokenizer().get_vocab()
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


def saw_everything(read: list[Reader], notes_each: int = 20) -> None:
    """Rests and notes held over a barline are among what was read, and melodies differ.

    How many is the policy's affair: the corpus ties few notes over barlines, a good base fewer.
    """
    totals = Counter()
    for reader in read:
        totals.update(
            notes=reader.notes, rests=reader.rests, holds=reader.holds,
            with_rest=bool(reader.rests), with_hold=bool(reader.holds),
        )  # fmt: skip
    assert totals["notes"] > notes_each * len(read)
    assert totals["with_rest"] > 0, totals
    assert totals["with_hold"] > 0, totals
    assert len({(reader.notes, reader.rests, reader.holds) for reader in read}) > 0.05 * len(read)


def asked_of_the_base(count: int, seed: int) -> list[dict[str, str]]:
    """Headers at random, of those that the shipped policy was trained on."""
    scope, found = scope_of(load_policy(BASE)), []
    known, rng = scope.trained_on, np.random.default_rng(seed)
    while len(found) < count:
        meter = known.meters[len(found) % len(known.meters)]
        pickups = [k for k in known.pickups_ticks if k in pickups_of(meter)]
        found.append(
            {
                "METER": meter,
                "MODE": str(rng.choice(known.modes)),
                "STYLE": str(rng.integers(len(scope.styles.labels))),
                "BARS": str(rng.choice(known.bars)),
                "PICKUP": str(rng.choice(pickups)),
            }
        )
    return found


def test_lengths_that_are_no_sums_and_splits_by_hand():
    assert [k for k in range(1, 145) if fewest(k) > 100] == sorted(NO_SUMS)
    assert split_of(95) == [72, 16, 4, 3]
    assert split_of(7) == [4, 3]
    assert split_of(48) == [48]


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a few minutes on an idle core
def test_the_shipped_policy_writes_whole_melodies_over_all_headers():
    """1,000 of them; 10,000 with TASTEMAKER_CHAOS_SCALE=10."""
    count = scaled(1_000)
    read = read_samples(load_policy(BASE), asked_of_the_base(count, 1), seed=1, batch=500)
    assert len(read) == count
    saw_everything(read)


@pytest.mark.slow
def test_a_policy_that_knows_nothing_writes_2000_whole_melodies_over_all_headers(tiny_policy):
    """Random weights go to odd corners: the shortest notes, splits, rests over barlines."""
    headers = headers_at_random(2_000, seed=2)
    assert {(one["METER"], one["BARS"]) for one in headers} >= {
        (meter, str(bars)) for meter in BAR for bars in (2, 3, 31, 32)
    }
    read = read_samples(tiny_policy, headers, seed=2, batch=500)
    saw_everything(read)
    assert sum(reader.splits for reader in read) > 100


def test_a_policy_that_knows_nothing_writes_whole_melodies(tiny_policy):
    headers = [one | {"BARS": str(2 + n % 3)} for n, one in enumerate(headers_at_random(240, 3))]
    read = read_samples(tiny_policy, headers, seed=3, batch=240)
    saw_everything(read)
    assert sum(reader.splits for reader in read) > 3


def test_a_header_that_is_left_open_is_a_legal_one(tiny_policy):
    names = names_of_ids()
    prompts = Conditioning(bars=3).prompt(60, scope_of(tiny_policy))
    sampled = sample(tiny_policy, prompts, generator=torch.Generator().manual_seed(4))
    read = [Reader([names[i] for i in row]) for row in sampled.rows()]
    assert len({tuple(reader.header.values()) for reader in read}) > 15
    assert {int(reader.header["STYLE"]) for reader in read} <= set(range(8)), "it has 8 labels"


def walk_at_random(headers: list[dict[str, str]], seed: int) -> list[Reader]:
    """A random walk under the mask for each header; rests and holds as likely as notes."""
    names, scope = names_of_ids(), Scope(SHIPPED_STYLES)
    ids = {name: index for index, name in enumerate(names)}
    few = [i for i, name in enumerate(names) if not name.startswith("NOTE_") or "_7_" in name]
    table = scope.table[:, few]
    counts = table.sum(1)
    choices = np.array(few)[np.argsort(~table, axis=1, kind="stable")]
    rng = np.random.default_rng(seed)
    given = np.array(
        [[ids["BOS"], *(ids[f"{k}_{v}"] for k, v in header.items())] for header in headers]
    )
    state, columns = initial_state(len(headers)), []
    while not state.done.all():
        if len(columns) < given.shape[1]:
            drawn = given[:, len(columns)]
        else:
            rows = scope.mask_rows(state)
            drawn = choices[rows, (rng.random(len(rows)) * counts[rows]).astype(int)]
        columns.append(drawn)
        state = scope.advance_checked(state, drawn)
    read = []
    for header, row in zip(headers, np.array(columns).T.tolist(), strict=True):
        read.append(Reader([names[i] for i in row if names[i] != "PAD"]))
        assert read[-1].header == header
    return read


@pytest.mark.slow
def test_2000_random_walks_under_the_mask_are_whole_melodies():
    read = walk_at_random(headers_at_random(2_000, seed=5), seed=5)
    saw_everything(read)
    assert sum(reader.splits for reader in read) > 2_000
    assert {int(reader.header["PICKUP"]) for reader in read} >= {0, 3, 7, 95, 141}


def test_random_walks_under_the_mask_are_whole_melodies():
    headers = [one | {"BARS": str(2 + n % 4)} for n, one in enumerate(headers_at_random(120, 6))]
    read = walk_at_random(headers, seed=6)
    saw_everything(read, notes_each=10)  # half of the events are rests and holds
    assert sum(reader.splits for reader in read) > 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(scaled(1)))
def test_a_new_policy_composes_within_a_range_from_a_motif_in_every_metre(seed):
    """Freshly initialised, as before any training: metres, pickups, ranges and motifs at random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        shape = {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "num_key_value_heads": 1}
        policy = MelodyForCausalLM(melody_config(**shape, intermediate_size=32)).eval()
    rng, names = np.random.default_rng(seed), names_of_ids()
    for meter, bar in BAR.items():
        pickup = int(rng.choice(pickups_of(meter)))
        bars = int(rng.integers(2, 33))
        first = int(rng.choice([k for k in pickups_of(meter) if k]))
        motif = (Note(0, first, 3), Note(first, bar - first, 5)) if not pickup else ()
        low = int(rng.integers(48, 72))
        keys = KeyChoice(tonic_class=None, compass=Compass(low, low + 12))
        conditioning = Conditioning(meter=meter, bars=bars, pickup_ticks=pickup, motif=motif)
        for melody in compose(policy, 8, conditioning=conditioning, keys=keys, seed=seed):
            reader = Reader([names[i] for i in encode(melody)])
            assert reader.header["METER"] == meter
            assert reader.header["PICKUP"] == str(pickup)
            assert melody.notes[: len(motif[:1])] == motif[:1]
            assert all(low <= melody.tonic_midi + n.pitch <= low + 12 for n in melody.notes)


GOOD = (
    "BOS METER_2/4 MODE_major STYLE_0 BARS_4 PICKUP_12 REST_6 NOTE_7_6 "
    "BAR_4 NOTE_0_48 BAR_3 HOLD_24 REST_24 BAR_2 NOTE_-12_42 NOTE_24_6 BAR_1 NOTE_5_36 EOS"
)


def test_the_reader_takes_what_may_be():
    """Splits, and a rest over a barline."""
    for part, instead, splits in (
        ("NOTE_0_48", "NOTE_0_36 HOLD_3 NOTE_0_9", 1),
        ("REST_24 BAR_2 NOTE_-12_42", "REST_24 BAR_2 REST_42", 0),
        ("REST_24 BAR_2 NOTE_-12_42 NOTE_24_6", "REST_24 BAR_2 REST_36 REST_3 NOTE_24_9", 1),
    ):
        assert Reader(GOOD.replace(part, instead).split()).splits == splits


def test_the_reader_counts_by_hand():
    reader = Reader(GOOD.split())
    assert (reader.notes, reader.rests, reader.holds) == (5, 2, 1)
    assert reader.header == {
        "METER": "2/4", "MODE": "major", "STYLE": "0", "BARS": "4", "PICKUP": "12",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        (" EOS", ""),
        ("EOS", "EOS PAD"),
        ("BOS", "PAD"),
        ("METER_2/4", "METER_13/8"),
        ("METER_2/4 MODE_major", "MODE_major METER_2/4"),
        ("PICKUP_12", "PICKUP_48"),
        ("PICKUP_12", "PICKUP_6"),
        ("BAR_4 ", ""),
        ("BAR_3", "BAR_2"),
        ("BAR_1 NOTE_5_36 ", ""),
        ("NOTE_0_48", "NOTE_0_42"),
        ("NOTE_5_36", "NOTE_5_48"),
        ("NOTE_0_48", "NOTE_0_43 NOTE_0_5"),
        ("NOTE_0_48", "NOTE_0_24 HOLD_24"),
        ("NOTE_0_48", "NOTE_0_4 HOLD_3 NOTE_0_41"),
        ("HOLD_24 REST_24", "REST_12 REST_36"),
        ("STYLE_0", "STYLE_32"),
        ("BARS_4", "BARS_1"),
        ("NOTE_-12_42", "NOTE_-13_42"),
        ("NOTE_24_6", "NOTE_25_6"),
        ("REST_24", "REST_12 REST_12"),
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
