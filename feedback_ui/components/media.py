"""Audio for a component: an address in Streamlit's store of media, which tells no name."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.runtime import get_instance

from feedback_ui.services.clips import Clip


def clip_data(clip: Clip, coordinates: str) -> dict[str, Any]:
    """What a component is told of a clip: its address and how long it plays.

    Args:
        clip: the sound.
        coordinates: its place on the page; the next clip at the same place lets this one go.
    """
    # The media manager names a file by its hash, so the address does not tell who wrote it.
    # Streamlit has no public way to get such an address; st.audio does the same inside.
    address = get_instance().media_file_mgr.add(
        clip.path.read_bytes(), "audio/wav", coordinates=coordinates
    )
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return {
        "address": f"/{base}{address}" if base else address,
        "duration_ms": clip.duration_ms,
        "needed_ms": clip.needed_ms,
        "pickup_ms": clip.pickup_ms,
        "bar_ms": clip.bar_ms,
    }
