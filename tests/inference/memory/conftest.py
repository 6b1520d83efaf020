"""A project to remember, and what its memory says."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from incoder.inference.memory.lookup import longest_continuations
from incoder.inference.memory.prior import MemoryPrior
from incoder.tokenizer.tokenizer import Tokenizer

Knows = Callable[[MemoryPrior, str], bool]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file of the project in `tmp_path / "project"`."""

    def write_file(name: str, content: str) -> Path:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    return write_file


@pytest.fixture
def knows(tiny_tokenizer: Tokenizer) -> Knows:
    """Whether a prior has seen a line, which none of the eight-token contexts of other lines resemble."""

    def found(prior: MemoryPrior, line: str) -> bool:
        token_ids: Sequence[int] = tiny_tokenizer.encode(line)
        assert len(token_ids) > 9
        continuations = longest_continuations(prior.segments, token_ids[:-1])
        return (
            continuations is not None and continuations.order == 8 and token_ids[-1] in continuations.counts
        )

    return found
