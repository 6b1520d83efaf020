import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from incoder.config import load_recipe
from incoder.errors import IncoderError
from incoder.model.checkpoint import load_checkpoint
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.loop import train
from incoder.training.metrics import read_metrics
from incoder.training.recipe import TrainingRecipe


def losses(output: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(output / "metrics.jsonl")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, recipe_file: Path, device: torch.device) -> Path:
    """The folder of a run that was never interrupted."""
    output = tmp_path_factory.mktemp("finished")
    assert train(load_recipe(TrainingRecipe, recipe_file), output, device=device).finished
    return output


def test_the_loss_falls(finished: Path) -> None:
    values = losses(finished)
    assert len(values) == 12
    assert values[-1] < values[0] - 0.3


def test_sentinels_stay_apart_though_they_are_never_a_target(tmp_path: Path, recipe_file: Path) -> None:
    settings = ["masking.plain_rate=1.0", "optimizer.lr=0.01", "optimizer.weight_decay=0.0"]
    recipe = load_recipe(TrainingRecipe, recipe_file, settings)
    train(recipe, tmp_path)
    tokenizer = Tokenizer.from_file(tmp_path / "model")
    embeddings = load_checkpoint(tmp_path / "model").output_weight[tokenizer.sentinel_ids]
    cosines = torch.corrcoef(embeddings).fill_diagonal_(0.0)
    assert cosines.abs().mean() < 0.2  # in 32 dimensions, of random directions: 0.14


def test_a_run_can_start_from_the_weights_of_another(
    finished: Path, tmp_path: Path, world: Path, device: torch.device
) -> None:
    path = tmp_path / "continue.toml"
    path.write_text(
        f'tokens = "{world}/tokens"\ntokenizer = "{world}/tokenizer"\n'
        f'[model]\nstart_from = "{finished}/model"\n'
        "[training]\nsteps = 4\ntokens_per_step = 256\nphases = [{window = 128}]\n"
    )
    recipe = load_recipe(TrainingRecipe, path)
    assert train(recipe, tmp_path / "run", device=device).finished
    assert load_checkpoint(tmp_path / "run" / "model").config.hidden_size == 32
    assert losses(tmp_path / "run")[0] < (losses(finished)[0] + losses(finished)[-1]) / 2
    assert train(recipe, tmp_path / "run", resume=True, device=device).finished

    with pytest.raises(IncoderError, match=r"leave out hidden_size, or start_from"):
        load_recipe(TrainingRecipe, path, ["model.hidden_size=64"])
    longer = load_recipe(TrainingRecipe, path, ["training.phases=[{window = 256}]"])
    with pytest.raises(IncoderError, match=r"must not exceed the 128 positions"):
        train(longer, tmp_path / "longer")


def test_a_run_leaves_everything_that_the_documentation_names(finished: Path) -> None:
    for name in ("recipe.toml", "metrics.jsonl", "tensorboard", "checkpoints", "loss.png"):
        assert (finished / name).exists(), name
    held_out = [row for row in read_metrics(finished / "metrics.jsonl") if "validation_loss" in row]
    assert [row["step"] for row in held_out] == [5, 11]
    assert load_checkpoint(finished / "model").config.hidden_size == 32
    Tokenizer.from_file(finished / "model")


def test_a_run_stopped_again_and_again_resumes_with_the_same_losses(
    finished: Path, tmp_path: Path, recipe: TrainingRecipe, device: torch.device
) -> None:
    for steps_done in (5, 10, 12):
        answers = iter([False] * 5 + [True])
        result = train(recipe, tmp_path, resume=True, device=device, should_stop=answers.__next__)
        assert result.steps_done == steps_done
    assert losses(tmp_path) == losses(finished)


