"""Files that hold secrets, by their names: none of them is shown to a model."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePath

SECRET_FILES = (
    ".env",
    ".env.*",
    "*.env",
    ".netrc",
    ".pgpass",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".htpasswd",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.asc",
    "*.gpg",
    "*.tfvars",
    "*.tfstate",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "credentials",
    "credentials.*",
    "secrets.*",
    "*.secret",
    "*.secrets",
)


def is_secret(path: PurePath | None, patterns: Iterable[str] = SECRET_FILES) -> bool:
    """Whether the name of a file matches one of the patterns, in any case.

    >>> is_secret(PurePath("/home/me/app/.env")), is_secret(PurePath("/home/me/app/env.py"))
    (True, False)
    """
    name = "" if path is None else path.name.lower()
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns)
