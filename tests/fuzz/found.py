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
    ("soundfont", "asked for 4 GB and died", b"RIFF\x0c\0\0\0sfbksmpl\xf0\xff\xff\xff"),
    ("policy-config", "read as 0 layers", b'{"model_type":"melody_llama","num_hidden_layers":-1}'),
    ("taste", "RecursionError", b"[" * 10_000),
    ("run-record", "RecursionError", b"[" * 10_000),
    ("metrics", "RecursionError", b"[" * 10_000),
    ("metrics", "KeyError in guards", b'{"update": 0}\n'),
    ("metrics", "TypeError in guards", b'{"update": 0, "seconds": 1, "guards_broken": 3}\n'),
    ("metrics", "TypeError in a comparison", b'{"update": 0, "seconds": "a"}\n'),
    ("metrics", "TypeError in the studio", b'{"update": []}\n'),
    ("report-plot", "KeyError", b'{"update": 0, "reward": 1, "kl_nats": 0, "guards_broken": []}\n'),
    ("samples", "UnicodeDecodeError", b"melody-001  D \xff\n"),
    ("samples", "ValueError", b"melody-001  D\n\nmelody-002  D\n"),
    ("samples", "read a file elsewhere", b"../../../secret  D\n"),
    ("samples", "ValueError of a NUL", b"melody-\x00  D\n"),
    ("step-state", "JsonError", b'{"step": Infinity}'),
    ("step-tensors", "SafetensorError", b"\xff" * 16),
    (  # a member that begins before the file does
        "corpus-file",
        "OSError",
        b"PK\x03\x04PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x05"
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a.npyPK\x05\x06\0\0\0\0\x01\0\x01\x003\0\0\0\x0d\0\0\0\0\0",
    ),
    ("data-card", "KeyError", b'{"name": "mine"}'),
    ("job", "KeyError", b'{"settings": {}}'),
    ("job", "TypeError", b'{"folder": 3, "settings": {}}'),
    ("reward-record", "KeyError", b'{"spec": "music-theory", "standard": null}'),
    ("ppo-setting", "took minutes", b"melodies_per_update=1000000000\nminibatch=7"),
    ("ppo-setting", "a message of thousands of characters", b"updates=" + b"9" * 5000),
    ("database-url", "UnicodeEncodeError", b"postgresql://u:\xc3@h/d"),
    ("database-url", "ValueError of a library", b"postgresql://h:port/d"),
    ("database-url", "RuntimeError: no home directory", b"~nobody-of-this-name/ratings.sqlite"),
)
