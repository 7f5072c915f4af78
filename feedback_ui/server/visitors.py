"""What a request tells of who sends it: through a proxy or not, from which site, with which rights.

Pages know the headers of the WebSocket through which they are shown; the middleware knows those of
each request. Both ask here.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from feedback_ui.server.cookies import organiser_proof
from feedback_ui.server.launch import OWN_HOSTS

PROXY_HEADERS = (
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
)
PROXY_PREFIX = "x-forwarded-"


def proxy_header(names: Iterable[str]) -> str | None:
    """The first of these names of headers that only a proxy writes; None without a proxy."""
    for name in names:
        if name.lower() in PROXY_HEADERS or name.lower().startswith(PROXY_PREFIX):
            return name
    return None


def is_of_this_machine(headers: Mapping[str, str]) -> bool:
    """Whether a browser of this machine asks for the studio, without a proxy between.

    Args:
        headers: of the request; names in any case.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if proxy_header(lower) is not None:
        return False
    asked = [f"//{lower['host']}"] if "host" in lower else []
    asked += [lower["origin"]] if "origin" in lower else []
    return all(_is_loopback(host_name(address)) for address in asked)


def host_name(address: str) -> str:
    """The host of an address, in lower case; '' when there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def is_own_origin(origin: str | None, host: str | None, hosts: Iterable[str]) -> bool:
    """Whether a request comes from a page of the studio itself, or from no page at all.

    Args:
        origin: the header `Origin`.
        host: the header `Host`.
        hosts: names that were given to the studio, for a proxy that writes another `Host`.
    """
    if origin is None:
        return True
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    if host is not None and found.netloc.lower() == host.lower():
        return True
    named = {name.lower() for name in hosts} - set(OWN_HOSTS)
    return found.hostname is not None and found.hostname in named


def is_by_https(scheme: str, headers: Mapping[str, str]) -> bool:
    """Whether the browser came by HTTPS, as far as the request tells.

    Args:
        scheme: of the request that arrived here.
        headers: with names in lower case; a proxy tells here how the browser asked it.
    """
    return (
        scheme in ("https", "wss")
        or headers.get("origin", "").startswith("https://")
        or headers.get("x-forwarded-proto", "").split(",")[0].strip() == "https"
        or "proto=https" in headers.get("forwarded", "").lower()
    )


def is_key(shown: str, key: str) -> bool:
    """Whether this is the organiser's key."""
    return hmac.compare_digest(shown.encode(), key.encode())


def is_proof(shown: str, key: str) -> bool:
    """Whether this is what the cookie of an organiser holds."""
    return hmac.compare_digest(shown.encode(), organiser_proof(key).encode())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
