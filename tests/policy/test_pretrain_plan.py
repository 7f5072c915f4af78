"""What `tastemaker pretrain` does without options: from nothing, or adapting a policy."""

import pytest

from policy.checkpoint import save_policy
from policy.model import MelodyForCausalLM, melody_config
from policy.pretrain_plan import FEW_TUNES, SMALL_STRAINS, planned
from tests.policy.test_pretrain import small_corpus


@pytest.fixture
def base(tmp_path):
    config = melody_config(hidden_size=24, num_layers=2, num_heads=3, num_key_value_heads=1)
    save_policy(MelodyForCausalLM(config), tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def mine(tmp_path):
    return small_corpus(tmp_path / "mine.npz", name="mine", label="mine")


def test_few_tunes_adapt_the_base_in_its_shape(base, mine):
    plan = planned([mine], start_from=None, base=base, asked={"seed": 3})
    config = plan.config
    assert config.start_from == str(base)
    assert (config.hidden_size, config.num_layers, config.num_heads) == (24, 2, 3)
    assert config.corpora == ("mine",)
    assert config.seed == 3
    assert config.patience > 0
    assert config.learning_rate == 5e-4
    assert [line[:42] for line in plan.said] == ["23 training tunes are few (under 500), so "]


def test_many_tunes_and_those_who_say_so_begin_with_nothing(base, mine, tmp_path):
    large = small_corpus(tmp_path / "large.npz", name="large", count=FEW_TUNES)
    for corpora, of, epochs in (
        ([mine], None, 600),
        ([large], base, 38),
        ([large, mine], base, 36),
    ):
        plan = planned(corpora, start_from=None, base=of, asked={})
        assert plan.config.start_from is None
        assert plan.config.epochs == epochs
        assert plan.config.patience == (0 if epochs == 36 else 4)
        assert plan.said == ()


def test_what_is_asked_for_comes_first(base, mine):
    asked = {"epochs": 2, "learning_rate": 0.25, "dropout": None}
    config = planned([mine], start_from=base, base=None, asked=asked).config
    assert (config.epochs, config.learning_rate, config.dropout) == (2, 0.25, 0.1)
    assert config.save_every_steps == 1


def test_steps_grow_with_the_corpus_and_validations_do_not(base, tmp_path):
    large = small_corpus(tmp_path / "large.npz", name="large", count=SMALL_STRAINS + 20)
    config = planned([large], start_from=base, base=None, asked={}).config
    assert config.strains_per_step == 32
    assert config.learning_rate == 1e-3
    assert config.save_every_steps == 10
