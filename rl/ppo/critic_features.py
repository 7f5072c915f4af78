"""The critic's features: what is written so far at each token of a melody, as numbers.

A reward for whole melodies consists mostly of sums and extremes along them: how high they go, where
the peak was, how many leaps there are. The policy's hidden states are trained to predict the next
note and hold little of this. So the critic (`rl.ppo.critic`) gets these features beside them.

Letters: B melodies, T tokens, F features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from music.melody import DURATIONS_TICKS, TICKS_PER_QUARTER
from music.tokens import DURATION_OF_ID, FIRST_HOLD, FIRST_NOTE, FIRST_REST, PITCHES, VOCABULARY
from rl.ppo.critic_rule_features import RULE_FEATURES, rule_features

OCTAVE, LEAP = 12, 5
"""semitones; a leap is wider than a third"""
LONG_TICKS = 36
"""a dotted quarter"""
LOWEST = -3.0
"""octaves from the tonic, below every note"""

FEATURES = 46
"""how many features there are"""
FEATURES_WITH_RULES = FEATURES + 2 * (2 + RULE_FEATURES)
"""how many there are with those of the rules"""

_PITCH = torch.zeros(len(VOCABULARY), dtype=torch.float64)
_PITCH[FIRST_NOTE:] = torch.tensor(PITCHES).repeat_interleave(len(DURATIONS_TICKS)) / OCTAVE
_TICKS = torch.from_numpy(DURATION_OF_ID.astype(np.float64))


def critic_features(ids_BT: Tensor, *, rules: bool = False) -> Tensor:
    """Features of each melody up to and with each token; float64 (B, T, F) on the CPU.

    Each is between some tenths and some units in size; pitches are in octaves from the tonic. Each
    except the time comes twice: as it is, and times the share of the melody that is over, because
    what three leaps are worth depends on how much is still to come.

    Args:
        ids_BT: whole melodies from BOS to EOS, right-padded. Of what comes after a token, only the
            length in time is used, and the header says that too.
        rules: add, at the end, how often the lowest note was touched, and the features of
            `rl.ppo.critic_rule_features`.
    """
    ids = ids_BT.detach().cpu()
    ticks, pitch = _TICKS[ids], _PITCH[ids]
    is_note = ids >= FIRST_NOTE
    is_rest = (ids >= FIRST_REST) & (ids < FIRST_HOLD)
    # time, as a share of the whole melody
    over = ticks.cumsum(1)
    whole = over[:, -1:].clamp(min=1)
    onset, over = (over - ticks) / whole, over / whole
    # pitch by time: its sums against 1, t and t² have any arch in them
    sounding = is_note * pitch * ticks / whole
    # steps from note to note
    before = _before(_latest(pitch, is_note))
    follows = is_note & (_before(is_note.cumsum(1)) > 0)
    step = torch.where(follows, pitch - before, 0.0)
    # the peak: how high, when it was first reached, how often
    peak = torch.where(is_note, pitch, LOWEST).cummax(1).values
    rises = is_note & (pitch > _before(peak, LOWEST))
    touches = (is_note & (pitch == peak)).cumsum(1)
    touches = touches - _latest(touches - 1, rises)
    low = torch.where(is_note, pitch, -LOWEST).cummin(1).values
    # durations
    same = follows & (ticks == _before(_latest(ticks, is_note)))
    quarters = ticks / TICKS_PER_QUARTER
    features = torch.stack(
        [
            is_note.cumsum(1) / 50,
            sounding.cumsum(1),
            (sounding * onset).cumsum(1) * 2,
            (sounding * onset**2).cumsum(1) * 3,
            (sounding * pitch).cumsum(1),
            peak,
            _latest(onset, rises),
            touches.clamp(max=4) / 4,
            touches == 1,
            low,
            step.abs().cumsum(1) / 10,
            step.abs().cummax(1).values,
            (step.abs() * OCTAVE > LEAP - 0.5).cumsum(1) / 10,
            (step != 0).cumsum(1) / 50,
            (follows & (step == 0)).cumsum(1) / 10,
            _latest(pitch, is_note),
            _latest(step, is_note),
            same.cumsum(1) / 50,
            is_rest.cumsum(1) / 5,
            (is_note & (ticks >= LONG_TICKS)).cumsum(1) / 10,
            (is_note * quarters.clamp(min=1 / 8).log2()).cumsum(1) / 50,
            _latest(quarters, is_note) / 2,
        ],
        dim=-1,
    )
    time = over[..., None]
    found = [time, time**2, features, features * time]
    if rules:
        falls = is_note & (pitch < _before(low, -LOWEST))
        touches = (is_note & (pitch == low)).cumsum(1)
        touches = touches - _latest(touches - 1, falls)
        lowest = torch.stack([touches.clamp(max=4) / 4, touches == 1], dim=-1)
        seen = _rules(pitch * OCTAVE, onset * whole, is_note, whole[:, 0])
        found += [lowest, seen, lowest * time, seen * time]
    return torch.cat(found, dim=-1)


def _rules(pitch_BT: Tensor, onset_BT: Tensor, is_note_BT: Tensor, whole_B: Tensor) -> Tensor:
    """Features of `rl.ppo.critic_rule_features` at each token, 0 before a first note; (B, T, F)."""
    number_BT = is_note_BT.cumsum(1)
    notes = max(1, int(number_BT.max()))
    slot_BT = torch.where(is_note_BT, number_BT - 1, notes)  # the last slot takes all that are none
    of_note = torch.zeros(2, len(slot_BT), notes + 1, dtype=torch.float64)
    for row, value_BT in zip(of_note, (pitch_BT, onset_BT), strict=True):
        row.scatter_(1, slot_BT, value_BT)
    pitch_BN, onset_BN = of_note[..., :-1].round().long().numpy()
    features = torch.from_numpy(rule_features(pitch_BN, onset_BN, whole_B.numpy()))
    latest = (number_BT - 1).clamp(min=0)[..., None].expand(-1, -1, RULE_FEATURES)
    return torch.where(number_BT[..., None] > 0, features.gather(1, latest), 0.0)


def _before(value_BT: Tensor, first: float = 0.0) -> Tensor:
    """Each value one token later."""
    return torch.cat([torch.full_like(value_BT[:, :1], first), value_BT[:, :-1]], 1)


def _latest(value_BT: Tensor, where_BT: Tensor) -> Tensor:
    """The value at the latest place that is marked, itself included; 0 before the first."""
    places = torch.arange(value_BT.shape[1]).expand_as(where_BT)
    latest = torch.where(where_BT, places, -1).cummax(1).values
    return torch.where(latest >= 0, value_BT.gather(1, latest.clamp(min=0)), 0)
