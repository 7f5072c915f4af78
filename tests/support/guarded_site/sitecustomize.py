"""Python runs this at its start where this folder is on the path: see `network_guard.py`."""

import os

if os.environ.get("TASTEMAKER_TEST_NETWORK_LOG"):
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location(
        "network_guard", Path(__file__).parents[1] / "network_guard.py"
    )
    guard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guard)
    guard.install()
