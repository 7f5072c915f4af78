"""What `tastemaker pretrain` does without options: from nothing, or adapting a policy."""

import pytest

from music.corpora.corpus import load_token_rows
from music.corpora.corpus_file import read_corpus, write_corpus
from music.styles import OTHER, SHIPPED_STYLES, Styles
from music.tokens import ID
from policy.checkpoint import save_policy
from policy.model import MelodyForCausalLM, melody_config
from policy.pretraining.plan import FEW_TUNES, SMALL_STRAINS, planned
from policy.pretraining.start import starting_policy
from policy.scope import styles_of
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
    assert [line[:42] for line in plan.said] == ["few training tunes (23, under 500), so the"]


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


def test_a_shape_that_is_asked_for_is_not_that_of_the_base(base, mine):
    plan = planned([mine], start_from=None, base=base, asked={"hidden_size": 32})
    assert plan.config.start_from is None
    assert plan.config.hidden_size == 32
    (said,) = plan.said
    assert said.endswith("--width asks for another shape, so training begins with nothing")
    with pytest.raises(ValueError, match=r"--width=32 is not that of the policy .* is 24; leave"):
        planned([mine], start_from=base, base=base, asked={"hidden_size": 32})
    with pytest.raises(ValueError, match=r"--layers=1 is not that .* is 2; leave --layers out"):
        planned([mine], start_from=base, base=base, asked={"num_layers": 1})
    same = planned([mine], start_from=base, base=base, asked={"hidden_size": 24, "num_layers": 2})
    assert same.config.start_from == str(base)


def many_styles(path, count):
    """A corpus of this many styles, the first the commonest."""
    rows = sorted(load_token_rows("train"), key=len)[: count + 3]
    styles = [*range(1, count + 1), 1, 1, 2]
    for row, style in zip(rows, styles, strict=True):
        row[3] = ID[f"STYLE_{style}"]
    write_corpus(
        path,
        [row.copy() for row in rows],
        tonics=[62] * len(rows),
        tunes=list(range(len(rows))),
        splits=[0] * (len(rows) - 2) + [1, 2],
        labels=Styles((OTHER, *(f"style {number}" for number in range(1, count + 1)))),
        sources=[("file.abc", str(tune + 1), "") for tune in range(len(rows))],
    )
    return read_corpus(path, path.stem)


def test_styles_beyond_those_that_a_policy_can_have_are_joined_and_that_is_said(base, tmp_path):
    corpus = many_styles(tmp_path / "many.npz", 26)
    plan = planned([corpus], start_from=base, base=base, asked={})
    assert plan.said[-1].startswith(
        "a policy has at most 32 styles, so the rarest of the corpora are joined as 'other': "
        "style 25"
    )
    assert plan.said[-1].endswith("(2 styles of 2 strains)")
    model = starting_policy(plan.config, [corpus])
    styles = styles_of(model)
    assert len(styles.labels) == 32
    assert styles.labels[:10] == (*SHIPPED_STYLES.labels, "style 1", "style 2")
    assert {"style 25", "style 26"}.isdisjoint(styles.labels)
    slots = [int(row[3]) - ID["STYLE_0"] for row in corpus.token_rows("train", styles)]
    assert slots.count(0) == 2
    fits = planned([corpus], start_from=None, base=None, asked={})
    assert fits.said == ()
