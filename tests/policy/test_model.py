"""The model: positions in the bar, Hugging Face's Auto classes and generation, the tokenizer."""

import inspect
import json

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaForCausalLM,
)
from transformers.cache_utils import DynamicCache

from music.corpora.corpus import load_token_rows
from music.tokens import BOS, EOS, ID, PAD, VOCABULARY, encode, to_text
from policy.checkpoint import CheckpointError, load_policy, save_policy
from policy.model import (
    BAR_POSITIONS,
    MelodyForCausalLM,
    MelodyForSequenceClassification,
    bar_positions,
    melody_config,
    melody_tokenizer,
    right_pad,
)
from tests.support.project import PROJECT

BASE = PROJECT / "checkpoints" / "base"

CACHE = (
    {"cache", "past_key_values"} & set(inspect.signature(LlamaForCausalLM.forward).parameters)
).pop()
"""what the installed transformers calls it"""


@pytest.fixture(scope="module")
def rows(random_melodies):
    """Six melodies of unlike lengths."""
    return [encode(melody) for melody in random_melodies(6, seed=1)]


def positions_of(names: str) -> list[int]:
    return bar_positions(torch.tensor([[ID[name] for name in names.split()]]))[0].tolist()


def test_positions_in_the_bar_by_hand():
    """Ticks since the barline, the token's own included; a pickup counts up to its barline."""
    names = (
        "BOS METER_6/8 MODE_dorian STYLE_2 BARS_4 PICKUP_12 NOTE_-5_6 NOTE_0_3 REST_3 "
        "BAR_4 NOTE_0_36 REST_12 NOTE_3_24 BAR_3 HOLD_24 NOTE_5_48 BAR_2"
    )
    assert positions_of(names) == [
        0, 0, 0, 0, 0, 276, 282, 285, 287,
        0, 36, 48, 72, 0, 24, 72, 0,
    ]  # fmt: skip


def test_the_end_of_a_pickup_is_not_a_barline():
    """288 would be off the table; 287 is no other place, as no duration is shorter than 3."""
    assert positions_of("BOS METER_4/4 MODE_major STYLE_1 BARS_4 PICKUP_24 NOTE_0_24")[-2:] == [
        BAR_POSITIONS - 24,
        BAR_POSITIONS - 1,
    ]
    assert positions_of("BOS METER_4/4 MODE_major STYLE_1 BARS_4 PICKUP_0 BAR_4")[-2:] == [0, 0]


def test_positions_do_not_know_what_comes_later(rows):
    ids = right_pad(rows)
    whole = bar_positions(ids)
    for length in (1, 7, 20, ids.shape[1]):
        assert torch.equal(bar_positions(ids[:, :length]), whole[:, :length])


def test_right_pad():
    padded = right_pad([encode_row(3), encode_row(5)], multiple=4)
    assert padded.tolist() == [[1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0, 0]]
    assert padded.dtype == torch.int64
    assert right_pad([encode_row(5)]).shape == (1, 5)


def encode_row(length: int):
    return torch.full((length,), BOS).numpy()


