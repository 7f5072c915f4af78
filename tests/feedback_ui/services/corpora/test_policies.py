"""Which corpora the policies on this machine were trained on, read without torch."""

import subprocess
import sys

import pytest

from feedback_ui.services.corpora.policies import KnownPolicies, PolicyCorpora
from policy.checkpoint import policy_hash, save_policy
from policy.model import MelodyForCausalLM, melody_config
from policy.runs import new_run
from tests.support.project import PROJECT

SMALL = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "num_key_value_heads": 1}


def policy(*corpora, base=()):
    config = melody_config(**SMALL, intermediate_size=16, corpora=corpora, base_corpora=base)
    return MelodyForCausalLM(config)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a policy adapted to `mine`, and one that was tuned from it."""
    monkeypatch.chdir(tmp_path)
    adapted = new_run("pretrain", {}, name="mine-base")
    save_policy(policy("mine", base=("books",)), adapted.path / "policy")
    (adapted.path / "result.json").write_text("{}")
    save_policy(
        policy("mine", base=("books",)), new_run("ppo", {}, name="ppo-0001").path / "policy"
    )
    save_policy(policy("yours"), new_run("pretrain", {}, name="unfinished").path / "policy")
    new_run("ppo", {}, name="no-policy")
    (new_run("ppo", {}, name="damaged").path / "policy").mkdir()
    (tmp_path / "checkpoints/runs/damaged/policy/config.json").write_text("{")
    return tmp_path / "checkpoints" / "runs"


def test_policies_of_finished_runs_are_known_with_their_corpora(folder):
    known = {one.name: one for one in KnownPolicies().all()}
    assert set(known) == {"base", "mine-base", "ppo-0001"}
    assert known["base"].trained_on == PolicyCorpora(("books",))
    assert known["mine-base"].trained_on == PolicyCorpora(("mine",), ("books",))
    assert {one.name for one in KnownPolicies().trained_on("mine")} == {"mine-base", "ppo-0001"}
    assert [one.name for one in KnownPolicies().trained_on("books")] == ["base"]


def test_a_melody_finds_the_corpora_of_its_policy_by_the_hash(folder):
    policies = KnownPolicies()
    of_run = policy_hash(folder / "mine-base" / "policy")
    assert policies.corpora_of(of_run) == PolicyCorpora(("mine",), ("books",))
    assert policies.corpora_of("of another machine") == PolicyCorpora(("books",))


def test_a_policy_that_comes_later_is_found(folder, monkeypatch):
    monkeypatch.setattr("feedback_ui.services.corpora.policies.LOOK_EVERY_S", 0)
    policies = KnownPolicies()
    policies.all()
    run = folder / "unfinished"
    (run / "result.json").write_text("{}")
    assert policies.corpora_of(policy_hash(run / "policy")) == PolicyCorpora(("yours",))
    # and one that is replaced
    save_policy(policy("others", "yours"), run / "policy")
    assert policies.corpora_of(policy_hash(run / "policy")) == PolicyCorpora(("others", "yours"))


def test_corpora_of_several_policies_are_joined():
    one, two = PolicyCorpora(("a",), ("books", "b")), PolicyCorpora(("b", "a"))
    assert PolicyCorpora.union([one, two]) == PolicyCorpora(("a", "b"), ("books",))
    assert PolicyCorpora.union([]) == PolicyCorpora(("books",))


def test_nothing_of_it_loads_torch(folder):
    code = (
        "import sys\nfrom feedback_ui.services.corpora.policies import KnownPolicies\n"
        "print(len(KnownPolicies().all()), 'torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
        env={"PYTHONPATH": str(PROJECT), "PATH": ""}, cwd=folder.parents[1], check=False,
    )  # fmt: skip
    assert said.stdout.split() == ["3", "False"], said.stderr
