"""Melodies that version 0.1.0 could hold have the values that they had there.

Reward models and profiles of that version were fitted to those values.
"""

import json

import numpy as np
import pytest

from music.descriptors.motifs import motif_steps
from music.descriptors.yardsticks import YARDSTICKS
from music.earlier_tokens import TODAY_OF_EARLIER
from music.tokens import decode
from tests.support.project import PROJECT

GOLDEN = json.loads((PROJECT / "tests" / "data" / "yardsticks_of_0_1_0.json").read_text())


@pytest.fixture(scope="module")
def melodies():
    tunes = zip(GOLDEN["tokens"], GOLDEN["tonics"], strict=True)
    return [decode(TODAY_OF_EARLIER[tokens], tonic) for tokens, tonic in tunes]


@pytest.mark.parametrize("name", GOLDEN["yardsticks"])
def test_yardsticks(melodies, name):
    values = [np.nan if value is None else value for value in GOLDEN["yardsticks"][name]]
    assert YARDSTICKS[name].measure(melodies) == pytest.approx(values, abs=1e-8, nan_ok=True)


def test_motifs(melodies):
    steps = motif_steps(melodies)
    assert steps.motif.tolist() == GOLDEN["motif_steps"]
    assert steps.repeated.tolist() == GOLDEN["repeated_motif_steps"]
