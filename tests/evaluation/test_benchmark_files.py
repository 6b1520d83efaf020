"""Benchmark files are read row by row, and a broken row is reported with its line."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants

from incoder.errors import IncoderError
from incoder.evaluation.benchmark import Benchmark
from incoder.evaluation.benchmark_files import fetch, find, load_tasks
from incoder.evaluation.catalogue import BENCHMARKS

HUMANEVAL, SANTACODER = BENCHMARKS["humaneval"], BENCHMARKS["santacoder-fim"]


def row(number: int) -> dict[str, str]:
    names = ("prompt", "entry_point", "canonical_solution", "test")
    return {"task_id": f"HumanEval/{number}", **dict.fromkeys(names, "x")}


def test_blank_lines_do_not_count_and_gzip_is_unpacked(tmp_path: Path) -> None:
    content = json.dumps(row(0)) + "\n\n" + json.dumps(row(1)) + "\n"
    (tmp_path / "data.jsonl").write_text(content)
    (tmp_path / "data.jsonl.gz").write_bytes(gzip.compress(content.encode()))
    for name in ("data.jsonl", "data.jsonl.gz"):
        assert [task.key for task in load_tasks(tmp_path / name, HUMANEVAL)] == ["HumanEval/0", "HumanEval/1"]


def test_parquet_is_read_with_its_row_numbers(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = ("name", "language", "prompt", "suffix", "canonical_solution")
    rows = [dict.fromkeys(names, "x") | {"language": "py"}] * 2
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data.parquet")
    tasks = load_tasks(tmp_path / "data.parquet", SANTACODER)
    assert [task.key for task in tasks] == ["py/x/1", "py/x/2"]
    (tmp_path / "other.parquet").write_bytes(b"PAR1")
    with pytest.raises(IncoderError, match="cannot read"):
        load_tasks(tmp_path / "other.parquet", SANTACODER)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        (json.dumps(row(0)) + "\nnot json\n", "line 2: not JSON"),
        ("[" * 200_000, "line 1: not JSON"),
        (json.dumps(row(0)) + "\n\n[1]\n", "line 3: must be an object"),
        (json.dumps(row(0) | {"test": 1}), "line 1: no task of humaneval: test: "),
        (json.dumps({"task_id": "x"}), "line 1: no task of humaneval: prompt: "),
        (2 * (json.dumps(row(7)) + "\n"), "line 2: there is another task with the id HumanEval/7"),
    ],
)
def test_a_broken_row_is_reported_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(content)
    with pytest.raises(IncoderError, match=message):
        load_tasks(path, HUMANEVAL)


@pytest.mark.parametrize(("name", "content"), [("data.jsonl.gz", b"no gzip"), ("data.jsonl", b"\xff\xfe")])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IncoderError, match="cannot read"):
        load_tasks(tmp_path / name, HUMANEVAL)


def test_a_limit_keeps_tasks_from_all_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(10)))
    assert [task.key[-1] for task in load_tasks(path, HUMANEVAL, limit=5)] == ["0", "2", "4", "6", "8"]
    assert len(load_tasks(path, HUMANEVAL, limit=99)) == 10
    with pytest.raises(IncoderError, match="at least 1 task, got 0"):
        load_tasks(path, HUMANEVAL, limit=0)


def test_rows_that_are_not_part_of_the_benchmark_are_counted(tmp_path: Path) -> None:
    mbpp = BENCHMARKS["mbpp"]
    names = ("text", "code", "test_setup_code")
    rows = [{"task_id": number, "test_list": ["x"], **dict.fromkeys(names, "x")} for number in (9, 10, 11)]
    path = tmp_path / "mbpp.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reported: list[int] = []
    assert len(load_tasks(path, mbpp, on_left_out=reported.append)) == 1
    assert reported == [2]
    path.write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(IncoderError, match="none of its 1 rows is one"):
        load_tasks(path, mbpp)


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / HUMANEVAL.file_name).write_bytes(b"")
    assert find(HUMANEVAL, tmp_path) == tmp_path / HUMANEVAL.file_name


def test_missing_data_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IncoderError, match=r"not fetched: take HumanEval\.jsonl\.gz from the data folder"):
        find(HUMANEVAL, tmp_path)
    with pytest.raises(IncoderError, match="give --data PATH"):
        find(HUMANEVAL, None)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(IncoderError, match="not fetched yet; give --data PATH, or --fetch"):
        find(SANTACODER, None)
    with pytest.raises(IncoderError, match="cannot be fetched"):
        fetch(HUMANEVAL)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub that has one file, of which it knows the sha256 as its etag."""
    path = tmp_path / "file"
    path.write_bytes(b"right")

    def download(repository: str, file: str, *, revision: str, repo_type: str) -> str:
        assert SANTACODER.hub is not None
        assert (repository, file, revision) == (
            SANTACODER.hub.repository,
            SANTACODER.hub.file,
            SANTACODER.hub.revision,
        )
        assert repo_type == "dataset"
        return str(path)

    metadata = SimpleNamespace(etag=hashlib.sha256(b"right").hexdigest())
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda _: metadata)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: str(path))
    return path


