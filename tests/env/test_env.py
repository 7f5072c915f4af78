"""The environment: its rules one by one, and the vector form against single ones."""

import json
from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from env.melody_env import MelodyEnv
from env.nearest import nearest_legal
from env.vector_env import MelodyVectorEnv
from music.formats.notation import read_melody
from music.grammar import MASK_TABLE, advance, advance_checked, initial_state, legal
from music.melody import BAR_COUNTS, MODES, PICKUPS_TICKS, Header, Note
from music.metre import METERS
from music.styles import SHIPPED_STYLES, StyleError, Styles
from music.tokens import (
    BOS,
    EOS,
    FIRST_NOTE,
    ID,
    MAX_LENGTH,
    PAD,
    VOCABULARY,
    encode,
    header_tokens,
    longest,
)
from policy.checkpoint import CheckpointError, save_policy
from policy.logprobs import melody_nats
from policy.model import MelodyForCausalLM, melody_config
from policy.scope import TrainedOn

NAME = "env:tastemaker/Melody-v0"
SHORT = {"meter": "2/4", "mode": "dorian", "style": "march", "bars": 4, "pickup_ticks": 0}


@pytest.fixture
def make(tiny_policy) -> Callable[..., gymnasium.Env]:
    return lambda **kwargs: gymnasium.make(NAME, policy=tiny_policy, **kwargs)


def low_notes(melodies):
    return np.array([np.mean([note.pitch < 0 for note in melody.notes]) for melody in melodies])


def legal_action(observation, rng):
    return rng.choice(np.flatnonzero(observation["action_mask"]))


def walk(env, observation, rng):
    """Random legal actions to the end: every reward, and the last observation and info."""
    rewards, ended = [], False
    while not ended:
        observation, reward, ended, truncated, info = env.step(legal_action(observation, rng))
        assert not truncated
        rewards.append(reward)
    return rewards, observation, info


def written(observation):
    return observation["tokens"][observation["tokens"] != PAD]


def test_gymnasium_finds_nothing_to_complain_of(make):
    check_env(make(render_mode="ansi").unwrapped)  # warnings are errors here


@pytest.mark.parametrize("meter", METERS)
def test_a_random_walk_writes_the_melody_that_was_asked_for(make, meter):
    rng = np.random.default_rng(METERS.index(meter))
    env = make(reward=low_notes)
    for bars in (BAR_COUNTS[0], 5, BAR_COUNTS[-1]):
        pickups = PICKUPS_TICKS[meter]
        header = Header(
            meter, rng.choice(MODES), rng.choice(SHIPPED_STYLES.labels), bars, rng.choice(pickups)
        )
        options = {name: getattr(header, name) for name in Header.__slots__}
        observation, info = env.reset(options=options)
        assert info == {"given_tokens": 6}
        assert written(observation).tolist() == header_tokens(header)
        rewards, last, info = walk(env, observation, rng)
        assert info["melody"].header == header
        assert encode(info["melody"]).tolist() == written(last).tolist()
        assert info["notes"] == len(info["melody"].notes)
        assert info["illegal_actions"] == 0
        assert rewards[:-1] == [0] * (len(rewards) - 1)
        assert rewards[-1] == low_notes([info["melody"]])[0]


def test_observation_is_the_tokens_so_far_and_what_the_grammar_allows(make):
    rng = np.random.default_rng(3)
    env = make(options=SHORT)
    observation, _ = env.reset()
    ids, ended = header_tokens(Header(**SHORT)), False
    while not ended:
        state = initial_state(1)
        for token in ids:
            state = advance_checked(state, np.array([token]))
        assert observation["tokens"].tolist() == ids + [PAD] * (longest(Header(**SHORT)) - len(ids))
        assert (observation["action_mask"] == legal(state)[0]).all()
        masks = env.get_wrapper_attr("action_masks")()
        assert masks.dtype == bool
        assert (masks == legal(state)[0]).all()
        action = legal_action(observation, rng)
        observation, _, ended, _, info = env.step(action)
        ids.append(int(action))
        assert (info["token"], info["illegal"]) == (action, False)
    assert ids[-1] == EOS


