"""What models are judged by stays out of the corpus: by repository, and by content."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from incoder.corpus.build import build_corpus
from incoder.corpus.decontamination.benchmarks import BenchmarkTasks
from incoder.corpus.decontamination.decontamination_settings import DecontaminationSettings
from incoder.corpus.decontamination.repositories import ListedRepositories
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import read_report
from incoder.errors import IncoderError

MakeRecipe = Callable[..., CorpusRecipe]
WriteFiles = Callable[[Mapping[str, str | bytes]], Path]

TASK = {
    "task_id": "Toy/7",
    "prompt": "def longest(words):\n    '''The longest of some words, the first one if several are.'''\n",
    "canonical_solution": "    return max(words, key=len) if words else None\n",
    "test": "assert longest(['a', 'bcd', 'efg', 'h', 'i', 'jk', 'l']) == 'bcd'\n",
    "entry_point": "longest",
}
CLEAN = "def shortest(words):\n    '''The shortest of some words.'''\n    return min(words, key=len)\n"


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    path = tmp_path / "toy.jsonl"
    path.write_text(json.dumps(TASK) + "\n")
    return path


@pytest.fixture
def tasks(benchmark: Path) -> BenchmarkTasks:
    return BenchmarkTasks(DecontaminationSettings(benchmarks=(benchmark,)))


def test_a_text_that_holds_a_task_is_found_and_another_is_not(tasks: BenchmarkTasks) -> None:
    match = tasks.match(f"import re\n\n\n{TASK['prompt']}{TASK['canonical_solution']}")
    assert match is not None
    assert (match.benchmark, match.task) == ("toy", "Toy/7")
    assert match.words == "def longest words the longest of some words the first"
    assert tasks.match(CLEAN) is None
    assert tasks.match("") is None


@pytest.mark.parametrize("part", ["prompt", "test"])
def test_a_part_of_a_task_is_enough(tasks: BenchmarkTasks, part: str) -> None:
    assert tasks.match(TASK[part]) is not None


def test_case_spacing_and_punctuation_hide_nothing(tasks: BenchmarkTasks) -> None:
    assert tasks.match("# THE LONGEST-of\n# some words; the\t'first' one, if\n# several are…") is not None


def test_fewer_words_than_a_run_are_no_match(benchmark: Path) -> None:
    words = "the longest of some words the first one if"  # nine
    assert BenchmarkTasks(DecontaminationSettings(benchmarks=(benchmark,))).match(words) is None
    assert BenchmarkTasks(DecontaminationSettings(benchmarks=(benchmark,), num_words=9)).match(words)


def test_a_benchmark_in_gzip_is_the_same(benchmark: Path, tmp_path: Path) -> None:
    packed = tmp_path / "toy.jsonl.gz"
    packed.write_bytes(gzip.compress(benchmark.read_bytes()))
    assert BenchmarkTasks(DecontaminationSettings(benchmarks=(packed,))).match(TASK["prompt"])


def test_runs_that_are_in_any_code_are_no_task(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    digits = "digits = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
    path.write_text(json.dumps({"prompt": digits, "solution": TASK["prompt"]}) + "\n")
    tasks = BenchmarkTasks(DecontaminationSettings(benchmarks=(path,)))
    assert tasks.match(f"import re\n{digits}") is None
    assert tasks.match(TASK["prompt"]) is not None


def test_every_run_is_found_and_none_that_is_not_there(tasks: BenchmarkTasks) -> None:
    words = [f"word{number}" for number in range(2000)]
    assert tasks.match(" ".join(words)) is None
    for place in (0, 1000, 2000):
        held = [*words[:place], "the longest of some words the first one if several", *words[place:]]
        assert tasks.match(" ".join(held)) is not None


def test_without_any_run_nothing_matches(tmp_path: Path) -> None:
    (tmp_path / "toy.jsonl").write_text('{"prompt": "too short"}\n')
    settings = DecontaminationSettings(benchmarks=(tmp_path / "toy.jsonl",))
    assert BenchmarkTasks(settings).match(TASK["prompt"]) is None


def test_a_benchmark_may_be_a_json_array_or_parquet(tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_text(json.dumps([TASK], indent=1))
    parquet.write_table(pa.Table.from_pylist([TASK]), tmp_path / "toy.parquet")
    for name in ("toy.json", "toy.parquet"):
        tasks = BenchmarkTasks(DecontaminationSettings(benchmarks=(tmp_path / name,)))
        assert tasks.match(TASK["prompt"]) is not None


def test_humaneval_and_mbpp_are_found_in_their_own_solutions(shared: Path) -> None:
    bench = shared / "bench"
    paths = (bench / "human-eval" / "HumanEval.jsonl.gz", bench / "mbpp" / "mbpp.jsonl")
    tasks = BenchmarkTasks(DecontaminationSettings(benchmarks=paths))
    for line in gzip.decompress(paths[0].read_bytes()).splitlines():
        task = json.loads(line)
        assert tasks.match(task["prompt"] + task["canonical_solution"]), task["task_id"]
    assert tasks.match(Path(json.__file__).read_text()) is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot read"),
        ("{}\n", "no record has a text in one of the fields"),
        ('{"prompt": 1}\n[]\n', "line 2: must be a JSON object"),
        ("not json\n", "line 1: must be a JSON object"),
        ('[{"prompt": "x"}, 3]', "element 2: must be a JSON object, got 3"),
        ("[", "must be a JSON array"),
        ("PAR1", "cannot read"),
    ],
)
def test_a_benchmark_that_cannot_be_read_is_an_error_before_anything_is(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path, content: str | None, complaint: str
) -> None:
    write_files({"p/a.py": CLEAN})
    path = tmp_path / "broken.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(IncoderError, match=complaint) as raised:
        build_corpus(recipe(decontamination={"benchmarks": [str(path)]}), tmp_path / "corpus")
    assert "stage" not in str(raised.value)


def test_a_build_leaves_out_what_holds_a_task_and_says_which(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path, benchmark: Path
) -> None:
    write_files({"p/a.py": CLEAN, "p/b.py": TASK["prompt"] + TASK["canonical_solution"]})
    build_corpus(recipe(decontamination={"benchmarks": [str(benchmark)]}), tmp_path / "corpus")
    report = read_report(tmp_path / "corpus")
    assert report["splits"]["train"]["num_documents"] == 1
    dropped = report["dropped"]["in benchmark: toy"]
    assert dropped["num_files"] == 1
    ((project, path, detail),) = dropped["examples"]
    assert (project, path) == ("p", "p/b.py")
    assert detail.startswith("Toy/7: def longest words")


REPOSITORIES = """# CodeSearchNet's
https://github.com/Some/Thing.git
git@gitlab.com:group/other/
plain
"""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "codesearchnet.txt"
    path.write_text(REPOSITORIES)
    return path


def test_listed_repositories_are_told_by_owner_and_name(listed: Path) -> None:
    repositories = ListedRepositories(DecontaminationSettings(repositories=(listed,)))
    reason = "in repository list: codesearchnet"
    assert repositories.reason("some/thing") == repositories.reason("SOME/Thing") == reason
    assert repositories.reason("group/other") == reason
    assert repositories.reason("fork/thing") is None
    assert repositories.reason("anybody/plain") == reason  # without an owner it means any


def test_by_name_alone_forks_go_as_well(listed: Path) -> None:
    settings = DecontaminationSettings(repositories=(listed,), by_name_alone=True)
    assert ListedRepositories(settings).reason("fork/thing") is not None


def test_a_list_may_be_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"repo": "a/b", "code": "x"}\n{"nwo": "c/d"}\n')
    repositories = ListedRepositories(DecontaminationSettings(repositories=(path,)))
    assert [repositories.reason(name) is not None for name in ("a/b", "c/d", "e/f")] == [True, True, False]


def test_a_list_that_names_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("# nothing yet\n\n")
    with pytest.raises(IncoderError, match="must list repositories as owner/name"):
        ListedRepositories(DecontaminationSettings(repositories=(path,)))


def test_a_build_leaves_out_listed_repositories(
    write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_files({"p/a.py": CLEAN, "plain/b.py": "x = 1\n"})
    path = tmp_path / "lists.txt"
    path.write_text("plain\n")
    build_corpus(recipe(decontamination={"repositories": [str(path)]}), tmp_path / "corpus")
    dropped = read_report(tmp_path / "corpus")["dropped"]
    assert dropped["in repository list: lists"]["examples"] == [["plain", "plain/b.py"]]


def tasks_of(tmp_path: Path, **record: str) -> BenchmarkTasks:
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(record) + "\n")
    return BenchmarkTasks(DecontaminationSettings(benchmarks=(path,)))


LOOPS = """for i in range(n):
    for j in range(n):
        if i != j and a[i] == a[j]:
            return True
"""


def test_ordinary_loops_are_no_task(tmp_path: Path) -> None:
    solution = f"total = 0\n{LOOPS}weights = normalised(weights)\nreturn sum(weights) / len(weights)\n"
    tasks = tasks_of(tmp_path, prompt="def spread(weights, a, n):\n", canonical_solution=solution)
    assert tasks.match("for i in range(n):\n    for j in range(n):\n        grid[i][j] = 0\n") is None
    assert tasks.match(f"x = 1\n{solution}") is not None


def test_a_solution_of_common_words_is_found_where_most_of_it_is(tmp_path: Path) -> None:
    tasks = tasks_of(tmp_path, prompt="def has_pair(a, n):\n", canonical_solution=LOOPS)
    assert tasks.match(f"def other(a, n):\n    {LOOPS}\n") is not None
