"""`tastemaker pairs`, asked again: new melodies each time, or a line that says why not."""

import pytest

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
