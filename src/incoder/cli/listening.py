"""Where a server listens: on a port or a Unix socket, and on a socket where language servers look for it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from incoder import local_socket
from incoder.errors import IncoderError


@dataclass(slots=True)
class Listening:
    """Sockets that listen, under the name that users know; `paths` are the Unix sockets among them."""

    name: str
    sockets: list[socket.socket]
    paths: list[Path] = field(default_factory=list)

    @property
    def has_url(self) -> bool:
        return self.name.startswith("http")

    def let_language_servers_find_it(self) -> None:
        """Listen on the user's own socket as well, unless another server does already.

        Raises:
            IncoderError: there can be no socket.
        """
        path = local_socket.runtime_folder(os.environ) / local_socket.USERS_SERVER
        if (found := local_socket.listen(path)) is not None:
            self.sockets.append(found)
            self.paths.append(path)

    def hide(self) -> None:
        """Remove the Unix sockets, so that nobody connects to a server that ends."""
        while self.paths:
            local_socket.remove(self.paths.pop())

    def close(self) -> None:
        """Remove the Unix sockets, and close all sockets."""
        self.hide()
        for listener in self.sockets:
            listener.close()


@contextmanager
def listening_on(host: str, port: int, path: Path | None) -> Iterator[Listening]:
    """Listen on a Unix socket if its path is given, else on a port; close it in the end.

    Raises:
        IncoderError: the address or the socket cannot be used.
    """
    found = _on_port(host, port) if path is None else _on_socket(path.absolute())
    try:
        yield found
    finally:
        found.close()


def _on_socket(path: Path) -> Listening:
    listener = local_socket.listen(path)
    if listener is None:
        raise IncoderError(f"another server listens on {path}; give another --socket")
    return Listening(str(path), [listener], [path])


def _on_port(host: str, port: int) -> Listening:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise IncoderError(
            f"cannot listen on {host} port {port}: {error.strerror}; give another --port or --host"
        ) from error
    shown_host = f"[{host}]" if ":" in host else host
    return Listening(f"http://{shown_host}:{listener.getsockname()[1]}", [listener])
