"""Composing: what is asked is what comes."""

import numpy as np
import pytest
import torch

from music.formats.midi import pitches_midi
from music.key_choice import Compass, KeyChoice, KeyChoiceError
from music.melody import Header, MelodyError, Note
from music.metre import METERS
from music.styles import SHIPPED_STYLES, Styles
from music.tokens import BOS, ID, decode, encode, encode_motif
from policy.compose import DEFAULT_TONIC_MIDI, Conditioning, allowed_tokens, compose, sample_rows
from policy.decode import sample
from policy.scope import EVERYTHING, Scope, ScopeError, TrainedOn, scope_of

MOTIF = (Note(-12, 12, 7), Note(0, 24, 12), Note(36, 12, 0))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"meter": "6/8"},
        {"mode": "dorian"},
        {"style": "waltz"},
        {"bars": 8},
        {"pickup_ticks": 24},
        {"meter": "7/8", "mode": "locrian", "bars": 3, "pickup_ticks": 77},
        {"meter": "12/8", "mode": "lydian", "bars": 2},
        {"meter": "2/4", "mode": "minor", "style": "march", "bars": 4, "pickup_ticks": 6},
    ],
)
def test_what_is_asked_is_what_comes(tiny_policy, fields):
    for melody in compose(tiny_policy, 6, conditioning=Conditioning(**{"bars": 4, **fields})):
        assert {name: getattr(melody.header, name) for name in fields} == fields
        assert melody.tonic_midi == DEFAULT_TONIC_MIDI


def test_what_is_not_asked_is_the_policys_to_choose(tiny_policy):
    headers = {
        melody.header for melody in compose(tiny_policy, 24, conditioning=Conditioning(bars=4))
    }
    for field in ("meter", "mode", "style", "pickup_ticks"):
        assert len({getattr(header, field) for header in headers}) > 1, field


def test_a_melody_begins_with_its_motif(tiny_policy):
    conditioning = Conditioning(meter="2/4", bars=4, pickup_ticks=12, motif=MOTIF)
    melodies = compose(tiny_policy, 6, conditioning=conditioning)
    for melody in melodies:
        assert melody.notes[:2] == MOTIF[:2]
        # The last note of the motif ends on a barline, where it may be held on.
        assert (melody.notes[2].onset_ticks, melody.notes[2].pitch) == (36, 0)
        assert melody.notes[2].duration_ticks >= 12
    assert len({melody.notes for melody in melodies}) > 1


def test_a_prompt_by_hand():
    conditioning = Conditioning(meter="2/4", style="reel", bars=4, pickup_ticks=12, motif=MOTIF)
    header = [BOS, ID["METER_2/4"], -1, ID["STYLE_1"], ID["BARS_4"], ID["PICKUP_12"]]
    names = ["NOTE_7_12", "BAR_4", "NOTE_12_24", "REST_12", "NOTE_0_12"]
    row = [*header, *(ID[name] for name in names)]
    assert conditioning.prompt(2, Scope(SHIPPED_STYLES)).tolist() == [row, row]
    assert Conditioning().prompt(1, EVERYTHING).tolist() == [[BOS, -1, -1, -1, -1, -1]]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"meter": "13/8"}, "meter='13/8' is not known; choose one of"),
        ({"bars": 33}, r"bars=33 is not in 2\.\.32; cut"),
        ({"style": "Jig"}, "style='Jig' is not a label; write 1 to 32 lower-case"),
        ({"pickup_ticks": 48, "meter": "2/4"}, r"pickup_ticks=48 is not in 0\.\.47; a pickup is"),
        ({"pickup_ticks": 46, "meter": "2/4"}, "pickup_ticks=46 leaves a part of a bar of 2/4"),
        ({"pickup_ticks": 5}, "pickup_ticks=5 leaves"),
        ({"motif": MOTIF}, "a motif needs a place: ask for meter, bars and pickup_ticks with it"),
        ({"motif": MOTIF, "meter": "2/4", "bars": 4}, "a motif needs a place"),
    ],
)
def test_what_cannot_be_asked_is_refused(fields, says):
    with pytest.raises(MelodyError, match=says):
        Conditioning(**fields)


SMALL = Scope(
    Styles(("other", "polka")), TrainedOn(("2/4", "7/8"), ("major",), (4, 6), (0, 12)), plain=True
)
"""of a policy that was trained on little"""


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"style": "jig"},
            r"style='jig' is not one that this policy knows; choose one of \['other'",
        ),
        ({"meter": "3/4"}, r"meter='3/4' is not one that this .*; choose one of \['2/4', '7/8'\]"),
        ({"mode": "minor"}, r"mode='minor' is not one .* trained on; choose one of \['major'\]"),
        ({"bars": 5}, r"bars=5 is not one .* trained on; choose one of \[4, 6\]"),
        (
            {"pickup_ticks": 24},
            r"pickup_ticks=24 is not one .* trained on; choose one of \[0, 12\]",
        ),
    ],
)
def test_what_a_policy_was_not_trained_on_is_refused(fields, says):
    with pytest.raises(ValueError, match=says) as error:
        Conditioning(**fields).prompt(1, SMALL)
    assert "\n" not in str(error.value)