def test_the_longest_melody_fits_and_the_rule_book_tells_the_sizes(make):
    header = {"meter": "9/8", "bars": 16, "pickup_ticks": 48}
    env = make(options=header)
    env.reset(seed=0)
    shortest, ended = ID["NOTE_0_3"], False
    while not ended:
        observation, _, ended, _, _ = env.step(shortest)
    assert len(written(observation)) == 599 == len(observation["tokens"])
    book = MelodyEnv.__doc__
    assert f"Discrete({env.action_space.n})" in book
    assert f"MultiBinary({len(VOCABULARY)})" in book
    assert f"Box(0, {len(VOCABULARY) - 1}, (T,), int64)" in book
    assert f"{MAX_LENGTH} tokens if" in book
    eight = longest(Header("4/4", bars=8))
    assert f'{eight} with `{{"meter": "4/4", "bars":' in book
    for options, length in ((None, MAX_LENGTH), ({"meter": "4/4", "bars": 8}, eight)):
        assert make(options=options).observation_space["tokens"].shape == (length,)


def test_a_melody_that_may_be_longer_than_the_observations_is_refused(make):
    env = make(options=SHORT)
    env.reset(options={"meter": "3/8", "bars": 5})
    before = env.reset()[0]
    for options in ({"bars": 5}, {"meter": "3/4"}, {"meter": None}):
        with pytest.raises(
            ValueError, match=r"have \d+ tokens, .* environment have 75, .*leave bars"
        ):
            env.reset(options=options)
    assert (env.step(ID["BAR_4"])[0]["tokens"][:6] == before["tokens"][:6]).all()


def test_only_what_the_reference_was_trained_on_is_asked_and_drawn():
    torch.manual_seed(0)
    on = TrainedOn(("7/8", "2/4"), ("dorian",), (3, 2), (0, 12))
    styles = Styles(("other", "polka"))
    policy = MelodyForCausalLM(
        melody_config(hidden_size=16, num_layers=1, styles=styles, trained_on=on)
    )
    env = gymnasium.make(NAME, policy=policy)
    assert env.observation_space["tokens"].shape == (longest(Header("7/8", bars=3)),)
    rng = np.random.default_rng(0)
    headers = set()
    for seed in range(30):
        observation, _ = env.reset(seed=seed)
        headers.add(walk(env, observation, rng)[2]["melody"].header)
    assert {one.style for one in headers} == {"other", "polka"}
    assert {one.meter for one in headers} == {"7/8", "2/4"}
    assert {one.bars for one in headers} == {2, 3}
    assert {one.mode for one in headers} == {"dorian"}
    with pytest.raises(StyleError, match=r"style='reel' .* choose one of \['other', 'polka'\]"):
        env.reset(options={"style": "reel"})
    with pytest.raises(ValueError, match=r"meter='4/4' is not one .* choose one of \['2/4', '7/8'"):
        env.reset(options={"meter": "4/4"})
    with pytest.raises(ValueError, match="token METER_4/4 may not come here"):
        env.reset(options={"prefix": [BOS, ID["METER_4/4"]]})
    with pytest.raises(ValueError, match="'tune_type' is called 'style' now"):
        env.reset(options={"tune_type": "polka"})


def test_reference_logprobs_are_those_of_the_plain_forward_under_the_mask(make, tiny_policy):
    rng = np.random.default_rng(5)
    env = make(options={**SHORT, "meter": "6/8"})
    observation, _ = env.reset(seed=1)
    _, last, info = walk(env, observation, rng)
    ids = written(last)
    logits = tiny_policy(input_ids=torch.from_numpy(ids)[None]).logits[0].detach().double().numpy()
    state = initial_state(1)
    expected = np.zeros(longest(Header(**{**SHORT, "meter": "6/8"})))
    for place, token in enumerate(ids):
        allowed = legal(state)[0]
        if place >= 6 and allowed.sum() > 1:
            among = logits[place - 1][allowed]
            spread = np.log(np.exp(among - among.max()).sum()) + among.max()
            expected[place] = logits[place - 1][token] - spread
        state = advance(state, token[None])
    np.testing.assert_allclose(info["reference_logprobs"], expected, atol=1e-4)
    assert info["reference_logprobs"].dtype == np.float32
    assert expected.min() < -1


