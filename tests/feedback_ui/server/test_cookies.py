"""Cookies and the tickets by which a page has them set."""

from threading import Thread

import pytest

from feedback_ui.server import cookies
from feedback_ui.server.cookies import (
    ORGANISER,
    RATER,
    TICKET_LIFETIME_S,
    Tickets,
    cookie_name,
    is_cookie_value,
    organiser_proof,
    set_cookie,
)


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tickets(clock):
    return Tickets(clock)


def test_a_ticket_works_once(tickets):
    ticket = tickets.issue({RATER: "a-token"})
    assert tickets.is_waiting(ticket)
    assert tickets.redeem(ticket) == {RATER: "a-token"}
    assert not tickets.is_waiting(ticket)
    assert tickets.redeem(ticket) is None
    assert tickets.redeem("made-up") is None


def test_a_ticket_takes_the_changes_of_an_earlier_one_along(tickets):
    first = tickets.issue({RATER: "one", ORGANISER: "proof"})
    second = tickets.issue({RATER: None}, instead_of=first)
    assert tickets.redeem(first) is None
    assert tickets.redeem(second) == {RATER: None, ORGANISER: "proof"}


def test_a_ticket_is_late_some_time(tickets, clock):
    ticket = tickets.issue({RATER: "a-token"})
    clock.now_s += TICKET_LIFETIME_S + 1
    assert not tickets.is_waiting(ticket)
    assert tickets.redeem(ticket) is None


def test_tickets_that_nobody_fetches_do_not_fill_the_memory(tickets, clock, monkeypatch):
    monkeypatch.setattr(cookies, "MOST_TICKETS", 3)
    issued = [tickets.issue({RATER: str(number)}) for number in range(5)]
    assert [tickets.is_waiting(ticket) for ticket in issued] == [False, False, True, True, True]
    clock.now_s += TICKET_LIFETIME_S + 1
    last = tickets.issue({})
    assert list(tickets._waiting) == [last]


def test_of_many_who_send_a_ticket_one_gets_the_cookie(tickets):
    ticket, got = tickets.issue({RATER: "a-token"}), []
    threads = [Thread(target=lambda: got.append(tickets.redeem(ticket))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found for found in got if found is not None] == [{RATER: "a-token"}]


@pytest.mark.parametrize(
    ("secure", "embedded", "ends"),
    [
        (False, False, "SameSite=Lax"),
        (True, False, "SameSite=Lax; Secure"),
        (False, True, "SameSite=Lax"),
        (True, True, "SameSite=None; Secure; Partitioned"),
    ],
)
def test_no_script_and_no_other_site_gets_a_cookie(secure, embedded, ends):
    options = {"path": "/", "secure": secure, "embedded": embedded}
    said = set_cookie("name", "value", lifetime_s=60, **options)
    assert said == f"name=value; Path=/; HttpOnly; Max-Age=60; {ends}"
    assert "Max-Age" not in set_cookie("name", "value", lifetime_s=None, **options)
    assert "name=; Path=/; HttpOnly; Max-Age=0" in set_cookie(
        "name", None, lifetime_s=60, **options
    )


def test_studios_of_one_machine_have_cookies_of_their_own():
    names = {
        cookie_name(RATER, 8501, "a.db"),
        cookie_name(RATER, 8502, "a.db"),
        cookie_name(RATER, 8501, "b.db"),
        cookie_name(ORGANISER, 8501, "a.db"),
    }
    assert len(names) == 4
    assert cookie_name(RATER, 8501, "postgresql://me:secret@host/x").isidentifier()


def test_the_proof_does_not_tell_the_key():
    assert is_cookie_value(organiser_proof("schlüssel"))
    assert organiser_proof("a") != organiser_proof("b")


@pytest.mark.parametrize("text", ["", "a b", "a;b", "a\r\nSet-Cookie: x=y", "ä", "a" * 129])
def test_what_could_break_a_header_is_no_cookie(text):
    assert not is_cookie_value(text)
