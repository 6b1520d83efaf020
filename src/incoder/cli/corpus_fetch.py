"""`incoder corpus fetch`: repositories of GitHub and GitLab, listed and fetched with their metadata."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incoder.cli.console import print_note, result_console, write_result
from incoder.cli.fetch_display import (
    described,
    fetching_progress,
    listing_progress,
    note_end,
    note_rejected,
    tables,
)
from incoder.errors import IncoderError

if TYPE_CHECKING:
    from incoder.corpus.acquisition.fetching import FetchLimits
    from incoder.corpus.acquisition.host_listing import Listing, Wanted
    from incoder.corpus.acquisition.state import State

app = typer.Typer(
    no_args_is_help=True,
    help="Fetch repositories of GitHub or GitLab, with licence, stars, branch and commit, into parquet.",
)

# The only variables of the environment that git gets: the paths of programs, proxies and certificates.
_PASSED_ON = (
    *("PATH", "LD_LIBRARY_PATH", "GIT_EXEC_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)

_GITHUB_HELP = """Fetch repositories of GitHub that its search lists, or that --repos names.

Writes OUTPUT/manifest.parquet, a row for each repository (repo, source, licence, language, stars, branch,
commit, outcome, reason), and OUTPUT/files/part-*.parquet, a row for each text file (repo, path, content,
licence, stars, language, source, url, branch, commit, size), which a corpus recipe reads. Forks and
archived repositories are left out. Nothing of a repository is executed.

After Ctrl-C or a crash, the same command continues. A repository that fails is recorded with the reason
(incoder corpus fetch status OUTPUT) and tried again with --retry-failed.

GitHub allows 10 searches a minute without a token and 30 with one; the token needs no permission.

Example: incoder corpus fetch github --output runs/github --language Python --min-stars 1000 --max-repos 100
"""
_GITLAB_HELP = """Fetch projects of GitLab that its API lists, or that --repos names.

Writes the same files as `incoder corpus fetch github`, and continues in the same way. GitLab's list has
neither licences nor main languages, so a listing takes one or two requests per project. GitLab says which
projects are forks only if there is a token; the scope read_api is enough.

