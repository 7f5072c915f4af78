"""Starting the studio: builds its command line, and reads it back in the server process.

`.streamlit/config.toml` has the fixed options. This module has those that depend on the call: the
address to listen on, the host names, and the database, clips and soundfont to use.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from reward.store.process_environment import DATABASE_VARIABLE

STUDIO = Path(__file__).parents[1] / "studio.py"
SERVER = Path(__file__).with_name("serve.py")
ORGANISER_VARIABLE = "TASTEMAKER_ORGANISER_KEY"
LEAST_KEY_CHARACTERS = 16
"""of an organiser's key: a longer one cannot be guessed over a network"""
"""environment variable for the organiser's key of a studio that other machines can reach"""
DEFAULT_DATABASE = "checkpoints/ratings.sqlite"
DEFAULT_PORT = 8501
OWN_HOSTS = ("localhost", "127.0.0.1")
MOST_HEARD_MS = 60_000
_SITE = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")


class LaunchError(ValueError):
    """The studio cannot be started like that; one line with the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioOptions:
    """The options of the running studio."""

    database: str = DEFAULT_DATABASE
    """path of an SQLite file, or a URL"""
    clips: Path | None = None
    """folder for rendered audio; the user's cache by default"""
    soundfont: Path | None = None
    """a .sf2 file; the one that comes with pretty_midi by default"""
    least_heard_ms: int | None = None
    """how much of each side must be heard before a vote; the studio's own rule by default"""
    organiser_key: str | None = None
    """key that identifies an organiser; None if there is no key"""
    embed_in: tuple[str, ...] = ()
    """sites that may show the studio in a frame, each as https://course.example.org"""

    @property
    def clips_folder(self) -> Path:
        """Where rendered audio is kept between runs."""
        if self.clips is not None:
            return self.clips
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "tastemaker" / "clips"


def studio_command(
    database: str | None = None,
    *,
    port: int = DEFAULT_PORT,
    address: str = "127.0.0.1",
    hosts: Sequence[str] = (),
    clips: Path | None = None,
    soundfont: Path | None = None,
    least_heard_ms: int | None = None,
    embed_in: Sequence[str] = (),
    open_browser: bool = True,
) -> list[str]:
    """The command that runs the studio, for `subprocess`.

    Args:
        database: path or URL; None leaves it to the environment variable `TASTEMAKER_DATABASE`.
        port: TCP port.
        address: IP address to listen on; only this machine by default.
        hosts: names under which browsers may ask for the studio; needed for another `address`.
        clips: see `StudioOptions`.
        soundfont: see `StudioOptions`.
        least_heard_ms: see `StudioOptions`.
        embed_in: see `StudioOptions`.
        open_browser: open a browser window when the server is up.

    Raises:
        LaunchError: for a bad port, address or site, or an open address without names.
    """
    for site in embed_in:
        _check_site(site)
    if not 1 <= port <= 65535:
        raise LaunchError(f"port={port} is not within 1..65535; {DEFAULT_PORT} is the usual one")
    try:
        local = ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        raise LaunchError(
            f"address={address!r} is not an IP address; use 127.0.0.1 for this machine only, or "
            "the address of a network card"
        ) from error
    if not local and not hosts:
        raise LaunchError(
            f"address={address} can be reached by other machines; name the hosts under which they "
            "may ask for the studio, such as studio.example.org"
        )
    allowed = [*OWN_HOSTS, *(host for host in hosts if host not in OWN_HOSTS)]
    if local and address not in allowed:
        allowed.append(address)
    return [
        *(sys.executable, str(SERVER), "run", str(STUDIO)),
        *(f"--server.address={address}", f"--server.port={port}"),
        *(f"--server.allowedHosts={host}" for host in allowed),
        f"--server.headless={'false' if open_browser else 'true'}",
        "--",
        *([] if database is None else [f"--database={database}"]),
        *([] if clips is None else [f"--clips={clips}"]),
        *([] if soundfont is None else [f"--soundfont={soundfont}"]),
        *([] if least_heard_ms is None else [f"--least-heard-ms={least_heard_ms}"]),
        *(f"--embed-in={site}" for site in embed_in),
    ]


def check_organiser_key(key: str) -> None:
    """Refuse a key that a program could guess.

    Raises:
        LaunchError: for one that is shorter than `LEAST_KEY_CHARACTERS`, or of few different ones.
    """
    if len(key) < LEAST_KEY_CHARACTERS or len(set(key)) < LEAST_KEY_CHARACTERS // 2:
        raise LaunchError(
            f"the organiser's key in {ORGANISER_VARIABLE} is too easy to guess; give at least "
            f"{LEAST_KEY_CHARACTERS} characters at random, as python3 -c 'import secrets; "
            "print(secrets.token_urlsafe(24))' prints them, or unset it"
        )


def become_studio(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Become the server process, so that whoever ends this process ends the server.

    A child would go on when only its parent is ended, and keep the port.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], list(command), dict(environment))


def is_for_this_machine(address: str, hosts: Sequence[str]) -> bool:
    """Whether only this machine can reach the studio, so that no organiser's key is needed.

    Args:
        address: IP address that it listens on.
        hosts: names under which browsers may ask for it.
    """
    try:
        local = ipaddress.ip_address(address).is_loopback
    except ValueError:
        local = address in OWN_HOSTS
    return local and all(host in OWN_HOSTS or host == address for host in hosts)


def parse_options(arguments: Sequence[str]) -> StudioOptions:
    """Read the arguments after `--`; the database defaults to the environment variable.

    Raises:
        LaunchError: for an argument that is not known.
    """
    parser = argparse.ArgumentParser(prog="studio", add_help=False, exit_on_error=False)
    parser.add_argument("--database", default=os.environ.get(DATABASE_VARIABLE, DEFAULT_DATABASE))
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--soundfont", type=Path)
    parser.add_argument("--least-heard-ms", type=int)
    parser.add_argument("--embed-in", action="append", default=[])
    try:
        known, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise LaunchError(f"the studio's arguments cannot be read: {error}") from error
    if unknown:
        raise LaunchError(
            f"the studio has no argument {unknown[0]!r}; it takes --database, --clips, "
            "--soundfont, --least-heard-ms and --embed-in"
        )
    for site in known.embed_in:
        _check_site(site)
    known.embed_in = tuple(known.embed_in)
    least = known.least_heard_ms
    if least is not None and not 1 <= least <= MOST_HEARD_MS:
        raise LaunchError(
            f"--least-heard-ms={least} is not within 1..{MOST_HEARD_MS}; 3000 is the studio's rule"
        )
    return StudioOptions(**vars(known), organiser_key=os.environ.get(ORGANISER_VARIABLE) or None)


def _check_site(site: str) -> None:
    if _SITE.fullmatch(site) is None:
        raise LaunchError(
            f"--embed-in={site!r} is not a site; give its scheme and host, such as "
            "https://course.example.org"
        )
