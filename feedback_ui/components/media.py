"""Audio for a component: an address in Streamlit's media storage that does not reveal a name."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.runtime import get_instance

from feedback_ui.services.clips import Clip


def clip_data(clip: Clip, coordinates: str) -> dict[str, Any]:
    """The data of a clip for a component: its address and its times in ms.

    Args:
        clip: the sound.
        coordinates: its place on the page; the next clip at the same place releases this one.
    """
    # The media manager names a file by its hash, so the address does not reveal who wrote it.
    # Streamlit has no public function for this; st.audio does the same internally.
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
