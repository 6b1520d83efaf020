"""Builds that are killed, by kill -9, and builds by other numbers of workers and executors."""

import os
import signal
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from incoder.corpus.report import read_report

HERE = Path(__file__).parent
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten projects of four files each; every third file has an exact duplicate in another project."""
    root = tmp_path_factory.mktemp("source")
    for number, project in enumerate(WORDS):
        (root / project).mkdir()
        for index in range(4):
            kind = number % 3 if index == 0 else number
            text = "".join(f"{word}_{kind}_{index} = {kind}\n" for word in WORDS)
            (root / project / f"m{index}.py").write_text(text)
    return root


@pytest.fixture(scope="module")
def corpus(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build that nobody disturbs writes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(source, folder / "corpus", folder / "notes").returncode == 0
    return folder / "corpus"


@pytest.fixture(scope="module")
def undisturbed(corpus: Path) -> dict[str, bytes]:
    return content(corpus)


@pytest.fixture(scope="module")
def undisturbed_shards(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("shards")
    assert encode(corpus, folder / "tokens", folder / "notes").returncode == 0
    return content(folder / "tokens")


def run(
    source: Path,
    output: Path,
    notes: Path,
    *,
    executor: str = "local",
    workers: int = 1,
    deadly: str = "",
    path: str = os.environ["PATH"],
) -> subprocess.CompletedProcess[str]:
    return call("main", source, output, notes, executor, workers, deadly, path=path)


def encode(
    corpus: Path, output: Path, notes: Path, *, workers: int = 1, deadly: str = ""
) -> subprocess.CompletedProcess[str]:
    return call("encode", corpus, output, notes, workers, deadly)


def call(
    function: str, *arguments: object, path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    """Call a function of killed_build.py in a process of its own."""
    program = f"import killed_build, sys; killed_build.{function}(*sys.argv[1:])"
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
    }
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_small_input_is_cut_into_many_tasks(undisturbed: dict[str, bytes]) -> None:
    assert sum(name.startswith("train-") for name in undisturbed) > 3


@pytest.mark.parametrize(
    "deadly",
    [
        pytest.param("before read 0", marks=pytest.mark.slow),
        "after read 3",
        "before find-duplicates 1",
        pytest.param("after find-duplicates 0", marks=pytest.mark.slow),
        "before find-near-duplicates 0",
        pytest.param("before write 1", marks=pytest.mark.slow),
        "after write 2",
        "at train-00001-of-00005.parquet",
    ],
)
def test_a_killed_build_goes_on_where_it_was_with_the_same_result(
    source: Path, undisturbed: dict[str, bytes], tmp_path: Path, deadly: str
) -> None:
    killed = run(source, tmp_path / "corpus", tmp_path / "first", deadly=deadly)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "corpus" / "report.json").exists()
    again = run(source, tmp_path / "corpus", tmp_path / "second")
    assert again.returncode == 0, again.stderr
    assert content(tmp_path / "corpus") == undisturbed
    first = (tmp_path / "first").read_text().splitlines()
    second = (tmp_path / "second").read_text().splitlines() if (tmp_path / "second").exists() else []
    finished = first if deadly.startswith("at") else first[:-1]
    assert not set(finished) & set(second), "a task that had finished was done again"


@pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_the_number_of_workers_cannot_be_seen_in_the_result(
    source: Path, undisturbed: dict[str, bytes], tmp_path: Path, workers: int
) -> None:
    assert run(source, tmp_path / "corpus", tmp_path / "notes", workers=workers).returncode == 0
    assert content(tmp_path / "corpus") == undisturbed


@pytest.mark.timeout(900)  # where other work has the cores, its fixtures alone take minutes
@pytest.mark.parametrize(
    "deadly", ["after encode 2", pytest.param("before encode 0", marks=pytest.mark.slow)]
)
def test_a_killed_encoding_goes_on_where_it_was_with_the_same_shards(
    corpus: Path, undisturbed_shards: dict[str, bytes], tmp_path: Path, deadly: str
) -> None:
    killed = encode(corpus, tmp_path / "tokens", tmp_path / "first", deadly=deadly)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "tokens" / "meta.json").exists()
    again = encode(corpus, tmp_path / "tokens", tmp_path / "second", workers=3)
    assert again.returncode == 0, again.stderr
    assert content(tmp_path / "tokens") == undisturbed_shards
    first, second = ((tmp_path / name).read_text().splitlines() for name in ("first", "second"))
    assert not set(first[:-1]) & set(second), "a task that had finished was done again"
    assert second


def test_an_input_shard_that_kills_its_worker_is_left_out_and_counted(source: Path, tmp_path: Path) -> None:
    built = run(source, tmp_path / "corpus", tmp_path / "notes", deadly="in read 2")
    assert built.returncode == 0, built.stderr
    dropped = read_report(tmp_path / "corpus")["dropped"]["crashed: killed by SIGKILL"]
    assert (dropped["num_files"], dropped["examples"]) == (1, [["files/000002", "files/000002"]])
    assert (tmp_path / "notes").read_text().count("read 2\n") == 2  # it may have been bad luck


def test_a_worker_that_dies_in_another_stage_is_an_error_that_names_it(source: Path, tmp_path: Path) -> None:
    failed = run(source, tmp_path / "corpus", tmp_path / "notes", deadly="in write 1")
    assert failed.returncode == 1
    assert "stage `write` failed in task 1: killed by SIGKILL" in failed.stderr
    assert run(source, tmp_path / "corpus", tmp_path / "again").returncode == 0


def test_changed_sources_start_the_build_anew(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["cp", "-r", source, other], check=True)
    run(other, tmp_path / "corpus", tmp_path / "first", deadly="after read 3")
    (other / "alpha" / "m1.py").write_text("entirely = 'other'\n")
    assert run(other, tmp_path / "corpus", tmp_path / "second").returncode == 0
    assert run(other, tmp_path / "fresh", tmp_path / "third").returncode == 0
    assert content(tmp_path / "corpus") == content(tmp_path / "fresh")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs ray")
def test_a_local_ray_gives_the_same_result(
    source: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    built = run(source, tmp_path / "corpus", tmp_path / "notes", executor="ray", workers=2)
    assert built.returncode == 0, built.stderr
    assert content(tmp_path / "corpus") == undisturbed


@pytest.fixture
def slurm(tmp_path: Path) -> Path:
    """Commands that stand in for Slurm's: jobs run at once, one task after the other, on this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {
        "sbatch": 'for last; do :; done\ncp "$last" "$0.script"\n'
        "tasks=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' \"$last\")\n"
        'for task in $(seq 0 "${tasks:-0}"); do\n'
        '  SLURM_ARRAY_TASK_ID=$task SLURM_NODELIST=here bash "$0.script" > "$0.log" 2>&1\ndone\n'
        "echo Submitted batch job 7",
        "srun": 'while [[ "$1" == -* ]]; do [[ "$1" == -n ]] && shift; shift; done\nexec "$@"',
        "squeue": "exit 0",
        "scontrol": "echo here",
    }
    for name, script in commands.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(stat.S_IRWXU)
    return folder


@pytest.mark.slow
def test_slurm_gives_the_same_result(
    source: Path, undisturbed: dict[str, bytes], tmp_path: Path, slurm: Path
) -> None:
    path = f"{slurm}{os.pathsep}{os.environ['PATH']}"
    built = run(source, tmp_path / "corpus", tmp_path / "notes", executor="slurm", path=path)
    assert built.returncode == 0, built.stderr
    assert content(tmp_path / "corpus") == undisturbed


def test_a_cluster_on_which_every_task_fails_is_an_error_and_no_empty_corpus(
    source: Path, tmp_path: Path, slurm: Path
) -> None:
    (slurm / "srun").write_text("#!/bin/bash\nexit 1\n")
    path = f"{slurm}{os.pathsep}{os.environ['PATH']}"
    failed = run(source, tmp_path / "corpus", tmp_path / "notes", executor="slurm", path=path)
    assert failed.returncode == 1
    assert "stage `read` failed in task 0" in failed.stderr


def test_slurm_without_its_commands_is_an_error(source: Path, tmp_path: Path) -> None:
    failed = run(source, tmp_path / "corpus", tmp_path / "notes", executor="slurm")
    assert failed.returncode == 1
    assert "needs the command `sbatch`" in failed.stderr
