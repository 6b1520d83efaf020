import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from incoder.cli.train import train as train_command
from incoder.config import load_recipe
from incoder.corpus.storage.token_shards import TokenShard, write_meta
from incoder.embedded_models import EMBEDDED
from incoder.errors import IncoderError
from incoder.files import sha256_of
from incoder.model.checkpoint import load_checkpoint
from incoder.model.generation_config import load_num_tail_lines
from incoder.objective.masking import MaskingConfig
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.estimate import network_config
from incoder.training.inputs import RunInputs
from incoder.training.loop import train
from incoder.training.metrics import read_metrics
from incoder.training.recipe import TrainingRecipe
from incoder.training.start_masking import MASKING, masking_of, with_start_masking

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


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
        "[evaluation]\nmax_tokens = 1024\n"
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


def continued(tmp_path: Path, world: Path, start_from: Path, masking: str = "") -> TrainingRecipe:
    path = tmp_path / "continue.toml"
    path.write_text(
        f'tokens = "{world}/tokens"\ntokenizer = "{world}/tokenizer"\n'
        f'[model]\nstart_from = "{start_from}"\n[masking]\n{masking}\n'
        "[training]\nsteps = 2\ntokens_per_step = 256\nphases = [{window = 128}]\n"
        "[evaluation]\nmax_tokens = 1024\n"
    )
    return load_recipe(TrainingRecipe, path)


def test_embedded_models_go_by_their_names_in_a_recipe(recipe_file: Path) -> None:
    names = ["tokenizer=mini", 'model={start_from="mini"}', "optimizer.name=adamw"]
    recipe = load_recipe(TrainingRecipe, recipe_file, names)
    assert recipe.tokenizer_path == recipe.model.start_folder == EMBEDDED / "mini"
    assert network_config(recipe, 0).hidden_size == 512


def test_masking_that_a_recipe_does_not_name_is_the_start_models(
    finished: Path, tmp_path: Path, world: Path
) -> None:
    start_from = shutil.copytree(finished / "model", tmp_path / "start")
    recipe = continued(tmp_path, world, start_from, "plain_rate = 0.5")
    notes: list[str] = []
    train(recipe, tmp_path / "run", on_note=notes.append)
    expected = MaskingConfig(span_boundaries="character", line_span_rate=0.5, plain_rate=0.5)
    assert load_recipe(TrainingRecipe, tmp_path / "run" / "recipe.toml").masking == expected
    assert masking_of(tmp_path / "run" / "model") == expected
    assert "line_span_rate = 0.5" in notes[0]
    (start_from / MASKING).unlink()
    notes.clear()
    assert train(recipe, tmp_path / "run", resume=True, on_note=notes.append).finished
    assert notes == [], "a run that is resumed has taken it over already"


