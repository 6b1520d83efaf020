"""What is counted while a corpus is built."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.corpus.build import build_corpus
from incoder.corpus.page import cluster_sizes, largest_clusters
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report, read_report
from incoder.corpus.sources.source_file import Dropped, DroppedProject, SourceFile


def test_names_that_are_no_utf8_can_be_reported() -> None:
    report, name = Report(), "b\udcff\ud83d"
    report.add_project(SourceFile(name, "a.py", "folder", Path("a.py"), 1))
    report.on_drop(Dropped(name, name, 1, "empty", name))
    report.on_drop(DroppedProject(name, None, None, "excluded"))
    written = json.dumps(report.as_dict((), {}), ensure_ascii=False).encode()
    assert written.count(rb"b\\udcff\\ud83d") == 5


@pytest.mark.parametrize("method", ["exact", "paper"])
def test_duplicates_are_reported_in_clusters_with_what_stays(
    write_files: Callable[..., Path], recipe: Callable[..., CorpusRecipe], tmp_path: Path, method: str
) -> None:
    words = "\n".join(f"word_{number}" for number in range(200))
    write_files(
        {
            **{f"p/{name}.py": "value = 1\n" for name in "abc"},
            **{f"p/{name}.py": "value = 2\n" for name in "de"},
            **{f"p/{name}.py": f"{words} {name}\n" for name in "fg"},
            "p/h.py": "value = 3\n",
        }
    )
    build_corpus(recipe(deduplication={"method": method, "near": True}), tmp_path / "corpus")
    report = read_report(tmp_path / "corpus")
    clusters, examples = report["clusters"], report["dropped"]["duplicate"]["examples"]
    near = report["dropped"]["near duplicate"]["examples"]
    assert clusters["near duplicate"]["sizes"] == {"2": 1}
    assert {near[0][1], near[0][2].removeprefix("duplicate of p: ")} == {"p/f.py", "p/g.py"}
    if method == "paper":  # its filter knows that it has seen a duplicate, and not which
        assert clusters["duplicate"] == {"sizes": {}, "largest": []}
        assert examples == [["p", "p/b.py"], ["p", "p/c.py"], ["p", "p/e.py"]]
        return
    assert clusters["duplicate"]["sizes"] == {"2": 1, "3": 1}
    assert [(size, project) for size, project, _ in clusters["duplicate"]["largest"]] == [(3, "p"), (2, "p")]
    stays = {path for _, _, path in clusters["duplicate"]["largest"]}
    assert not stays & {path for _, path, _ in examples}
    assert {kept for _, _, kept in examples} == {f"duplicate of p: {path}" for path in stays}


def test_clusters_are_shown_by_size_up_to_powers_of_two() -> None:
    found = {"duplicate": {"sizes": {"2": 5, "3": 2, "4": 1, "1000": 1}, "largest": [[1000, "p", "a.py"]]}}
    assert cluster_sizes(found) == [
        ("duplicate", "2", 5),
        ("duplicate", "3–4", 3),
        ("duplicate", "513–1,024", 1),
    ]
    assert largest_clusters(found) == [("duplicate", "p: a.py", 1000)]
