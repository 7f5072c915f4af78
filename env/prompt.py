"""The prompt: the tokens that are set when an episode starts, from the options of `reset`.

A prompt is BOS, the five header fields and, where a prefix is asked for, the first notes. It is
int64 (P,), with -1 where the reference policy is still to choose. Only header fields can be left
open in this way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from music.grammar import initial_state
from music.melody import Melody, Note
from music.tokens import HEADER_LENGTH
from policy.compose import Conditioning
from policy.scope import Scope

HEADER_FIELDS = ("meter", "mode", "style", "bars", "pickup_ticks")
OPTIONS = (*HEADER_FIELDS, "prefix")


def prompt_ids(options: Mapping[str, Any], scope: Scope) -> np.ndarray:
    """The prompt that options ask of a policy; int64 (P,) with P >= 6, -1 where a field is open.

    Args:
        scope: of the policy.
        options: any of `OPTIONS`, as `env.melody_env.MelodyEnv` explains them; None is the same as
            leaving one out.

    Raises:
        ValueError: for an option or a value that is not known (a `music.melody.MelodyError` is one
            too), or a prefix that no melody with this header begins with.
    """
    if "tune_type" in options:
        raise ValueError("option 'tune_type' is called 'style' now; give style='jig', for example")
    unknown = sorted(set(options) - set(OPTIONS), key=str)
    if unknown:
        raise ValueError(f"option {unknown[0]!r} is not known; choose among {list(OPTIONS)}")
    fields = {name: options[name] for name in HEADER_FIELDS if options.get(name) is not None}
    prefix = _as_list(options.get("prefix"))
    if not prefix or isinstance(prefix[0], Note):
        prompt_P = Conditioning(**fields, motif=tuple(prefix)).prompt(1, scope)[0]
    elif fields:
        raise ValueError(
            f"a prefix of token ids has its own header, and {sorted(fields)} was asked for beside "
            "it; leave out the one or the other (None leaves out an option)"
        )
    else:
        prompt_P = np.full(max(HEADER_LENGTH, len(prefix)), -1, np.int64)
        prompt_P[: len(prefix)] = prefix
    _check_legal(prompt_P, scope)
    return prompt_P


def _as_list(prefix: object) -> list[Any]:
    if prefix is None:
        return []
    if isinstance(prefix, Melody):
        raise ValueError(
            "prefix is a whole Melody, with nothing left to write; give some of its notes "
            "(melody.notes[:4]) or tokens (encode(melody)[:20])"
        )
    if isinstance(prefix, Sequence | np.ndarray) and not isinstance(prefix, str | bytes):
        items = list(prefix)
        if all(isinstance(item, Note) for item in items):
            return items
        if all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in items):
            return [int(item) for item in items]
    raise ValueError(
        f"prefix={str(prefix)[:60]} is neither notes nor token ids; give a sequence of "
        "music.melody.Note, or ids as music.tokens.encode writes them, from BOS"
    )


def _check_legal(prompt_P: np.ndarray, scope: Scope) -> None:
    state = initial_state(1)
    for place, token in enumerate(prompt_P):
        # What is legal after the header does not depend on the fields that can be left open here.
        taken = scope.legal(state).argmax(1) if token < 0 and place < HEADER_LENGTH else token[None]
        try:
            state = scope.advance_checked(state, taken)
        except ValueError as error:
            raise ValueError(f"token {place} of the prefix: {error}") from error
    if state.done[0]:
        raise ValueError(
            f"the prefix of {len(prompt_P)} tokens is a whole melody, with nothing left to write; "
            "cut it before its EOS"
        )