def pinned(content: bytes) -> Benchmark:
    assert SANTACODER.hub is not None
    digest = hashlib.sha256(content).hexdigest()
    return replace(SANTACODER, hub=replace(SANTACODER.hub, sha256=digest))


def test_a_file_is_fetched_and_checked_against_what_the_hub_says(hub: Path) -> None:
    assert fetch(SANTACODER) == hub
    hub.write_bytes(b"wrong")
    with pytest.raises(IncoderError, match=r"is not data/train.* its sha256 is .*, not .*; remove it"):
        fetch(SANTACODER)


def test_a_pinned_file_is_checked_whatever_the_hub_says(hub: Path) -> None:
    assert find(pinned(b"right"), None) == fetch(pinned(b"right")) == hub
    for get in (fetch, lambda benchmark: find(benchmark, None)):
        with pytest.raises(IncoderError, match="its sha256 is"):
            get(pinned(b"other"))


RANDOM = BENCHMARKS["humaneval-random-span"]


def test_a_folder_finds_the_file_that_it_has_of_its_benchmark(tmp_path: Path) -> None:
    light = tmp_path / "HumanEval-RandomSpanInfillingLight.jsonl.gz"
    light.touch()
    (tmp_path / "HumanEval-SingleLineInfilling.jsonl.gz").touch()
    assert find(RANDOM, tmp_path) == light
    (tmp_path / "hub/data").mkdir(parents=True)
    parquet = tmp_path / "hub/data/train-00000-of-00001-b6ec1fdd66018baa.parquet"
    parquet.touch()
    assert find(SANTACODER, tmp_path / "hub") == parquet
    (tmp_path / "plus").mkdir()
    (tmp_path / "plus/HumanEvalPlus.jsonl.gz").touch()
    assert find(HUMANEVAL, tmp_path / "plus").name == "HumanEvalPlus.jsonl.gz"


def test_of_several_files_the_benchmarks_own_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    names = (RANDOM.file_name, "HumanEval-RandomSpanInfillingLight.jsonl.gz")
    for name in names:
        (tmp_path / name).touch()
    reported: list[tuple[Path, list[Path]]] = []
    assert find(RANDOM, tmp_path, on_others=lambda *news: reported.append(news)).name == RANDOM.file_name
    assert reported == [(tmp_path / names[0], [tmp_path / names[1]])]


def test_several_files_of_which_none_has_the_benchmarks_name_have_to_be_named(tmp_path: Path) -> None:
    for kind in ("api", "control"):
        (tmp_path / f"{kind}_completion.jsonl.gz").touch()
    with pytest.raises(
        IncoderError, match=r"several files of safim: .*: api_completion.*, control_completion"
    ):
        find(BENCHMARKS["safim"], tmp_path)


def test_tasks_of_one_language_are_chosen_before_they_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    names = ("name", "prompt", "suffix", "canonical_solution")
    rows = [dict.fromkeys(names, "x") | {"language": language} for language in ("py", "js", "js", "js")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = load_tasks(path, SANTACODER, limit=2, language="JavaScript")
    assert [task.key for task in chosen] == ["js/x/2", "js/x/3"]
    with pytest.raises(IncoderError, match=r"no task in java; it has javascript \(3\), python \(1\)"):
        load_tasks(path, SANTACODER, language="java")
