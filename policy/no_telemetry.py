"""Telemetry of Hugging Face's libraries, switched off for every program that imports `policy`.

TRL's trainers report themselves to huggingface_hub when they are made, and for that report
huggingface_hub asks its host for a list. `policy/__init__.py` imports this module, so it comes
before every trainer: only programs that import a policy make trainers of ours.

Whoever sets `HF_HUB_DISABLE_TELEMETRY` themselves, to 0 too, keeps their choice.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "HF_HUB_DISABLE_TELEMETRY"

if VARIABLE not in os.environ:
    os.environ[VARIABLE] = "1"  # read when huggingface_hub is imported, also by child processes
    imported = sys.modules.get("huggingface_hub.constants")
    if imported is not None:  # by the program, before us; read again at each report
        vars(imported)["HF_HUB_DISABLE_TELEMETRY"] = True
