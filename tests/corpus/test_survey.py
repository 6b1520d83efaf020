"""What a corpus holds, counted, and shown as a page."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from incoder.config import load_recipe
from incoder.corpus.build import build_corpus
from incoder.corpus.encoding import encode_corpus
from incoder.corpus.page import render, size
from incoder.corpus.recipe import RECIPE, CorpusRecipe
from incoder.corpus.report import read_report
from incoder.corpus.survey import survey

FILES = {
    "one/a.py": "value = 1\n",
    "one/b.js": "let value = 2;\n",
    "two/<c>.py": "größe = 3\n" * 9,
    "two/e.py": "",
}


class TwoTokens:
    """Encodes every document as two tokens, and its start."""

    vocab_size, fingerprint, document_start_ids = 260, "two", (2,)

    def encode(self, text: str) -> list[int]:
        return [len(text) % 200, 7]


@pytest.fixture
def corpus(
    write_files: Callable[[Mapping[str, str]], Path], recipe: Callable[..., CorpusRecipe], tmp_path: Path
) -> Path:
    write_files(FILES)
    settings = recipe(
        extensions=[".py", ".js"], validation_projects=["two"], filters={"min_alphanumeric_fraction": 0.1}
    )
    build_corpus(settings, tmp_path / "corpus")
    return tmp_path / "corpus"


def test_documents_are_counted_by_language_and_length(corpus: Path) -> None:
    seen = survey(corpus)
    counted = {key: (share.num_documents, share.num_bytes) for key, share in seen.shares.items()}
    assert counted == {
        ("Python", "folder"): (2, 10 + 9 * 12),
        ("JavaScript", "folder"): (1, 15),
    }
    assert seen.lengths == {4: 2, 7: 1}  # below 16 bytes, and below 128
    assert all(share.num_tokens is None for share in seen.shares.values())


@pytest.mark.usefixtures("encode_here")
def test_tokens_are_counted_where_the_corpus_is_encoded(
    corpus: Path, write_files: Callable[[Mapping[str, str]], Path]
) -> None:
    assert "bar tokens" not in render(read_report(corpus), survey(corpus))
    encode_corpus(corpus, TwoTokens(), corpus / "tokens")
    assert {key[0]: share.num_tokens for key, share in survey(corpus).shares.items()} == {
        "Python": 6,
        "JavaScript": 3,
    }
    page = render(read_report(corpus), survey(corpus))
    assert '<div class="bar tokens" style="width:50.0%">' in page
    write_files({"one/a.py": "other = 1\n"})
    build_corpus(load_recipe(CorpusRecipe, corpus / RECIPE), corpus)
    assert [share.num_tokens for share in survey(corpus).shares.values()] == [None, None]


def test_the_page_shows_everything_and_escapes_names(corpus: Path) -> None:
    clusters = {"near duplicate": {"sizes": {"3": 7}, "largest": [[3, "p", "<c>.py"]]}}
    page = render({**read_report(corpus), "clusters": clusters}, survey(corpus))
    assert page.startswith("<!doctype html>")
    for shown in ("JavaScript", "empty", "two: two/e.py", "validation", "&lt; 128", "3–4", "p: &lt;c&gt;.py"):
        assert shown in page
    assert "<c>" not in page
    assert "http" not in page  # it needs nothing else


@pytest.mark.parametrize(
    ("num_bytes", "shown"), [(0, "0.0 kB"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB"), (3 * 10**12, "3.0 TB")]
)
def test_sizes_are_for_human_eyes(num_bytes: int, shown: str) -> None:
    assert size(num_bytes) == shown
