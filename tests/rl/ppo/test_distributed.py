"""Several processes: the same weights everywhere under live gradients, and no silent fallback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from policy.checkpoint import save_policy
from policy.runs import RunError, new_run, open_run
from rl.ppo.config import PPOConfig, config_record
from rl.ppo.distributed import Processes
from tests.support.project import PROJECT

CONFIG = PPOConfig(
    updates=3, melodies_per_update=16, minibatch=8, epochs=2, bars=4, meter="2/4",
    kl_limit_nats=50.0, diversity_floor=0.0, originality_floor=0.0, threads=1, processes=2,
    learning_rate=0.3, saturation_point=9.0,
)  # fmt: skip
WORK = """
import hashlib, json, os, sys
from pathlib import Path
import numpy as np
import rl.ppo.trainer
from music.corpora.corpus import load_corpus
from music.corpora.originality import TrainingIndex
from policy.checkpoint import load_policy
from rl.ppo.config import PPOConfig
from policy.runs import open_run

root, policy, stop_after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
index = TrainingIndex.from_melodies([s.melody for s in load_corpus("validation")][:50])
seen = []

class PPO(rl.ppo.trainer.PPO):
    def learn(self, rollout):
        log = super().learn(rollout)
        tensors = self.tensors()
        weights = b"".join(tensors[name].detach().numpy().tobytes() for name in sorted(tensors))
        ids = rollout.sampled.ids.numpy().tobytes()
        seen.append([hashlib.sha256(b).hexdigest() for b in (weights, ids)] + [self.kl_coefficient])
        return log

class Recorder(rl.ppo.trainer.Callback):
    def stop_asked(self):
        return len(seen) == stop_after

def high_notes(melodies):
    share = [sum(note.pitch >= 12 for note in m.notes) / len(m.notes) for m in melodies]
    return np.array(share), np.zeros(len(melodies))

rl.ppo.trainer.PPO = PPO
run = open_run("ppo-0001", root=root)
config = PPOConfig.from_record(run.record["config"])
rl.ppo.trainer.fine_tune(run, config, load_policy(policy), high_notes, index, callback=Recorder())
Path(root, f"seen-{os.environ['RANK']}-{stop_after}.json").write_text(json.dumps(seen))
threads = [Path(task, "comm").read_text().strip() for task in Path("/proc/self/task").glob("*")]
Path(root, f"threads-{os.environ['RANK']}.json").write_text(json.dumps(threads))
"""


def torchrun(root: Path, policy: Path, stop_after: int) -> subprocess.CompletedProcess[str]:
    script = root / "work.py"
    script.write_text(WORK)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    return subprocess.run(
        [sys.executable, *command, str(root), str(policy), str(stop_after)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )


def finished(root: Path, policy: Path, *stops: int) -> Path:
    new_run("ppo", config_record(CONFIG), root=root)
    for stop_after in stops:
        done = torchrun(root, policy, stop_after)
        assert done.returncode == 0, done.stderr[-3000:]
    return root


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ranks_stay_equal_under_live_gradients_and_a_resumed_run_is_the_same(tmp_path, tiny_policy):
    policy = tmp_path / "base"
    save_policy(tiny_policy, policy)
    whole = finished(tmp_path / "whole", policy, 9)
    one, two = (json.loads((whole / f"seen-{rank}-9.json").read_text()) for rank in (0, 1))
    assert len(one) == CONFIG.updates
    for mine, other in zip(one, two, strict=True):
        assert mine[0] == other[0], "weights, momentum and critic are the same on both"
        assert mine[1] != other[1], "but each wrote melodies of its own"
        assert mine[2] == other[2]
    assert len({update[0] for update in one}) == CONFIG.updates, "and every update changed them"

    resumed = finished(tmp_path / "resumed", policy, 1, 9)
    a, b = (open_run("ppo-0001", root=root) for root in (whole, resumed))
    file = Path("policy", "model.safetensors")
    assert (a.path / file).read_bytes() == (b.path / file).read_bytes()
    for place, rank in ((whole, 0), (whole, 1), (resumed, 0), (resumed, 1)):
        threads = json.loads((place / f"threads-{rank}.json").read_text())
        assert not [name for name in threads if "gloo" in name], "one left alive aborts the exit"
    plain = [[{**row, "seconds": 0} for row in run.rows()] for run in (a, b)]
    assert plain[0] == plain[1]
    assert len(plain[0]) == CONFIG.updates + 1


def test_fewer_processes_than_asked_for_are_told():
    with pytest.raises(RunError, match="2 processes were asked for, torchrun started 1"):
        Processes(2)


def test_alone_nothing_is_shared():
    processes = Processes()
    values = torch.tensor([1.0, 2.0, 6.0])
    assert (processes.count, processes.rank, processes.is_main) == (1, 0, True)
    assert processes.mean(values) == 3.0
    assert processes.total(values) is values
    assert processes.all([1, 2]) == [1, 2]
