"""A fine-tuning run: what it reads, what it trains, what it says, and how it goes on after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import incoder
from incoder.errors import IncoderError
from incoder.finetuning.judging import StoppedError
from incoder.finetuning.run import FineTuned, Watch, finetune
from incoder.finetuning.settings import FILE, FineTuning
from incoder.inference.models.merging import merge_adapter
from incoder.model.adapters import ADAPTER_WEIGHTS, load_adapter, merge
from incoder.model.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def finished(own_code: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FineTuned, Path]:
    """A run that was never interrupted, and its folder."""
    output = tmp_path_factory.mktemp("run") / "ours"
    return finetune(run_settings(own_code, base), output), output


def run_settings(own_code: Path, base: Path, **changes: Any) -> FineTuning:
    overrides = (
        *("training.steps=6", "training.tokens_per_step=256", "training.phases=[{window=128}]"),
        *("training.checkpoint_every=2", "evaluation.every=2", "evaluation.max_tokens=512"),
    )
    values: dict[str, Any] = {
        **{"folders": (own_code,), "model": str(base), "held_out": 0.4, "num_holes": 6, "context": 200},
        **{"rank": 2, "lr": 0.02, "overrides": overrides},
    }
    return FineTuning(**(values | changes))


def report_of(output: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((output / "corpus" / "report.json").read_text())
    return report


def test_the_loss_of_the_right_infills_falls(finished: tuple[FineTuned, Path]) -> None:
    result, _ = finished
    assert result.measures is not None
    [loss] = [measure for measure in result.measures if not measure.is_rate]
    assert loss.after < loss.before - 0.05
    assert loss.difference == pytest.approx(loss.after - loss.before)
    assert result.num_holes == 6


def test_files_that_are_not_ones_own_code_stay_out_each_with_its_reason(
    finished: tuple[FineTuned, Path],
) -> None:
    dropped = report_of(finished[1])["dropped"]
    assert {reason: count["num_files"] for reason, count in dropped.items()} == {
        "named after secrets": 1,
        "near duplicate": 1,
        "says it is generated": 1,
        "vendored": 1,
    }


def test_no_held_out_file_is_trained_on(finished: tuple[FineTuned, Path]) -> None:
    from incoder.corpus.storage.documents import read_documents

    train, held_out = (
        {document.path for document in read_documents(finished[1] / "corpus", split)}
        for split in ("train", "validation")
    )
    assert train
    assert held_out
    assert not train & held_out
    holes = (finished[1] / "holes" / "single-line.jsonl").read_text().splitlines()
    assert {json.loads(line)["path"].partition("/")[2] for line in holes} <= held_out


def test_the_page_and_the_card_have_the_figures_and_no_private_paths(
    finished: tuple[FineTuned, Path], own_code: Path
) -> None:
    result, output = finished
    assert result.measures is not None
    page, card = ((output / name).read_text() for name in ("report.md", "adapter/README.md"))
    for text in (page, card):
        assert f"| exact match | {100 * result.measures[0].before:.1f} %" in text
        assert "6 held-out lines" in text
    assert "| vendored | 1 |" in page
    assert "library_name: peft" in card
    assert str(own_code) not in card
    assert (output / "report.png").read_bytes().startswith(b"\x89PNG")


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_adapter_computes_in_peft_what_it_computes_here(
    finished: tuple[FineTuned, Path], base: Path, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    adapter = finished[0].folder
    token_ids_BT = torch.randint(4, 500, (2, 30), generator=torch.Generator().manual_seed(0))
    peer = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    expected = peft.PeftModel.from_pretrained(peer, adapter).eval()(token_ids_BT).logits
    plain, adapted = load_checkpoint(base), load_checkpoint(base)
    merge(adapted, load_adapter(adapter, adapted.config))
    logits = adapted.logits(adapted(token_ids_BT))
    assert (logits - plain.logits(plain(token_ids_BT))).abs().max() > 0.01
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    merge_adapter(base, adapter, tmp_path / "merged")
    merged = load_checkpoint(tmp_path / "merged")
    torch.testing.assert_close(merged.logits(merged(token_ids_BT)), logits, rtol=1e-5, atol=1e-5)


def test_a_finished_run_is_not_done_again(
    finished: tuple[FineTuned, Path], own_code: Path, base: Path, tmp_path: Path
) -> None:
    result, output = finished
    shutil.copytree(output, tmp_path / "copy")
    steps: list[int] = []
    watch = Watch(on_holes=lambda *_: steps.append(1))
    again = finetune(run_settings(own_code, base), tmp_path / "copy", resume=True, watch=watch)
    assert again.measures == result.measures
    assert not steps


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_makes_the_same_adapter(
    finished: tuple[FineTuned, Path], own_code: Path, base: Path, tmp_path: Path
) -> None:
    output = tmp_path / "killed"
    settings = run_settings(own_code, base)
    script = (
        "import sys\nfrom pathlib import Path\nfrom incoder.finetuning.run import Watch, finetune\n"
        "from incoder.finetuning.settings import FineTuning\nfrom contextlib import nullcontext\n"
        "import os, signal\n"
        "def die(report):\n"
        "    if report.steps_done == int(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "finetune(FineTuning.model_validate_json(sys.argv[1]), Path(sys.argv[2]), resume=True,"
        " watch=Watch(training=lambda *_: nullcontext(die)))\n"
    )
    for step in (3, 5):
        arguments = [settings.model_dump_json(), str(output), str(step)]
        ended = subprocess.run([sys.executable, "-c", script, *arguments], check=False, env=os.environ)
        assert ended.returncode == -signal.SIGKILL
        assert not (output / "adapter").exists()
    result = finetune(settings, output, resume=True)
    expected = load_file(finished[0].folder / ADAPTER_WEIGHTS)
    weights = load_file(output / "adapter" / ADAPTER_WEIGHTS)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert result.measures == finished[0].measures


def test_a_stop_between_two_holes_loses_none(own_code: Path, base: Path, tmp_path: Path) -> None:
    settings = run_settings(own_code, base)
    stops = iter([False, False, True])
    with pytest.raises(StoppedError):
        finetune(settings, tmp_path / "ours", watch=Watch(should_stop=lambda: next(stops)))
    samples = (tmp_path / "ours" / "before" / "samples.jsonl").read_text().splitlines()
    assert len(samples) == 2


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_model_of_another_family_is_trained_in_its_own_format(
    own_code: Path, family_base: Path, tmp_path: Path, full: bool
) -> None:
    settings = run_settings(own_code, family_base, full=full, lr=0.02)
    result = finetune(settings, tmp_path / "theirs")
    assert result.measures is not None
    [loss] = [measure for measure in result.measures if not measure.is_rate]
    assert loss.after < loss.before - 0.05
    assert result.folder.name == ("model" if full else "adapter")
    if full:
        assert incoder.load(result.folder).infilling_format.name == "starcoder"


def test_bad_input_is_one_line_and_leaves_nothing(own_code: Path, base: Path, tmp_path: Path) -> None:
    settings = run_settings(own_code, base)
    (tmp_path / "empty").mkdir()
    empty = settings.model_copy(update={"folders": (tmp_path / "empty",)})
    with pytest.raises(IncoderError, match="no document survived") as raised:
        finetune(empty, tmp_path / "a")
    assert "\n" not in str(raised.value)
    missing = settings.model_copy(update={"folders": (tmp_path / "none",)})
    with pytest.raises(IncoderError, match="must be a folder, but it is missing"):
        finetune(missing, tmp_path / "b")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(IncoderError, match=r"holds notes\.txt, which no fine-tuning run wrote"):
        finetune(settings, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir() if path.name != ".lock"] == ["notes.txt"]


def test_a_model_that_cannot_infill_is_refused(own_code: Path, family_base: Path, tmp_path: Path) -> None:
    shutil.copytree(family_base, tmp_path / "plain")
    path = tmp_path / "plain" / "tokenizer.json"
    path.write_text(path.read_text().replace("fim_", "nim_"))
    with pytest.raises(IncoderError, match="this model cannot infill"):
        finetune(run_settings(own_code, tmp_path / "plain"), tmp_path / "out")
    assert not (tmp_path / "out" / FILE).exists()


def test_a_run_goes_on_with_its_own_settings_only(
    finished: tuple[FineTuned, Path], own_code: Path, base: Path
) -> None:
    with pytest.raises(IncoderError, match="already holds a run; go on with --resume"):
        finetune(run_settings(own_code, base), finished[1])
    with pytest.raises(IncoderError, match="rank was 2, now 4"):
        finetune(run_settings(own_code, base, rank=4), finished[1], resume=True)
