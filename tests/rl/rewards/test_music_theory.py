from dataclasses import replace

import numpy as np
import pytest

from rl.rewards import music_theory
from rl.rewards.music_theory import (
    RULES,
    interval_worth,
    music_theory_score,
    root_without_motif,
    rules_sha256,
    shrunk_resolved_share,
)

RULE = {rule.name: rule for rule in RULES}
SCALE = (0, 2, 4, 5, 7, 5, 4, 2)


def line(tune, *pitches, mode="major"):
    """A melody of sixteen eighths in four bars, filled up with its last pitch held by eighths."""
    pitches += (pitches[-1],) * (16 - len(pitches))
    return tune(*[(pitch, 12) for pitch in pitches], mode=mode)


@pytest.mark.parametrize(
    ("first", "second", "mode", "worth"),
    [
        (0, 0, "major", 0.0),
        (0, 1, "major", 0.08),
        (4, 2, "major", 0.08),
        (0, 4, "major", 0.15),
        (4, 0, "major", 0.15),
        (12, 16, "mixolydian", 0.15),
        (0, 3, "major", 0.09),  # its chord has the major third
        (0, 3, "dorian", 0.15),
        (0, 4, "minor", 0.09),
        (0, 4, "lydian", 0.15),
        (0, 3, "phrygian", 0.15),
        (0, 3, "locrian", 0.15),
        (0, 4, "locrian", 0.09),
        (0, -4, "major", 0.09),  # from C down to A flat: theirs takes it for the tonic third
        (2, 5, "major", 0.09),  # a minor third: theirs gives it nothing
        (7, 12, "major", 0.07),
        (0, 6, "major", 0.0),
        (0, 7, "major", 0.10),
        (7, 0, "major", 0.10),
        (0, -7, "major", 0.02),  # from C down to F: theirs takes it for the tonic fifth
        (7, 14, "major", 0.02),  # and so G up to D
        (0, 8, "major", 0.05),
        (0, 9, "major", 0.05),
        (0, 10, "major", -0.3),
        (11, 0, "major", -0.3),
        (0, 12, "major", 0.0),
        (0, 13, "major", -1.0),
        (-12, 24, "major", -1.0),
    ],
)
def test_the_worth_of_an_interval(tune, first, second, mode, worth):
    melody = tune((first, 96), (second, 96), mode=mode)
    assert interval_worth(melody)[0] == pytest.approx(worth)


def test_a_melodys_intervals_are_averaged_by_hand(tune):
    """Tonic third .15, second .08, minor third .09, octave and more -1."""
    melody = tune((0, 48), (4, 48), (2, 48), (5, 24), (-10, 24))
    one_note = tune((0, 192))
    got = interval_worth([melody, one_note])
    assert got == pytest.approx([(0.15 + 0.08 + 0.09 - 1) / 4, 0])


@pytest.mark.parametrize(("lag", "cost"), [(1, 0), (2, 14 / 16), (3, 0)])
def test_autocorrelation_costs_above_0(tune, lag, cost):
    """A melody that alternates between two pitches has -15/16, 14/16, -13/16."""
    rule = RULE[f"variety at lag {lag}"]
    assert rule.measure(music_theory.note_table(line(tune, *(0, 2) * 8)))[0] == -cost


@pytest.mark.parametrize(
    ("pitches", "without"),
    [
        ((0, 2) * 8, 25),  # of 32 sixteenths 25 end a window
        ((*SCALE[:3], *SCALE[1:3] * 6, 2), 24),  # c d e d e d e ...: the first alone has the c
        (SCALE * 2, 0),
    ],
)
def test_windows_without_a_motif_count_by_their_root(tune, pitches, without):
    table = music_theory.note_table(line(tune, *pitches))
    assert root_without_motif(table)[0] == pytest.approx((without / 25) ** 0.5)


def test_the_last_window_without_a_motif_weighs_most(tune):
    first, last = (
        root_without_motif(music_theory.note_table(line(tune, *one)))[0]
        - root_without_motif(music_theory.note_table(line(tune, *other)))[0]
        for one, other in (
            ((0, 2) * 8, (*SCALE[:3], *SCALE[1:3] * 6, 2)),
            ((*SCALE, 0, 2, 4, 5, 7, 5, 7, 5), SCALE * 2),
        )
    )
    assert last > first > 0


