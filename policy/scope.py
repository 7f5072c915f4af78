"""A policy's scope: which headers it was trained on, and so what it may write and be asked for.

The vocabulary has tokens for every metre, mode, style, number of bars and pickup. A policy knows
some of them. Its `config.json` says which, and the mask offers no more: the rows of the others were
never trained. A policy of version 0.1.0 is also asked in the plain grammar (`music.grammar`).

Letters: V vocabulary, N states.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from music.earlier_tokens import TODAY_OF_EARLIER
from music.grammar import (
    MASK_TABLE,
    GrammarState,
    advance,
    check_legal,
    initial_state,
    mask_rows,
)
from music.melody import BAR_COUNTS, MODES, PICKUPS_TICKS, Header
from music.messages import excerpt, shortened
from music.metre import METERS
from music.styles import OTHER, SHIPPED_STYLES, Styles
from music.tokens import ALL_PICKUPS_TICKS, FIRST_BAR, ID, VOCABULARY, longest_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CORPUS_NAME = re.compile(r"[a-z0-9-]{1,64}")
_MOST_CORPORA = 64
_SCOPE = ("styles", "trained_on", "plain")
_CORPORA = ("corpora", "base_corpora")
_KNOWN: dict[str, tuple[Any, ...]] = {
    "meters": METERS,
    "modes": MODES,
    "bars": BAR_COUNTS,
    "pickups_ticks": ALL_PICKUPS_TICKS,
}
_METER_AT, _BARS_AT = 1, 4
"""places of these tokens in a header"""
_FIELD_OF = {"meter": "meters", "mode": "modes", "bars": "bars", "pickup_ticks": "pickups_ticks"}


class ScopeError(ValueError):
    """A request, or a configuration, that is outside of what a policy can know."""


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The header values that a policy was trained on, each in the order of the vocabulary.

    Raises:
        ScopeError: for values that no header has, an empty list, or pickups without 0.
    """

    meters: tuple[str, ...] = METERS
    modes: tuple[str, ...] = MODES
    bars: tuple[int, ...] = BAR_COUNTS
    pickups_ticks: tuple[int, ...] = ALL_PICKUPS_TICKS
    """0 is always one of them, because every metre has to have one"""

    def __post_init__(self) -> None:
        """Check the values, and put them in the vocabulary's order."""
        for name, known in _KNOWN.items():
            given = getattr(self, name)
            if not isinstance(given, list | tuple) or not given:
                raise ScopeError(f"{name}={shortened(given)} is not a list of values; give some")
            unknown = [one for one in given if type(one) is bool or one not in known]
            if unknown:
                raise ScopeError(f"{name} has {shortened(unknown[0])}, which no header has")
            object.__setattr__(self, name, tuple(one for one in known if one in given))
        if 0 not in self.pickups_ticks:
            raise ScopeError("pickups_ticks has no 0, which every metre needs; add it")

    @classmethod
    def of(cls, headers: Iterable[Header]) -> TrainedOn:
        """The values that some headers have, and no pickup."""
        all_of = list(headers)
        return cls(
            tuple({one.meter for one in all_of}),
            tuple({one.mode for one in all_of}),
            tuple({one.bars for one in all_of}),
            tuple({0} | {one.pickup_ticks for one in all_of}),
        )

    @classmethod
    def from_json(cls, given: object) -> TrainedOn:
        """From the JSON of a configuration; null is everything.

        Raises:
            ScopeError: for JSON that is none.
        """
        if given is None:
            return cls()
        if not isinstance(given, Mapping) or set(given) != set(_KNOWN):
            raise ScopeError(
                f"trained_on={shortened(given)} is not null or an object of {list(_KNOWN)}"
            )
        return cls(**{name: given[name] for name in _KNOWN})

    def json(self) -> dict[str, list[Any]]:
        """For a configuration."""
        return {name: list(values) for name, values in asdict(self).items()}

    def __or__(self, other: TrainedOn) -> TrainedOn:
        """What either was trained on."""
        return TrainedOn(*(getattr(self, name) + getattr(other, name) for name in _KNOWN))


