"""A fingerprint of a recipe and its sources: builds with the same one continue each other's work."""

import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

from incoder.corpus.decontamination.held_out import code_files
from incoder.corpus.recipe import NOT_IN_THE_CORPUS, CorpusRecipe
from incoder.corpus.sources.input_shard import InputShard

_WORK_FORMAT = 3  # of the files in .work; a run of another format is begun anew


class WorkFingerprint:
    """A digest of everything that decides what a build writes into `.work`."""

    def __init__(self, recipe: CorpusRecipe, keeps_drops: bool) -> None:
        parts = [
            recipe.model_dump_json(exclude=set(NOT_IN_THE_CORPUS)),
            importlib.metadata.version("incoder"),
            repr((_WORK_FORMAT, keeps_drops)),
        ]
        self._digest = hashlib.sha256("\n".join(parts).encode())
        settings = recipe.decontamination
        self._add_files([*settings.repositories, *settings.benchmarks])
        self._add_files([settings.held_out] if settings.held_out else ())
        self._add_files(code_files(settings.held_out_code) if settings.held_out_code else ())

    def add(self, shard: InputShard) -> None:
        """Add an input shard; the order of shards matters."""
        self._digest.update(repr((shard.name, shard.num_bytes)).encode())
        self._add_files(shard.paths)

    def hexdigest(self) -> str:
        """Return the fingerprint of all that was added, as 16 characters."""
        return self._digest.hexdigest()[:16]

    def _add_files(self, paths: Iterable[Path]) -> None:
        """Add sizes and modification times; files with the same size and time count as unchanged."""
        for path in paths:
            try:
                status = path.stat()
            except OSError:
                continue  # reading it will fail with the reason
            self._digest.update(repr((str(path), status.st_size, status.st_mtime_ns)).encode())
