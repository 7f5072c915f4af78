"""What every trainer of TRL gets from us, whatever it trains."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from huggingface_hub import constants


def quiet_options(config_of: type, scratch: str, seed: int, *, use_cpu: bool) -> dict[str, Any]:
    """Fields of a config of TRL: float32, no checkpointing, nothing written, nothing said.

    It also turns huggingface_hub's telemetry off in this process: TRL's trainers report themselves
    there when they are made.

    Args:
        config_of: the config's class.
        scratch: a folder that may be thrown away.
        seed: of the order, and of whatever the trainer draws.
        use_cpu: also where there is another device.
    """
    # The variable HF_HUB_DISABLE_TELEMETRY was read when huggingface_hub was imported.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    # TRL turns it on under the old name, at which newer transformers warn.
    names = {entry.name for entry in fields(config_of)}
    checkpointing = min({"activation_checkpointing", "gradient_checkpointing"} & names)
    return {
        checkpointing: False,
        "output_dir": scratch,
        "use_cpu": use_cpu,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": seed,
    }
