"""The pairs of a blind test: what is the same on both sides, and what tells nothing."""

import copy
import re
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from music.formats.midi import pitches_midi
from music.key_choice import Compass, KeyChoice
from music.styles import Styles
from policy.compose import Conditioning
from policy.model import MelodyForCausalLM, melody_config
from policy.runs import RunError
from policy.scope import TrainedOn
from reward.blind_test.make import BlindTestConfig, Contestant, make_blind_test, write_pairs
from reward.pairs.round import learnable
from reward.store import campaigns
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from tastemaker.__main__ import main
from tastemaker.options import DATABASE

CONDITIONING = Conditioning(meter="2/4", bars=4)


@pytest.fixture(scope="module")
def other_policy(tiny_policy):
    """Another policy, which writes other things."""
    other = copy.deepcopy(tiny_policy)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        other.model.embed_tokens.weight.add_(torch.randn_like(other.model.embed_tokens.weight) * 2)
    return other


@pytest.fixture
def two(tiny_policy, other_policy):
    return Contestant("base", "aaaa", tiny_policy), Contestant("ppo-0001", "bbbb", other_policy)


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as store:
        yield store


def stored_pairs(store):
    """The two stored melodies of each comparison, a and b."""
    frame = store.comparisons_frame()
    return [store.melodies(pair) for pair in frame[["melody_a", "melody_b"]].to_numpy().tolist()]


def test_both_sides_have_one_header_and_one_policy_each(store, two):
    made = make_blind_test(store, *two, CONDITIONING, BlindTestConfig(name="test", votes=40))
    frame = store.comparisons_frame()
    assert len(frame) == 48, "a fifth more than votes"
    assert set(frame["purpose"]) == {"blind_test"}
    assert set(frame["campaign"]) == {"test"}
    headers = Counter()
    for a, b in stored_pairs(store):
        assert {a.policy_id, b.policy_id} == {"aaaa", "bbbb"}
        assert a.melody.header == b.melody.header
        assert a.melody.tonic_midi == b.melody.tonic_midi
        headers[a.melody.header] += 1
    assert len(headers) > 3, "what was not asked for varies"
    assert {(h.meter, h.bars) for h in headers} == {("2/4", 4)}
    assert made.policies == campaigns.Policies(a="base", b="ppo-0001", a_id="aaaa", b_id="bbbb")


@pytest.mark.slow
def test_neither_place_nor_id_tells_whose_a_melody_is(store, two):
    make_blind_test(store, *two, CONDITIONING, BlindTestConfig(name="test", votes=100))
    pairs = stored_pairs(store)
    first_by_a = np.array([a.policy_id == "aaaa" for a, _ in pairs])
    # 120 fair coins: four standard errors.
    assert abs(first_by_a.mean() - 0.5) < 4 * 0.5 / np.sqrt(120)
    ids = {"aaaa": [], "bbbb": []}
    for pair in pairs:
        for stored in pair:
            ids[stored.policy_id].append(stored.id)
    # Ranks of two mixed samples of 120: the difference of means has a deviation of about 9.
    assert abs(np.mean(ids["aaaa"]) - np.mean(ids["bbbb"])) < 36


def test_open_fields_are_chosen_by_each_policy_in_half(tiny_policy, other_policy, monkeypatch):
    free = []

    def spy(model, given, **more):
        free.append((model is tiny_policy, len(given), bool((given[:, 2] < 0).all())))
        return sample(model, given, **more)

    from reward.blind_test.make import sample

    monkeypatch.setattr("reward.blind_test.make.sample", spy)
    write_pairs(tiny_policy, other_policy, CONDITIONING, 20, 0, set())
    assert free[:4] == [
        (True, 10, True),
        (False, 10, False),
        (False, 10, True),
        (True, 10, False),
    ]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_pairs_and_known_ones_are_not_taken(two):
    a, b = two[0].model, two[1].model
    first = write_pairs(a, b, CONDITIONING, 12, 3, set())
    assert write_pairs(a, b, CONDITIONING, 12, 3, set()) == first
    assert write_pairs(a, b, CONDITIONING, 12, 4, set()) != first
    from reward.blind_test.make import _fresh

    taken = set()
    assert _fresh(first, taken) == first
    assert len(taken) == 24
    again = write_pairs(a, b, CONDITIONING, 12, 3, taken)
    assert not {m for pair in again for m in pair} & {m for pair in first for m in pair}