def test_default_reward_is_the_mean_logprob_of_a_note_that_the_learner_wrote(
    make, tiny_policy, random_melodies
):
    rng = np.random.default_rng(6)
    env = make()
    for melody in random_melodies(6, seed=4):
        row = encode(melody)
        cut = int(rng.integers(6, len(row) - 1))
        observation, _ = env.reset(options={"prefix": row[:cut]})
        rewards, last, info = walk(env, observation, rng)
        ids = written(last).astype(np.uint16)
        nats = melody_nats(tiny_policy, [ids], prompt_tokens=cut)[0]
        np.testing.assert_allclose(info["reference_logprobs"].sum(), nats, rtol=1e-4)
        notes = (ids[cut:] >= FIRST_NOTE).sum()
        np.testing.assert_allclose(rewards[-1], nats / max(notes, 1), rtol=1e-4)


def test_nothing_is_owed_for_a_prefix_that_leaves_only_the_end(make, random_melodies):
    row = encode(random_melodies(1)[0])
    env = make()
    env.reset(options={"prefix": row[:-1]})
    _, reward, ended, _, info = env.step(EOS)
    assert (reward, ended, info["reference_logprobs"].any()) == (0, True, False)


def test_open_header_fields_are_drawn_as_the_reference_would(make, tiny_policy):
    env = make()
    env.reset(seed=0)
    draws = [written(env.reset(options={"bars": 8})[0]) for _ in range(300)]
    assert {row[4] for row in draws} == {ID["BARS_8"]}
    kinds = {1: "METER_", 2: "MODE_", 3: "STYLE_"}
    for place, kind in kinds.items():
        ids = [ID[name] for name in VOCABULARY if name.startswith(kind)]
        if kind == "STYLE_":
            ids = ids[: len(SHIPPED_STYLES.labels)]  # the others have no label
        with torch.no_grad():  # averaged over what stands before, as drawn
            before = torch.from_numpy(np.stack([row[:place] for row in draws]))
            expected = tiny_policy(input_ids=before).logits[:, -1, ids].softmax(-1).mean(0).numpy()
        found = np.mean([[row[place] == token for token in ids] for row in draws], axis=0)
        assert abs(found - expected).sum() < 0.12
        assert abs(expected - 1 / len(ids)).sum() > 0.25  # so even chances would not pass


def test_the_reference_stays_as_it_was_given_and_has_no_dropout():
    torch.manual_seed(0)
    policy = MelodyForCausalLM(melody_config(hidden_size=32, num_layers=1, residual_dropout=0.5))
    policy.train()

    def logprobs(env):
        observation, _ = env.reset(seed=3)
        return walk(env, observation, np.random.default_rng(0))[2]["reference_logprobs"]

    env = gymnasium.make(NAME, policy=policy)
    first = logprobs(env)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(torch.randn_like(weight))
    assert (logprobs(env) == first).all()
    assert policy.training
    assert all(weight.requires_grad for weight in policy.parameters())


def test_a_folder_is_the_same_reference(make, tiny_policy, tmp_path):
    save_policy(tiny_policy, tmp_path / "policy")
    infos = []
    for env in (make(), gymnasium.make(NAME, policy=str(tmp_path / "policy"))):
        observation, _ = env.reset(seed=8)
        infos.append(walk(env, observation, np.random.default_rng(0))[2])
    assert infos[0]["melody"] == infos[1]["melody"]
    assert (infos[0]["reference_logprobs"] == infos[1]["reference_logprobs"]).all()


def test_a_motif_of_notes_or_ids_is_written_already(make, random_melodies):
    rng = np.random.default_rng(9)
    env = make(reward=low_notes)
    for melody in random_melodies(12, seed=7):
        row = encode(melody).astype(np.int64)
        header = {name: getattr(melody.header, name) for name in Header.__slots__}
        count = int(rng.integers(1, len(melody.notes) + 1))
        observation, info = env.reset(options={**header, "prefix": melody.notes[:count]})
        ids = written(observation)
        assert len(ids) == info["given_tokens"]
        assert ids.tolist() == row[: len(ids)].tolist()
        assert (ids >= FIRST_NOTE).sum() == count
        as_ids, _ = env.reset(options={"prefix": ids.tolist()})
        assert (as_ids["tokens"] == observation["tokens"]).all()
        _, last, info = walk(env, as_ids, rng)
        assert written(last)[: len(ids)].tolist() == ids.tolist()
        assert info["melody"].notes[: count - 1] == melody.notes[: count - 1]


