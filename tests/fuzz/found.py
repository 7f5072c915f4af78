"""Inputs that a reader once answered wrongly, each with what it did then.

Whoever finds another adds it here, as short as it can be made, before mending the reader.
"""

from __future__ import annotations

FOUND: tuple[tuple[str, str, bytes], ...] = (
    # target, what it did, input
    ("abc", "took 14 s", b"X:1\nK:D\n" + b":" * 100_000),
    ("abc", "RecursionError", b"X:1\nK:D\nA" + b">" * 7000 + b"B|\n"),
    (
        "abc-book",
        "ended the whole book",
        b"X:1\nT:A header without notes\nK:D\n\nX:2\nK:D\nDEFG|\n",
    ),
    ("policy-config", "read as 0 layers", b'{"model_type":"melody_llama","num_hidden_layers":-1}'),
    ("taste", "RecursionError", b"[" * 10_000),
    ("run-record", "RecursionError", b"[" * 10_000),
    ("metrics", "RecursionError", b"[" * 10_000),
    ("ppo-setting", "took minutes", b"melodies_per_update=1000000000\nminibatch=7"),
    ("ppo-setting", "a message of thousands of characters", b"updates=" + b"9" * 5000),
    ("database-url", "RuntimeError: no home directory", b"~nobody-of-this-name/ratings.sqlite"),
)
