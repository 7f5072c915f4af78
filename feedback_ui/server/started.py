"""What this server was started with, as Streamlit's options say it."""

from __future__ import annotations

from streamlit import config

from feedback_ui.server.cookies import cookie_name
from feedback_ui.server.launch import StudioOptions, is_for_this_machine


def serves_this_machine_only() -> bool:
    """Whether only this machine can reach the studio."""
    return is_for_this_machine(
        str(config.get_option("server.address") or ""),
        config.get_option("server.allowedHosts") or (),
    )


def base_path() -> str:
    """The path below which the studio is served, such as "/studio"; '' for none."""
    base = str(config.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


def own_cookie(kind: str, options: StudioOptions) -> str:
    """The name of this server's cookie of a kind."""
    return cookie_name(kind, int(config.get_option("server.port")), options.database)
