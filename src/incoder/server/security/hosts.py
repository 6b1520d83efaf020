"""The hosts that a request may name.

A web page can let a name of its own point to this machine (DNS rebinding); its requests then have that name.
"""

import ipaddress
import re

from incoder.server.settings import ServerSettings

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?", re.IGNORECASE)


def is_allowed_host(host: bytes, settings: ServerSettings) -> bool:
    """Whether the value of a Host header names this server.

    Names of the loopback device always do. Beyond it, addresses do, which no name can be rebound to, and the
    names in `settings.hosts`.

    >>> is_allowed_host(b"localhost:8012", ServerSettings()), is_allowed_host(b"evil.com", ServerSettings())
    (True, False)
    """
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None:
        return False
    name = match["name"].lower().rstrip(".").strip("[]")
    if name == "localhost" or name.endswith(".localhost") or name in settings.hosts:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not settings.is_loopback