@dataclass(frozen=True)
class Scope:
    """What a policy knows, and the mask that follows from it."""

    styles: Styles = field(default_factory=Styles)
    trained_on: TrainedOn = field(default_factory=TrainedOn)
    plain: bool = False
    """whether it is asked in the plain grammar; see `music.grammar`"""

    @cached_property
    def known(self) -> np.ndarray:
        """Which tokens it was trained on; bool (V,)."""
        on = self.trained_on
        unknown = {f"STYLE_{slot}" for slot in range(len(self.styles.labels), len(VOCABULARY))}
        unknown |= {f"METER_{meter}" for meter in set(METERS) - set(on.meters)}
        unknown |= {f"MODE_{mode}" for mode in set(MODES) - set(on.modes)}
        unknown |= {f"BARS_{bars}" for bars in set(BAR_COUNTS) - set(on.bars)}
        unknown |= {f"PICKUP_{k}" for k in set(ALL_PICKUPS_TICKS) - set(on.pickups_ticks)}
        unknown |= {f"BAR_{left}" for left in range(max(on.bars) + 1, max(BAR_COUNTS) + 1)}
        return np.array([name not in unknown for name in VOCABULARY])

    @cached_property
    def header_order(self) -> np.ndarray:
        """The ids in the order in which a header token is drawn; int64.

        A policy of version 0.1.0 draws in the order of its own ids, so that a seed writes what it
        wrote then.
        """
        return TODAY_OF_EARLIER.astype(np.int64) if self.plain else np.arange(len(VOCABULARY))

    @cached_property
    def table(self) -> np.ndarray:
        """`music.grammar.MASK_TABLE` without the tokens that it does not know; bool (rows, V)."""
        return MASK_TABLE & self.known

    @cached_property
    def choices(self) -> np.ndarray:
        """Number of legal tokens of each row; int64 (rows,)."""
        return self.table.sum(1)

    @cached_property
    def only_token(self) -> np.ndarray:
        """The one legal token of each row, -1 where there are several; int64 (rows,)."""
        return np.where(self.choices == 1, self.table.argmax(1), -1)

    @cached_property
    def _tables(self) -> dict[torch.device, Tensor]:
        return {}

    def table_on(self, device: torch.device) -> Tensor:
        """`table` as a tensor on a device; read only."""
        if device not in self._tables:
            import torch  # here, so that the studio, which has none, can read a scope

            self._tables[device] = torch.from_numpy(self.table).to(device)
        return self._tables[device]

    def mask_rows(self, state: GrammarState) -> np.ndarray:
        """Row of `table` for each state; int64 (N,)."""
        return mask_rows(state, plain=self.plain)

    def legal(self, state: GrammarState) -> np.ndarray:
        """Which tokens may come next; bool (N, V)."""
        return self.table[self.mask_rows(state)]

    def advance_checked(self, state: GrammarState, ids: np.ndarray) -> GrammarState:
        """The states after one more token from outside.

        Raises:
            ValueError: names the first illegal token, and some legal ones.
        """
        check_legal(self.legal(state), ids)
        return advance(state, ids)

    def state_after(self, ids: tuple[int, ...]) -> tuple[GrammarState, tuple[int, ...]]:
        """The state after some tokens, and the row of `table` that each had.

        The state is a batch of one, to be read only.

        Raises:
            ValueError: naming the first token that is not legal, and some that are.
        """
        return self._begun(ids)

    @cached_property
    def _begun(self) -> Callable[[tuple[int, ...]], tuple[GrammarState, tuple[int, ...]]]:
        # Most melodies begin with one of a few thousand headers.
        return lru_cache(maxsize=4096)(self._state_after)

    def _state_after(self, ids: tuple[int, ...]) -> tuple[GrammarState, tuple[int, ...]]:
        state = initial_state(1)
        rows: list[int] = []
        for place, token in enumerate(ids):
            rows.append(int(self.mask_rows(state)[0]))
            try:
                state = self.advance_checked(state, np.array([token]))
            except ValueError as error:
                raise ValueError(f"place {place}: {error}") from error
        return state, tuple(rows)

    def check_asked(self, fields: Mapping[str, Any]) -> None:
        """Check header fields that somebody asked for; None, or one that is missing, is open.

        Raises:
            ScopeError: for a value that the policy was not trained on, naming those that it was.
            StyleError: for a style that it does not know.
        """
        if fields.get("style") is not None:
            self.styles.asked_slot(fields["style"])
        for name, several in _FIELD_OF.items():
            value, known = fields.get(name), getattr(self.trained_on, several)
            if value is not None and value not in known:
                raise ScopeError(
                    f"{name}={shortened(value)} is not one that this policy was trained on; choose "
                    f"one of {list(known)}, or train one on music that has it"
                )
        pickup = fields.get("pickup_ticks")
        if pickup is None:
            return
        asked = fields.get("meter")
        for meter in self.trained_on.meters if asked is None else (asked,):
            if pickup not in PICKUPS_TICKS[meter]:
                raise ScopeError(
                    f"pickup_ticks={pickup} is none that {meter} can have, which the policy may "
                    "choose; ask for a meter as well"
                )

    def header_ids(self, fields: Mapping[str, Any]) -> list[int]:
        """Ids of the five header tokens, -1 for a field that is None or missing.

        Raises:
            ScopeError, StyleError: as `check_asked`.
        """
        self.check_asked(fields)
        style = fields.get("style")
        words = {
            "METER": fields.get("meter"),
            "MODE": fields.get("mode"),
            "STYLE": None if style is None else self.styles.slot(style),
            "BARS": fields.get("bars"),
            "PICKUP": fields.get("pickup_ticks"),
        }
        return [-1 if value is None else ID[f"{word}_{value}"] for word, value in words.items()]

    def room_for(self, prompts_NP: np.ndarray) -> int:
        """Tokens of the longest melody that it can write under some prompts; -1 is open."""
        meters_N, bars_N = (
            prompts_NP[:, place].tolist() if place < prompts_NP.shape[1] else [-1] * len(prompts_NP)
            for place in (_METER_AT, _BARS_AT)
        )
        headers = set(zip(meters_N, bars_N, strict=True))
        return max(
            (self.longest(meter=_value(meter), bars=_value(bars)) for meter, bars in headers),
            default=0,
        )

    def longest(self, *, meter: str | None = None, bars: str | int | None = None) -> int:
        """Tokens of the longest melody that it can write, under these fields if they are given."""
        meters = (meter,) if meter in METERS else self.trained_on.meters
        return longest_of(meters, max(self.trained_on.bars) if bars is None else int(bars))


