"""What every trainer of TRL gets from us."""

from huggingface_hub import constants
from huggingface_hub.utils import _telemetry, send_telemetry
from transformers import TrainingArguments

from policy.trl_options import quiet_options


def test_our_trainers_report_nothing(monkeypatch, tmp_path):
    """TRL's trainers call `send_telemetry` when they are made."""
    sent = []
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_telemetry, "_start_telemetry_thread", lambda: None)
    monkeypatch.setattr(_telemetry._TELEMETRY_QUEUE, "put", sent.append)
    send_telemetry("trl/DPOTrainer")
    assert [report["topic"] for report in sent] == ["trl/DPOTrainer"]
    quiet_options(TrainingArguments, str(tmp_path), 0, use_cpu=True)
    send_telemetry("trl/DPOTrainer")
    assert len(sent) == 1