def test_pairs_of_any_key_share_it_and_keep_to_the_range(two):
    keys = KeyChoice(tonic_class=None, compass=Compass(57, 76))
    a, b = two[0].model, two[1].model
    pairs = write_pairs(a, b, CONDITIONING, 12, 3, set(), keys=keys)
    for pair in pairs:
        assert len({melody.tonic_midi for melody in pair}) == 1
        assert all(57 <= midi <= 76 for melody in pair for midi in pitches_midi(melody))
    assert len({one.tonic_midi % 12 for one, _ in pairs}) > 6


def policy_of(trained_on, styles, seed=0):
    """A small policy with that scope, and random weights."""
    shape = {"num_layers": 1, "num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = melody_config(
            hidden_size=32, styles=Styles(styles), trained_on=TrainedOn(**trained_on), **shape
        )
        policy = MelodyForCausalLM(config).eval()
    with torch.no_grad():
        policy.model.embed_tokens.weight.mul_(20)
    return policy


FEW = {"modes": ("major", "dorian"), "bars": (2, 4), "pickups_ticks": (0, 12)}


def test_only_what_both_policies_know_is_chosen_and_a_common_style_keeps_its_label():
    one = policy_of({"meters": ("2/4", "3/4", "5/4"), **FEW}, ("other", "tango", "jig"))
    two = policy_of(
        {"meters": ("3/4", "5/4", "6/8"), "modes": ("dorian", "lydian"), "bars": (4, 3)},
        ("other", "jig", "air", "tango"),
        seed=1,
    )
    pairs = write_pairs(one, two, Conditioning(), 24, 0, set())
    assert len(pairs) == 24
    assert all(a.header == b.header for a, b in pairs)
    headers = [a.header for a, _ in pairs]
    assert {header.meter for header in headers} == {"3/4", "5/4"}
    assert {(header.mode, header.bars) for header in headers} == {("dorian", 4)}
    assert {header.pickup_ticks for header in headers} == {0, 12}
    assert {header.style for header in headers} == {"other", "tango", "jig"}


def test_policies_without_a_common_style_write_in_styles_of_their_own():
    trained_on = {"meters": ("2/4", "3/4"), **FEW}
    one_labels = ("other", "tango", "milonga")
    one = policy_of(trained_on, one_labels)
    two = policy_of(trained_on, ("other", "jig"), seed=1)
    pairs = write_pairs(one, two, Conditioning(), 24, 0, set())
    assert all(replace(a.header, style="x") == replace(b.header, style="x") for a, b in pairs)
    assert {"tango", "milonga"} <= {a.header.style for a, _ in pairs} <= {*one_labels}
    assert {"jig"} <= {b.header.style for _, b in pairs} <= {"other", "jig"}


def test_a_compass_is_kept_by_policies_of_other_scopes():
    one = policy_of({"meters": ("2/4", "3/4"), **FEW}, ("other", "tango"))
    two = policy_of({"meters": ("3/4", "5/4"), **FEW}, ("other",), seed=1)
    keys = KeyChoice(tonic_class=None, compass=Compass(57, 76))
    pairs = write_pairs(one, two, Conditioning(), 12, 0, set(), keys=keys)
    assert all(
        57 <= midi <= 76 for pair in pairs for melody in pair for midi in pitches_midi(melody)
    )
    assert {melody.header.meter for pair in pairs for melody in pair} == {"3/4"}