def _value(token: int) -> str | None:
    """What a header token says after its kind; None of -1, and of what is no header token."""
    if not 0 <= token < FIRST_BAR or "_" not in VOCABULARY[token]:
        return None
    return VOCABULARY[token].split("_", 1)[1]


EVERYTHING = Scope()
"""of no policy in particular: every metre, mode, number of bars and pickup, and no style"""


def scope_of(policy: Any) -> Scope:  # noqa: ANN401 (a policy or its configuration)
    """The scope that the configuration of a policy says."""
    config = getattr(policy, "config", policy)
    return scope_from({name: getattr(config, name) for name in _SCOPE})


def scope_from(fields: Mapping[str, Any]) -> Scope:
    """The scope that the fields of a configuration say."""
    return _scope(json.dumps([fields[name] for name in _SCOPE]))


@lru_cache(maxsize=64)
def _scope(said: str) -> Scope:
    styles, trained_on, plain = json.loads(said)
    return Scope(
        Styles((OTHER,) if styles is None else tuple(styles)),
        TrainedOn.from_json(trained_on),
        plain,
    )


def styles_of(policy: Any) -> Styles:  # noqa: ANN401 (a policy or its configuration)
    """The labels of a policy's style tokens."""
    return scope_of(policy).styles


def checked_scope(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that say a policy's scope and its corpora, with defaults.

    Raises:
        ScopeError, StyleError: for a field with a value that it cannot have.
    """
    labels = given.get("styles")
    if labels is not None and not isinstance(labels, list | tuple):
        raise ScopeError(f"styles={shortened(labels)} is not a list of labels")
    plain = given.get("plain", False)
    if not isinstance(plain, bool):
        raise ScopeError(f"plain={shortened(plain)} is not true or false")
    trained_on = given.get("trained_on")
    if trained_on is not None:
        trained_on = TrainedOn.from_json(trained_on).json()
    return {
        "styles": list(Styles(tuple(labels)).labels) if labels is not None else [OTHER],
        **{name: checked_corpora(name, given.get(name) or ()) for name in _CORPORA},
        "plain": plain,
        "trained_on": trained_on,
    }


def unusual_scope(fields: Mapping[str, Any]) -> str | None:
    """The scope that `checked_scope` gave, as text; None of the one that is usual.

    The usual one has the shipped styles, and was trained on everything.
    """
    scope = scope_from(fields)
    if scope == Scope(SHIPPED_STYLES):
        return None
    return json.dumps([scope.styles.labels, scope.trained_on.json(), scope.plain])


def checked_corpora(field: str, names: object) -> list[str]:
    """Names of corpora.

    Raises:
        ScopeError: for anything else.
    """
    if not isinstance(names, Sequence) or isinstance(names, str) or len(names) > _MOST_CORPORA:
        raise ScopeError(f"{field}={shortened(names)} is not a list of at most {_MOST_CORPORA}")
    for name in names:
        if not isinstance(name, str) or not _CORPUS_NAME.fullmatch(name):
            raise ScopeError(f"{field} has {excerpt(str(name), 40)!r}, which is no corpus' name")
    return list(names)
