"""The header that commands ask for: what can be written, and what a policy does not know."""

import json

import pytest

from music.formats.notation import read_melody
from policy.checkpoint import save_policy
from policy.runs import new_run
from reward.store.store import RatingsStore
from tastemaker.options import DATABASE

COMPOSE = ("compose", "--no-sound", "--count", "6", "--out", "out")
WALTZES = {
    "styles": ["other", "waltz", "mazurka"],
    "corpora": ["nowhere"],
    "trained_on": {
        "meters": ["3/4"], "modes": ["major", "lydian"], "bars": [2, 5], "pickups_ticks": [0, 24],
    },
}  # fmt: skip


@pytest.fixture
def waltzes(base, tiny_policy):
    """A run that has finished, whose policy knows little, and no usual header."""
    run = new_run("pretrain", {}, name="waltzes").path
    (run / "result.json").write_text("{}")
    folder = run / "policy"
    save_policy(tiny_policy, folder)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | WALTZES))
    return folder


def headers(folder):
    return [read_melody(file.read_text()).header for file in sorted(folder.glob("*.abc"))]


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--style", "--type"])
def test_a_style_is_asked_for_by_either_name(base, typed, option):
    code, out, err = typed(*COMPOSE, option, "jig", "--bars", "2", "--meter", "7/8")
    assert code == 0, err
    assert out.count(", jig, 7/8, 2 bars") == 6
    assert {header.style for header in headers(base / "out")} == {"jig"}


def test_the_help_shows_the_name_of_today_and_the_range_of_bars(base, typed):
    _, out, _ = typed("compose", "--help")
    assert "--style LABEL" in out
    assert "--type" not in out
    assert "--bars 2..32|any" in out
    assert "locrian" in out
    assert "12/8" in out


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--style", "Slip Jig!"), "write 1 to 32 lower-case letters"),
        (("--type", ""), "'--style'"),
        (("--bars", "33"), "'33' is not a number of bars; give 2 to 32, or any"),
        (("--bars", "1"), "give 2 to 32, or any"),
        (("--bars", "²"), "give 2 to 32, or any"),
        (("--bars", "8.0"), "give 2 to 32, or any"),
        (("--meter", "4/5"), "is not one of '2/2'"),
        (("--pickup", "47", "--meter", "2/4"), "pickup_ticks"),
    ],
)
def test_what_no_melody_has_is_refused_in_a_line(base, typed, asked, says):
    code, out, err = typed(*COMPOSE, *asked)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--style", "reel"), "choose one of ['other', 'waltz', 'mazurka']"),
        (("--meter", "4/4"), "choose one of ['3/4']"),
        (("--mode", "dorian"), "choose one of ['major', 'lydian']"),
        (("--bars", "8"), "choose one of [2, 5]"),
        (("--pickup", "12"), "choose one of [0, 24]"),
    ],
)
@pytest.mark.parametrize("command", ["compose", "pairs", "reward", "blind-test"])
def test_what_a_policy_does_not_know_is_refused_before_it_is_loaded(
    waltzes, typed, command, asked, says, monkeypatch
):
    if asked[0] == "--pickup" and command != "compose":
        command = "compose"  # no other one asks for a pickup
    words = ["base", "waltzes"] if command == "blind-test" else ["--policy", "waltzes"]

    def load(folder):
        raise AssertionError(f"{folder} was loaded")

    monkeypatch.setattr("policy.checkpoint.load_policy", load)
    code, out, err = typed(command, *words, *asked)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_the_usual_header_is_left_open_where_a_policy_does_not_know_it(waltzes, typed):
    code, _, err = typed(
        "pairs", "--policy", "waltzes", "--melodies", "8", "--pairs", "2", "--traps", "0"
    )
    assert code == 0, err
    with RatingsStore(DATABASE) as store:
        melodies = store.melodies(store.melodies_frame()["melody_id"].tolist())
    assert {stored.melody.header.meter for stored in melodies} == {"3/4"}
    assert {stored.melody.header.bars for stored in melodies} <= {2, 5}
    assert {stored.melody.header.style for stored in melodies} <= set(WALTZES["styles"])


def test_without_its_corpus_a_policy_writes_and_is_not_compared(waltzes, typed):
    code, out, err = typed(*COMPOSE, "--policy", "waltzes", "--style", "mazurka")
    assert code == 0, err
    assert "originality" not in out
    assert "how original the melodies are is not measured: there is no corpus 'nowhere'" in err
    assert {header.style for header in headers(waltzes.parents[3] / "out")} == {"mazurka"}
