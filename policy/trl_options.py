"""What every trainer of TRL gets from us, whatever it trains."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def quiet_options(config_of: type, scratch: str, seed: int, *, use_cpu: bool) -> dict[str, Any]:
    """Fields of a config of TRL: float32, no checkpointing, nothing written, nothing said.

    Args:
        config_of: the config's class.
        scratch: a folder that may be thrown away.
        seed: of the order, and of whatever the trainer draws.
        use_cpu: also where there is another device.
    """
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