def test_a_prefix_of_ids_may_stop_inside_the_header(make):
    env = make()
    observation, info = env.reset(seed=0, options={"prefix": [BOS, ID["METER_9/8"]]})
    assert info["given_tokens"] == 6
    assert written(observation)[:2].tolist() == [BOS, ID["METER_9/8"]]


def test_options_of_the_constructor_hold_for_every_reset_and_yield_to_those_of_reset(make):
    env = make(options={**SHORT, "bars": 16})
    headers = [
        written(env.reset(options=options)[0]).tolist() for options in (None, {}, {"bars": 5}, None)
    ]
    plain, shorter = (header_tokens(Header(**{**SHORT, "bars": bars})) for bars in (16, 5))
    assert headers == [plain, plain, shorter, plain]
    drawn = {written(env.reset(options={"mode": None})[0])[2] for _ in range(40)}
    assert len(drawn) > 1


MOTIF = {"meter": "2/4", "bars": 4, "pickup_ticks": 0}


@pytest.mark.parametrize(
    ("options", "value", "rule_or_remedy"),
    [
        ({"metre": "4/4"}, "'metre'", "'meter', 'mode'"),
        ({"meter": "13/8"}, "'13/8'", "choose one of"),
        ({"bars": 33}, "bars=33", r"2\.\.32"),
        ({"meter": "2/4", "pickup_ticks": 48}, "pickup_ticks=48", "shorter than a bar"),
        ({"pickup_ticks": 48}, "pickup_ticks=48", "ask for a meter"),
        ({"prefix": [Note(0, 12, 0)]}, "motif", "ask for meter, bars and pickup_ticks"),
        ({**MOTIF, "prefix": [Note(-12, 12, 0)]}, "onset_ticks=-12", "move"),
        ({**MOTIF, "prefix": [Note(0, 5, 0)]}, "5 ticks", "quantise"),
        ({**MOTIF, "prefix": [Note(0, 0, 0)]}, "duration_ticks=0", "lengthen"),
        (
            {**MOTIF, "prefix": [Note(0, 24, 0), Note(12, 24, 2)]},
            "onset_ticks=12",
            "one voice in order",
        ),
        ({**MOTIF, "prefix": [Note(180, 24, 0)]}, "tick 204", "more bars"),
        ({**MOTIF, "prefix": [Note(0, 42, 0), Note(42, 4, 0)]}, "2 ticks before", "shorten"),
        ({**MOTIF, "prefix": [BOS]}, r"\['bars', 'meter', 'pickup_ticks'\]", "leave out"),
        ({"prefix": [BOS, BOS]}, "token 1 .*BOS", "METER_2/2"),
        ({"prefix": [BOS, 9999]}, "9999", "may not come here"),
        ({"prefix": "abc"}, "'?abc'?", "music.tokens.encode"),
        ({"prefix": [0.5]}, "0.5", "music.tokens.encode"),
        ({"prefix": [True]}, "True", "music.tokens.encode"),
    ],
)
def test_options_that_cannot_be_are_refused(make, options, value, rule_or_remedy):
    env = make()
    for refuse in (lambda: env.reset(options=options), lambda: make(options=options)):
        with pytest.raises(ValueError, match=f"(?s){value}.*") as error:
            refuse()
        assert error.match(rule_or_remedy)


def test_a_whole_melody_is_no_prefix(make, random_melodies):
    melody = random_melodies(1)[0]
    for prefix in (melody, encode(melody)):
        with pytest.raises(ValueError, match="whole"):
            make(options={"prefix": prefix})


def asked_in_bar(env, *names):
    env.reset()
    for name in names:
        env.step(ID[name])


