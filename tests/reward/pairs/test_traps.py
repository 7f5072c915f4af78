"""Traps: what is corrupted and what is not, where they stand in a plan, whom they flag."""

import numpy as np
import pandas as pd
import pytest

from music.melody import MODE_SCALES, MODES, PITCH_MAX, PITCH_MIN
from reward.comparisons.attention import TrapScore, trap_scores
from reward.pairs.random_pairs import PairingError, random_pairs, with_repeats
from reward.pairs.traps import corrupted, in_key_share, with_traps


def out_of_key(melody):
    return [note.pitch % 12 not in MODE_SCALES[melody.header.mode] for note in melody.notes]


def test_a_third_of_the_notes_is_wrong_and_all_else_as_it_was(real_melodies):
    rng = np.random.default_rng(0)
    for melody in real_melodies[:60]:
        worse = corrupted(melody, rng)
        assert worse.header == melody.header
        assert [(n.onset_ticks, n.duration_ticks) for n in worse.notes] == [
            (n.onset_ticks, n.duration_ticks) for n in melody.notes
        ]
        moved = [
            (new, old) for new, old in zip(worse.notes, melody.notes, strict=True) if new != old
        ]
        assert len(moved) == max(4, round(len(melody.notes) / 3))
        for new, old in moved:
            assert 1 <= abs(new.pitch - old.pitch) <= 5
            assert new.pitch % 12 not in MODE_SCALES[melody.header.mode]
        assert np.mean(out_of_key(worse)) > 0.2


def test_corruption_is_by_chance_and_never_fails_to_be_a_melody(random_melodies):
    melodies = random_melodies(80, seed=1)
    once, twice = ([corrupted(m, np.random.default_rng(s)) for m in melodies] for s in (2, 2))
    assert once == twice  # and each was checked by Melody itself
    assert once != [corrupted(m, np.random.default_rng(3)) for m in melodies]


@pytest.mark.parametrize("mode", MODES)
def test_every_pitch_of_every_mode_can_be_made_wrong(tune, mode):
    """Also at the ends of the range, and in a melody of a few notes, which all move."""
    for pitch in range(PITCH_MIN, PITCH_MAX + 1):
        melody = tune((pitch, 96), (pitch, 96), mode=mode)
        worse = corrupted(melody, np.random.default_rng(pitch - PITCH_MIN))
        assert all(out_of_key(worse))
        assert all(1 <= abs(note.pitch - pitch) <= 5 for note in worse.notes)


def test_in_key_share_by_hand(tune):
    melody = tune((0, 48), (3, 48), (4, 48), (-1, 48), mode="major")
    assert in_key_share(melody) == 0.75


@pytest.mark.parametrize("seed", range(20))
def test_traps_are_spread_and_repeats_still_name_their_originals(seed):
    rng = np.random.default_rng(seed)
    plan = with_repeats(random_pairs(range(60), 36, rng), rng=rng)
    found = with_traps(plan, [(100, 200), (101, 201), (102, 202), (103, 203)], rng=rng)
    traps = [place for place, planned in enumerate(found) if planned.purpose == "trap"]
    assert [found[place].melody_a for place in traps] == [100, 101, 102, 103]
    assert [found[place].melody_b for place in traps] == [200, 201, 202, 203]
    assert traps[0] > 0
    assert [place // 11 for place in traps] == [0, 1, 2, 3]  # one in each quarter of 44
    assert [(p.melody_a, p.melody_b, p.purpose) for p in found if p.purpose != "trap"] == [
        (p.melody_a, p.melody_b, p.purpose) for p in plan
    ]
    repeats = [(place, p) for place, p in enumerate(found) if p.purpose == "repeat"]
    assert len(repeats) == 4
    for place, repeat in repeats:
        original = found[repeat.repeat_of]
        assert place - repeat.repeat_of >= 10
        assert (original.melody_b, original.melody_a) == (repeat.melody_a, repeat.melody_b)
        assert original.purpose == "train"


def test_no_traps_and_too_many():
    plan = with_repeats([(1, 2), (3, 4)], rng=np.random.default_rng(0))
    assert with_traps(plan, [], rng=np.random.default_rng(0)) == plan
    with pytest.raises(PairingError, match="3 traps among 2 pairs"):
        with_traps(plan, [(5, 6)] * 3, rng=np.random.default_rng(0))


def test_scores_count_what_was_decided():
    rows = [
        (7, "trap", "left", "a"),
        (7, "trap", "right", "b"),
        (7, "trap", "tie", "tie"),  # not passed
        (7, "trap", "skip", "skip"),  # not heard
        (7, "train", "left", "a"),  # no trap
        (8, "trap", "right", "a"),
        (9, "train", "right", "b"),
    ]
    votes = pd.DataFrame(rows, columns=["rater_id", "purpose", "outcome", "outcome_a"])
    found = trap_scores(votes)
    assert found == {"7": TrapScore(1, 3), "8": TrapScore(1, 1)}
    assert str(found["7"]) == "1 of 3"
    assert str(TrapScore(0, 0)) == "–"


def test_who_is_flagged_by_hand():
    # 0.5² / 0.05² = 100 to one; one failure alone is 10 to one; 2 of 4 are 27.7 to one.
    assert TrapScore(0, 2).flags == ("fails traps",)
    assert TrapScore(0, 1).flags == ()
    assert TrapScore(2, 4).flags == ()
    assert TrapScore(1, 3).flags == ("fails traps",)
    assert TrapScore(9, 10).flags == TrapScore(0, 0).flags == ()


def test_who_listens_is_hardly_ever_flagged_and_who_does_not_is():
    rng = np.random.default_rng(4)

    def ever_flagged(share):
        passed = np.cumsum(rng.random((2000, 20)) < share, axis=1)
        return np.mean(
            [any(TrapScore(int(k), n + 1).flags for n, k in enumerate(row)) for row in passed]
        )

    assert ever_flagged(0.95) <= 1 / 30
    assert ever_flagged(0.5) > 0.95
