"""What forms offer for the header of new melodies: what all the policies that write them know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from music.key_choice import ANY
from policy.folder import read_policy_folder
from policy.usual_header import usual_header


@dataclass(frozen=True, slots=True)
class HeaderChoices:
    """Values for each field, with `any`, which leaves it to the policies; the usual one first."""

    meters: tuple[str, ...]
    modes: tuple[str, ...]
    styles: tuple[str, ...]
    bars: tuple[str, ...]


def header_choices(folders: Sequence[Path]) -> HeaderChoices:
    """What every one of these policies was trained on.

    Raises:
        CheckpointError: when the folder of one cannot be read.
    """
    scopes = [read_policy_folder(folder).scope for folder in folders]
    usual = [usual_header(scope) for scope in scopes]

    def common(values: Iterable[Sequence[object]], first: object = None) -> tuple[str, ...]:
        lists = list(values)
        shared = [one for one in lists[0] if all(one in other for other in lists)]
        rest = [str(one) for one in shared if one != first]
        return (str(first), ANY, *rest) if first in shared else (ANY, *rest)

    return HeaderChoices(
        common((scope.trained_on.meters for scope in scopes), usual[0]["meter"]),
        common(scope.trained_on.modes for scope in scopes),
        common(scope.styles.labels for scope in scopes),
        common((scope.trained_on.bars for scope in scopes), usual[0]["bars"]),
    )
