"""What a request tells of who sends it."""

import pytest

from feedback_ui.server.visitors import (
    is_by_https,
    is_of_this_machine,
    is_own_origin,
    proxy_header,
)


@pytest.mark.parametrize(
    "name",
    ["X-Forwarded-For", "x-forwarded-proto", "Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP"],
)
def test_a_proxy_is_known_by_its_headers(name):
    assert proxy_header(["Host", name]) == name
    assert not is_of_this_machine({"Host": "localhost:8501", name: "203.0.113.9"})


@pytest.mark.parametrize(
    ("headers", "here"),
    [
        ({}, True),
        ({"Host": "localhost:8501", "Origin": "http://localhost:8501"}, True),
        ({"Host": "127.0.0.1:8501"}, True),
        ({"Host": "[::1]:8501", "Origin": "http://[::1]:8501"}, True),
        ({"Host": "studio.example.org"}, False),
        ({"Host": "localhost:8501", "Origin": "https://studio.example.org"}, False),
        ({"Host": "localhost.example.org"}, False),
        ({"Host": "127.0.0.1:8501", "Origin": "null"}, False),
        ({"Host": "["}, False),
    ],
)
def test_who_is_at_this_machine(headers, here):
    assert is_of_this_machine(headers) is here


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        (None, True),
        ("http://127.0.0.1:8501", True),
        ("http://127.0.0.1:9000", False),
        ("http://localhost:8501", False),
        ("https://studio.example.org", True),
        ("https://STUDIO.example.org:444", True),
        ("https://evil.example.org", False),
        ("https://studio.example.org.evil.org", False),
        ("null", False),
        ("http://[", False),
    ],
)
def test_which_pages_may_open_a_web_socket(origin, own):
    hosts = ["localhost", "127.0.0.1", "Studio.example.org"]
    assert is_own_origin(origin, "127.0.0.1:8501", hosts) is own


@pytest.mark.parametrize(
    ("scheme", "headers", "https"),
    [
        ("http", {}, False),
        ("https", {}, True),
        ("http", {"origin": "https://studio.example.org"}, True),
        ("http", {"x-forwarded-proto": "https, http"}, True),
        ("http", {"x-forwarded-proto": "http"}, False),
        ("http", {"forwarded": "for=1.2.3.4;proto=https"}, True),
    ],
)
def test_how_the_browser_came(scheme, headers, https):
    assert is_by_https(scheme, headers) is https