@torch.no_grad()
def test_padding_and_company_do_not_matter(tiny_policy, rows):
    """A melody's logits are the same alone, in a batch, padded on the right and on the left."""
    together = tiny_policy(input_ids=right_pad(rows, multiple=32)).logits
    for place, row in enumerate(rows):
        ids = right_pad([row])
        alone = tiny_policy(input_ids=ids).logits[0]
        torch.testing.assert_close(together[place, : len(row)], alone, rtol=1e-5, atol=1e-4)
        left = torch.cat([torch.full((1, 9), PAD), ids], 1)
        seen = (torch.arange(left.shape[1]) >= 9)[None].long()
        shifted = tiny_policy(input_ids=left, attention_mask=seen).logits[0, 9:]
        torch.testing.assert_close(shifted, alone, rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_the_position_in_the_bar_matters(tiny_policy, rows):
    """Guards the tests here: with another position the logits are others."""
    ids = right_pad(rows[:1])
    elsewhere = tiny_policy(input_ids=ids, bar_position=(bar_positions(ids) + 3) % BAR_POSITIONS)
    difference = (elsewhere.logits - tiny_policy(input_ids=ids).logits).abs()
    assert difference.max() > 0.05


@torch.no_grad()
def test_generation_with_a_cache_takes_the_argmax_of_the_plain_forward(tiny_policy, rows):
    prompt = right_pad([rows[0][:8], rows[1][:8]])
    ids = tiny_policy.generate(
        prompt, do_sample=False, max_new_tokens=90, min_new_tokens=90, use_cache=True
    )
    assert ids.shape == (2, 98)
    logits = tiny_policy(input_ids=ids, use_cache=False).logits
    logits[..., EOS] = -torch.inf  # min_new_tokens forbids the end
    assert torch.equal(logits[:, 7:-1].argmax(-1), ids[:, 8:])
    assert len(set(ids[0].tolist())) > 5, "the policy says too little to show much"


@torch.no_grad()
def test_prompts_padded_on_the_left_generate_as_alone(tiny_policy, rows):
    short, long = (
        torch.from_numpy(rows[0][:7].astype(int)),
        torch.from_numpy(rows[1][:12].astype(int)),
    )
    prompt = torch.stack([torch.cat([torch.full((5,), PAD), short]), long])
    options = {"do_sample": False, "max_new_tokens": 30, "min_new_tokens": 30}
    mask = (prompt != PAD).long()
    together = tiny_policy.generate(prompt, attention_mask=mask, **options)
    assert torch.equal(together[0, 5:], tiny_policy.generate(short[None], **options)[0])
    assert torch.equal(together[1], tiny_policy.generate(long[None], **options)[0])


@torch.no_grad()
def test_a_cache_without_positions_is_refused(tiny_policy, rows):
    ids = right_pad(rows[:1])
    cache = {CACHE: DynamicCache()}
    tiny_policy(input_ids=ids[:, :9], **cache, use_cache=True)
    with pytest.raises(
        ValueError, match="cannot be computed from the new ids alone; pass bar_position="
    ):
        tiny_policy(input_ids=ids[:, 9:10], **cache, use_cache=True)
    with pytest.raises(ValueError, match="needs input_ids or inputs_embeds; it got neither"):
        tiny_policy.model()


@torch.no_grad()
def test_auto_classes_load_a_saved_folder(tiny_policy, rows, tmp_path):
    save_policy(tiny_policy, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(loaded) is MelodyForCausalLM
    ids = right_pad(rows)
    torch.testing.assert_close(
        loaded.eval()(input_ids=ids).logits, tiny_policy(input_ids=ids).logits, rtol=0, atol=0
    )
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    names = " ".join(VOCABULARY[i] for i in rows[0])
    assert tokenizer(names)["input_ids"] == rows[0].tolist()
    assert tokenizer.decode(rows[0]) == names
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)


def test_the_tokenizer_has_every_name_at_its_id():
    tokenizer = melody_tokenizer()
    assert tokenizer.get_vocab() == ID
    ids = list(range(len(VOCABULARY)))
    assert tokenizer.convert_ids_to_tokens(ids) == list(VOCABULARY)
    assert tokenizer(" ".join(VOCABULARY))["input_ids"] == ids
    batch = tokenizer(["BOS METER_2/4", "BOS"], padding=True)
    assert batch["input_ids"] == [[BOS, ID["METER_2/4"]], [BOS, PAD]]
    assert batch["attention_mask"] == [[1, 1], [1, 0]]


def test_the_tokenizer_reads_back_what_it_writes(rows):
    tokenizer = melody_tokenizer()
    for row in rows:
        ids = row.tolist()
        text = tokenizer.decode(ids)
        assert text == to_text(ids)
        assert tokenizer(text)["input_ids"] == ids
        # TRL joins the text of a prompt and of a completion.
        for cut in (1, 6, 9):
            joined = tokenizer.decode(ids[:cut]) + tokenizer.decode(ids[cut:])
            assert tokenizer(joined)["input_ids"] == ids
    assert tokenizer("".join(VOCABULARY))["input_ids"] == list(range(len(VOCABULARY)))


@pytest.mark.parametrize("text", ["BOS FOO", "bar_4", "BAR_99", "PICKUP_0 ♪", "NOTE_0_12x"])
def test_the_tokenizer_stops_at_an_unknown_word(text):
    with pytest.raises(Exception, match=r"Missing \[UNK\] token"):  # tokenizers has no own type
        melody_tokenizer()(text)


def test_the_shipped_tokenizer_is_the_one_that_we_write(tmp_path):
    melody_tokenizer().save_pretrained(tmp_path)
    shipped = json.loads((BASE / "tokenizer.json").read_text())
    assert shipped == json.loads((tmp_path / "tokenizer.json").read_text())


def test_trainers_may_ask_for_remote_code(tiny_policy, tmp_path):
    """TRL reads `auto_map` of a class that is not transformers' own; there is nothing in it."""
    assert tiny_policy.config.auto_map == {}
    save_policy(tiny_policy, tmp_path)
    assert "auto_map" not in json.loads((tmp_path / "config.json").read_text())


@torch.no_grad()
def test_a_reward_model_is_made_of_a_policys_folder(tiny_policy, rows, tmp_path):
    save_policy(tiny_policy, tmp_path / "policy")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "policy", num_labels=1)
    assert type(model) is MelodyForSequenceClassification
    for name, tensor in tiny_policy.model.state_dict().items():
        assert torch.equal(model.model.state_dict()[name], tensor), name
    score = model.eval()(input_ids=right_pad(rows)).logits
    assert score.shape == (len(rows), 1)
    assert score.std() > 0
    model.save_pretrained(tmp_path / "reward")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward").eval()
    assert torch.equal(again(input_ids=right_pad(rows)).logits, score)
    with pytest.raises(
        CheckpointError, match=r"it has score\.weight, which only other models have"
    ):
        load_policy(tmp_path / "reward")


