"""The files of melodies that a table names, as features.

Of a file its first tune is taken. Where that has several strains, its features are the mean of
theirs. Files that share a strain, in whatever key, are one group (`music.corpora.near_duplicates`):
they are held out together, or a variant of a melody would be learnt from and predicted.

Letters: M melodies (files), F features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from music.corpora.near_duplicates import Groups, overlaps
from music.melody import Melody
from music.messages import excerpt
from music.progress import Progress, no_progress
from music.readers import melodies_of, read_tunes
from music.tokens import encode
from reward.profile.features import feature_matrix

REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True, eq=False)
class JudgedMelodies:
    """The melodies that could be read, and why the others could not."""

    row_of: dict[str, int]
    """path as the table has it -> row of the melody; two paths may lead to one file"""
    features_MF: np.ndarray
    """raw features"""
    group_M: np.ndarray
    """int64, near-duplicates have the same number"""
    unread: dict[str, str]
    """path -> why there is no melody"""
    tunes_M: np.ndarray
    """int64, tunes in the file, of which only the first one is taken"""
    strains_M: np.ndarray
    """int64, strains of that tune; the features are the mean of theirs"""

    @property
    def several_tunes(self) -> int:
        """Files of which only the first tune is taken."""
        return int((self.tunes_M > 1).sum())

    @property
    def several_strains(self) -> int:
        """Files whose features are the mean of those of several strains."""
        return int((self.strains_M > 1).sum())

    def only(self, paths: Iterable[str]) -> JudgedMelodies:
        """The melodies at these paths, all of which could be read; the rows are new."""
        named = {path: self.row_of[path] for path in paths}
        rows = np.unique(np.array([*named.values()], np.int64))
        new = {row: place for place, row in enumerate(rows.tolist())}
        return JudgedMelodies(
            {path: new[row] for path, row in named.items()},
            self.features_MF[rows],
            self.group_M[rows],
            self.unread,
            self.tunes_M[rows],
            self.strains_M[rows],
        )


def read_melodies(
    paths: Iterable[str], folder: Path, *, progress: Progress = no_progress
) -> JudgedMelodies:
    """Read the files at these paths, which are relative to `folder`. Nothing is raised for a file.

    Args:
        paths: as a table has them; each file is read once.
        folder: where they begin.
        progress: is told how many files are read.
    """
    row_of: dict[str, int] = {}
    unread: dict[str, str] = {}
    files: dict[Path, int | str] = {}
    strains: list[list[Melody]] = []
    tunes: list[int] = []
    names = list(dict.fromkeys(paths))
    for place, name in enumerate(names):
        progress(place, len(names))
        file = Path(folder / name.strip())
        try:
            known = files.get(file.resolve())
            if known is None:
                melodies, count = _first_tune(file)
                known = files[file.resolve()] = len(strains)
                strains.append(melodies)
                tunes.append(count)
        except _NoMelodyError as error:
            known = files[file.resolve()] = str(error)
        except (OSError, ValueError) as error:  # a loop of links, or no path at all
            known = f"it cannot be opened ({getattr(error, 'strerror', None) or error}); mend it"
        if isinstance(known, int):
            row_of[name] = known
        else:
            unread[name] = known
    progress(len(names), len(names))
    return JudgedMelodies(
        row_of,
        _mean_features(strains),
        _groups(strains),
        unread,
        np.array(tunes, np.int64),
        np.array([len(some) for some in strains], np.int64),
    )


class _NoMelodyError(ValueError):
    """Why there is no melody in a file."""


def _first_tune(file: Path) -> tuple[list[Melody], int]:
    """The strains of the first tune that has any, and how many tunes there are.

    Raises:
        _NoMelodyError: when there is none; the message is for a person.
    """
    if not file.is_file():
        raise _NoMelodyError("there is no such file; give the folder by --melodies, or mend it")
    try:
        tunes, refusals = read_tunes(file)
    except OSError as error:
        raise _NoMelodyError(f"it cannot be read ({error.strerror}); make it readable") from error
    for tune in tunes:
        melodies, refused = melodies_of(tune)
        if melodies:
            return melodies, len(tunes)
        refusals += refused
    reason = refusals[0].detail if refusals else "it has no notes"
    raise _NoMelodyError(excerpt(reason, REASON_CHARACTERS))


def _mean_features(strains: list[list[Melody]]) -> np.ndarray:
    """The mean features of the strains of each file; (M, F)."""
    features_SF = feature_matrix([melody for some in strains for melody in some])
    if not strains:
        return features_SF
    counts_M = np.array([len(some) for some in strains])
    starts_M = np.cumsum(counts_M) - counts_M
    return np.add.reduceat(features_SF, starts_M, axis=0) / counts_M[:, None]


def _groups(strains: list[list[Melody]]) -> np.ndarray:
    """The group of each file; (M,)."""
    owner = [file for file, some in enumerate(strains) for _ in some]
    groups = Groups()
    for place, overlap in enumerate(overlaps([encode(m) for some in strains for m in some])):
        for other in overlap.held_in():
            groups.join(owner[place], owner[other])
    return np.array([groups.root(file) for file in range(len(strains))], np.int64)
