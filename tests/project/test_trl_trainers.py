"""The recipes of docs/trl.md: they run as they stand, on the shipped base and exported votes."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from music.tokens import encode
from policy.checkpoint import load_policy, policy_hash
from policy.compose import Conditioning, compose
from policy.model import right_pad
from policy.trl_options import quiet_options
from reward.exchange.export import preference_texts
from reward.listeners.simulated import SimulatedListener, simulate_votes
from reward.pairs.round import PoolConfig, pair_up
from reward.store.store import RatingsStore
from tests.support.project import PROJECT

# The trainers ask transformers' models by a name that these call deprecated.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is:FutureWarning"),
]
BASE = PROJECT / "checkpoints" / "base"
PAGE = (PROJECT / "docs" / "trl.md").read_text()
CODE = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)
TRAINERS = ("Reward", "DPO", "KTO", "SFT", "RLOO", "GRPO")
POLICIES = ("dpo", "kto", "sft", "rloo", "grpo")
ENVIRONMENT = {
    "CI": "",  # where it is set, TRL's trainers report nothing
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(PROJECT)]),
}


def test_the_page_has_a_recipe_for_each_trainer():
    for name in TRAINERS:
        recipes = [code for code in CODE if f" = {name}Trainer(" in code]
        assert len(recipes) == 1, name
        assert "model=BASE" in recipes[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page was followed: 40 votes by a simulated listener, its command, its code."""
    folder = tmp_path_factory.mktemp("trl")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "base").symlink_to(BASE)
    environment = os.environ | ENVIRONMENT | {"HF_DATASETS_CACHE": str(folder / "cache")}
    environment.pop("TASTEMAKER_DATABASE", None)
    with RatingsStore(folder / "checkpoints" / "ratings.sqlite") as store:
        pool = PoolConfig(melodies=40, pairs=40, repeat_share=0)
        pair_up(store, load_policy(BASE), policy_hash(BASE), Conditioning(bars=4), pool)
        simulate_votes(store, SimulatedListener("arches"), 40)

    def follow(*command):
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    command = re.search(r"^    (tastemaker ratings export .*)$", PAGE, re.M)[1]
    follow("-m", *shlex.split(command))
    (folder / "recipes.py").write_text("\n".join(CODE))
    follow("recipes.py")
    return folder


@pytest.mark.parametrize("name", POLICIES)
def test_what_a_trainer_of_policies_saves_is_a_policy(folder, name):
    trained, base = load_policy(folder / "trl" / name), load_policy(BASE)
    weights = zip(trained.parameters(), base.parameters(), strict=True)
    assert not any(torch.equal(after, before) for after, before in weights)
    assert all(parameter.isfinite().all() for parameter in trained.parameters())
    assert len(compose(trained, 4, conditioning=Conditioning(bars=4))) == 4
    tokenizer = AutoTokenizer.from_pretrained(folder / "trl" / name)
    assert tokenizer("PICKUP_0BAR_4")["input_ids"] == tokenizer("PICKUP_0 BAR_4")["input_ids"]


@torch.no_grad()
def test_what_the_reward_trainer_saves_tells_melodies_apart(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder / "trl" / "reward").eval()
    rows = [
        encode(melody)
        for melody in compose(load_policy(BASE), 8, conditioning=Conditioning(bars=4))
    ]
    score = model(input_ids=right_pad(rows)).logits
    assert score.shape == (8, 1)
    assert score.std() > 0
    before = load_policy(BASE).model.embed_tokens.weight
    assert not torch.equal(model.model.embed_tokens.weight, before)


def test_the_reference_that_trl_loads_is_the_policy(tmp_path):
    """At a rate of 0 both give the same log-probabilities: it is the base, and without dropout."""
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    rows = [
        encode(m).tolist()
        for m in compose(load_policy(BASE), 16, conditioning=Conditioning(bars=4))
    ]
    texts = [preference_texts(*pair) for pair in zip(rows[::2], rows[1::2], strict=True)]
    trainer = DPOTrainer(
        model=str(BASE),
        args=DPOConfig(
            **quiet_options(DPOConfig, str(tmp_path), 0, use_cpu=True),
            learning_rate=0.0,
            max_steps=1,
            logging_steps=1,
        ),
        train_dataset=Dataset.from_list(texts),
    )
    trainer.train()
    log = trainer.state.log_history[0]
    assert log["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert log["loss"] == pytest.approx(0.6931, abs=1e-4)
