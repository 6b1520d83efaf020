"""`incoder.load` of a GGUF file, from its name to an infill; errors name the file."""

import builtins
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import incoder
from incoder.errors import IncoderError
from incoder.evaluation.run import checkpoint_fingerprint
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.models.catalogue import describe_model, find_model

MakeGGUF = Callable[..., Path]


@pytest.fixture
def file(make_gguf: MakeGGUF, tmp_path: Path) -> Path:
    return make_gguf(tmp_path / "small.gguf", "qwen2.5-coder", "qwen2")


@pytest.mark.parametrize(
    ("family", "pre_tokenizer", "architecture"),
    [("qwen2.5-coder", "qwen2", "qwen2"), ("codestral", "spm", "llama"), ("starcoder", "starcoder", "llama")],
)
def test_a_file_is_loaded_fills_and_completes(
    family: str, pre_tokenizer: str, architecture: str, make_gguf: MakeGGUF, tmp_path: Path
) -> None:
    path = make_gguf(tmp_path / "x.gguf", family, pre_tokenizer, architecture)
    model = incoder.load(path, device="cpu")
    assert model.infilling_format.name == family
    result = model.infill(["def mean(", "):\n    return ", "\n"], max_new_tokens=4)
    assert result.text.startswith("def mean(")
    assert model.complete("x = ", max_new_tokens=4).text.startswith("x = ")
    assert model.complete("", max_new_tokens=4).infills


def test_a_format_is_named_as_for_a_folder(file: Path) -> None:
    assert incoder.load(file, infilling_format="qwen2.5-coder").infilling_format.name == "qwen2.5-coder"
    with pytest.raises(
        IncoderError, match=r"small\.gguf: there is no infilling format 'qwen', perhaps qwen2"
    ):
        incoder.load(file, infilling_format="qwen")


@pytest.mark.parametrize(
    ("dtype", "kept"), [(None, torch.float32), ("bfloat16", torch.bfloat16), ("int8", torch.int8)]
)
def test_matrices_are_kept_in_the_precision_asked_for(
    dtype: str | None, kept: torch.dtype, file: Path
) -> None:
    model = incoder.load(file, device="cpu", dtype=dtype)
    assert isinstance(model.language_model, TransformerModel)
    transformer = model.language_model.transformer
    assert max((*transformer.parameters(), *transformer.buffers()), key=torch.numel).dtype == kept


