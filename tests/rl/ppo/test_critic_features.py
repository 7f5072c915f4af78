"""What stands on the page so far: by hand, without a look ahead, as the whole melody has it."""

import numpy as np
import torch

from music.tokens import FIRST_BAR, FIRST_NOTE, encode
from rl.ppo.critic import RidgeCritic, explained_variance
from rl.ppo.critic_features import FEATURES, FEATURES_WITH_RULES, critic_features


def measured(melody):
    ids = torch.from_numpy(encode(melody).astype(np.int64))[None]
    return ids[0], critic_features(ids)[0]


def test_by_hand(tune):
    """Four bars of 4/4: c up to g (a fifth, a leap), g again, a rest; then three bars of c'."""
    melody = tune((0, 48), (7, 24), (7, 12), (None, 12), *[(12, 96)] * 3, meter="4/4")
    ids, features = measured(melody)
    at_rest = int((ids >= FIRST_NOTE).nonzero()[2]) + 1  # the token after the second g
    over, _, *so_far = features[at_rest, :24].tolist()
    assert over == 1 / 4
    g = 7 / 12
    sums = [g * 36 / 384, 2 * g * (24 * 48 + 12 * 72) / 384**2]
    sums += [3 * g * (24 * 48**2 + 12 * 72**2) / 384**3, g * g * 36 / 384]
    wanted = [
        3 / 50, *sums, g, 48 / 384, 2 / 4, 0, 0,  # notes, pitch by time, the peak, the lowest
        g / 10, g, 1 / 10, 1 / 50, 1 / 10, g, 0,  # steps
        0, 1 / 5, 1 / 10, (1 + 0 - 1) / 50, 0.5 / 2,  # durations
    ]  # fmt: skip
    np.testing.assert_allclose(so_far, wanted, atol=1e-12)
    np.testing.assert_allclose(features[at_rest, 24:], np.array(wanted) / 4, atol=1e-12)


def test_what_rules_have_seen_by_hand(tune):
    """The same melody: c once, the leap of a fifth still open, three notes of two pitches."""
    melody = tune((0, 48), (7, 24), (7, 12), (None, 12), *[(12, 96)] * 3, meter="4/4")
    ids = torch.from_numpy(encode(melody).astype(np.int64))[None]
    features = critic_features(ids, rules=True)[0]
    at_rest = int((ids[0] >= FIRST_NOTE).nonzero()[2]) + 1
    torch.testing.assert_close(features[:, :FEATURES], critic_features(ids)[0])
    wanted = [
        1 / 4, 1,  # the lowest note
        1, -1 / 6, -1 / 3, 0, 1, 7 / 12, 0, 0,  # on the tonic, variety, leaps
        0, (24 / 384) ** 0.5, 2,  # motifs
    ]  # fmt: skip
    seen, by_time = features[at_rest, FEATURES:].split(13)
    np.testing.assert_allclose(seen, wanted, atol=1e-12)
    np.testing.assert_allclose(by_time, np.array(wanted) / 4, atol=1e-12)


def test_what_comes_later_is_not_known(random_melodies):
    for melody in random_melodies(20, seed=3):
        ids = torch.from_numpy(encode(melody).astype(np.int64))[None]
        at = int((ids[0] >= FIRST_BAR).nonzero()[len(ids[0]) // 3])
        other = ids.clone()
        later = other[0, at + 1 :]
        # every later note is another pitch of the same duration
        later[later >= FIRST_NOTE] = FIRST_NOTE + (later[later >= FIRST_NOTE] - FIRST_NOTE) % 17
        one, two = (critic_features(x, rules=True)[0] for x in (ids, other))
        assert torch.equal(one[: at + 1], two[: at + 1])


def test_padding_and_company_change_nothing(random_melodies):
    rows = [torch.from_numpy(encode(m).astype(np.int64)) for m in random_melodies(8, seed=4)]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    assert critic_features(padded).shape[-1] == FEATURES
    together = critic_features(padded, rules=True)
    assert together.shape[-1] == FEATURES_WITH_RULES
    assert together.isfinite().all()
    for row, features in zip(rows, together, strict=True):
        torch.testing.assert_close(features[: len(row)], critic_features(row[None], rules=True)[0])


def test_a_critic_with_them_sees_a_melodys_rise_coming(real_melodies):
    """The reward is high pitch late; halfway through, a half of it has been earned."""
    rows = [torch.from_numpy(encode(m).astype(np.int64)) for m in real_melodies]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    features = critic_features(ids)
    earned = torch.stack([f[len(row) - 1, 3] for row, f in zip(rows, features, strict=True)])
    half = torch.arange(len(rows)) % 2 == 1
    known = []
    for share in (0.0, 0.5, 1.0):
        now = torch.stack(
            [f[int(share * (len(row) - 1))] for row, f in zip(rows, features, strict=True)]
        )
        value = RidgeCritic(FEATURES).values(now, earned, half)
        known.append(float(explained_variance(value, earned)))
    assert known[0] < 0.2 < known[1] < 0.95 < known[2]