def test_a_killed_run_resumes_with_the_same_losses(
    finished: Path, tmp_path: Path, recipe_file: Path, device: torch.device
) -> None:
    command = [
        sys.executable,
        "-m",
        "incoder",
        "train",
        str(recipe_file),
        "--output",
        str(tmp_path),
        "--resume",
        "--device",
        str(device),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(losses(tmp_path)) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert losses(tmp_path) == losses(finished)


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path: Path, recipe_file: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "incoder", "train", str(recipe_file), "--output", str(tmp_path)),
            *("--set", "training.steps=100000", "--set", "training.checkpoint_every=100000"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not losses(tmp_path) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, notes = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume" in notes
    assert list((tmp_path / "checkpoints").glob("step-*.pt"))


def test_micro_batches_give_the_same_losses(
    tmp_path: Path, recipe: TrainingRecipe, device: torch.device
) -> None:
    accumulated = recipe.model_copy(
        update={
            "training": recipe.training.model_copy(update={"rows_per_micro_batch": 1, "precision": "fp32"})
        }
    )
    at_once = recipe.model_copy(update={"training": recipe.training.model_copy(update={"precision": "fp32"})})
    train(accumulated, tmp_path / "accumulated", device=device)
    train(at_once, tmp_path / "at_once", device=device)
    assert losses(tmp_path / "accumulated") == pytest.approx(losses(tmp_path / "at_once"), rel=1e-3)


def test_a_folder_that_holds_a_run_is_not_overwritten(finished: Path, recipe: TrainingRecipe) -> None:
    before = (finished / "metrics.jsonl").read_bytes()
    with pytest.raises(IncoderError, match="already holds a run"):
        train(recipe, finished)
    assert (finished / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["recipe.toml", "metrics.jsonl", "model", "loss.png", "tensorboard"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_files_of_somebody_else_is_not_trained_into(
    tmp_path: Path, recipe: TrainingRecipe, name: str, resume: bool
) -> None:
    (tmp_path / name).write_text("theirs")
    with pytest.raises(IncoderError, match=f"holds {name}, which would be replaced"):
        train(recipe, tmp_path, resume=resume)
    assert (tmp_path / name).read_text() == "theirs"


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    tmp_path: Path, recipe: TrainingRecipe
) -> None:
    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, on_step=killed)
    assert (tmp_path / "metrics.jsonl").exists()
    assert not list(tmp_path.glob("checkpoints/*"))
    train(recipe, tmp_path, should_stop=lambda: True)
    assert list(tmp_path.glob("checkpoints/*"))


def test_resuming_a_finished_run_changes_nothing(
    finished: Path, recipe: TrainingRecipe, device: torch.device
) -> None:
    before = losses(finished)
    result = train(recipe, finished, resume=True, device=device)
    assert result.finished
    assert losses(finished) == before


def test_resuming_with_another_recipe_names_what_differs(finished: Path, recipe_file: Path) -> None:
    changed = load_recipe(TrainingRecipe, recipe_file, ["optimizer.lr=0.5"])
    with pytest.raises(IncoderError, match=r"optimizer\.lr is 0\.001, now 0\.5"):
        train(changed, finished, resume=True)


def test_two_processes_cannot_train_into_one_folder(tmp_path: Path, recipe: TrainingRecipe) -> None:
    def start_another(_: object) -> None:
        with pytest.raises(IncoderError, match="another process"):
            train(recipe, tmp_path, resume=True)

    stops = iter([False, True])
    train(recipe, tmp_path, on_step=start_another, should_stop=lambda: next(stops))


def test_an_output_that_is_a_file_is_a_clear_error(tmp_path: Path, recipe: TrainingRecipe) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IncoderError, match="cannot make the folder"):
        train(recipe, tmp_path / "file")


def test_shards_of_another_tokenizer_are_refused(tmp_path: Path, recipe: TrainingRecipe, world: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    for file in (world / "tokens").iterdir():
        (tokens / file.name).write_bytes(file.read_bytes())
    meta = json.loads((tokens / "meta.json").read_text())
    (tokens / "meta.json").write_text(json.dumps({**meta, "tokenizer_fingerprint": "other"}))
    with pytest.raises(IncoderError, match="encoded with another tokenizer"):
        train(recipe.model_copy(update={"tokens": tokens}), tmp_path / "run")


def test_shards_with_a_changed_byte_are_refused(tmp_path: Path, recipe: TrainingRecipe, world: Path) -> None:
    copy = shutil.copytree(world / "tokens", tmp_path / "tokens")
    content = bytearray((copy / "validation.tokens").read_bytes())
    content[-2] ^= 1
    (copy / "validation.tokens").write_bytes(content)
    with pytest.raises(IncoderError, match=r"validation\.tokens is not what was written.*encode the corpus"):
        train(recipe.model_copy(update={"tokens": copy}), tmp_path / "run")


def test_a_run_that_diverges_stops_and_says_what_to_change(tmp_path: Path, recipe_file: Path) -> None:
    recipe = load_recipe(TrainingRecipe, recipe_file, ["optimizer.lr=1e30", "optimizer.warmup_steps=0"])
    with pytest.raises(IncoderError, match=r"has diverged; .* a lower optimizer\.lr"):
        train(recipe, tmp_path)


def test_a_device_that_is_not_there_is_a_clear_error(tmp_path: Path, recipe: TrainingRecipe) -> None:
    with pytest.raises(IncoderError, match="there is no device 'gpu'"):
        train(recipe, tmp_path, device="gpu")
