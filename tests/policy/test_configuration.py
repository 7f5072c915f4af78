"""A configuration: its ranges, the shapes that follow from it, and what identifies a policy."""

import pytest
import torch

from policy.configuration import (
    ConfigurationError,
    Identity,
    checked_fields,
    identity,
    trunk_shapes,
    usual,
)
from policy.model import MelodyConfig, MelodyForCausalLM, MelodyModel, melody_config

SHAPES = [
    {"hidden_size": 192},
    {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "num_key_value_heads": 1},
    {"hidden_size": 24, "num_layers": 3, "num_heads": 3, "num_key_value_heads": 3},
    {"hidden_size": 32, "residual_dropout": 0.3, "intermediate_size": 17},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_those_of_the_model(shape):
    config = melody_config(**shape)
    with torch.device("meta"):
        model = MelodyModel(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert trunk_shapes(checked_fields(config.to_dict())) == wanted


@pytest.mark.parametrize("shape", SHAPES)
def test_a_configuration_that_we_make_is_read_as_it_was(shape):
    config = melody_config(**shape)
    again = MelodyConfig(**checked_fields(config.to_dict()))
    assert again.to_diff_dict() == config.to_diff_dict()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("num_hidden_layers", -1, "num_hidden_layers=-1 is not within 1 to 256"),
        ("num_hidden_layers", 10**6, "num_hidden_layers=1000000 is not within"),
        ("num_hidden_layers", 4.0, r"num_hidden_layers=4\.0 is not a whole number"),
        ("num_hidden_layers", True, "num_hidden_layers=True is not a whole number"),
        ("num_hidden_layers", None, "has no num_hidden_layers"),
        ("hidden_size", "wide", "hidden_size='wide' is not a whole number"),
        ("hidden_size", 10**9, "hidden_size=1000000000 is not within 2 to 16384"),
        ("num_attention_heads", 0, "num_attention_heads=0 is not within"),
        ("num_attention_heads", 5, "hidden_size=192 is not a multiple of num_attention_heads=5"),
        ("num_key_value_heads", 3, "num_key_value_heads=3 does not divide"),
        ("head_dim", 7, "head_dim=7 is odd"),
        ("vocab_size", -709, "vocab_size=-709 is not within"),
        ("rms_norm_eps", 0.0, r"rms_norm_eps=0\.0 is not within"),
        ("rms_norm_eps", float("nan"), "rms_norm_eps=nan is not within"),
        ("residual_dropout", 1.0, r"residual_dropout=1\.0 is not within"),
        ("hidden_act", "relu", "hidden_act='relu' is not silu"),
        ("attention_bias", True, "attention_bias=True is not False"),
        ("tie_word_embeddings", "yes", "tie_word_embeddings='yes' is not true or false"),
        ("rope_parameters", 3, "rope_parameters=3 is not a JSON object"),
        ("rope_parameters", {"rope_type": "yarn", "factor": 4.0}, "has rope_type='yarn'"),
        ("rope_parameters", {"rope_type": "default", "partial": 0.5}, "has partial"),
        ("rope_parameters", {"rope_theta": -1.0}, r"rope_theta=-1\.0 is not within"),
    ],
)
def test_a_value_that_no_policy_has_is_refused(field, value, says):
    with pytest.raises(ConfigurationError, match=says):
        checked_fields(melody_config().to_dict() | {field: value})


@pytest.mark.parametrize("kind", [MelodyModel, MelodyForCausalLM])
def test_transformers_classes_refuse_it_too_before_they_allocate(kind, monkeypatch):
    config = melody_config()
    config.num_hidden_layers = 10**6
    monkeypatch.setattr("transformers.models.llama.modeling_llama.LlamaDecoderLayer", None)
    with pytest.raises(ConfigurationError, match="num_hidden_layers=1000000"):
        kind(config)


def test_fields_that_only_make_transformers_allocate_are_left_out():
    fields = checked_fields(melody_config().to_dict() | {"num_labels": 10**9, "id2label": {}})
    assert not {"num_labels", "id2label"} & fields.keys()


def of(**changes):
    return identity(checked_fields(melody_config().to_dict() | changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [("pretraining_tp", False), ("use_cache", 1), ("architectures", True), ("use_cache", ["yes"])],
)
def test_a_field_that_changes_nothing_and_that_transformers_would_refuse_is_left_out(field, value):
    fields = checked_fields({**melody_config().to_dict(), field: value})
    assert field not in fields
    MelodyConfig(**fields)


def test_what_decides_what_weights_compute_is_their_identity():
    same = of()
    assert same.is_usual
    for changes in ({"residual_dropout": 0.5}, {"use_cache": False}, {"initializer_range": 0.5}):
        assert of(**changes) == same
    others = [
        of(num_attention_heads=2, num_key_value_heads=1, head_dim=96),
        of(rms_norm_eps=1e-5),
        of(rope_parameters={"rope_theta": 20_000.0, "rope_type": "default"}),
        of(tie_word_embeddings=False),
    ]
    assert not any(other.is_usual for other in others)
    assert len({other.text() for other in [same, *others]}) == 5
    assert [other.differs_in_heads_only for other in others] == [True, False, False, False]


def test_one_number_of_heads_is_usual_for_weights():
    """Weights tell how many query heads share a key-value head, and no more."""
    every = [(heads, keys) for keys in range(1, 9) for heads in range(keys, 33, keys)]
    found = {
        (heads, keys)
        for heads, keys in every
        if Identity(
            num_attention_heads=heads, num_key_value_heads=keys, rms_norm_eps=1e-6,
            rope_theta=10_000.0, tie_word_embeddings=True,
        ).is_usual
    }  # fmt: skip
    ratios = [heads // keys for heads, keys in found]
    assert sorted(ratios) == sorted(set(ratios))
    assert (4, 2) in found, "what tastemaker pretrain makes"
    assert (1, 1) in found
    assert usual(2).num_attention_heads == 4
