"""The policies on this machine: what they are called, and the corpora that each was trained on.

A melody in the database names its policy by a hash of the policy's files. Here the folders of the
base and of all runs are hashed, so that a melody can be compared with the tunes of its policy's own
corpora. Nothing here loads torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from feedback_ui.services.corpora.adaptations import RESULT
from music.corpora.catalogue import SHIPPED
from policy.folder import CheckpointError, policy_hash, read_policy_folder
from policy.runs import RUNS, readable_runs
from policy.shipped import shipped_policy

LOOK_EVERY_S = 5.0
"""how often folders are looked for when a hash is not known"""


@dataclass(frozen=True, slots=True)
class PolicyCorpora:
    """Names of the corpora of a policy."""

    corpora: tuple[str, ...] = (SHIPPED,)
    """that it was trained on"""
    base_corpora: tuple[str, ...] = ()
    """that the policy was trained on from which it was started"""

    @classmethod
    def union(cls, several: Iterable[PolicyCorpora]) -> PolicyCorpora:
        """Those of several policies, each once; those of the shipped policy for none."""
        found = list(several) or [cls()]
        corpora = dict.fromkeys(name for one in found for name in one.corpora)
        base = dict.fromkeys(name for one in found for name in one.base_corpora)
        return cls(tuple(corpora), tuple(name for name in base if name not in corpora))


@dataclass(frozen=True, slots=True)
class KnownPolicy:
    """A policy in a folder."""

    name: str
    """'base', or the name of the run that made it"""
    kind: str
    """of the run, such as 'pretrain' or 'ppo'; 'base' for the shipped one"""
    trained_on: PolicyCorpora
    policy_id: str
    """its hash, as melodies name it"""
    created_at: str
    """of its run; '' for the shipped one"""


class KnownPolicies:
    """The policies of one working folder; safe to share between threads.

    Args:
        runs: folder of the runs.
    """

    def __init__(self, runs: Path = RUNS) -> None:
        self._runs = runs
        self._lock = Lock()
        self._read: dict[Path, tuple[tuple[int, ...], PolicyCorpora, str]] = {}
        self._corpora: dict[str, PolicyCorpora] = {}
        self._looked_at_s = -LOOK_EVERY_S

    def all(self) -> list[KnownPolicy]:
        """The base, and the policies of finished runs, newest first; damaged ones are left out."""
        folders = [("base", "base", "", shipped_policy())]
        for run, record in readable_runs(self._runs):
            kind = record["kind"]
            if kind == "ppo" or (kind == "pretrain" and (run.path / RESULT).is_file()):
                folders.append((run.name, kind, record["created_at"], run.path / "policy"))
        folders[1:] = sorted(folders[1:], key=lambda one: one[2], reverse=True)
        found = []
        for name, kind, created_at, folder in folders:
            read = self._read_folder(folder)
            if read is not None:
                found.append(KnownPolicy(name, kind, *read, created_at))
        return found

    def trained_on(self, corpus: str) -> list[KnownPolicy]:
        """The policies that were trained on a corpus, newest first."""
        return [one for one in self.all() if corpus in one.trained_on.corpora]

    def corpora_of(self, policy_id: str) -> PolicyCorpora:
        """What the policy with this hash was trained on; of one that is not here, the books."""
        with self._lock:
            is_due = time.monotonic() - self._looked_at_s >= LOOK_EVERY_S
            if policy_id not in self._corpora and is_due:
                self._corpora |= {one.policy_id: one.trained_on for one in self.all()}
                self._looked_at_s = time.monotonic()
            return self._corpora.get(policy_id, PolicyCorpora())

    def _read_folder(self, folder: Path) -> tuple[PolicyCorpora, str] | None:
        """Corpora and hash of a policy's folder; None when there is no policy in it."""
        try:
            files = [(folder / name).stat() for name in ("config.json", "model.safetensors")]
            stamp = tuple(number for one in files for number in (one.st_mtime_ns, one.st_size))
            known = self._read.get(folder)
            if known is not None and known[0] == stamp:
                return known[1:]
            said = read_policy_folder(folder)
            trained_on = PolicyCorpora(said.corpora or (SHIPPED,), said.base_corpora)
            self._read[folder] = (stamp, trained_on, policy_hash(folder))
        except (OSError, CheckpointError):
            return None
        return self._read[folder][1:]