Example: incoder corpus fetch gitlab --output runs/gitlab --language Python --min-stars 10 --max-repos 100
"""


def _command(host: str) -> Callable[..., None]:
    """Return the command for one of the hosts; both have the same options."""

    def fetch(
        output: Annotated[
            Path,
            typer.Option(
                "--output", "-o", help="The folder for the manifest and the files.", show_default=False
            ),
        ],
        repos: Annotated[
            Path | None,
            typer.Option(
                help="A CSV file with a header, or a .parquet file, of repositories to fetch as they are, in "
                "place of a search: a column repo with owner/name; if there, also stars, licence, language, "
                "branch, commit, url.",
                show_default=False,
            ),
        ] = None,
        languages: Annotated[
            list[str] | None,
            typer.Option(
                "--language",
                help="The main language, as the host names it. Repeatable.",
                show_default="Python, JavaScript, Jupyter Notebook",
            ),
        ] = None,
        licences: Annotated[
            list[str] | None,
            typer.Option(
                "--licence",
                "--license",
                help="An SPDX identifier. Repeatable.",
                show_default="MIT, Apache-2.0, BSD-2-Clause, BSD-3-Clause",
            ),
        ] = None,
        min_stars: Annotated[int, typer.Option(min=0, help="The fewest stars.")] = 0,
        created_from: Annotated[
            datetime | None,
            typer.Option(formats=["%Y-%m-%d"], help="The first day of creation.", show_default="any"),
        ] = None,
        created_to: Annotated[
            datetime | None,
            typer.Option(formats=["%Y-%m-%d"], help="The last day of creation.", show_default="today"),
        ] = None,
        max_repos: Annotated[
            int | None,
            typer.Option(min=1, help="The largest number of repositories to list.", show_default="all"),
        ] = None,
        list_only: Annotated[
            bool, typer.Option("--list-only", help="Write the manifest, and fetch nothing yet.")
        ] = False,
        retry_failed: Annotated[
            bool, typer.Option("--retry-failed", help="Try failed repositories once more.")
        ] = False,
        extensions: Annotated[
            list[str] | None,
            typer.Option(
                "--ext",
                help="Keep only files with this extension, such as .py. Repeatable.",
                show_default="all text files",
            ),
        ] = None,
        max_file_bytes: Annotated[
            int, typer.Option(min=1, help="Leave out larger files; most hosts then do not even send them.")
        ] = 1_000_000,
        max_repo_bytes: Annotated[
            int, typer.Option(min=1, help="Skip a repository that is larger, packed or unpacked.")
        ] = 1_000_000_000,
        max_repo_files: Annotated[
            int, typer.Option(min=1, help="Skip a repository with more files.")
        ] = 200_000,
        timeout: Annotated[
            float, typer.Option(min=0.1, help="Seconds that one repository may take.")
        ] = 300.0,
        workers: Annotated[int, typer.Option(min=1, max=256, help="Repositories fetched at once.")] = 8,
        api: Annotated[
            str | None,
            typer.Option(
                metavar="URL",
                help="The API of a host of your own, such as https://git.example.org/api/"
                + ("v3." if host == "github" else "v4."),
                show_default=False,
            ),
        ] = None,
        token: Annotated[
            str | None,
            typer.Option(
                envvar=f"{host.upper()}_TOKEN",
                help="The token for the API, better set in the environment, since process lists show "
                "options. It is neither written nor shown, and not used for fetching.",
                show_default=False,
            ),
        ] = None,
    ) -> None:
        from incoder.corpus.acquisition.blobs import FileLimits
        from incoder.corpus.acquisition.fetching import FetchLimits

        if repos is not None and (
            languages or licences or min_stars or created_from or created_to or max_repos or api
        ):
            raise typer.BadParameter(
                "a list is fetched as it is; leave out --language, --licence, --min-stars, --created-from, "
                "--created-to, --max-repos and --api, or filter the list",
                param_hint="--repos",
            )
        files = FileLimits(_as_extensions(extensions or []), max_file_bytes, max_repo_files, max_repo_bytes)
        limits = FetchLimits(files, timeout, workers)
        criteria = _criteria(host, languages or [], licences or [], min_stars, created_from, created_to)
        try:
            _fetch(
                host,
                output,
                repos,
                criteria,
                until_given=created_to is not None,
                max_repos=max_repos,
                api=api,
                token=token,
                limits=None if list_only else limits,
                retry_failed=retry_failed,
            )
        except KeyboardInterrupt:
            print_note("stopped; the same command continues")
            raise typer.Exit(130) from None

    return fetch


app.command("github", help=_GITHUB_HELP)(_command("github"))
app.command("gitlab", help=_GITLAB_HELP)(_command("gitlab"))


@app.command()
def status(
    folder: Annotated[
        Path, typer.Argument(help="A folder of `incoder corpus fetch`, at work or not.", show_default=False)
    ],
    json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
) -> None:
    """Show the state of a fetch: its progress, failures with reasons, and what was left out.

    Example: incoder corpus fetch status runs/github
    """
    from json import dumps

    from incoder.corpus.acquisition.fetch_folder import looked_at

    with looked_at(folder) as state:
        found = described(state)
    if json:
        write_result(dumps(found, ensure_ascii=False) + "\n")
        return
    console = result_console()
    for table in tables(found):
        console.print(table)


def _fetch(
    host: str,
    output: Path,
    repos: Path | None,
    criteria: "Wanted",
    *,
    until_given: bool,
    max_repos: int | None,
    api: str | None,
    token: str | None,
    limits: "FetchLimits | None",
    retry_failed: bool,
) -> None:
    from incoder.corpus.acquisition.api import check_url
    from incoder.corpus.acquisition.fetch_folder import FILES, opened
    from incoder.corpus.acquisition.fetching import fetch_repositories
    from incoder.corpus.acquisition.git import Git
    from incoder.corpus.acquisition.manifest import read_repositories, write_manifest

    git = Git({name: os.environ[name] for name in _PASSED_ON if name in os.environ})
    token = _checked(token)
    if repos is not None:  # a refused list leaves no folder
        next(read_repositories(repos, host), None)
    else:
        check_url(api or _module(host).API, _module(host).headers(token))
    with opened(output) as state:
        try:
            if repos is not None:
                state.add(read_repositories(repos, host))
                note_rejected(state)
            else:
                _list(host, state, output, criteria, until_given, max_repos, api, token)
            if retry_failed:
                print_note(f"{state.retry_failed():,} that failed are tried again")
            if limits is not None:
                _settle(
                    state,
                    "files",
                    output,
                    {"ext": limits.files.extensions, "max_file_bytes": limits.files.max_file_bytes},
                )
                with fetching_progress(state) as on_done:
                    fetch_repositories(output, state, git, limits, on_done)
        finally:
            manifest = write_manifest(output, state)
        note_end(state, manifest, output / FILES)
        if limits is not None and set(state.outcomes()) == {"failed"}:
            raise typer.Exit(1)


def _list(
    host: str,
    state: "State",
    output: Path,
    criteria: "Wanted",
    until_given: bool,
    max_repos: int | None,
    api_url: str | None,
    token: str | None,
) -> None:
    """Continue the listing with the settings that the folder was begun with."""
    from dataclasses import asdict, replace

    from incoder.corpus.acquisition import github, gitlab
    from incoder.corpus.acquisition.api import Api
    from incoder.corpus.acquisition.host_listing import list_repositories

    module = _module(host)
    asked = {"host": host, "api": api_url or module.API, **asdict(criteria)}
    begun = _settle(state, "search", output, asked, ignored=() if until_given else ("last",))
    criteria = replace(criteria, last=str(begun["last"]))
    if host == "gitlab" and not token:
        print_note("without a token GitLab does not say which projects are forks; they are listed as well")
    with (
        listing_progress() as (on_step, on_wait),
        Api(str(asked["api"]), module.headers(token), on_wait=on_wait) as api,
    ):
        listing: Listing = (
            github.GitHubListing(api, criteria) if host == "github" else gitlab.GitLabListing(api, criteria)
        )
        list_repositories(listing, state, max_repositories=max_repos, on_step=on_step)


def _module(host: str) -> ModuleType:
    from incoder.corpus.acquisition import github, gitlab

    return github if host == "github" else gitlab


def _criteria(
    host: str,
    languages: list[str],
    licences: list[str],
    min_stars: int,
    created_from: datetime | None,
    created_to: datetime | None,
) -> "Wanted":
    from incoder.corpus.acquisition.host_listing import Wanted, as_second
    from incoder.corpus.acquisition.repository import LANGUAGES, LICENCES

    for option, names in (("--language", languages), ("--licence", licences)):
        for name in names:
            if not name.strip() or '"' in name or not name.isprintable():
                raise typer.BadParameter(f"{name!r} is no name", param_hint=option)
    first: str = _module(host).FIRST_SECOND
    if created_from is not None:
        first = as_second(created_from.replace(tzinfo=UTC))
    last = as_second(
        created_to.replace(hour=23, minute=59, second=59, tzinfo=UTC) if created_to else datetime.now(UTC)
    )
    if first > last:
        raise typer.BadParameter(f"{first} is after {last}", param_hint="--created-from")
    as_on_hosts = {"jupyter": "Jupyter Notebook"}
    named = [as_on_hosts.get(name.lower(), name) for name in languages]
    return Wanted(named or LANGUAGES, licences or LICENCES, min_stars, first, last)


def _as_extensions(extensions: list[str]) -> tuple[str, ...]:
    return tuple(sorted({"." + extension.lower().lstrip("*.") for extension in extensions}))


def _settle(
    state: "State", name: str, output: Path, asked: dict[str, Any], ignored: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Begin the folder with these settings, or make sure that it was begun with them.

    Raises:
        IncoderError: it was begun with others.
    """
    from json import dumps, loads

    begun = state.settle(name, asked)
    for key, value in loads(dumps(asked)).items():
        if key not in ignored and begun.get(key) != value:
            raise IncoderError(
                f"{output} was begun with {key} {begun.get(key)}, and now {key} is {value}; "
                "continue with the settings it was begun with, or use another folder"
            )
    return begun


def _checked(token: str | None) -> str | None:
    """Return the token without white space around it; the error for an invalid one does not show it."""
    token = (token or "").strip() or None
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise IncoderError("the token holds characters that no token has; copy it once more")
    return token
