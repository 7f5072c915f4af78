"""Finds what a name in a reward spec means: a reward run, the music-theory rules, or a function.

Each becomes a `RewardPart` with a hash of its source, so that a resumed run can tell whether it has
changed. A user's function takes a list of melodies and returns scores (B,), or a tuple of scores
and their standard deviations. Its mistakes are reported in one line.

Letters: B melodies.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from music.melody import Melody
from policy.compose import Conditioning
from policy.runs import open_run
from reward.profile.profile import TasteProfile
from reward.scorer import Reward, RewardError, scores_of
from reward.training.fit import conditioning_of
from reward.training.models import load_model
from rl.rewards.music_theory import music_theory_score, rules_sha256
from rl.rewards.spec import MUSIC_THEORY

_imported_sha256: dict[str, str] = {}
"""hash of each user's module when this process imported it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardPart:
    """A named reward, as found on this machine."""

    name: str
    kind: str
    """run, rules or function"""
    sha256: str
    """hash of the run's model, the rules, or the function's source file"""
    reads: str
    """what was hashed, in words"""
    score: Reward
    in_base_deviations: bool
    """whether its scores already have mean 0 and standard deviation 1 over base melodies"""
    conditioning: Conditioning | None = None
    profile: TasteProfile | None = None


def find_part(name: str, *, root: Path) -> RewardPart:
    """The reward of a name.

    Raises:
        RunError: for a run that does not exist or is not a reward run.
        TasteError, NeuralRewardError, BlendError: for a run whose model is damaged.
        RewardError: for a function that cannot be found or imported.
    """
    if name == MUSIC_THEORY:
        return RewardPart(
            name=name,
            kind="rules",
            sha256=rules_sha256(),
            reads="the rules and their weights",
            score=_without_doubt(music_theory_score),
            in_base_deviations=False,
        )
    return _function_part(name) if ":" in name else _run_part(name, root)


def _run_part(name: str, root: Path) -> RewardPart:
    run = open_run(name, kind="reward", root=root)
    model = load_model(run)
    return RewardPart(
        name=name,
        kind="run",
        sha256=model.sha256,
        reads=model.file,
        score=model.score,
        in_base_deviations=True,
        conditioning=conditioning_of(run.record),
        profile=model.profile,
    )


def _without_doubt(score: Callable[[Sequence[Melody]], np.ndarray]) -> Reward:
    def scored(melodies: Sequence[Melody]) -> tuple[np.ndarray, np.ndarray]:
        mean = score(melodies)
        return mean, np.zeros(len(mean))

    return scored


def _function_part(name: str) -> RewardPart:
    function, module, sha256 = named_function(name)
    return RewardPart(
        name=name,
        kind="function",
        sha256=sha256,
        reads=_file(module),
        score=checked(name, function),
        in_base_deviations=False,
    )


def named_function(name: str) -> tuple[Callable[..., Any], ModuleType, str]:
    """The function `module:function`, its module and its hash.

    The module is looked up in the working folder and among the installed packages.

    Raises:
        RewardError: when there is no such module or function, or importing it fails.
    """
    module_name, _, function_name = name.partition(":")
    module, sha256 = _import(name, module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise RewardError(
            f"{name}: {_file(module)} has no function {function_name!r}; define it, or name another"
        )
    return function, module, sha256


def _import(name: str, module_name: str) -> tuple[ModuleType, str]:
    """The module, reloaded if its file has changed, and its file's hash."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()  # the file may be newer than the import system's cache
    known = module_name in _imported_sha256
    try:
        module = importlib.import_module(module_name)
        if known and _source_sha256(name, module) != _imported_sha256[module_name]:
            module = importlib.reload(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise RewardError(
                f"{name}: there is no module {error.name!r} in {here} or among what is installed; "
                "run in the folder that holds it"
            ) from error
        raise RewardError(f"{name}: its module needs {error.name!r}; install that first") from error
    except Exception as error:
        raise RewardError(
            f"{name}: importing {module_name} fails with {_one_line(error)}; fix it"
        ) from error
    sha256 = _imported_sha256[module_name] = _source_sha256(name, module)
    return module, sha256


def _file(module: ModuleType) -> str:
    return Path(module.__file__ or module.__name__).name


def _source_sha256(name: str, module: ModuleType) -> str:
    try:
        source = inspect.getsourcefile(module)
    except TypeError:  # built into the interpreter
        source = None
    if source is None:
        raise RewardError(
            f"{name}: {module.__name__} has no source file to hash; put the function into a "
            ".py file"
        )
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()


def checked(name: str, function: Callable[[list[Melody]], Any]) -> Reward:
    """A user's function as a reward that returns finite float64 mean and std, (B,) each.

    Raises (when called):
        RewardError: when it raises, or returns what `scores_of` refuses.
    """

    def scored(melodies: Sequence[Melody]) -> tuple[np.ndarray, np.ndarray]:
        try:
            said = function(list(melodies))
        except Exception as error:
            raise RewardError(
                f"{name} fails with {_one_line(error)}{_where(error)}; fix it"
            ) from error
        is_pair = isinstance(said, tuple) and len(said) == 2 and np.ndim(said[0]) > 0
        pair: Any = said if is_pair else (said, np.zeros(len(melodies)))
        return scores_of(lambda _: pair, melodies, name=name)

    return scored


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _where(error: BaseException) -> str:
    """File and line of the error in the user's own code, if there is one."""
    trace = error.__traceback__
    trace = trace.tb_next if trace is not None else None  # the first frame is ours
    place = ""
    while trace is not None:
        if not Path(trace.tb_frame.f_code.co_filename).is_relative_to(sys.prefix):
            place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place
