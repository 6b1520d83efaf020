"""The hosts that a request may name.

A web page can let a name of its own point to this machine (DNS rebinding); its requests then have that name.
"""

import ipaddress
import re

from incoder.errors import IncoderError, shown
from incoder.server.settings import ServerSettings

_NAME = r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)"
_HOST = re.compile(_NAME + r"(?::\d{1,5})?", re.IGNORECASE)


def checked_host_name(name: str) -> str:
    """Return a host's name in the form in which names of requests are compared.

    Raises:
        IncoderError: it is no name, but a URL or a name with a port, which no request could match.

    >>> checked_host_name("Box.example.org.")
    'box.example.org'
    """
    if re.fullmatch(_NAME, name, re.IGNORECASE) is None:
        raise IncoderError(
            "a host is given by its name without a scheme or a port, such as box.example.org; got "
            f"{shown(name)}"
        )
    return _compared(name)


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
    name = _compared(match["name"])
    if name == "localhost" or name.endswith(".localhost") or name in settings.hosts:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not settings.is_loopback


def _compared(name: str) -> str:
    return name.lower().rstrip(".").strip("[]")
