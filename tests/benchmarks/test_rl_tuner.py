import json
import sys
from importlib import import_module

import pytest
from rl_tuner_metrics import METRICS

from policy.checkpoint import save_policy
from reward.scorer import RewardError
from rl.ppo.config import PPOConfig
from rl.rewards import music_theory

pytestmark = pytest.mark.slow

BEGIN, END = "<!-- benchmarks/rl_tuner_study/rl_tuner.py writes from here -->", "<!-- to here -->"


@pytest.fixture
def study(monkeypatch, tmp_path, tiny_policy):
    """The script, on a tiny base and with small updates."""
    module = import_module("rl_tuner")
    save_policy(tiny_policy, tmp_path / "base")
    monkeypatch.setattr(module, "BASE", tmp_path / "base")

    def small(updates, threads, seed):
        return PPOConfig(
            updates=updates, threads=threads, seed=seed, melodies_per_update=8, minibatch=8,
            kl_coefficient=1.0, kl_target_nats=None, kl_limit_nats=50.0, diversity_floor=0.0,
            originality_floor=0.0,
        )  # fmt: skip

    monkeypatch.setattr(module, "config_of", small)
    return module


def run(module, monkeypatch, capsys, *arguments):
    given = ["rl_tuner.py", "--melodies", "256", "--threads", "1", *map(str, arguments)]
    monkeypatch.setattr(sys, "argv", given)
    module.main()
    return capsys.readouterr().out


def test_the_whole_study_again_and_with_another_reward(study, monkeypatch, capsys, tmp_path):
    """Tuned and measured; then only measured; then refused, because the reward is another."""
    page = tmp_path / "page.md"
    page.write_text(f"# Study\n\n{BEGIN}\nfigures of last year\n{END}\n\nAfter.\n")
    arguments = ("--updates", 1, "--out", tmp_path / "out", "--write", page)
    said = run(study, monkeypatch, capsys, *arguments)
    first = json.loads(said.splitlines()[-1])
    assert first["metrics"].keys() == {metric.name for metric in METRICS}
    assert first["holds"].keys() == first["metrics"].keys()
    assert first["all_hold"] == all(first["holds"].values())
    assert first["melodies"] == 256
    assert first["weights"].keys() == {rule.name for rule in music_theory.RULES}
    assert -0.5 < first["kl_nats"] < 50  # estimated from log-ratios: a little below 0 is noise
    text = page.read_text()
    assert text.startswith(f"# Study\n\n{BEGIN}\n\n256 melodies a side, 4/4, 8 bars")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "last year" not in text
    assert all(metric.label in text for metric in METRICS)
    again = json.loads(run(study, monkeypatch, capsys, *arguments).splitlines()[-1])
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in first.items() if k != "seconds"
    }
    with pytest.raises(RewardError, match="its configuration is another; give another --out"):
        run(study, monkeypatch, capsys, "--updates", 2, "--out", tmp_path / "out")
    monkeypatch.setattr(music_theory, "RULES", music_theory.RULES[1:])
    with pytest.raises(
        RewardError, match="the rules, their first weights, the steering or --melodies have"
    ):
        run(study, monkeypatch, capsys, *arguments)


def test_a_document_without_markers_is_told(study, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(ValueError, match="no place for the tables"):
        study.write_between_markers(page, "text")
    assert page.read_text() == f"{END}\n{BEGIN}\n"


def test_too_few_melodies_are_refused_at_once(study, monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit):
        run(study, monkeypatch, capsys, "--out", tmp_path / "out", "--melodies", 255)
    assert "--melodies 255 is below 256" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
