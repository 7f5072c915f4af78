"""`tastemaker pairs`, asked again: new melodies each time, or a line that says why not."""

import pytest

from music.formats.midi import pitches_midi
from reward.store.store import RatingsStore
from tastemaker.options import DATABASE

ASKED = ("--meter", "2/4", "--bars", "4", "--traps", "0", "--pairs", "3", "--melodies", "10")


def stored():
    with RatingsStore(DATABASE) as store:
        return store.melodies_frame()


def test_a_second_call_goes_on_with_a_fresh_seed(base, typed):
    _, out, err = typed("pairs", *ASKED)
    assert "wrote 10 new melodies by seed 0" in out, err
    _, out, err = typed("pairs", *ASKED)
    assert "wrote 10 new melodies by seed 1" in out, err
    assert "already" not in err
    melodies = stored()
    assert len(melodies) == 20
    assert set(melodies["seed"]) == {0, 1}


def test_a_seed_that_brings_nothing_new_is_told_with_the_remedy(base, typed):
    typed("pairs", *ASKED, "--seed", 5)
    code, out, err = typed("pairs", *ASKED, "--seed", 5)
    assert code == 0
    assert "wrote 0 new melodies by seed 5" in out
    assert "all were in the store already; leave --seed out for new ones" in err.splitlines()
    assert len(stored()) == 10


@pytest.mark.parametrize("melodies", [0, 10])
def test_the_default_seed_is_the_first_that_is_free(base, typed, melodies):
    typed("pairs", *ASKED, "--seed", 1)
    _, out, err = typed("pairs", *ASKED[:-1], melodies)
    assert ("wrote 10 new melodies by seed 0" in out) == (melodies > 0), err
    assert "already" not in err


def test_melodies_have_the_key_and_the_range_that_are_asked_for(base, typed):
    code, _, err = typed("pairs", *ASKED, "--key", "any", "--range", "E2-C4")
    assert code == 0, err
    with RatingsStore(DATABASE) as store:
        melodies = [s.melody for s in store.melodies(store.melodies_frame()["melody_id"].tolist())]
    assert len({melody.tonic_midi % 12 for melody in melodies}) == 10
    assert all(40 <= midi <= 60 for melody in melodies for midi in pitches_midi(melody))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--key", "Gm"), "write --key G --mode minor"),
        (("--range", "E5-A3"), "write A3-E5"),
    ],
)
def test_a_key_or_range_that_cannot_be_had_is_told_in_a_line(base, typed, asked, says):
    code, out, err = typed("pairs", *ASKED, *asked)
    assert code == 2
    assert out == ""
    assert err.strip().endswith(says)
    assert len(err.strip().splitlines()) == 1