@pytest.mark.parametrize(
    ("meters", "asked", "says"),
    [
        (("3/4",), {}, "trained on no common metre, so no header suits both"),
        (("2/4",), {"style": "jig"}, "tangos: style='jig' is not one that this policy knows"),
        (
            ("3/4",),
            {"meter": "2/4"},
            "jigs: meter='2/4' is not one that this policy was trained on",
        ),
    ],
)
def test_what_one_policy_does_not_know_is_refused_before_anything_is_stored(
    store, meters, asked, says
):
    tangos = Contestant(
        "tangos", "aaaa", policy_of({"meters": ("2/4",), **FEW}, ("other", "tango"))
    )
    jigs = Contestant("jigs", "bbbb", policy_of({"meters": meters, **FEW}, ("other", "jig")))
    with pytest.raises(RunError, match=re.escape(says)):
        make_blind_test(store, tangos, jigs, Conditioning(**asked), BlindTestConfig(votes=2))
    assert store.counts()["melodies"] == 0


def test_policies_that_write_nothing_new_are_told(two, monkeypatch):
    monkeypatch.setattr("reward.blind_test.make._fresh", lambda pairs, taken: [])
    with pytest.raises(RunError, match=r"wrote 0 of 4 pairs.*ask for fewer"):
        write_pairs(two[0].model, two[1].model, CONDITIONING, 4, 0, set())


def test_what_is_refused_leaves_nothing(store, two):
    config = BlindTestConfig(name="test", votes=3)
    with pytest.raises(RatingsError, match="the same policy"):
        make_blind_test(store, two[0], two[0], CONDITIONING, config)
    assert store.counts()["melodies"] == 0
    make_blind_test(store, *two, CONDITIONING, config)
    before = store.counts()
    with pytest.raises(RatingsError, match="taken"):
        make_blind_test(store, *two, CONDITIONING, config)
    assert store.counts() == before
    for wrong in ({"votes": 0}, {"votes": 10, "melodies": 9}):
        with pytest.raises(RunError, match=r"votes="):
            BlindTestConfig(name="test", **wrong)


def test_no_reward_learns_from_a_blind_test(store, two):
    made = make_blind_test(store, *two, CONDITIONING, BlindTestConfig(name="test", votes=3))
    pair = store.issue(store.add_rater("Ada").id, campaign_id=made.id)
    store.vote(pair.assignment_id, Answer(outcome="left", nonce="n"))
    votes = store.votes_frame()
    assert votes["purpose"].tolist() == ["blind_test"]
    assert learnable(votes).empty


@pytest.fixture
def command(tmp_path, monkeypatch, capfd, other_policy):
    from policy.checkpoint import save_policy
    from policy.runs import new_run

    monkeypatch.chdir(tmp_path)
    run = new_run("ppo", {}, name="tuned")
    save_policy(other_policy, run.path / "policy")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tastemaker", "blind-test", *map(str, arguments)])
        try:
            main()
        except SystemExit as stopped:
            return stopped.code, capfd.readouterr().err
        return 0, capfd.readouterr().out

    return call


def test_the_command_makes_a_test_and_says_what_comes_next(command):
    code, said = command("base", "tuned", "--votes", 5, "--meter", "2/4", "--bars", 4)
    assert code == 0, said
    assert said.splitlines()[0].startswith("made 'Blind test 1', of base and tuned")
    with RatingsStore(DATABASE) as store, store.reading() as session:
        [made] = campaigns.list_campaigns(session)
    assert made.votes_wanted == 5
    assert made.name == "Blind test 1"  # raters see it, so it does not tell the policies


def test_each_blind_test_has_a_name_of_its_own(command):
    for number in (1, 2):
        code, said = command(
            "base", "tuned", "--votes", 2, "--meter", "2/4", "--bars", 4, "--seed", number
        )
        assert code == 0, said
        assert f"made 'Blind test {number}'" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("base", "nobody"), "there is no run 'nobody'"),
        (("base", "base", "--votes", "2"), "the same policy"),
        (("base", "tuned", "--votes", "9", "--melodies", "3"), "melodies=3 is below votes=9"),
    ],
)
def test_the_command_refuses_in_a_line(command, arguments, says):
    code, said = command(*arguments)
    assert code == 2
    *stages, line = said.splitlines()
    assert says in line
    assert set(stages) <= {"loading the policies"}
