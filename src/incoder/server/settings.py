"""The settings of a server, with their ranges. The command line fills them; nothing here reads files."""

from dataclasses import dataclass, field
from pathlib import Path, PurePath

from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The settings of a server, independent of its models.

    `keys` are the API keys that clients may use; without any, none is needed. `hosts` are names
    that a request's Host header may have besides localhost; `origins` the web pages that may call
    it. At most `max_concurrent` calls run at once, and `max_queue` wait. `time_limit` is in seconds for a
    call, `idle_unload` in seconds without calls until a model's memory is freed. Requests may name only the
    folders in `projects`, or any folder if the server `allows_any_project`. `allows_tests` lets /v1/edit/fix
    run commands.

    Raises:
        IncoderError: a value outside of its range.

    >>> ServerSettings().max_queue
    64
    """

    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    is_loopback: bool = True
    origins: tuple[str, ...] = ()
    max_concurrent: int = 16
    max_queue: int = 64
    time_limit: float = 60.0
    idle_unload: float | None = None
    projects: tuple[Path, ...] = ()
    allows_tests: bool = False
    allows_any_project: bool = False
    max_body_bytes: int = 4_000_000
    body_seconds: float = 10.0
    max_candidates: int = 16
    max_parts: int = 64
    max_requests: int = 64  # of one call: the prompts of a list
    salt_secret: bytes = field(default=b"", repr=False)  # makes cache salts from keys; drawn at start-up

    def allows_project(self, project: PurePath) -> bool:
        """Whether requests may name this folder as their project.

        >>> ServerSettings(projects=(Path("/home/me/app"),)).allows_project(Path("/etc"))
        False
        """
        return self.allows_any_project or project in self.projects

    def __post_init__(self) -> None:
        for name in ("max_concurrent", "max_body_bytes", "max_candidates", "max_parts", "max_requests"):
            if getattr(self, name) < 1:
                raise IncoderError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_queue < 0:
            raise IncoderError(f"max_queue must be at least 0, got {self.max_queue}")
        for name in ("time_limit", "body_seconds", "idle_unload"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise IncoderError(f"{name} must be greater than 0 seconds, got {value:g}")