def test_score_and_complete_begin_alike(make_gguf: MakeGGUF, tmp_path: Path) -> None:
    """Without a token that begins a text, the first token has no log-probability; with one, it has."""
    changes = {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": 0}
    plain = incoder.load(make_gguf(tmp_path / "a.gguf", "starcoder", "starcoder", "llama"), device="cpu")
    begun = incoder.load(
        make_gguf(tmp_path / "b.gguf", "starcoder", "starcoder", "llama", **changes), device="cpu"
    )
    num_tokens = len(plain.tokenizer.encode("x = 1\n"))
    assert plain.score("x = 1\n").num_tokens == num_tokens - 1
    assert begun.score("x = 1\n").num_tokens == num_tokens
    for model, begin in ((plain, []), (begun, [0])):
        prompt = [*begin, *model.tokenizer.encode("x = 1\n")]
        assert model.infilling_format.prompt([model.tokenizer.encode("x = 1\n")]) == prompt
        expected = model.language_model.logprobs(prompt)
        assert model.score("x = 1\n").token_logprobs == pytest.approx(expected.tolist(), abs=1e-4)
        assert model.score("").total_logprob == 0


def test_the_lines_of_a_text_keep_their_scores_if_its_first_token_has_none(
    make_gguf: MakeGGUF, tmp_path: Path
) -> None:
    changes = {"tokenizer.ggml.add_bos_token": False}
    model = incoder.load(
        make_gguf(tmp_path / "a.gguf", "starcoder", "starcoder", "llama", **changes), device="cpu"
    )
    text = "\nx = 1\ny = 2"
    first, *rest = model.tokenizer.encode(text)
    assert model.tokenizer.token_bytes(first) == b"\n"
    logprobs = iter(model.score(text).token_logprobs)
    lines: list[list[float]] = [[], [], []]
    line = 1
    for token_id in rest:
        lines[line].append(next(logprobs))
        line += model.tokenizer.token_bytes(token_id).count(b"\n")
    expected = [sum(values) / len(values) if values else 0 for values in lines]
    assert model.line_logprobs(text) == pytest.approx(expected, abs=1e-6)


def test_texts_that_begin_differently_are_scored_each_for_itself(make_gguf: MakeGGUF, tmp_path: Path) -> None:
    model = incoder.load(make_gguf(tmp_path / "a.gguf", "starcoder", "starcoder", "llama"), device="cpu")
    texts = ["x = 1\n", "y = 12\n", "x = 3\n"]
    together = model.score_texts(texts)
    for text, score in zip(texts, together, strict=True):
        assert score.token_logprobs == pytest.approx(model.score(text).token_logprobs, abs=1e-4)
    # For full texts whose first tokens differ, the token that ends a document comes before each.
    result = model.infill(
        ["", "\nx = 1\n"], num_candidates=3, temperature=1.5, rank_by="full-text", max_new_tokens=3, seed=2
    )
    assert len(result.candidates) == 3


def test_a_relative_name_is_pickled_as_the_file_s_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    model = incoder.load("small.gguf", device="cpu")
    monkeypatch.chdir("/")
    copy = pickle.loads(pickle.dumps(model))
    assert copy.score("x = 1\n") == model.score("x = 1\n")


def test_a_file_of_another_name_is_known_by_its_first_bytes(file: Path, tmp_path: Path) -> None:
    """Ollama's are called by their checksum."""
    blob = file.rename(tmp_path / "sha256-0123")
    assert incoder.load(blob, device="cpu").score("x = 1\n").num_tokens > 0
    assert describe_model(blob).architecture == "qwen2"


def test_a_file_is_described_without_its_weights(file: Path) -> None:
    about = describe_model(file)
    assert (about.name, about.folder, about.revision) == (str(file), file, None)
    assert (about.architecture, about.context_length, about.licence) == ("qwen2", 128, "apache-2.0")
    assert about.infilling_format == "qwen2.5-coder"
    assert about.num_bytes == file.stat().st_size
    model = incoder.load(file, device="cpu")
    assert isinstance(model.language_model, TransformerModel)
    assert about.num_parameters == sum(
        parameter.numel() for parameter in model.language_model.transformer.parameters()
    )
    assert about.vocab_size == model.tokenizer.vocab_size


@pytest.mark.parametrize(("window", "context"), [(64, 64), (500, 128), ("wide", 128)])
def test_the_context_is_described_up_to_the_window_of_attention(
    window: int | str, context: int, make_gguf: MakeGGUF, tmp_path: Path
) -> None:
    changes = {"qwen2.attention.sliding_window": window}
    path = make_gguf(tmp_path / "x.gguf", "qwen2.5-coder", "qwen2", **changes)
    assert describe_model(path).context_length == context
    if window == "wide":
        with pytest.raises(IncoderError, match=r"x\.gguf holds a value of the wrong kind"):
            incoder.load(path)


def test_results_name_the_content_of_the_file(file: Path, make_gguf: MakeGGUF, tmp_path: Path) -> None:
    other = make_gguf(tmp_path / "other.gguf", "starcoder", "starcoder", "llama")
    assert checkpoint_fingerprint(file) != checkpoint_fingerprint(other)
    assert checkpoint_fingerprint(file.rename(tmp_path / "moved.gguf")) == checkpoint_fingerprint(
        tmp_path / "moved.gguf"
    )


def test_a_name_that_ends_in_gguf_may_be_a_folder_s_or_a_pipe_s(tmp_path: Path) -> None:
    (tmp_path / "folder.gguf").mkdir()
    with pytest.raises(IncoderError, match=r"folder\.gguf is not a checkpoint: it has no config\.json"):
        find_model(tmp_path / "folder.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    for ask in (describe_model, incoder.load):
        with pytest.raises(IncoderError, match=r"pipe\.gguf is a FIFO; a model is a regular file"):
            ask(tmp_path / "pipe.gguf")


def test_what_is_not_there_is_named(tmp_path: Path, file: Path) -> None:
    with pytest.raises(IncoderError, match=r"there is no file models/x\.gguf; give the path of a GGUF file"):
        incoder.load("models/x.gguf")  # has the form of a name on the hub, too
    with pytest.raises(
        IncoderError, match=r"small\.gguf is a file, and only models on the hub have revisions"
    ):
        find_model(file, "main")
    with pytest.raises(
        IncoderError,
        match=r"has no config\.json; it holds a model .* the path of its GGUF file .*small\.gguf",
    ):
        find_model(tmp_path)


def test_a_network_that_is_not_implemented_is_refused_before_its_vocabulary(
    make_gguf: MakeGGUF, tmp_path: Path
) -> None:
    """Or the message about the vocabulary would send the reader to a folder that does not load either."""
    changes = {"general.architecture": "qwen3", "tokenizer.ggml.pre": "tekken"}
    with pytest.raises(IncoderError, match=r"x\.gguf: the architecture 'qwen3' is not known"):
        incoder.load(make_gguf(tmp_path / "x.gguf", "qwen2.5-coder", "qwen2", **changes))


@pytest.mark.parametrize("num_bytes", [0, 3, 40, 5_000])
def test_a_file_that_is_cut_off_is_named(num_bytes: int, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:num_bytes])
    with pytest.raises(IncoderError, match=r"small\.gguf(: it is cut off| is empty).*fetch"):
        incoder.load(file)


def test_without_the_extra_the_command_that_installs_it_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_import = builtins.__import__

    def without_gguf(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "gguf":
            raise ImportError(name)
        return plain_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_gguf)
    with pytest.raises(IncoderError, match=r"reading GGUF files needs the package gguf: pip install .*gguf"):
        incoder.load(file)
