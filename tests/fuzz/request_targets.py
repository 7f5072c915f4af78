"""Readers of what people ask for (keys, ranges, styles), and of what a policy says it knows."""

from __future__ import annotations

import json
from random import Random

from feedback_ui.services.header_choices import header_choices
from music.key_choice import KeyChoice, KeyChoiceError, note_name, parse_key, parse_range
from music.styles import StyleError, Styles, check_label
from policy.folder import CheckpointError, read_policy_folder
from policy.shipped import shipped_policy
from tests.fuzz.mutation import json_bytes, mutated_json
from tests.fuzz.target import Target, workplace

TRAINED_ON = {
    "meters": ["3/4", "7/8"],
    "modes": ["major", "phrygian"],
    "bars": [2, 12, 32],
    "pickups_ticks": [0, 24],
}


def read_key(data: bytes) -> None:
    """What stands behind `--key`."""
    tonic_class = parse_key(data.decode("utf-8", "replace"))
    tonics = KeyChoice(tonic_class=tonic_class).tonics(12, seed=0)
    wanted = range(12) if tonic_class is None else [tonic_class]
    assert {int(tonic) % 12 for tonic in tonics} == set(wanted), "the key is another"


def read_range(data: bytes) -> None:
    """What stands behind `--range`."""
    compass = parse_range(data.decode("utf-8", "replace"))
    low, high = compass.low_midi, compass.high_midi
    again = parse_range(f"{note_name(low)}-{note_name(high)}")
    assert again == compass, "the range is another when its notes are named"
    keys = KeyChoice(tonic_class=None, compass=compass)
    tonics = keys.tonics(24, seed=1)
    bounds = keys.pitch_bounds(tonics)
    assert bounds is not None
    assert (bounds[:, 0] <= bounds[:, 1]).all(), "a key in which there is no note"
    assert (tonics + bounds[:, 0] >= low).all()
    assert (tonics + bounds[:, 1] <= high).all()


def read_style(data: bytes) -> None:
    """What stands behind `--style`."""
    label = check_label(data.decode("utf-8", "replace"))
    styles = Styles(("other", *([label] if label != "other" else [])))
    assert styles.label(styles.slot(label)) == label


def read_scope(data: bytes) -> None:
    """A policy's `config.json`, of which a form offers what it says that it knows."""
    folder = workplace("policy-scope")
    (folder / "config.json").write_bytes(data)
    read = read_policy_folder(folder)
    known = read.scope.trained_on
    offered = header_choices([folder])
    assert set(offered.meters) - {"any"} == set(known.meters)
    for meter, mode in zip(known.meters, known.modes, strict=False):
        read.scope.header_ids({"meter": meter, "mode": mode, "bars": known.bars[0]})


def _config() -> dict[str, object]:
    today = {"styles": ["other", "waltz"], "trained_on": TRAINED_ON, "corpora": ["mine"]}
    sizes = {"vocab_size": 918, "bar_positions": 288, "plain": False, "base_corpora": ["books"]}
    return json.loads((shipped_policy() / "config.json").read_text()) | today | sizes


def build_scope(random: Random) -> bytes:
    """A configuration with a changed value in what a policy knows."""
    config = _config()
    name = random.choice(("styles", "trained_on", "corpora", "base_corpora", "plain"))
    config[name] = mutated_json(random, config[name])
    return json_bytes(random, config)


TARGETS = (
    Target(
        name="key",
        read=read_key,
        refuses=(KeyChoiceError,),
        seeds=lambda: [b"G", b"Bb", "F♯".encode(), b"any", b"Gm", b"E dorian"],
        words=(b"#", b"b", "♭".encode(), b"major", b"min", b"ANY", b" ", b"H", b"cb"),
    ),
    Target(
        name="range",
        read=read_range,
        refuses=(KeyChoiceError,),
        seeds=lambda: [b"A3-E5", b"G3..D6", "C4–C6".encode(), b"E2 to C4", b"C-1-C9"],
        words=(b"-", b"-1", b"99", b"#", b"b", b"to", b"..", "–".encode(), b"C4"),
    ),
    Target(
        name="style",
        read=read_style,
        refuses=(StyleError,),
        seeds=lambda: [b"reel", b"slow air", b"3-2 hornpipe", b"other"],
        words=(b" ", b"-", b"\n", "é".encode(), b"<b>", b"../", b"x" * 33, b"REEL"),
    ),
    Target(
        name="policy-scope",
        read=read_scope,
        refuses=(CheckpointError,),
        seeds=lambda: [json.dumps(_config()).encode()],
        words=(b"[]", b"null", b'"other"', b"0", b"-1", b"true", b'"12/8"', b"1e9"),
        build=build_scope,
        share=0.5,
    ),
)