@pytest.mark.parametrize(
    ("before", "asked", "instead"),
    [
        ([], "NOTE_7_96", "NOTE_7_48"),  # too long: the longest that fits the bar
        (["NOTE_0_24"], "NOTE_-5_36", "NOTE_-5_24"),
        (["NOTE_0_36"], "NOTE_2_9", "NOTE_2_9"),  # legal: 3 ticks are left, and they can be filled
        (["NOTE_0_36"], "NOTE_2_8", "NOTE_2_8"),
        (["NOTE_0_42"], "NOTE_2_4", "NOTE_2_3"),  # 2 ticks could not be filled
        (["REST_12"], "REST_12", "REST_3"),  # 24 ticks are one rest, 15 are two
        (["NOTE_0_24"], "HOLD_12", "HOLD_8"),  # 36 ticks are one note, 32 are two
        (["REST_24"], "HOLD_12", "NOTE_0_12"),  # nothing to hold; the tonic stands in
        (["NOTE_5_48", "BAR_3"], "HOLD_96", "HOLD_48"),
        (["NOTE_5_24"], "BAR_3", "NOTE_0_24"),
        ([], "PAD", "NOTE_0_24"),
        ([], "EOS", "NOTE_0_24"),
    ],
)
def test_the_nearest_legal_token_is_written_for_an_illegal_one(make, before, asked, instead):
    env = make(options=SHORT, illegal_penalty=0.25)
    asked_in_bar(env, "BAR_4", *before)
    observation, reward, ended, _, info = env.step(ID[asked])
    assert VOCABULARY[written(observation)[-1]] == VOCABULARY[info["token"]] == instead
    assert info["illegal"] == (asked != instead)
    assert (reward, ended) == (-0.25 if asked != instead else 0, False)


def test_a_forced_token_is_written_whatever_the_action(make):
    env = make(options=SHORT, illegal_penalty=1)
    env.reset()
    observation, reward, _, _, info = env.step(ID["NOTE_0_12"])
    assert VOCABULARY[written(observation)[-1]] == "BAR_4"
    assert (reward, info["illegal"], info["token"]) == (0, False, ID["BAR_4"])


def test_what_stands_in_is_always_legal_and_a_legal_token_stands_for_itself():
    for row in np.flatnonzero(MASK_TABLE.any(1))[::9]:
        instead = nearest_legal(MASK_TABLE[row])
        assert MASK_TABLE[row, instead].all()
        assert (instead[MASK_TABLE[row]] == np.flatnonzero(MASK_TABLE[row])).all()


def test_actions_at_random_still_write_whole_melodies_and_each_illegal_one_costs(make):
    env = make(reward=low_notes, illegal_penalty=0.5)
    env.reset(seed=2)
    rng = np.random.default_rng(1)
    for _ in range(5):
        env.reset()
        total, illegal, ended = 0.0, 0, False
        while not ended:
            _, reward, ended, _, info = env.step(rng.integers(len(VOCABULARY)))
            total, illegal = total + reward, illegal + info["illegal"]
        assert illegal == info["illegal_actions"] > 0
        assert total == pytest.approx(low_notes([info["melody"]])[0] - 0.5 * illegal)


@pytest.mark.parametrize("action", [-1, len(VOCABULARY), 0.5, np.array([BOS]), "EOS"])
def test_an_action_that_is_no_token_is_refused_and_changes_nothing(make, action):
    env = make(options=SHORT).unwrapped
    before, _ = env.reset()
    with pytest.raises(ValueError, match=r"(?s)action.*(0\.\.917|one integer token id)"):
        env.step(action)
    after, *_ = env.step(ID["BAR_4"])
    assert written(after).tolist() == [*written(before), ID["BAR_4"]]


def test_no_step_without_a_melody(make):
    env = make(options=SHORT).unwrapped
    with pytest.raises(ResetNeeded, match=r"no melody has been begun; call reset"):
        env.step(0)
    observation, _ = env.reset()
    _, last, _ = walk(env, observation, np.random.default_rng(0))
    assert np.flatnonzero(last["action_mask"]).tolist() == [PAD]
    with pytest.raises(ResetNeeded, match=r"the melody has ended; call reset"):
        env.step(0)
    env.reset()
    env.step(0)


def test_the_seed_decides_everything_that_the_learner_does_not(make):
    def episodes(seed):
        env, rng, seen = make(), np.random.default_rng(0), []
        env.reset(seed=seed)
        for _ in range(4):
            observation, _ = env.reset()
            rewards, last, info = walk(env, observation, rng)
            seen.append([rewards, written(last).tolist(), info["reference_logprobs"].tolist()])
        return json.dumps(seen)

    assert episodes(11) == episodes(11)
    assert episodes(11) != episodes(12)


