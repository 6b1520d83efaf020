"""The project memories of one model: for each project that its requests name, one."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePath

from incoder.inference.memory.mixing import MixingWeights
from incoder.inference.memory.prior import MemoryPrior
from incoder.inference.memory.project_memory import ProjectMemory
from incoder.tokenizer.text_tokenizer import TextTokenizer

_MAX_UNOPENED = 4  # projects that nobody opened, whose indexes are kept in memory between requests


class ProjectMemories:
    """The memories of projects by their folders, for the tokenizer and the weights of one model.

    A project that was opened stays open, and its owner refreshes it. Any other one is indexed in memory at
    its first request and refreshed at each of them; only the most recently used ones are kept. Several
    threads may use it at once.
    """

    def __init__(
        self, tokenizer: TextTokenizer, weights: MixingWeights, end_ids: Collection[int] = ()
    ) -> None:
        self._tokenizer = tokenizer
        self._weights = weights
        self._end_ids = end_ids
        self._lock = threading.Lock()
        self._opened: dict[Path, ProjectMemory] = {}
        self._unopened = OrderedDict[Path, ProjectMemory]()

    def open(
        self,
        root: Path,
        *,
        cache_folder: str | os.PathLike[str] | None,
        hidden_files: Collection[str | PurePath],
        on_note: Callable[[str], None],
    ) -> ProjectMemory:
        """Open the memory of a project, in place of an earlier one of the same folder."""
        memory = ProjectMemory(
            root,
            self._tokenizer,
            weights=self._weights,
            end_ids=self._end_ids,
            folder=None if cache_folder is None else Path(cache_folder),
            hidden_files=hidden_files,
            on_note=on_note,
        )
        with self._lock:
            self._opened[memory.root] = memory
            self._unopened.pop(memory.root, None)
        return memory

    def prior(self, root: Path, parts: Sequence[str], path: PurePath | None) -> MemoryPrior:
        """The prior of a request for the text of these parts at `path`.

        Raises:
            IncoderError: the project cannot be listed.
        """
        root = root.resolve()
        with self._lock:
            memory, is_opened = self._opened.get(root), root in self._opened
            if memory is None:
                memory = self._unopened.pop(root, None) or ProjectMemory(
                    root, self._tokenizer, weights=self._weights, end_ids=self._end_ids
                )
                self._unopened[root] = memory
                if len(self._unopened) > _MAX_UNOPENED:
                    self._unopened.popitem(last=False)
        if not is_opened:
            memory.refresh()
        return memory.prior(parts, path)
