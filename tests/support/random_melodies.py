"""Random melodies, drawn token by token where the grammar leaves a choice."""

import numpy as np

from music.grammar import advance, initial_state, legal
from music.melody import Melody
from music.styles import SHIPPED_STYLES
from music.tokens import FIRST_NOTE, ID, VOCABULARY, decode


def random_melodies(size: int, seed: int = 0) -> list[Melody]:
    """Random walks through the grammar, every metre, length and oddity; each on 1 to 6 pitches."""
    rng = np.random.default_rng(seed)
    pitch_of = np.array([int(name.split("_")[1]) for name in VOCABULARY[FIRST_NOTE:]])
    allowed = np.ones((size, len(VOCABULARY)), bool)
    labelled = ID["STYLE_0"] + len(SHIPPED_STYLES.labels)
    allowed[:, labelled : ID["STYLE_31"] + 1] = False
    for row in allowed:
        pitches = rng.integers(-12, 25) + rng.choice(12, rng.integers(1, 7), replace=False)
        row[FIRST_NOTE:] = np.isin(pitch_of, pitches - 12 * (pitches > 24))
    state, columns = initial_state(size), []
    while not state.done.all():
        columns.append((rng.random(allowed.shape) * (legal(state) & allowed)).argmax(axis=1))
        state = advance(state, columns[-1])
    return [decode(row) for row in np.array(columns).T]