def test_masking_is_read_from_the_recipe_of_an_earlier_run(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "earlier"
    shutil.copytree(finished / "model", run / "model")
    (run / "model" / MASKING).unlink()
    recipe = (finished / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(recipe.replace("span_boundaries", "edges"))  # by the earlier name
    assert masking_of(run / "model") == MaskingConfig(
        span_boundaries="character", line_span_rate=0.5, plain_rate=0.2
    )


@pytest.mark.parametrize("other", [None, "[server]\nport = 1\n", "not = toml = at all"])
def test_a_start_model_that_does_not_say_how_it_was_masked_is_warned_of(
    finished: Path, tmp_path: Path, world: Path, other: str | None
) -> None:
    start_from = shutil.copytree(finished / "model", tmp_path / "downloaded" / "model")
    (start_from / MASKING).unlink()
    if other is not None:
        (tmp_path / "downloaded" / "recipe.toml").write_text(other)
    notes: list[str] = []
    recipe = with_start_masking(continued(tmp_path, world, start_from), notes.append)
    assert recipe.masking == MaskingConfig()
    assert len(notes) == 1
    assert notes[0].startswith(f"warning: nothing in {start_from} says how")


def test_the_embedded_model_says_how_it_was_masked() -> None:
    masking = masking_of(EMBEDDED / "mini")
    assert masking == load_recipe(TrainingRecipe, RECIPES / "mini" / "second.toml").masking
    assert masking is not None
    assert masking.num_tail_lines == load_num_tail_lines(EMBEDDED / "mini")


def test_a_run_that_starts_from_a_model_measures_it_before_the_first_step(
    finished: Path, tmp_path: Path, world: Path
) -> None:
    notes: list[str] = []
    recipe = continued(tmp_path, world, finished / "model", "plain_rate = 0.2")
    train(recipe, tmp_path / "run", on_note=notes.append)
    first, second = read_metrics(tmp_path / "run" / "metrics.jsonl")
    last = read_metrics(finished / "metrics.jsonl")[-1]
    assert first["start_validation_loss"] == pytest.approx(last["validation_loss"], abs=0.01)  # now in bf16
    assert first["start_validation_infill_loss"] == pytest.approx(last["validation_infill_loss"], abs=0.05)
    assert not [name for name in second if name.startswith("start_")]
    assert any(note.startswith("before the first step: held out") for note in notes)


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


def test_resuming_with_another_recipe_names_what_differs_and_the_way(
    finished: Path, recipe_file: Path
) -> None:
    before = (finished / "recipe.toml").read_bytes()
    changed = load_recipe(TrainingRecipe, recipe_file, ["optimizer.lr=0.5", "training.steps=24"])
    with pytest.raises(IncoderError, match=r"\(optimizer\.lr is 0\.001, now 0\.5\).*start_from = .*/model"):
        train(changed, finished, resume=True)
    assert (finished / "recipe.toml").read_bytes() == before


def test_a_finished_run_trains_longer(finished: Path, tmp_path: Path, recipe_file: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "run")
    recipe_before = (output / "recipe.toml").read_bytes()
    longer = load_recipe(TrainingRecipe, recipe_file, ["training.steps=32", "training.checkpoint_every=16"])
    notes: list[str] = []
    stops = iter([False] * 4 + [True])
    train(longer, output, resume=True, on_note=notes.append, should_stop=stops.__next__)
    rows = read_metrics(output / "metrics.jsonl")
    assert [row["step"] for row in rows] == [*range(16)]
    assert losses(output)[:12] == losses(finished)
    assert rows[12]["lr"] == pytest.approx(1e-3 * (32 - 12) / (32 - 3))  # linear decay after 3 steps
    assert rows[12]["window"] == 64  # half of 32 steps are not done
    told = "\n".join(notes)
    assert "training.steps is 32 from here on (it was 12)" in told
    assert "training.checkpoint_every is 16 from here on" in told
    assert "69% of its peak at step 12" in told
    assert "the window is 64 tokens at step 12 (it was 128)" in told
    assert load_recipe(TrainingRecipe, output / "recipe.toml") == longer
    assert (output / "recipe-until-step-00000012.toml").read_bytes() == recipe_before
    notes.clear()
    assert train(longer, output, resume=True, on_note=notes.append, should_stop=lambda: True).steps_done == 16
    assert notes == []


def test_a_run_cannot_become_shorter_than_it_is(finished: Path, recipe_file: Path) -> None:
    shorter = load_recipe(TrainingRecipe, recipe_file, ["training.steps=6"])
    before = (finished / "recipe.toml").read_bytes()
    with pytest.raises(IncoderError, match=r"training\.steps is 6, but .* has done 12 steps already"):
        train(shorter, finished, resume=True)
    assert (finished / "recipe.toml").read_bytes() == before


def test_a_damaged_checkpoint_costs_the_steps_after_the_one_before_and_no_more(
    finished: Path, tmp_path: Path, recipe: TrainingRecipe, device: torch.device
) -> None:
    output = shutil.copytree(finished, tmp_path / "run")
    newest = output / "checkpoints" / "step-00000012.pt"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0x10
    newest.write_bytes(content)
    with (output / "metrics.jsonl").open("ab") as file:
        file.write(bytes(512))
    notes: list[str] = []
    assert train(recipe, output, resume=True, device=device, on_note=notes.append).finished
    assert losses(output) == losses(finished)
    assert any("going on from step-00000009.pt" in note for note in notes)
    assert any("metrics.damaged-1.jsonl" in note for note in notes)
    assert sorted(path.name for path in (output / "checkpoints").iterdir()) == [
        "step-00000009.pt",
        "step-00000012.pt",
    ]


def test_what_a_killed_save_left_is_removed(finished: Path, tmp_path: Path, recipe: TrainingRecipe) -> None:
    output = shutil.copytree(finished, tmp_path / "run")
    leftovers = [
        output / "checkpoints" / ".step-00000012.pt.abcd_123",
        output / "model" / ".model.safetensors.abcd_123",
        output / "model" / ".tmpaB3dE6",  # of the safetensors library
        output / "model" / ".tokenizer_config.json.abcd_123",
        output / ".metrics.jsonl.abcd_123",
        output / ".loss.png.abcd_123",
    ]
    theirs = [output / ".notes.txt.abcd_123", output / "checkpoints" / ".step-12.pt.swp"]
    for path in leftovers + theirs:
        path.write_bytes(b"half of it")
    train(recipe, output, resume=True)
    assert not [path for path in leftovers if path.exists()]
    assert all(path.exists() for path in theirs)


def test_a_save_killed_at_any_moment_leaves_nothing_for_ever(
    tmp_path: Path, recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = iter([False] * 3 + [True])
    train(recipe, tmp_path, should_stop=stops.__next__)
    names = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if "tensorboard" not in path.parts}
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # as little is removed by a killed process

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for module, name in (("torch", "save"), ("incoder.model.checkpoint", "save_file")):
        with monkeypatch.context() as patched:
            patched.setattr(f"{module}.{name}", killed)
            with pytest.raises(KeyboardInterrupt):
                train(recipe, tmp_path, resume=True, should_stop=lambda: True)
    monkeypatch.undo()
    assert list(tmp_path.rglob(".step-*"))
    assert list(tmp_path.rglob(".model*"))
    train(recipe, tmp_path, resume=True, should_stop=lambda: True)
    after = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if "tensorboard" not in path.parts}
    assert after == names


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


def test_shards_of_another_build_of_the_corpus_are_refused(
    tmp_path: Path, recipe: TrainingRecipe, world: Path
) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"splits": 1}')
    tokens = shutil.copytree(world / "tokens", tmp_path / "tokens")
    meta = json.loads((tokens / "meta.json").read_text())
    del meta["fingerprint"], meta["sha256"]
    (tokens / "meta.json").unlink()
    write_meta(tokens, {**meta, "report_sha256": sha256_of(report)})
    of_corpus = recipe.model_copy(update={"tokens": tokens})
    RunInputs.open(of_corpus).check()
    report.write_text('{"splits": 2}')
    with pytest.raises(IncoderError, match=r"are of another corpus than the one in .*built anew.*encode it"):
        train(of_corpus, tmp_path / "run")
    report.unlink()
    RunInputs.open(of_corpus).check()  # shards that were copied somewhere else


def test_a_run_is_not_resumed_with_the_shards_of_another_corpus(
    tmp_path: Path, recipe: TrainingRecipe, other_tokens: Path
) -> None:
    train(recipe, tmp_path / "run", should_stop=lambda: True)
    other = recipe.model_copy(update={"tokens": other_tokens})
    with pytest.raises(IncoderError, match=r"other_tokens are not those that this run was started with"):
        train(other, tmp_path / "run", resume=True)


def test_the_command_opens_tokenizer_and_shards_once(
    tmp_path: Path, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    for kind in (Tokenizer, TokenShard):
        name = "from_file" if kind is Tokenizer else "open"
        original = getattr(kind, name)

        def counting(*arguments: Any, original: Any = original) -> Any:
            opened.append(str(arguments[-1]))
            return original(*arguments)

        monkeypatch.setattr(kind, name, counting)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its handlers
    train_command(recipe_file, tmp_path / "run", overrides=["training.steps=1", "evaluation.max_tokens=64"])
    assert sorted(opened) == sorted([str(recipe_file.parent / "tokenizer"), "train", "validation"])


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