def test_an_open_pickup_must_fit_every_metre_that_the_policy_may_choose():
    all_meters = Conditioning(pickup_ticks=36)  # a whole bar of 3/8
    with pytest.raises(ScopeError, match=r"pickup_ticks=36 is none that 3/8 can have, .* a meter"):
        all_meters.prompt(1, EVERYTHING)
    some = Scope(trained_on=TrainedOn(meters=("2/4", "4/4")))
    assert all_meters.prompt(1, some)[0, -1] == ID["PICKUP_36"]


def test_a_plain_policy_is_not_given_a_motif_that_it_could_not_write():
    place = {"meter": "2/4", "bars": 4, "pickup_ticks": 0}
    split = Conditioning(**place, motif=(Note(0, 7, 0), Note(7, 9, 0)))
    says = (
        r"^bar 1 of the motif has a note of 7 ticks \(24 a quarter\), for which there is no single "
        "note value, which this policy was not trained on; give a motif without it, or use one"
    )
    with pytest.raises(ScopeError, match=says):
        split.prompt(1, SMALL)
    rest = Conditioning(**place, motif=(Note(0, 36, 0), Note(60, 24, 0)))
    with pytest.raises(ScopeError, match=r"^a rest goes on over the barline into bar 2 of "):
        rest.prompt(1, SMALL)
    assert (split.prompt(1, EVERYTHING) >= 0).sum() == 1 + 3 + 4  # BOS, header, BAR and tokens


@pytest.mark.parametrize(
    ("motif", "says"),
    [
        ((Note(-24, 24, 0),), "onset_ticks=-24 is before tick -12"),
        ((Note(0, 5, 0),), "a rest of 12 ticks|a note of 5 ticks"),
        ((Note(-12, 12, 0), Note(0, 24, 0), Note(12, 24, 0)), "onset_ticks=12 is before tick 24"),
        # Each on the grid, but nothing fills what they leave of the bar.
        (
            (Note(-12, 12, 0), Note(0, 42, 0), Note(42, 4, 0)),
            r"the motif ends 2 ticks before the next barline \(24 a quarter\), which no note value",
        ),
    ],
)
def test_a_motif_that_no_melody_begins_with_is_refused(tiny_policy, motif, says):
    conditioning = Conditioning(meter="2/4", bars=4, pickup_ticks=12, motif=motif)
    with pytest.raises(ValueError, match=says):
        compose(tiny_policy, 1, conditioning=conditioning)


@pytest.mark.parametrize("scope", [SMALL, EVERYTHING], ids=["plain", "split"])
def test_a_motif_is_refused_where_the_grammar_knows_no_way_on(scope):
    chance = np.random.default_rng(4)
    refused = 0
    for _ in range(400):
        pickup = int(chance.choice([0, 12]))
        place = {"meter": "2/4", "bars": 4, "pickup_ticks": pickup}
        at, motif = -pickup, []
        for _ in range(int(chance.integers(1, 5))):
            at += int(chance.choice([0, 0, 0, 3, 12, 24, 36]))
            motif.append(Note(at, int(chance.choice([3, 4, 7, 12, 12, 22, 24, 42, 43, 48])), 0))
            at = motif[-1].end_ticks
        conditioning = Conditioning(**place, mode="major", style="other", motif=tuple(motif))
        try:
            ids = encode_motif(Header(**conditioning.fields()), motif, scope.styles)
        except MelodyError:
            continue
        try:
            scope.state_after(tuple(ids.tolist()))
        except ValueError:
            refused += 1
            with pytest.raises((ScopeError, MelodyError), match="motif"):
                conditioning.prompt(1, scope)
        else:
            assert conditioning.prompt(1, scope).tolist() == [ids.tolist()]
    assert refused > 10


def test_the_seed_decides(tiny_policy):
    short = Conditioning(bars=4)
    once, again, other = (compose(tiny_policy, 5, conditioning=short, seed=s) for s in (3, 3, 4))
    assert once == again
    assert once != other


def test_rows_and_melodies_are_the_same_samples(tiny_policy):
    options = {"conditioning": Conditioning(bars=4), "seed": 3, "batch": 2}
    rows = sample_rows(tiny_policy, 5, **options)
    assert [row.dtype for row in rows] == [np.uint16] * 5
    melodies = compose(tiny_policy, 5, keys=KeyChoice(tonic_class=0), **options)
    assert melodies == [decode(row, 60) for row in rows]
    assert len(set(melodies)) == 5, "batches repeat"


