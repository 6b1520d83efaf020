"""A model or an adapter uploaded to the Hugging Face hub, private unless the caller says otherwise.

Only the files that loading needs, and the model card, leave this machine: a training run's folder also has
the code that it was trained on.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError
from incoder.inference.memory.mixing import FILE as MEMORY_WEIGHTS
from incoder.inference.models.hub import is_hub_name
from incoder.output_folder import json_of

_ADAPTER_CONFIG = "adapter_config.json"  # as in model/adapters.py, which imports torch
_RESULTS = ("adapter", "model")  # the folders of a fine-tuning run that may be pushed
_PUSHED = (
    *("README.md", "config.json", "generation_config.json", "masking.toml", MEMORY_WEIGHTS),
    *("model*.safetensors", "model.safetensors.index.json", _ADAPTER_CONFIG, "adapter_model.safetensors"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
)


@dataclass(frozen=True, slots=True)
class Upload:
    """What is pushed: a folder, the names of its files, their bytes in all, and notes for the user."""

    folder: Path
    names: tuple[str, ...]
    num_bytes: int
    notes: tuple[str, ...]


def upload_of(folder: Path) -> Upload:
    """Return what a model's or adapter's folder, or that of a fine-tuning run, would push.

    Raises:
        IncoderError: there is neither an adapter nor a checkpoint, or it has no model card.
    """
    found = next((folder / name for name in _RESULTS if _is_model(folder / name)), folder)
    if not _is_model(found):
        raise IncoderError(f"{folder} is neither an adapter nor a checkpoint; name the folder that has one")
    files = sorted(path for path in found.iterdir() if path.is_file())
    pushed = [path for path in files if any(fnmatchcase(path.name, pattern) for pattern in _PUSHED)]
    names = tuple(path.name for path in pushed)
    if "README.md" not in names:
        raise IncoderError(
            f"{found} has no model card; write its data and its licence into {found / 'README.md'} first"
        )
    notes = [f"not pushed: {path.name}" for path in files if path not in pushed]
    base = _base_of(found)
    if base is not None and not is_hub_name(base):
        notes.append(
            f"the adapter names its base {base}, which is not on the hub: others need the same base for it"
        )
    return Upload(found, names, sum(path.stat().st_size for path in pushed), tuple(notes))


def push(upload: Upload, repository: str, *, is_public: bool = False, api: Any = None) -> str:
    """Upload the files into a repository of the hub, which is made if it is not there; return its address.

    `api` is by default the client of huggingface_hub, with the token of `hf auth login` or `HF_TOKEN`.

    Raises:
        IncoderError: the name is not one of the hub; the repository is public although `is_public` is False;
            or the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError

    if not is_hub_name(repository):
        raise IncoderError(f"a repository of the hub has a name such as owner/model, got {repository!r}")
    api = api or HfApi()
    try:
        try:
            is_open = not api.repo_info(repository).private
        except RepositoryNotFoundError:
            is_open = False
        if is_open and not is_public:
            raise IncoderError(
                f"{repository} is public, and everybody could read what these weights learnt; push with "
                "--public if that is meant, or name another repository"
            )
        api.create_repo(repository, private=not is_public, exist_ok=True)
        pushed = api.upload_folder(
            repo_id=repository,
            folder_path=upload.folder,
            allow_patterns=list(upload.names),
            commit_message="Upload by incoder models push",
        )
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise IncoderError(
            f"cannot push to {repository}: {reason}; log in with `hf auth login`, or set HF_TOKEN to a token "
            "that may write"
        ) from error
    return str(pushed.repo_url if hasattr(pushed, "repo_url") else f"https://huggingface.co/{repository}")


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", _ADAPTER_CONFIG))


def _base_of(folder: Path) -> str | None:
    config = json_of(folder / _ADAPTER_CONFIG)
    return str(config.get("base_model_name_or_path")) if isinstance(config, dict) else None
