"""What every trainer of TRL gets from us."""

from transformers import TrainingArguments

from policy.trl_options import quiet_options


def test_a_trainer_writes_and_says_nothing(tmp_path):
    options = quiet_options(TrainingArguments, str(tmp_path), 3, use_cpu=True)
    given = TrainingArguments(**options)
    assert (given.report_to, given.save_strategy, given.seed) == ([], "no", 3)
    assert given.disable_tqdm
    assert not given.bf16