def test_rendering(make):
    env = make(options=SHORT, render_mode="ansi")
    asked_in_bar(env, "BAR_4", "NOTE_0_24", "REST_24", "BAR_3", "NOTE_4_48", "BAR_2")
    assert env.render() == (
        "BOS METER_2/4 MODE_dorian STYLE_6 BARS_4 PICKUP_0\n"
        "BAR_4 NOTE_0_24 REST_24\nBAR_3 NOTE_4_48\nBAR_2"
    )
    env = make(options=SHORT, render_mode="abc")
    observation, _ = env.reset()
    assert env.render() == ""
    _, _, info = walk(env, observation, np.random.default_rng(0))
    assert read_melody(env.render()) == info["melody"]
    assert make(options=SHORT).unwrapped.render() is None


@pytest.mark.parametrize("environment", [MelodyEnv, MelodyVectorEnv])
@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"policy": 3}, TypeError, r"policy is a int; give a policy\.model\.MelodyForCausalLM"),
        (
            {"policy": "no/such/folder"},
            CheckpointError,
            r"no/such/folder has no .*; give the folder",
        ),
        ({"reward": 3}, TypeError, "reward is a int; give a function"),
        ({"illegal_penalty": -1}, ValueError, "illegal_penalty=-1 .* 0 takes nothing off"),
        ({"illegal_penalty": np.nan}, ValueError, "illegal_penalty=nan"),
        ({"render_mode": "human"}, ValueError, r"render_mode='human' .* \['ansi', 'abc'\]"),
        ({"options": {"bars": 33}}, ValueError, "bars=33"),
    ],
)
def test_arguments_that_cannot_be_are_refused(tiny_policy, environment, arguments, error, says):
    with pytest.raises(error, match=says):
        environment(**{"policy": tiny_policy, **arguments})


@pytest.mark.parametrize("scores", [[[1.0]], [1.0, 2.0], 1.0, [np.nan], [np.inf]])
def test_a_reward_that_breaks_its_contract_is_named(make, scores):
    env = make(reward=lambda melodies: scores, options=SHORT)
    observation, _ = env.reset()
    with pytest.raises(
        ValueError, match=r"reward returned .* one finite number for each, shape \(1,\)"
    ):
        walk(env, observation, np.random.default_rng(0))
    env.reset()  # and the environment goes on
    env.step(ID["BAR_4"])


# The vector form


def both_forms(tiny_policy, count=4, **kwargs):
    kwargs = {"policy": tiny_policy, "num_envs": count, **kwargs}
    return [
        gymnasium.make_vec(NAME, vectorization_mode=mode, **kwargs)
        for mode in ("vector_entry_point", "sync")
    ]


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if np.issubdtype(ours.dtype, np.floating):  # scored together or alone
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        else:
            assert (ours == theirs).all()


def some_actions(observation, rng):
    """Mostly legal ones, so that some are replaced and some melodies are to be begun anew."""
    drawn = [
        np.flatnonzero(mask)[rng.integers(mask.sum())] if rng.random() < 0.8 else rng.integers(918)
        for mask in observation["action_mask"]
    ]
    return np.array(drawn)


def test_the_vector_form_equals_single_ones(tiny_policy):
    ours, theirs = both_forms(tiny_policy, options={"bars": 3}, render_mode="ansi")
    rng = np.random.default_rng(0)
    ended, together = np.zeros(4, int), 0
    options = {"meter": "2/4", "mode": "minor"}
    resets: list[dict] = [
        {"seed": 7},
        {"seed": [3, None, 5, 6], "options": options},
        {"options": {"reset_mask": np.array([True, False, True, False]), "bars": 2}},
        {},
    ]
    for arguments in resets:
        copy = {**arguments, "options": dict(arguments.get("options", {}))}
        seen = ours.reset(**arguments)
        assert_same(seen, theirs.reset(**copy))  # theirs takes reset_mask out of it
        for _ in range(120):
            actions = some_actions(seen[0], rng)
            seen = ours.step(actions)
            assert_same(seen, theirs.step(actions))
            ended += seen[2]
            together += seen[2].sum() > 1
        assert ours.render() == theirs.render()
        assert [one.bit_generator.state for one in ours.np_random] == [
            one.bit_generator.state for one in theirs.np_random
        ]
        assert tuple(ours.np_random_seed) == tuple(theirs.np_random_seed)
    assert ended.min() >= 6
    assert together >= 1


