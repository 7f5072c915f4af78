"""Cookies: what the studio keeps in a browser, and how a page has them set.

| kind | holds | for |
|---|---|---|
| `RATER` | the token of the rater who uses this browser | 90 days |
| `LINK` | the token of a personal link that was opened, until its owner is asked for | 10 minutes |
| `ORGANISER` | proof that the organiser's key was shown | until the browser is closed |

No script can read them (HttpOnly). A page is sent through a WebSocket, which can set no cookie. So
a page issues a *ticket* here, a component sends the ticket back by a request of its own, and the
answer to that request sets the cookies. A ticket works once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

RATER = "rater"
LINK = "link"
ORGANISER = "organiser"
PATH = "/tastemaker/cookies"
"""where tickets are sent, below the base path of the server"""
LIFETIME_S = {RATER: 90 * 24 * 3600, LINK: 600, ORGANISER: None}
TICKET_LIFETIME_S = 300.0
MOST_TICKETS = 10_000
_VALUE = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_cookie_value(text: str) -> bool:
    """Whether a text can be a rater's token or a proof; keys and tokens of ours all can."""
    return _VALUE.fullmatch(text) is not None


def cookie_name(kind: str, port: int, database: str) -> str:
    """The cookie's name. Browsers do not separate ports, so studios of one machine must differ."""
    studio = hashlib.sha256(f"{port} {database}".encode()).hexdigest()[:10]
    return f"tastemaker_{kind}_{studio}"


def organiser_proof(key: str) -> str:
    """What the organiser's cookie holds: who reads the cookie does not learn the key."""
    return hmac.new(key.encode(), b"tastemaker organiser 1", hashlib.sha256).hexdigest()


def set_cookie(
    name: str, value: str | None, *, lifetime_s: int | None, path: str, secure: bool, embedded: bool
) -> str:
    """The value of a `Set-Cookie` header.

    Args:
        name: of the cookie.
        value: None removes the cookie.
        lifetime_s: None keeps it until the browser is closed.
        path: below which it is sent.
        secure: whether the browser came by HTTPS.
        embedded: whether pages of other sites show the studio in a frame; works by HTTPS only.
    """
    age = 0 if value is None else lifetime_s
    parts = [f"{name}={value or ''}", f"Path={path}", "HttpOnly"]
    parts += [] if age is None else [f"Max-Age={age}"]
    if embedded and secure:
        parts += ["SameSite=None", "Secure", "Partitioned"]
    else:
        parts += ["SameSite=Lax", *(["Secure"] if secure else [])]
    return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class _Waiting:
    changes: Mapping[str, str | None]
    until_s: float


class Tickets:
    """Changes of cookies that wait to be fetched; safe to share between threads.

    Args:
        now_s: the clock.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def issue(self, changes: Mapping[str, str | None], instead_of: str | None = None) -> str:
        """A ticket for these changes, kind -> value (None removes the cookie).

        Args:
            changes: see above.
            instead_of: an earlier ticket of the same page; its changes come along.
        """
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            earlier = self._waiting.pop(instead_of or "", None)
            # In order of their end, since all live equally long.
            while self._waiting:
                oldest = next(iter(self._waiting))
                fresh = self._waiting[oldest].until_s > self._now_s()
                if fresh and len(self._waiting) < MOST_TICKETS:
                    break
                del self._waiting[oldest]
            self._waiting[ticket] = _Waiting(
                {**(earlier.changes if earlier else {}), **changes},
                self._now_s() + TICKET_LIFETIME_S,
            )
        return ticket

    def is_waiting(self, ticket: str) -> bool:
        """Whether a ticket has not been sent back yet."""
        with self._lock:
            found = self._waiting.get(ticket)
        return found is not None and found.until_s > self._now_s()

    def redeem(self, ticket: str) -> Mapping[str, str | None] | None:
        """The changes of a ticket, once; None for a used, late or unknown one."""
        with self._lock:
            found = self._waiting.pop(ticket, None)
        return found.changes if found is not None and found.until_s > self._now_s() else None


TICKETS = Tickets()
"""those of this server: pages issue them, the middleware redeems them"""
