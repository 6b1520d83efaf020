"""Models from the Hugging Face hub: fetched once, then read from its cache without asking the network.

A name and a revision in, a folder out. Fetches only the files that loading needs (configuration, tokenizer,
card, and weights in one format) and compares them with the hub's checksums. The client library decides where
the cache is, and whether the network may be used (`HF_HUB_OFFLINE`). Imports no torch.
"""

import errno
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import sha256_of
from incoder.model import weight_files

MAIN = "main"

_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_ALWAYS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "README.md")
_OLD_TOKENIZER = ("vocab.json", "merges.txt")  # in place of tokenizer.json


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    num_bytes: int
    sha256: str | None


def is_hub_name(name: str) -> bool:
    """Whether a name has the form `owner/model`, by the hub's rules.

    >>> is_hub_name("facebook/incoder-1B"), is_hub_name("mini")
    (True, False)
    """
    if _NAME.fullmatch(name) is None:
        return False
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # documented

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def cached_folder(name: str, revision: str | None = None, *, cache: Path | None = None) -> Path | None:
    """Return the folder of a model that was fetched completely, or None.

    >>> cached_folder("owner/model", cache=Path("no-such-folder")) is None
    True
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", cache_dir=cache, revision=revision or MAIN)
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder is not None and _is_complete(folder) else None


def cached_models(cache: Path | None = None) -> Iterator[tuple[str, str, Path]]:
    """Name, revision and folder of all that was fetched completely.

    >>> list(cached_models(Path("no-such-folder")))
    []
    """
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir(cache or constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return
    for repository in sorted(repositories, key=lambda repository: repository.repo_id):
        for snapshot in sorted(repository.revisions, key=lambda snapshot: snapshot.commit_hash):
            if repository.repo_type == "model" and _is_complete(snapshot.snapshot_path):
                revision = next(iter(sorted(snapshot.refs)), snapshot.commit_hash)
                yield repository.repo_id, revision, snapshot.snapshot_path


def fetch(
    name: str, revision: str | None = None, *, cache: Path | None = None, endpoint: str | None = None
) -> Path:
    """Return the folder of a model, fetched with a progress bar if it is not in the cache.

    Raises:
        IncoderError: the hub has no such model, denies access, or could not send all files.
    """
    from huggingface_hub import constants, errors

    revision = revision or MAIN
    folder = cached_folder(name, revision, cache=cache)
    if folder is not None:
        return folder
    cache = cache or Path(constants.HF_HUB_CACHE)
    try:
        return _download(name, revision, cache, endpoint)
    except IncoderError:
        raise
    except errors.GatedRepoError as error:
        raise IncoderError(
            f"{name} is gated: accept its terms at https://huggingface.co/{name}, then log in with "
            "`hf auth login` or set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise IncoderError(
            f"there is no folder {name} here and no model of that name on the hub "
            "(a private one needs `hf auth login` or HF_TOKEN)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise IncoderError(f"{name} has no revision {revision!r} on the hub") from error
    except errors.OfflineModeIsEnabled as error:
        raise IncoderError(
            f"{name} (revision {revision}) is neither a folder nor in the cache at {cache}, and "
            "HF_HUB_OFFLINE forbids fetching it"
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise IncoderError(f"cannot fetch {name}: the disk with {cache} is full") from error
        raise IncoderError(_not_fetched(name, error)) from error
    except Exception as error:  # the client's network errors have no base class of its own
        raise IncoderError(_not_fetched(name, error)) from error


def _not_fetched(name: str, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
    return (
        f"{name} is not a folder and could not be fetched from the hub: {reason}. Check the network and try "
        "again; the files that have arrived are kept"
    )


def _download(name: str, revision: str, cache: Path, endpoint: str | None) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    listed = HfApi(endpoint=endpoint).model_info(name, revision=revision, files_metadata=True).siblings or []
    files = {
        file.rfilename: _File(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in listed
    }

    def bring(file: str) -> Path:
        return Path(hf_hub_download(name, file, revision=revision, cache_dir=cache, endpoint=endpoint))

    _refuse_incomplete(name, files)
    folder = bring("config.json").parent
    weights = weight_files.choose(files)
    assert weights is not None
    shards = weight_files.shards(bring(weights)) if weight_files.is_index(weights) else [weights]
    needed = [file for file in (*_small_files(files), *shards) if not (folder / file).exists()]
    missing = [file for file in needed if file not in files]
    if missing:
        raise IncoderError(f"{name} on the hub lacks {missing[0]}, which {weights} names")
    num_bytes = sum(files[file].num_bytes for file in needed)
    free = shutil.disk_usage(cache).free
    if num_bytes > free:
        raise IncoderError(
            f"{name} needs {num_bytes / 1e9:.1f} GB more, and the disk with {cache} has {free / 1e9:.1f} GB"
        )
    for file in needed:
        _check(bring(file), files[file], name)
    return folder


def _refuse_incomplete(name: str, files: Collection[str]) -> None:
    if "config.json" not in files:
        problem = weight_files.with_foreign_kind("it has no config.json", files)
        raise IncoderError(f"{name} on the hub is no model that can be loaded: {problem}")
    if weight_files.choose(files) is None:
        problem = f"{name} on the hub has no weights: none of {', '.join(weight_files.CHOICES)}"
        raise IncoderError(weight_files.with_foreign_kind(problem, files))
    if not _has_tokenizer(files):
        raise IncoderError(f"{name} on the hub has no tokenizer.json, which is needed")


def _small_files(files: Collection[str]) -> list[str]:
    useful = _ALWAYS if "tokenizer.json" in files else (*_ALWAYS, *_OLD_TOKENIZER)
    return [file for file in useful if file in files]


def _check(path: Path, file: _File, name: str) -> None:
    """Compare a downloaded file with the hub's checksum; delete the file if they differ."""
    if file.sha256 is None:
        return
    digest = sha256_of(path)
    if digest != file.sha256:
        path.resolve().unlink()  # the cache keeps the file itself elsewhere
        path.unlink(missing_ok=True)
        raise IncoderError(
            f"{file.name} of {name} arrived damaged: its SHA-256 is {digest}, the hub's {file.sha256}. "
            "It was deleted; fetch it again"
        )


def _is_complete(folder: Path) -> bool:
    files = {file.name for file in folder.iterdir() if file.exists()}
    weights = weight_files.choose(files)
    if "config.json" not in files or weights is None or not _has_tokenizer(files):
        return False
    try:
        return not weight_files.is_index(weights) or files.issuperset(weight_files.shards(folder / weights))
    except IncoderError:  # a broken index
        return False


def _has_tokenizer(files: Collection[str]) -> bool:
    return "tokenizer.json" in files or all(file in files for file in _OLD_TOKENIZER)