def test_melodies_that_end_together_are_rewarded_in_one_call(tiny_policy):
    batches = []

    def reward(melodies):
        batches.append(len(melodies))
        return low_notes(melodies)

    env = gymnasium.make_vec(NAME, 4, policy=tiny_policy, reward=reward, options=SHORT)
    observation, _ = env.reset(seed=0)
    ended = np.zeros(4, bool)
    while not ended.any():
        observation, rewards, ended, _, infos = env.step(np.full(4, ID["NOTE_-1_24"]))
    assert batches == [4]
    assert rewards.tolist() == [1, 1, 1, 1]
    assert infos["_melody"].all()
    observation, rewards, ended, _, infos = env.step(np.full(4, ID["NOTE_-1_24"]))
    assert infos["given_tokens"].tolist() == [6] * 4  # the next step begins anew, and plays nothing
    assert set(infos) == {"given_tokens", "_given_tokens"}
    assert not rewards.any()
    assert not ended.any()
    assert (env.unwrapped.action_masks() == observation["action_mask"]).all()


def test_the_vector_form_says_how_it_begins_anew(tiny_policy):
    env = gymnasium.make_vec(NAME, 3, vectorization_mode="vector_entry_point", policy=tiny_policy)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert isinstance(env.unwrapped, MelodyVectorEnv)
    assert env.spec.id == "tastemaker/Melody-v0"
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space


def test_each_melody_can_have_options_of_its_own(tiny_policy, random_melodies):
    """They come on top of those for all; the other melodies keep these."""
    env = MelodyVectorEnv(3, tiny_policy, options={**SHORT, "meter": "12/8", "bars": 32})
    prefix = encode(random_melodies(1, seed=2)[0])[:9].tolist()
    own = [{}, {"bars": 16, "mode": None}, {**dict.fromkeys(SHORT), "prefix": prefix}]
    observation, infos = env.reset(seed=0, options={"meter": "3/4", "bars": 4, "per_env": own})
    rows = [row[row != PAD].tolist() for row in observation["tokens"]]
    assert rows[0] == header_tokens(Header(**{**SHORT, "meter": "3/4"}))
    assert rows[1][1] == ID["METER_3/4"]
    assert rows[1][4] == ID["BARS_16"]
    assert rows[2] == prefix
    assert infos["given_tokens"].tolist() == [6, 6, 9]


def test_what_the_vector_form_refuses(tiny_policy):
    env = MelodyVectorEnv(2, tiny_policy)
    for own in ([{}], {"bars": 4}, [{}, 4], "ab"):
        with pytest.raises(ValueError, match=r"per_env=.* give a list of 2 mappings"):
            env.reset(options={"per_env": own})
    with pytest.raises(ValueError, match="bars=33"):
        env.reset(options={"per_env": [{}, {"bars": 33}]})
    with pytest.raises(ValueError, match="num_envs=0 is below 1"):
        MelodyVectorEnv(0, tiny_policy)
    env = MelodyVectorEnv(3, tiny_policy)
    with pytest.raises(ResetNeeded, match="melody 0 has not been begun"):
        env.step(np.zeros(3, int))
    with pytest.raises(ValueError, match="2 seeds for 3 melodies"):
        env.reset(seed=[1, 2])
    for mask in ([True], np.ones(3), np.zeros(3, bool)):
        with pytest.raises(ValueError, match=r"reset_mask=.*shape \(3,\) with at least one True"):
            env.reset(options={"reset_mask": mask})
    env.reset(options={"reset_mask": np.array([True, True, False])})
    with pytest.raises(ResetNeeded, match="melody 2 has not been begun"):
        env.step(np.zeros(3, int))
    env.reset()
    with pytest.raises(ValueError, match=r"actions of shape \(2,\)"):
        env.step(np.zeros(2, int))
    with pytest.raises(ValueError, match=r"action 918 is no token; ids are 0\.\.917"):
        env.step(np.array([0, 918, 0]))
