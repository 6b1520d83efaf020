"""A repository as a host or a list describes it, and the checks before git or a URL gets any of its fields.

This file knows the two hosts' names and no API. Nothing in a `Repository` is trusted.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

HOSTS = {"github": "https://github.com", "gitlab": "https://gitlab.com"}

# Section 3.1 of the paper. "Jupyter Notebook" is linguist's name for notebooks.
LANGUAGES = ("Python", "JavaScript", "Jupyter Notebook")
LICENCES = ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause")

_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOT_IN_A_BRANCH = re.compile(r"[\s~^:?*\[\\]|\.\.|//|@\{|^[-/]|[/.]$|\.lock$")  # git check-ref-format
_MAX_STARS = 2**53
_MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository: its address, and its properties as the host or a list states them (None: unknown).

    `repo` is its name on the host (`owner/name`, on GitLab with groups between), `source` is the host's name,
    and `licence` an SPDX identifier. Without a `branch`, the host's default branch is fetched; with a
    `commit`, exactly that commit.
    """

    source: str
    repo: str
    url: str
    licence: str | None = None
    language: str | None = None
    stars: int | None = None
    branch: str | None = None
    commit: str | None = None


def default_url(source: str, repo: str) -> str:
    return f"{HOSTS[source]}/{repo}.git"


def problem_with(repository: Repository) -> str | None:
    """Why this repository must not be fetched, in the same words for the same mistake; None if it may be.

    >>> problem_with(Repository("github", "psf/requests", "https://github.com/psf/requests.git"))
    >>> problem_with(Repository("github", "psf/requests", "ssh://github.com/psf/requests.git"))
    'no https, http or file URL'
    """
    if not _is_name(repository.repo):
        return "no name of a repository (it must be like owner/name)"
    if problem := _problem_with_url(repository.url):
        return problem
    if repository.branch is not None and not is_branch(repository.branch):
        return "no name of a branch"
    if repository.commit is not None and not _COMMIT.fullmatch(repository.commit):
        return "no commit (it must be 40 or 64 digits of 0-9a-f)"
    if repository.stars is not None and not 0 <= repository.stars <= _MAX_STARS:
        return "no number of stars"
    for text in (repository.source, repository.licence, repository.language):
        if text is not None and not (text.isprintable() and len(text) <= _MAX_LENGTH):
            return "no name of a host, licence or language"
    return None


def _is_name(name: str) -> bool:
    parts = name.split("/")
    return bool(_NAME.fullmatch(name)) and len(name) <= _MAX_LENGTH and not {".", ".."} & set(parts)


def is_branch(branch: str) -> bool:
    """Whether git takes this for the name of a branch, and for no option, pattern or second name."""
    return 0 < len(branch) <= _MAX_LENGTH and branch.isprintable() and _NOT_IN_A_BRANCH.search(branch) is None


def _problem_with_url(url: str) -> str | None:
    """Why git cannot fetch this URL without running a program or asking for a password; None if it can."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "no URL"
    if "@" in parts.netloc:
        return "a URL with a user name or password (only public repositories are fetched)"
    if parts.scheme not in ("https", "http", "file") or not url.isprintable() or " " in url:
        return "no https, http or file URL"
    if not parts.netloc and parts.scheme != "file":
        return "a URL without a host"
    return None
