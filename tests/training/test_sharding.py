"""Several processes train as one does: the same losses, whatever their number; checkpoints; how runs end.

The processes that a test starts do many checks in one process group (run_in_ranks.py). Bounds are those of
float32 sums in another order.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch

from incoder.config import load_recipe
from incoder.errors import IncoderError
from incoder.model.checkpoint import load_checkpoint
from incoder.training.checkpoint import load_newest_state
from incoder.training.loop import train
from incoder.training.metrics import read_metrics
from incoder.training.ranks import Ranks
from incoder.training.recipe import TrainingRecipe

PROGRAM = Path(__file__).with_name("run_in_ranks.py")
RUNS = ("muon", "adamw", "xglm")
SLOW = 900  # seconds: on a busy machine a process takes a minute to start
EQUAL = 1e-6  # relative, of losses and norms


def losses(output: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(output / "metrics.jsonl")]


def norms(output: Path) -> list[float]:
    return [row["gradient_norm"] for row in read_metrics(output / "metrics.jsonl")]


class Started:
    """Ranks that run side by side, each on its own machine as far as they know."""

    def __init__(self, num_ranks: int, arguments: Sequence[str], **environment: str) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = str(unused.getsockname()[1])
        common = os.environ | {"WORLD_SIZE": str(num_ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        common |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "OMP_NUM_THREADS": "1", **environment}
        self.processes = [
            subprocess.Popen(
                [sys.executable, *arguments],
                env=common | {"RANK": str(rank)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(num_ranks)
        ]

    def ended(self, timeout: float = 300) -> list[tuple[int, str]]:
        """How each rank ended: its status, and what it wrote to stderr."""
        errors = [process.communicate(timeout=timeout)[1] for process in self.processes]
        return [(process.returncode, error) for process, error in zip(self.processes, errors, strict=True)]

    def succeeded(self) -> None:
        for status, error in self.ended():
            assert status == 0, error


def checked(num_ranks: int, folder: Path, recipe_file: Path, *checks: str, **environment: str) -> Started:
    return Started(num_ranks, [str(PROGRAM), str(folder), str(recipe_file), *checks], **environment)


def found(folder: Path, check: str, rank: int = 0) -> Any:
    return torch.load(folder / f"{check}.{rank}.pt")


@pytest.fixture(scope="session")
def in_ranks() -> Any:
    """The checks as a module, to do them in this process, too."""
    spec = spec_from_file_location("run_in_ranks", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def one_process(tmp_path_factory: pytest.TempPathFactory, recipe_file: Path, in_ranks: Any) -> Path:
    """The same runs in one process."""
    folder = tmp_path_factory.mktemp("one_process")
    in_ranks.whole_runs(Ranks(), folder, recipe_file)
    return folder


@pytest.fixture(scope="session")
def started(
    tmp_path_factory: pytest.TempPathFactory, recipe_file: Path, other_tokens: Path, in_ranks: Any
) -> tuple[Path, Path]:
    """The folders of one rank and of two ranks that have done their checks."""
    assert other_tokens.exists()
    damaged = shutil.copytree(recipe_file.parent / "tokens", recipe_file.parent / "damaged_tokens")
    content = bytearray((damaged / "validation.tokens").read_bytes())
    content[-2] ^= 1
    (damaged / "validation.tokens").write_bytes(content)
    one, two = tmp_path_factory.mktemp("one_rank"), tmp_path_factory.mktemp("two_ranks")
    train(in_ranks.recipe_of(recipe_file), two / "from a file", device="cpu", should_stop=in_ranks.after(3))
    checks = ("whole_runs", "three_steps_in_variants", "resumed_runs", "gradients", "fresh_model")
    both = [
        checked(1, one, recipe_file, "whole_runs", "bf16_step"),
        checked(2, two, recipe_file, *checks, "stopped_by_the_last_rank", "refusals"),
    ]
    for ranks in both:
        ranks.succeeded()
    return one, two


@pytest.fixture(scope="session")
def one_rank(started: tuple[Path, Path]) -> Path:
    return started[0]


@pytest.fixture(scope="session")
def two_ranks(started: tuple[Path, Path]) -> Path:
    return started[1]


@pytest.mark.parametrize("run", RUNS)
def test_one_sharded_rank_has_the_losses_and_norms_of_one_process(
    one_rank: Path, one_process: Path, run: str
) -> None:
    rows = [read_metrics(folder / run / "metrics.jsonl") for folder in (one_rank, one_process)]
    for row in (*rows[0], *rows[1]):
        del row["tokens_per_second"]
    assert len(rows[0]) == len(rows[1])
    for own, other in zip(*rows, strict=True):
        assert own == pytest.approx(other, rel=1e-6)  # the norm's sum may have another order


@pytest.mark.parametrize("run", RUNS)
def test_two_ranks_have_the_losses_and_norms_of_one_process(
    two_ranks: Path, one_process: Path, run: str
) -> None:
    assert losses(two_ranks / run) == pytest.approx(losses(one_process / run), rel=EQUAL)
    assert norms(two_ranks / run) == pytest.approx(norms(one_process / run), rel=EQUAL)
    held_out = [
        {
            name: value
            for name, value in read_metrics(f / run / "metrics.jsonl")[-1].items()
            if "valid" in name
        }
        for f in (two_ranks, one_process)
    ]
    assert len(held_out[1]) == 6
    assert held_out[0] == pytest.approx(held_out[1], rel=EQUAL)


@pytest.mark.parametrize("variant", ["recomputed", "not resharded"])
def test_what_saves_memory_changes_no_bit(two_ranks: Path, variant: str, in_ranks: Any) -> None:
    assert variant in in_ranks.VARIANTS
    assert losses(two_ranks / variant) == losses(two_ranks / "muon")[:3]


def test_micro_batches_give_the_same_losses_on_two_ranks(two_ranks: Path, one_process: Path) -> None:
    assert losses(two_ranks / "row by row") == pytest.approx(losses(one_process / "muon")[:3], rel=EQUAL)


def test_the_first_gradients_are_those_of_one_process(
    two_ranks: Path, recipe_file: Path, in_ranks: Any
) -> None:
    expected = in_ranks.gradients(Ranks(), two_ranks, recipe_file)
    for rank in (0, 1):
        summed = found(two_ranks, "gradients", rank)
        assert summed.keys() == expected.keys()
        for name, gradient in expected.items():
            tolerance = 2e-6 * float(gradient.abs().max())
            torch.testing.assert_close(summed[name], gradient, rtol=0.0, atol=tolerance)


def test_a_sharded_model_begins_with_the_same_weights_and_positions(
    two_ranks: Path, recipe_file: Path, in_ranks: Any
) -> None:
    expected = in_ranks.fresh_model(Ranks(), two_ranks, recipe_file)
    sharded = found(two_ranks, "fresh_model", rank=1)
    assert sharded.keys() == expected.keys()
    assert all(torch.equal(sharded[name], weight) for name, weight in expected.items())


def test_in_bf16_weights_are_gathered_as_autocast_would_round_them(
    one_rank: Path, recipe_file: Path, in_ranks: Any
) -> None:
    loss, expected = in_ranks.bf16_step(Ranks(), one_rank, recipe_file)
    sharded_loss, sharded = found(one_rank, "bf16_step")
    assert sharded_loss == loss
    for name, gradient in expected.items():
        error = (sharded[name] - gradient).norm() / gradient.norm()
        assert error < 1e-2, name


def test_a_run_resumed_on_as_many_ranks_has_the_same_losses_to_the_last_bit(two_ranks: Path) -> None:
    assert losses(two_ranks / "resumed") == losses(two_ranks / "muon")


def test_two_ranks_go_on_from_the_checkpoint_of_one_process(two_ranks: Path, one_process: Path) -> None:
    assert losses(two_ranks / "from a file") == pytest.approx(losses(one_process / "muon"), rel=EQUAL)
    names = sorted(path.name for path in (two_ranks / "from a file" / "checkpoints").iterdir())
    assert names == ["step-00000003.pt", "step-00000006"]


def test_one_process_goes_on_from_the_checkpoint_of_two_ranks(
    two_ranks: Path, one_process: Path, tmp_path: Path, recipe_file: Path, in_ranks: Any
) -> None:
    output = shutil.copytree(two_ranks / "muon", tmp_path / "run")
    shutil.rmtree(output / "checkpoints" / "step-00000006")
    assert train(in_ranks.recipe_of(recipe_file), output, device="cpu", resume=True).finished
    assert losses(output)[:3] == losses(two_ranks / "muon")[:3]
    assert losses(output) == pytest.approx(losses(one_process / "muon"), rel=EQUAL)


def test_two_ranks_export_the_model_that_one_process_exports_of_their_checkpoint(
    two_ranks: Path, tmp_path: Path, recipe_file: Path, in_ranks: Any
) -> None:
    output = shutil.copytree(two_ranks / "muon", tmp_path / "run")
    exported = (output / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(output / "model")
    train(in_ranks.recipe_of(recipe_file), output, device="cpu", resume=True)
    assert (output / "model" / "model.safetensors").read_bytes() == exported
    assert load_checkpoint(output / "model").dtype == torch.bfloat16


def test_only_whole_checkpoints_are_left_and_no_more_than_are_kept(two_ranks: Path) -> None:
    names = sorted(path.name for path in (two_ranks / "muon" / "checkpoints").iterdir())
    assert names == ["step-00000003", "step-00000006"]
    assert (two_ranks / "muon" / "checkpoints" / "step-00000006" / ".metadata").is_file()


@pytest.mark.parametrize("name", ["__1_0.distcp", ".metadata"])
def test_a_flipped_byte_in_a_sharded_checkpoint_is_noticed(
    two_ranks: Path, tmp_path: Path, recipe_file: Path, name: str, in_ranks: Any
) -> None:
    output = shutil.copytree(two_ranks / "muon", tmp_path / "run")
    file = output / "checkpoints" / "step-00000006" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    notes: list[str] = []
    train(in_ranks.recipe_of(recipe_file), output, device="cpu", resume=True, on_note=notes.append)
    assert "step-00000006 is damaged" in notes[0]
    assert "going on from step-00000003" in notes[0]
    assert losses(output) == pytest.approx(losses(two_ranks / "muon"), rel=EQUAL)


def test_the_metadata_of_a_checkpoint_runs_no_code(two_ranks: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(two_ranks / "muon" / "checkpoints" / "step-00000006", tmp_path / "step-00000006")
    for line in (b"cos\nsystem\n(S'touch run'\ntR.", b"ctorch\nload\n(S'model.pt'\ntR."):
        (folder / ".metadata").write_bytes(line)
        (folder / ".metadata.crc32").write_text(f"{zlib.crc32(line):08x}\n")
        with pytest.raises(IncoderError, match="is no part of a checkpoint's metadata"):
            load_newest_state(tmp_path, lambda _: None)


def test_a_stop_on_one_rank_stops_all_with_one_checkpoint(two_ranks: Path) -> None:
    for rank in (0, 1):
        assert found(two_ranks, "stopped_by_the_last_rank", rank) == (False, 2)
    names = [path.name for path in (two_ranks / "stopped" / "checkpoints").iterdir()]
    assert names == ["step-00000002"]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("muon", r"muon already holds a run; go on with --resume"),
        ("diverged", r"the loss is nan at step 0: the run has diverged"),
        ("damaged", r"process 1 of 2 \(.*\): .*validation\.tokens is not what was written"),
        ("other", r"process 1 of 2 \(.*\) has another corpus .* than process 0 of 2"),
        ("other recipe", r"process 1 of 2 \(.*\) has another recipe than process 0 of 2"),
    ],
)
def test_the_problem_of_one_rank_is_the_same_sentence_on_all(two_ranks: Path, run: str, message: str) -> None:
    messages = [found(two_ranks, "refusals", rank)[run] for rank in (0, 1)]
    assert messages[0] == messages[1]
    assert re.search(message, messages[0])


def test_each_rank_says_how_far_it_is(two_ranks: Path) -> None:
    beats = [json.loads((two_ranks / "muon" / "ranks" / f"{rank}.json").read_text()) for rank in (0, 1)]
    for rank, beat in enumerate(beats):
        assert beat.keys() == {"rank", "world_size", "host", "pid", "step", "stage", "time"}
        assert (beat["rank"], beat["world_size"], beat["step"], beat["stage"]) == (rank, 2, 6, "finished")
        assert beat["host"] == socket.gethostname()
    assert beats[0]["pid"] != beats[1]["pid"]


def test_one_process_joins_no_group_and_imports_no_sharding(tmp_path: Path, recipe_file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import torch; from incoder.config import load_recipe\n"
        "from incoder.training.recipe import TrainingRecipe; from incoder.training.loop import train\n"
        f"recipe = load_recipe(TrainingRecipe, Path({str(recipe_file)!r}), ['training.steps=1'])\n"
        f"train(recipe, Path({str(tmp_path / 'run')!r}), device='cpu')\n"
        "assert not torch.distributed.is_initialized()\n"
        "print(sorted(sys.modules))\n"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    modules = output.stdout
    assert "'incoder.training.ranks'" in modules
    for name in ("process_group", "sharding", "sharded_states", "sharded_muon"):
        assert f"'incoder.training.{name}'" not in modules
    # PyTorch imports some of torch.distributed by itself, these not.
    assert "'torch.distributed.checkpoint'" not in modules
    assert "'torch.distributed.elastic'" not in modules


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
@pytest.mark.parametrize("num_ranks", [3, 4])
def test_more_ranks_have_the_losses_and_gradients_of_one_process(
    one_process: Path, tmp_path: Path, recipe_file: Path, num_ranks: int, in_ranks: Any
) -> None:
    checks = ("whole_runs", "gradients", *(["runs_in_copies"] if num_ranks == 4 else []))
    checked(num_ranks, tmp_path, recipe_file, *checks).succeeded()
    for run in RUNS:
        assert losses(tmp_path / run) == pytest.approx(losses(one_process / run), rel=EQUAL)
        assert norms(tmp_path / run) == pytest.approx(norms(one_process / run), rel=EQUAL)
    for copies in ("copies", "copies, row by row") if num_ranks == 4 else ():  # HSDP, 2 x 2
        assert losses(tmp_path / copies) == pytest.approx(losses(one_process / "muon"), rel=EQUAL)
        assert norms(tmp_path / copies) == pytest.approx(norms(one_process / "muon"), rel=EQUAL)
    for name, gradient in in_ranks.gradients(Ranks(), tmp_path, recipe_file).items():
        summed = found(tmp_path, "gradients")[name]
        torch.testing.assert_close(summed, gradient, rtol=0.0, atol=2e-6 * float(gradient.abs().max()))


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_eighty_steps_do_not_drift_apart(tmp_path: Path, recipe_file: Path, in_ranks: Any) -> None:
    started = checked(2, tmp_path, recipe_file, "long_run")
    (tmp_path / "one").mkdir()
    in_ranks.long_run(Ranks(), tmp_path / "one", recipe_file)
    started.succeeded()
    assert losses(tmp_path / "long") == pytest.approx(losses(tmp_path / "one" / "long"), rel=5e-7)
    assert norms(tmp_path / "long") == pytest.approx(norms(tmp_path / "one" / "long"), rel=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_a_run_goes_on_with_fewer_and_with_more_ranks(
    one_process: Path, tmp_path: Path, recipe_file: Path, in_ranks: Any
) -> None:
    checked(2, tmp_path, recipe_file, "two_steps").succeeded()
    in_ranks.two_more_steps(Ranks(), tmp_path, recipe_file)
    checked(3, tmp_path, recipe_file, "two_more_steps").succeeded()
    assert losses(tmp_path / "elastic") == pytest.approx(losses(one_process / "muon"), rel=EQUAL)


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_a_rank_killed_in_a_step_is_named_and_the_run_goes_on_from_the_newest_checkpoint(
    tmp_path: Path, recipe_file: Path, in_ranks: Any
) -> None:
    output = tmp_path / "run"
    settings = [part for setting in (*in_ranks.COMMON, "training.steps=4000") for part in ("--set", setting)]
    command = ["-m", "incoder", "train", str(recipe_file), "-o", str(output), "--device", "cpu", *settings]
    ranks = Started(2, command)
    wait_until(lambda: len(losses(output)) > 10, ranks)
    ranks.processes[1].send_signal(signal.SIGKILL)
    (status, message), (killed, _) = ranks.ended(timeout=60)
    assert (status, killed) == (1, -signal.SIGKILL)
    assert re.search(r"process 1 of 2 \(.*\) ended without a message .* --resume goes on", message)
    assert "Traceback" not in message
    num_done = len(losses(output))
    resumed = Started(2, [*command, "--resume"])
    wait_until(lambda: len(losses(output)) > num_done + 10, resumed)
    resumed.processes[0].send_signal(signal.SIGINT)  # one rank alone: all stop
    for status, message in resumed.ended():
        assert status == 130, message
    train(
        load_recipe(TrainingRecipe, recipe_file, [*in_ranks.COMMON, "training.steps=4000"]),
        tmp_path / "one",
        device="cpu",
        should_stop=in_ranks.after(len(losses(output))),
    )
    assert losses(output) == pytest.approx(losses(tmp_path / "one"), rel=EQUAL)


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_a_rank_killed_in_a_save_leaves_the_checkpoint_before(
    tmp_path: Path, recipe_file: Path, in_ranks: Any
) -> None:
    ranks = checked(2, tmp_path, recipe_file, "killed_in_a_save")
    (status, _), (killed, _) = ranks.ended()
    assert (status != 0, killed) == (True, -signal.SIGKILL)
    folder = tmp_path / "killed" / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {
        "step-00000003",
        "step-00000006.partial",
    }
    recipe = in_ranks.recipe_of(recipe_file, "training.steps=12")
    assert train(recipe, tmp_path / "killed", device="cpu", resume=True).finished
    train(recipe, tmp_path / "one", device="cpu")
    assert losses(tmp_path / "killed") == pytest.approx(losses(tmp_path / "one"), rel=EQUAL)
    assert not list(folder.glob("*.partial"))


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_a_rank_that_others_wait_for_is_named(tmp_path: Path, recipe_file: Path) -> None:
    ranks = checked(2, tmp_path, recipe_file, "asleep", TIMEOUT_SECONDS="6")
    begun = time.monotonic()
    ranks.ended()
    assert time.monotonic() - begun < 120
    message = found(tmp_path, "asleep")
    assert re.search(r"process 1 of 2 \(.*\) has not gone on for \d+ s after step \d", message)
    assert "reading data" in message


def wait_until(condition: Callable[[], bool], ranks: Started) -> None:
    deadline = time.monotonic() + 240
    while not condition() and time.monotonic() < deadline:
        assert all(process.poll() is None for process in ranks.processes), ranks.ended()
        time.sleep(0.02)