def test_a_low_temperature_makes_melodies_alike(tiny_policy):
    conditioning = Conditioning(meter="2/4", bars=4)
    cold = compose(tiny_policy, 8, conditioning=conditioning, temperature=1e-4)
    warm = compose(tiny_policy, 8, conditioning=conditioning)
    assert len(set(cold)) == 1
    assert len(set(warm)) == 8
    for colder in (1e-40, 1e-300):  # below what float32 can hold
        assert compose(tiny_policy, 8, conditioning=conditioning, temperature=colder) == cold


def test_counts(tiny_policy):
    assert compose(tiny_policy, 0) == []
    for options in ({"count": -1}, {"count": 3, "batch": 0}):
        with pytest.raises(ValueError, match=r"count=.*, batch=.*; ask for 0 or more, in batches"):
            compose(tiny_policy, **options)


def test_composing_leaves_the_global_generator_alone(tiny_policy):
    before = torch.get_rng_state()
    compose(tiny_policy, 2, conditioning=Conditioning(bars=4))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_header_of_a_melody_can_be_asked_again(tiny_policy):
    header = Header("9/8", "mixolydian", "slipjig", 4, 18)
    fields = {name: getattr(header, name) for name in Header.__slots__}
    assert compose(tiny_policy, 2, conditioning=Conditioning(**fields))[1].header == header


# --- Keys and ranges


@pytest.mark.parametrize("seed", range(6))
def test_every_melody_lies_within_its_range_and_is_whole(tiny_policy, seed):
    rng = np.random.default_rng(seed)
    low = int(rng.integers(24, 80))
    compass = Compass(low, low + int(rng.integers(7, 20)))
    tonic_class = None if seed % 2 else int(rng.integers(12))
    meter = METERS[int(rng.integers(len(METERS)))]
    conditioning = Conditioning(bars=4, meter=meter)
    keys = KeyChoice(tonic_class=tonic_class, compass=compass)
    melodies = compose(tiny_policy, 24, conditioning=conditioning, keys=keys, seed=seed, batch=9)
    for melody in melodies:
        assert tonic_class in (None, melody.tonic_midi % 12)
        assert all(low <= midi <= compass.high_midi for midi in pitches_midi(melody))
        assert decode(encode(melody), melody.tonic_midi) == melody
    assert len({m.tonic_midi % 12 for m in melodies}) == (12 if tonic_class is None else 1)


def test_without_a_range_the_samples_are_those_of_any_key(tiny_policy):
    short = Conditioning(bars=4)
    plain = compose(tiny_policy, 12, conditioning=short, seed=3)
    there = compose(tiny_policy, 12, conditioning=short, seed=3, keys=KeyChoice(tonic_class=None))
    assert [m.notes for m in plain] == [m.notes for m in there]
    assert len({m.tonic_midi for m in there}) == 12
    # A range that holds every note changes nothing either.
    all_notes = KeyChoice(compass=Compass(40, 100))
    assert compose(tiny_policy, 12, conditioning=short, seed=3, keys=all_notes) == plain


def test_log_probabilities_within_a_range_are_among_the_notes_left(tiny_policy):
    bounds = np.array([[-2, 6]] * 4)
    allowed = allowed_tokens(bounds)
    prompts = Conditioning(bars=4, meter="2/4").prompt(4, scope_of(tiny_policy))
    generator = torch.Generator().manual_seed(0)
    sampled = sample(tiny_policy, prompts, generator=generator, allowed_BV=allowed)
    with torch.no_grad():
        logits = tiny_policy(input_ids=sampled.ids).logits[:, :-1]
    legal = torch.from_numpy(
        scope_of(tiny_policy).table[sampled.mask_row[:, 1:]] & allowed[:, None]
    )
    logps = logits.masked_fill(~legal, -torch.inf).log_softmax(-1)
    chosen = logps.gather(2, sampled.ids[:, 1:, None])[..., 0]
    decision = sampled.decision[:, 1:]
    torch.testing.assert_close(
        sampled.logprob[:, 1:][decision], chosen[decision], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("tonic", range(60, 72))
def test_a_motif_is_continued_in_its_own_key(tiny_policy, tonic):
    fields = {"meter": "2/4", "bars": 4, "pickup_ticks": 12, "motif": MOTIF}
    conditioning = Conditioning(**fields, motif_tonic_midi=tonic)
    (melody,) = compose(tiny_policy, 1, conditioning=conditioning)
    assert melody.tonic_midi == tonic
    assert melody.notes[:2] == MOTIF[:2]


def test_a_motif_beyond_the_range_is_refused_before_anything_is_written(tiny_policy):
    conditioning = Conditioning(
        meter="2/4", bars=4, pickup_ticks=12, motif=MOTIF, motif_tonic_midi=62
    )
    keys = KeyChoice(compass=Compass(64, 75))
    with pytest.raises(KeyChoiceError, match="does not hold the motif"):
        compose(tiny_policy, 1, conditioning=conditioning, keys=keys)
