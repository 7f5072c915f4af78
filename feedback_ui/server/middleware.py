"""What the server does with each request before Streamlit sees it.

- No other site may show the studio in a frame, except those that `--embed-in` names.
- A WebSocket is refused to pages of other sites.
- An address with an organiser's key or a rater's token is answered by a redirection to the same
  address without them; the answer sets a cookie.
- Pages have cookies set here (see `cookies.py`).
- The server's metrics are for organisers, and so are uploads: Streamlit takes a file of anybody who
  has a page open, and keeps it in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from feedback_ui.server.cookies import (
    LIFETIME_S,
    LINK,
    ORGANISER,
    PATH,
    RATER,
    TICKETS,
    is_cookie_value,
    organiser_proof,
    set_cookie,
)
from feedback_ui.server.launch import StudioOptions
from feedback_ui.server.started import base_path, own_cookie, serves_this_machine_only
from feedback_ui.server.visitors import (
    is_by_https,
    is_key,
    is_of_this_machine,
    is_own_origin,
    is_proof,
)

METRICS = "/_stcore/metrics"
UPLOADS = "/_stcore/upload_file"
MOST_TICKET_BYTES = 256


class StudioMiddleware:
    """The middleware; see the module's docstring.

    Args:
        app: Streamlit's application.
        options: those of this server.
    """

    def __init__(self, app: ASGIApp, options: StudioOptions) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "websocket":
            await self._web_socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, self._with_headers(send))
        else:
            await self._app(scope, receive, send)

    async def _web_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_own(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # becomes 403

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = "/" + scope["path"].removeprefix(base_path()).strip("/")
        answer: Response | None = None
        if path == PATH:
            answer = await self._set_cookies(request)
        elif path == METRICS and not self._is_organiser(request):
            answer = PlainTextResponse(
                "The metrics are for the organiser: send the organiser's key as "
                "'Authorization: Bearer KEY'.\n",
                HTTPStatus.FORBIDDEN,
            )
        elif path.startswith(UPLOADS) and not self._is_organiser(request):
            answer = PlainTextResponse(
                "Files are for the organiser to upload: open the organiser's address, then the "
                "page Corpora.\n",
                HTTPStatus.FORBIDDEN,
            )
        elif request.method in ("GET", "HEAD") and not path.startswith("/_stcore/"):
            answer = self._without_keys(request)
        await (self._app if answer is None else answer)(scope, receive, send)

    # The parts

    def _with_headers(self, send: Send) -> Send:
        sites = " ".join(("'self'", *self._options.embed_in))

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append("Content-Security-Policy", f"frame-ancestors {sites}")
                if not self._options.embed_in:  # which this older header cannot name
                    headers["X-Frame-Options"] = "SAMEORIGIN"
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        return with_headers

    def _without_keys(self, request: Request) -> Response | None:
        """The way to the same address without keys; None where it has none."""
        query = parse_qsl(request.url.query, keep_blank_values=True)
        rest = [(name, value) for name, value in query if name not in (RATER, ORGANISER)]
        if len(rest) == len(query):
            return None
        # One slash: the address of another host begins with two.
        path = "/" + quote(request.scope["path"].lstrip("/\\"))
        answer = RedirectResponse(
            f"{path}?{urlencode(rest)}" if rest else path, HTTPStatus.SEE_OTHER
        )
        answer.headers["Cache-Control"] = "no-store"
        shown = dict(query)
        changes: dict[str, str | None] = {}
        key, token = self._options.organiser_key, shown.get(RATER, "")
        if key is not None and is_key(shown.get(ORGANISER, ""), key):
            changes[ORGANISER] = organiser_proof(key)
        if is_cookie_value(token) and token != self._cookie(request, RATER):
            changes[LINK] = token
        self._add_cookies(answer, request, changes)
        return answer

    async def _set_cookies(self, request: Request) -> Response:
        if request.method != "POST" or not self._is_own(request.headers):
            return Response(status_code=HTTPStatus.FORBIDDEN)
        ticket = b""
        async for part in request.stream():
            ticket += part
            if len(ticket) > MOST_TICKET_BYTES:
                return Response(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        changes = TICKETS.redeem(ticket.decode("ascii", "replace"))
        if changes is None:
            return Response(status_code=HTTPStatus.GONE)
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        answer.headers["Cache-Control"] = "no-store"
        self._add_cookies(answer, request, changes)
        return answer

    def _add_cookies(
        self, answer: Response, request: Request, changes: Mapping[str, str | None]
    ) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        for kind, value in changes.items():
            answer.headers.append(
                "Set-Cookie",
                set_cookie(
                    own_cookie(kind, self._options),
                    value,
                    lifetime_s=LIFETIME_S[kind],
                    path=base_path() or "/",
                    secure=is_by_https(request.url.scheme, headers),
                    embedded=bool(self._options.embed_in),
                ),
            )

    # Who asks

    def _is_own(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin")
        if origin is not None and origin in (config.get_option("server.corsAllowedOrigins") or ()):
            return True
        hosts = config.get_option("server.allowedHosts") or ()
        return is_own_origin(origin, headers.get("host"), hosts)

    def _is_organiser(self, request: Request) -> bool:
        key = self._options.organiser_key
        if key is None:
            return serves_this_machine_only() and is_of_this_machine(request.headers)
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and is_key(shown.strip(), key):
            return True
        return is_proof(self._cookie(request, ORGANISER), key)

    def _cookie(self, request: Request, kind: str) -> str:
        return cookie_parser(request.headers.get("cookie", "")).get(
            own_cookie(kind, self._options), ""
        )
