"""Secret tokens: who shows one comes in as a rater, or is invited. The store has only hashes."""

from __future__ import annotations

import hashlib


def hash_of_token(token: str) -> str:
    """What is stored of a token, in hexadecimal digits."""
    # A token is 128 random bits or more, so one plain hash cannot be searched.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