@pytest.mark.parametrize(
    ("pitches", "share"),
    [
        ((0, 2, 4, 2, 0), 0.86),  # no leap: the prior alone
        ((0, 9, 7, 5, 4, 2, 0), (1 + 1.72) / 3),
        ((0, 8, 16, 14, 12), 1.72 / 3),
        ((0, 8, 16, 8, 0), 1.72 / 3),  # the leap back soon after closes it and earns nothing
        ((0, 9, 0, 2, 4, 2, 0, 9, 7, 5, 0), (1 + 1.72) / 3),
        ((0, 9, 7, 5, 4, 2, 0) * 2, (2 + 1.72) / 4),
    ],
)
def test_few_leaps_decide_little(tune, pitches, share):
    assert shrunk_resolved_share(line(tune, *pitches))[0] == pytest.approx(share)


def test_a_leap_earns_less_than_half_of_what_a_doubled_one_costs(tune):
    """So that more leaps at the base's share of resolved leaps do not raise the score."""
    none, resolved, doubled = (
        shrunk_resolved_share(line(tune, *pitches))[0]
        for pitches in ((0, 2, 4), (0, 9, 7, 5, 4, 2, 0), (0, 8, 16, 14, 12))
    )
    assert 0 < 2 * (resolved - none) < none - doubled


BETTER = {
    "key": ((0, 4, 7, 4), (0, 3, 7, 4)),
    "first note": ((0, 4), (2, 4)),
    "last note": ((4, 2, 0), (4, 2, 2)),
    "repetition": (SCALE * 2, (0,) * 7),
    **{
        f"variety at lag {lag}": ((0, 7, 2, 9, 4, 0, 5, 2, 7, 4, 9, 0, 12, 5, 0, 7), range(16))
        for lag in (1, 2, 3)
    },
    "motif": (SCALE, (0, 2) * 8),
    "repeated motif": (SCALE * 2, (*SCALE, 7, 5, 2, 4, 0, 4, 2, 7)),
    "intervals": (SCALE, (0, 11) * 4),
    "leaps": ((0, 9, 7, 5, 4, 2, 0), (0, 8, 16, 14, 12)),
    "highest note": ((0, 4, 7, 4), (0, 7, 4, 7, 4)),
    "lowest note": ((4, 0, 4, 7), (4, 0, 7, 0, 4)),
}


@pytest.mark.parametrize("name", RULE)
def test_a_rule_prefers_what_keeps_it(tune, name):
    kept, broken = (line(tune, *pitches) for pitches in BETTER[name])
    good, bad = (RULE[name].measure(music_theory.note_table(m))[0] for m in (kept, broken))
    assert good > bad
    assert RULE[name].weight > 0


def test_the_score_is_the_weighted_sum(tune, real_melodies, monkeypatch):
    some = real_melodies[:40]
    whole = music_theory_score(some)
    for name in RULE:
        others = tuple(rule for rule in RULES if rule.name != name)
        monkeypatch.setattr(music_theory, "RULES", others)
        table = music_theory.note_table(some)
        gone = RULE[name].weight * RULE[name].measure(table)
        np.testing.assert_allclose(whole - music_theory_score(some), gone, atol=1e-9)


def test_the_score_is_finite_whatever_the_melody(random_melodies, tune):
    assert np.isfinite(music_theory_score([*random_melodies(50), tune((0, 192))])).all()


def test_the_key_it_is_played_in_makes_no_difference(tune):
    notes = [(pitch, 12) for pitch in SCALE * 2]
    low, high = (tune(*notes, tonic_midi=tonic) for tonic in (60, 71))
    assert music_theory_score(low) == music_theory_score(high)


def test_other_weights_are_another_reward(monkeypatch):
    before = rules_sha256()
    assert rules_sha256() == before
    monkeypatch.setattr(music_theory, "RULES", (replace(RULES[0], weight=1.0), *RULES[1:]))
    changed = rules_sha256()
    monkeypatch.setattr(music_theory, "REVISION", music_theory.REVISION + 1)
    assert len({before, changed, rules_sha256()}) == 3
