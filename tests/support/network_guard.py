"""No connection and no look-up of a name beyond this machine: a guard around all tests.

It stands in this process and, by way of `guarded_site/sitecustomize.py`, in each Python process
that a test starts, and in those that they start. An attempt raises an error and is written to a
file, since libraries often swallow the error. The test during which it was written fails.

It sees what Python's own `socket` module does. It does not see what a compiled library does by
itself, such as PostgreSQL's client, nor what the browser does, which has options of its own.

Only the standard library is imported here: this runs at the start of every process.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

VARIABLE = "TASTEMAKER_TEST_NETWORK_LOG"
"""names the file to which attempts are written"""
INSTALLS = "TASTEMAKER_TEST_INSTALLS"
"""set by a test that installs packages into an environment of its own: pip may fetch them"""
SITE = str(Path(__file__).with_name("guarded_site"))
CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
NAMES_OF_THIS_MACHINE = ("", "localhost", "ip6-localhost", os.uname().nodename.lower())
"""torchrun asks the system for the machine's own full name"""


class OutsideError(OSError):
    """The guard has stopped an attempt to reach another machine."""


def install():
    """Guard this process and the Python processes that it starts; a second call does nothing.

    A process of pip is not guarded in a test that sets `INSTALLS`.
    """
    if hasattr(sys, "tastemaker_network_guard"):
        return
    if os.environ.get(INSTALLS) and any("pip" in Path(part).name for part in sys.orig_argv[1:4]):
        return
    sys.tastemaker_network_guard = True
    sys.addaudithook(_hook)
    started = subprocess.Popen.__init__

    def start(self, *arguments, env=None, **options):
        started(self, *arguments, env=None if env is None else guarded(env), **options)

    subprocess.Popen.__init__ = start


def guarded(environment):
    """The environment of a process that the guard shall be in."""
    path = environment.get("PYTHONPATH", "").split(os.pathsep)
    if SITE not in path:
        path = [SITE, *filter(None, path)]
    log = os.environ.get(VARIABLE, "")
    return {VARIABLE: log, **environment, "PYTHONPATH": os.pathsep.join(path)}


def _hook(event, arguments):
    if not event.startswith("socket."):
        return
    if event in CONNECTIONS:
        family, address = arguments[0].family, arguments[1]
        if family not in (socket.AF_INET, socket.AF_INET6) or address is None:
            return  # a Unix socket, or one that is connected
        host = address[0]
    elif event in LOOK_UPS:
        host = arguments[0]
        if host is None or _is_number(_text(host)):
            return  # nothing is looked up; a connection to it is another event
    else:
        return
    if not _is_this_machine(_text(host)):
        _stop(event, host)


def _stop(event, host):
    said = f"{event} {host!r}"
    log = os.environ.get(VARIABLE)
    if log:
        stack = "".join(traceback.format_stack(limit=12)[:-2])
        when = time.strftime("%H:%M:%S")
        with open(log, "a") as file:  # noqa: PTH123  Path.open raises more events
            file.write(f"{when} process {os.getpid()} {sys.argv}: {said}\n{stack}\n")
    raise OutsideError(errno.ENETUNREACH, f"stopped by the network guard of the tests: {said}")


def _text(host):
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)


def _is_number(host):
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_this_machine(host):
    if host.lower() in NAMES_OF_THIS_MACHINE:
        return True
    if not _is_number(host):
        return False
    address = ipaddress.ip_address(host.partition("%")[0])
    return address.is_loopback or address.is_unspecified
