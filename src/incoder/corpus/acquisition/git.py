"""Runs git on untrusted repositories: executes nothing of theirs, within limits on time, size and memory.

This file writes a bare repository, has git fetch into it, and reads it through pipes. No work tree is ever
written, so that hooks, filters, LFS and links have no effect, and submodules are not followed. git sees only
our configuration, asks for no password, and uses only https, http and file.
"""

import errno
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from incoder.corpus.acquisition.bounded_process import (
    MESSAGES,
    NOTHING,
    Bounds,
    FetchError,
    bounded_process,
)
from incoder.corpus.acquisition.repository import Repository, is_branch
from incoder.errors import IncoderError

_MAX_WORDS = 300

_CONFIG = """[core]
	repositoryformatversion = 0
	bare = true
	hooksPath = /dev/null
	bigFileThreshold = 8m
	packedGitWindowSize = 32m
	packedGitLimit = 256m
[fetch]
	recurseSubmodules = false
	unpackLimit = 1
	writeCommitGraph = false
[gc]
	auto = 0
[maintenance]
	auto = false
[pack]
	threads = 1
[index]
	threads = 1
[http]
	lowSpeedLimit = 1000
	lowSpeedTime = 60
[credential]
	helper =
"""
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "https:http:file",
    "GIT_ASKPASS": "false",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",  # the messages that are searched for below are English
}
_FETCHED = "refs/incoder/fetched"


class _MissingRefError(Exception):
    """The host has no such branch or commit."""


class Git:
    """Runs git, which inherits nothing but `environment` (PATH, proxies, certificates).

    Raises:
        IncoderError: there is no git on the path.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        git = shutil.which("git", path=environment.get("PATH"))
        if git is None:
            raise IncoderError("fetching repositories needs git; install it, or put it on the PATH")
        self._git = git
        self._environment = {**environment, **_ENVIRONMENT}
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Kill every running git and start no other; calls that wait for one raise `StoppedError`."""
        self._stopped.set()

    def fetch(
        self, repository: Repository, folder: Path, *, deadline: float, max_bytes: int, max_file_bytes: int
    ) -> tuple[str | None, str]:
        """Fetch one commit, without history and files above `max_file_bytes`, into the empty `folder`.

        If the branch no longer exists, the default branch is fetched. Returns the branch (None: unknown) and
        the commit. `deadline` is a time of `time.monotonic`.

        Raises:
            FetchError: it cannot be fetched, or not within `deadline` and `max_bytes` on disk.
            StoppedError: see `stop`.
            OSError: the disk is full.
        """
        url = repository.url
        _make_bare(folder)

        def fetch(ref: str) -> None:
            # Most hosts leave large files out; a pack of a "promisor" remote may lack them.
            config = ["-c", f"remote.origin.url={url}", "-c", "remote.origin.promisor=true"]
            options = ["--quiet", "--depth=1", "--no-tags", "--no-auto-gc", "--no-write-fetch-head"]
            large = f"--filter=blob:limit={max_file_bytes + 1}"
            words = [*config, "fetch", *options, large, "--", "origin", f"+{ref}:{_FETCHED}"]
            self.run(words, folder, deadline=deadline, max_bytes=max_bytes)

        branch = repository.branch
        try:
            if repository.commit is not None:
                fetch(repository.commit)
            elif branch is not None:
                fetch(f"refs/heads/{branch}")
        except _MissingRefError:
            if repository.commit is not None:
                raise FetchError("the commit is gone") from None
            branch = None
        if repository.commit is None and branch is None:
            branch = self._default_branch(url, folder, deadline)
            try:
                fetch(f"refs/heads/{branch}")
            except _MissingRefError:
                raise FetchError("the branch is gone") from None
        # Without the remote, git does not fetch the files that the pack lacks one by one.
        _write_config(folder)
        with self.reading(["rev-parse", f"{_FETCHED}^{{commit}}"], folder, deadline=deadline) as output:
            return branch, output.read(200).decode("ascii", "replace").strip()

    def _default_branch(self, url: str, folder: Path, deadline: float) -> str:
        with self.reading(["ls-remote", "--symref", "--", url, "HEAD"], folder, deadline=deadline) as output:
            said = output.read(10_000).decode("utf-8", "replace")
        for line in said.splitlines():
            if line.startswith("ref: refs/heads/") and line.endswith("\tHEAD"):
                branch = line.removeprefix("ref: refs/heads/").removesuffix("\tHEAD")
                if is_branch(branch):
                    return branch
        raise FetchError("empty repository")

    def run(self, words: Sequence[str], folder: Path, *, deadline: float, max_bytes: int) -> None:
        """Run git in the bare repository `folder` until it ends.

        Raises:
            FetchError, StoppedError, OSError: see `fetch`.
        """
        with self._process(words, folder, Bounds(deadline, max_bytes), stdout=subprocess.DEVNULL) as process:
            process.wait()

    @contextmanager
    def reading(
        self, words: Sequence[str], folder: Path, *, deadline: float, asked: Path = NOTHING
    ) -> Iterator[IO[bytes]]:
        """Run git with `asked` as its input and yield its output, which need not be read to the end.

        Raises:
            FetchError, StoppedError, OSError: see `fetch`; when the block ends.
        """
        bounds = Bounds(deadline, None)
        with self._process(words, folder, bounds, stdout=subprocess.PIPE, asked=asked) as process:
            assert process.stdout is not None
            yield process.stdout

    @contextmanager
    def _process(
        self, words: Sequence[str], folder: Path, bounds: Bounds, *, stdout: int, asked: Path = NOTHING
    ) -> Iterator[subprocess.Popen[bytes]]:
        command = [self._git, f"--git-dir={folder}", *words]
        environment = {**self._environment, "HOME": str(folder)}
        with bounded_process(
            command, folder, environment, bounds, self._stopped, stdout=stdout, asked=asked
        ) as process:
            yield process
        if process.returncode not in (0, -signal.SIGPIPE):  # SIGPIPE: not all of its output was read
            raise _judged(folder / MESSAGES)


