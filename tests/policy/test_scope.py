"""What a policy was trained on: its configuration, and the mask that follows from it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from music.grammar import MASK_TABLE
from music.melody import Header
from music.styles import SHIPPED_STYLES, StyleError, Styles
from music.tokens import BOS, EOS, FIRST_REST, ID, MAX_LENGTH, VOCABULARY, longest
from policy.checkpoint import load_policy, policy_hash, save_policy
from policy.compose import compose
from policy.configuration import ConfigurationError, checked_fields
from policy.folder import read_policy_folder
from policy.model import MelodyConfig, MelodyForCausalLM, melody_config
from policy.scope import EVERYTHING, Scope, ScopeError, TrainedOn, scope_of, styles_of

POLKAS = Styles(("other", "polka", "mazurka"))
SOME = TrainedOn(("7/8", "2/4"), ("dorian",), (6, 3), (0, 12))


def small(**scope) -> MelodyForCausalLM:
    shape = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MelodyForCausalLM(melody_config(**shape, **scope)).eval()


def names(known: np.ndarray, kind: str) -> list[str]:
    return [VOCABULARY[i] for i in np.flatnonzero(known) if VOCABULARY[i].split("_")[0] == kind]


def test_known_tokens_by_hand():
    known = Scope(POLKAS, SOME).known
    assert names(known, "METER") == ["METER_2/4", "METER_7/8"]
    assert names(known, "MODE") == ["MODE_dorian"]
    assert names(known, "STYLE") == ["STYLE_0", "STYLE_1", "STYLE_2"]
    assert names(known, "BARS") == ["BARS_3", "BARS_6"]
    assert names(known, "PICKUP") == ["PICKUP_0", "PICKUP_12"]
    assert names(known, "BAR") == [f"BAR_{left}" for left in range(1, 7)]
    assert known[FIRST_REST:].all()
    assert known[: ID["METER_2/2"]].all()


def test_everything_is_known_but_styles_without_a_label():
    for labels in (POLKAS, Styles(), Styles(("other", *(f"s{n}" for n in range(31))))):
        unknown = [VOCABULARY[i] for i in np.flatnonzero(~Scope(labels).known)]
        assert unknown == [f"STYLE_{slot}" for slot in range(len(labels.labels), 32)]
    assert (EVERYTHING.table == (MASK_TABLE & EVERYTHING.known)).all()


def test_every_row_that_has_a_token_keeps_one():
    """No policy comes to a place where nothing may follow, whatever it was trained on."""
    meters, pickups = ("7/8",), (0, 60)  # 60 fits no other
    scope = Scope(Styles(), TrainedOn(meters, ("locrian",), (2,), pickups))
    state, _ = scope.state_after((BOS, ID["METER_7/8"], ID["MODE_locrian"], ID["STYLE_0"]))
    assert VOCABULARY[scope.only_token[scope.mask_rows(state)[0]]] == "BARS_2"
    for meter in ("2/4", "7/8"):
        pickup_row = Scope(Styles(), TrainedOn((meter,), pickups_ticks=pickups)).table
        assert pickup_row[:, ID["PICKUP_0"]].any()


def test_a_policy_writes_only_what_it_was_trained_on():
    policy = small(styles=POLKAS, trained_on=SOME, corpora=("mine",))
    headers = [melody.header for melody in compose(policy, 40, seed=1)]
    assert {one.meter for one in headers} == {"7/8", "2/4"}
    assert {one.mode for one in headers} == {"dorian"}
    assert {one.style for one in headers} == set(POLKAS.labels)
    assert {one.bars for one in headers} == {3, 6}
    assert {one.pickup_ticks for one in headers} == {0, 12}


def test_a_folder_keeps_it_and_says_it_without_the_weights(tmp_path):
    policy = small(styles=POLKAS, trained_on=SOME, corpora=("mine",), base_corpora=("books",))
    save_policy(policy, tmp_path / "policy")
    again = load_policy(tmp_path / "policy")
    assert scope_of(again) == scope_of(policy) == Scope(POLKAS, SOME)
    assert styles_of(again) == POLKAS
    assert again.config.corpora == ["mine"]
    said = read_policy_folder(tmp_path / "policy")
    assert (said.scope, said.corpora, said.base_corpora) == (
        Scope(POLKAS, SOME), ("mine",), ("books",),
    )  # fmt: skip
    given = json.loads((tmp_path / "policy" / "config.json").read_text())
    assert given["styles"] == ["other", "polka", "mazurka"]
    assert given["trained_on"]["meters"] == ["2/4", "7/8"]
    assert given["plain"] is False


def test_what_a_policy_may_write_is_a_part_of_its_identity(tmp_path):
    save_policy(small(styles=POLKAS, trained_on=SOME), tmp_path)
    file = tmp_path / "config.json"
    before, given = policy_hash(tmp_path), json.loads(file.read_text())
    hashes = [before]
    for changes in (
        {"styles": ["other", "mazurka", "polka"]},
        {"trained_on": None},
        {"trained_on": {**given["trained_on"], "bars": [3]}},
        {"plain": True},
    ):
        file.write_text(json.dumps(given | changes))
        hashes.append(policy_hash(tmp_path))
    assert len(set(hashes)) == 5
    file.write_text(json.dumps(given | {"corpora": ["mine"]}))
    assert policy_hash(tmp_path) == before, "a corpus' name changes nothing of what it writes"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("styles", "reel", "styles='reel' is not a list of labels"),
        ("styles", ["reel"], "do not begin with 'other'; add it"),
        ("styles", ["other", "Reel"], "style='Reel' is not a label"),
        ("styles", ["other", 3], "style=3 is not a label"),
        ("styles", ["other"] + [f"s{n}" for n in range(32)], "33 styles are too many"),
        ("plain", 1, "plain=1 is not true or false"),
        ("corpora", "books", "corpora='books' is not a list"),
        ("corpora", ["../x"], r"corpora has '\.\./x', which is no corpus' name"),
        ("base_corpora", [3], "base_corpora has '3', which is no corpus' name"),
        ("corpora", ["a"] * 1000, "corpora=a list of 1000 is not a list of at most 64"),
        ("trained_on", [], "trained_on=a list of 0 is not null or an object"),
        ("trained_on", {"meters": ["2/4"]}, "is not null or an object of"),
        ("trained_on", {**SOME.json(), "meters": ["13/8"]}, "meters has '13/8', which no header"),
        ("trained_on", {**SOME.json(), "bars": []}, "bars=a list of 0 is not a list of values"),
        ("trained_on", {**SOME.json(), "bars": [True]}, "bars has True, which no header has"),
        ("trained_on", {**SOME.json(), "bars": [[2]]}, "bars has a list of 1, which no header"),
        ("trained_on", {**SOME.json(), "pickups_ticks": [12]}, "pickups_ticks has no 0"),
    ],
)
def test_a_configuration_that_no_policy_has_is_refused(field, value, says):
    with pytest.raises(ConfigurationError, match=says) as error:
        checked_fields(melody_config().to_dict() | {field: value})
    assert "\n" not in str(error.value)


def test_a_configuration_without_these_fields_is_of_everything_and_no_style():
    given = melody_config().to_dict()
    for name in ("styles", "corpora", "base_corpora", "plain", "trained_on"):
        del given[name]
    assert scope_of(MelodyConfig(**checked_fields(given))) == EVERYTHING


def test_what_was_trained_on_is_that_of_the_headers():
    headers = [
        Header("6/8", "minor", "jig", 8, 12), Header("3/4", "major", "waltz", 5),
        Header("6/8", "minor", "jig", 16, 24),
    ]  # fmt: skip
    assert TrainedOn.of(headers) == TrainedOn(
        ("3/4", "6/8"), ("major", "minor"), (5, 8, 16), (0, 12, 24)
    )
    assert TrainedOn.of(headers[:1]) | TrainedOn.of(headers[1:]) == TrainedOn.of(headers)
    with pytest.raises(ScopeError, match="meters=a tuple of 0 is not a list of values; give some"):
        TrainedOn.of([])


def test_a_style_is_asked_by_its_label():
    with pytest.raises(StyleError, match=r"style='reel' .* one of \['other', 'polka', 'mazurka'\]"):
        Scope(POLKAS).check_asked({"style": "reel"})
    assert Scope(POLKAS).header_ids({"style": "mazurka", "meter": None}) == [
        -1, -1, ID["STYLE_2"], -1, -1,
    ]  # fmt: skip


def test_memory_follows_the_header():
    prompt = np.full((3, 6), -1)
    assert EVERYTHING.room_for(prompt) == EVERYTHING.longest() == MAX_LENGTH
    prompt[:, 1], prompt[:, 4] = ID["METER_2/4"], ID["BARS_4"]
    assert EVERYTHING.room_for(prompt) == longest(Header("2/4", bars=4)) == 7 + 4 + 4 * 16
    prompt[1, 4] = -1
    assert EVERYTHING.room_for(prompt) == longest(Header("2/4", bars=32))
    assert Scope(POLKAS, SOME).room_for(prompt) == longest(Header("2/4", bars=6))
    assert Scope(POLKAS, SOME).room_for(prompt[:, :1]) == longest(Header("7/8", bars=6))
    assert EVERYTHING.room_for(prompt[:0]) == 0


def test_the_first_illegal_token_is_named():
    scope = Scope(POLKAS, SOME)
    with pytest.raises(
        ValueError, match=r"place 1: token METER_4/4 may .*\['METER_2/4', 'METER_7/8"
    ):
        scope.state_after((BOS, ID["METER_4/4"]))
    with pytest.raises(ValueError, match="token EOS may not come here"):
        scope.advance_checked(scope.state_after((BOS,))[0], np.array([EOS]))


def test_headers_are_drawn_in_the_order_of_the_ids_that_the_policy_had():
    assert (Scope(SHIPPED_STYLES).header_order == np.arange(len(VOCABULARY))).all()
    plain = replace(Scope(SHIPPED_STYLES), plain=True).header_order
    assert [VOCABULARY[i] for i in plain[3:8]] == [
        "METER_4/4", "METER_2/4", "METER_3/4", "METER_6/8", "METER_9/8",
    ]  # fmt: skip
    assert VOCABULARY[plain[12]] == "STYLE_1"
