"""Telemetry of Hugging Face's libraries, switched off for every program that imports `policy`.

TRL's trainers report themselves to huggingface_hub when they are made, and for that report
huggingface_hub asks its host for a list. `datasets` counts each data set that is loaded, local
files too, by a request to its store. `policy/__init__.py` imports this module, so it comes before
every trainer: only programs that import a policy make trainers of ours.

Whoever sets one of these variables themselves keeps their choice.
"""

from __future__ import annotations

import os
import sys

SWITCHES = {
    "HF_HUB_DISABLE_TELEMETRY": ("huggingface_hub.constants", True),
    "HF_UPDATE_DOWNLOAD_COUNTS": ("datasets.config", False),
}
"""an environment variable, the module that reads it when it is imported, and what it makes of it"""

for _variable, (_module, _value) in SWITCHES.items():
    if _variable not in os.environ:
        os.environ[_variable] = "1" if _value else "0"  # for child processes too
        if _module in sys.modules:  # imported by the program, before us; read again at each use
            vars(sys.modules[_module])[_variable] = _value
