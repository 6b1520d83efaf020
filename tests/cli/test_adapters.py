"""`--adapter`, and `incoder models merge`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from incoder.cli import serve
from incoder.model.adapters import Adapter, Pair, fingerprint, save_adapter
from incoder.model.checkpoint import load_checkpoint
from incoder.model.hugging_face import split_weights

RunCli = Callable[..., Any]


def adapter_for(base: Path, folder: Path) -> Path:
    """An adapter of the values that attention reads, large enough to change what is written."""
    model, generator = load_checkpoint(base), torch.Generator().manual_seed(1)
    pairs = {
        name.removesuffix(".weight"): Pair(
            torch.randn(2, weight.shape[1], generator=generator),
            torch.randn(weight.shape[0], 2, generator=generator),
        )
        for name, weight in split_weights(model.state_dict(), model.config)
        if name.endswith("v_proj.weight")
    }
    save_adapter(Adapter(2, 8.0, pairs, str(base), fingerprint(model)), folder)
    return folder


def test_a_model_fills_with_its_adapter_as_the_merged_model_does(
    run_cli: RunCli, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    base, merged = str(tiny_checkpoint), tmp_path / "merged"
    adapter = str(adapter_for(tiny_checkpoint, tmp_path / "adapter"))
    assert f"wrote {merged}" in run_cli("models", "merge", base, adapter, "-o", str(merged)).stderr
    source = tmp_path / "a.py"
    source.write_text("def mean(xs):\n    return <FILL>\n")
    plain, adapted, whole = (
        run_cli("fill", source, "--dtype", "bfloat16", "--max-new-tokens", "8", "--model", *model).stdout
        for model in ((base,), (base, "--adapter", adapter), (str(merged),))
    )
    assert plain != adapted
    assert adapted == whole


def test_a_folder_without_an_adapter_is_one_line(
    run_cli: RunCli, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    source = tmp_path / "a.py"
    source.write_text("x = <FILL>\n")
    outcome = run_cli("fill", source, "--model", tiny_checkpoint, "--adapter", tmp_path)
    assert outcome.status == 1
    assert f"{tmp_path} is not an adapter: it has no adapter_config.json" in outcome.stderr


def test_next_edits_are_made_with_an_adapter_too(
    run_cli: RunCli, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    source, diff = tmp_path / "a.py", tmp_path / "edit.diff"
    source.write_text("total = 1\nprint(total)\n")
    diff.write_text("--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n-total = 1\n+count = 1\n print(total)\n")
    asked = ("next-edit", source, "--from-diff", diff, "--model", tiny_checkpoint, "--adapter")
    adapter = adapter_for(tiny_checkpoint, tmp_path / "adapter")
    assert run_cli(*asked, adapter, "--min-gain", "1000").stderr.endswith(
        "no edit follows with enough confidence\n"
    )
    assert "is not an adapter" in run_cli(*asked, tmp_path).stderr


def test_the_server_has_a_model_with_each_adapter_and_the_model_alone(
    run_cli: RunCli, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Any] = []
    monkeypatch.setattr(serve, "_run", lambda _, sources, *__, **___: served.extend(sources))
    adapter = adapter_for(tiny_checkpoint, tmp_path / "mine")
    assert run_cli("serve", "--port", "0", "--model", tiny_checkpoint, "--adapter", adapter).status == 0
    adapted, alone = served
    assert adapted.facts.name == f"{alone.facts.name}+mine"
    first, second = (source.load_model() for source in (adapted, alone))
    assert first.score("x = 1\n") != second.score("x = 1\n")


def test_the_server_refuses_a_folder_that_is_no_adapter(
    run_cli: RunCli, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    outcome = run_cli("serve", "--port", "0", "--model", tiny_checkpoint, "--adapter", tmp_path / "none")
    assert (outcome.status, "there is no such folder" in outcome.stderr) == (1, True)