def _make_bare(folder: Path) -> None:
    (folder / "objects" / "pack").mkdir(parents=True)
    (folder / "refs" / "heads").mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
    _write_config(folder)


def _write_config(folder: Path) -> None:
    (folder / "config").write_text(_CONFIG, encoding="ascii")


# Phrases in git's messages, and the reasons that they mean. The first phrase that occurs counts.
_MEANINGS = (
    ("terminal prompts disabled", "gone or private"),
    ("could not read Username", "gone or private"),
    ("Authentication failed", "gone or private"),
    ("repository not found", "gone or private"),
    ("' not found", "gone or private"),
    ("does not appear to be a git repository", "gone or private"),
    ("error: 404", "gone or private"),
    ("error: 401", "gone or private"),
    ("error: 403", "gone or private"),
    ("error: 451", "taken down"),
    ("Could not resolve host", "network: the host's name is not known"),
    ("Failed to connect", "network: no connection"),
    ("Connection refused", "network: no connection"),
    ("Connection reset", "network: broken off"),
    ("error: 429", "network: the host asks to slow down"),
    ("error: 5", "network: the host failed"),
    ("RPC failed", "network: broken off"),
    ("early EOF", "network: broken off"),
    ("hung up unexpectedly", "network: broken off"),
    ("unexpected disconnect", "network: broken off"),
    ("timed out", "network: no answer"),
    ("transfer closed", "network: broken off"),
    ("too slow", "network: no answer"),
    ("SSL", "network: no trusted connection"),
    ("mismatched algorithms", "SHA-256 repository, which this git cannot fetch shallowly into SHA-1"),
    ("out of memory", "needs too much memory"),
    ("mmap failed", "needs too much memory"),
)
_FULL = "No space left on device"
_MISSING_REF = ("couldn't find remote ref", "not our ref", "unadvertised object", "no such remote ref")


def _judged(messages: Path) -> Exception:
    with messages.open("rb") as file:
        said = file.read(100_000).decode("utf-8", "replace")
    if any(
        _FULL in line and "remote" not in line for line in said.splitlines()
    ):  # else it is the host's disk
        return OSError(errno.ENOSPC, _FULL)
    folded = said.casefold()
    if any(phrase.casefold() in folded for phrase in _MISSING_REF):
        return _MissingRefError()
    for phrase, meaning in _MEANINGS:
        if phrase.casefold() in folded:
            return FetchError(meaning)
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
    words = (lines or ["git failed"])[-1][:_MAX_WORDS]
    return FetchError("".join(c if c.isprintable() else " " for c in words).replace(str(messages.parent), ""))