@torch.no_grad()
def test_a_score_knows_no_padding_and_no_end(tiny_policy, rows):
    """TRL's RewardTrainer shows melodies with EOS, its GRPO and RLOO take it off."""
    torch.manual_seed(0)
    config = melody_config(hidden_size=32, num_layers=1)
    config.num_labels = 1
    model = MelodyForSequenceClassification(config).eval()
    together = model(input_ids=right_pad(rows, multiple=64)).logits
    for place, row in enumerate(rows):
        for ids in (right_pad([row]), right_pad([row[:-1]])):
            alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
            torch.testing.assert_close(alone, together[place], rtol=1e-5, atol=1e-5)
        other = model(input_ids=right_pad([row[:-2]])).logits[0]
        assert (other - together[place]).abs() > 1e-4


def test_the_default_model_has_about_two_million_parameters():
    model = MelodyForCausalLM(melody_config())
    assert 1.7e6 < model.num_parameters() < 2.1e6
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_dropout_is_for_training_only(rows):
    shape = {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    dropping = MelodyForCausalLM(melody_config(**shape, residual_dropout=0.5))
    plain = MelodyForCausalLM(melody_config(**shape))
    plain.load_state_dict(dropping.state_dict())
    ids = right_pad(rows)
    wanted = plain.eval()(input_ids=ids).logits
    assert torch.equal(dropping.eval()(input_ids=ids).logits, wanted)
    assert torch.equal(plain.train()(input_ids=ids).logits, wanted)
    noisy = dropping.train()(input_ids=ids).logits
    assert (noisy - wanted).abs().mean() > 0.1 * wanted.abs().mean()
    for module in dropping.modules():  # what TRL does for `disable_dropout`
        if isinstance(module, torch.nn.Dropout):
            module.p = 0
    assert torch.equal(dropping(input_ids=ids).logits, wanted)


def test_the_corpus_fits_the_positions():
    assert max(map(len, load_token_rows("train"))) <= melody_config().max_position_embeddings
    ids = right_pad(load_token_rows("test"))
    assert bar_positions(ids).max() <= BAR_POSITIONS - 1
    assert len(VOCABULARY) == melody_config().vocab_size
