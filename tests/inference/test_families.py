"""Each family from a folder in its published layout, with random weights: load, compare, fill.

The folders are as the families publish them, in the names and the structure of every file; sizes and
vocabularies are small, and the weights mean nothing.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import incoder
from incoder.errors import IncoderError
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.infill_model import InfillModel
from incoder.inference.prompts.prompter import Prompter
from incoder.request import prompt_options
from incoder.tokenizer.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
    "max_position_embeddings": 192,
    "use_cache": True,
}
LLAMA = {**SIZES, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu"}
CONFIGS: dict[str, dict[str, Any]] = {
    "codellama": {
        **LLAMA,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "num_key_value_heads": 4,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "tie_word_embeddings": False,
    },
    "deepseek-coder": {
        **LLAMA,
        "num_key_value_heads": 4,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {"factor": 4.0, "type": "linear"},
        "rope_theta": 100000,
        "tie_word_embeddings": False,
    },
    "qwen2.5-coder": {
        **SIZES,
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "num_key_value_heads": 2,
        "max_window_layers": 2,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
    },
    "starcoder": {
        **SIZES,
        "architectures": ["Starcoder2ForCausalLM"],
        "model_type": "starcoder2",
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_act": "gelu_pytorch_tanh",
        "mlp_type": "default",
        "norm_epsilon": 1e-05,
        "norm_type": "layer_norm",
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rope_theta": 999999.4420358813,
        "sliding_window": 192,
        "use_bias": True,
    },
}
CONFIGS |= {  # only one test is about these: of their logits and their formats
    "granite-code": {**LLAMA, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    "mellum": {**LLAMA, "num_key_value_heads": 2, "tie_word_embeddings": False},
    "seed-coder": {**LLAMA, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": False},
    "codestral": {
        **SIZES,
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_act": "silu",
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
    },
}
FORMATS = {"granite-code": "starcoder"}  # a family with another family's format
PUBLISHED_AS = {  # file names, and in how many files
    "codellama": ("model{}.safetensors", 2),
    "deepseek-coder": ("pytorch_model{}.bin", 2),
    "qwen2.5-coder": ("model{}.safetensors", 1),
    "starcoder": ("model{}.safetensors", 1),
    "incoder": ("pytorch_model{}.bin", 1),
}


def random_peer(config: dict[str, Any], folder: Path) -> Any:
    """A model of transformers' with lively random weights, gains and biases included, in float32."""
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    peer = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    with torch.no_grad():
        for parameter in peer.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape), alpha=0.3)
    return peer.float().eval()


def write_weights(weights: dict[str, torch.Tensor], folder: Path, pattern: str, num_files: int) -> None:
    places = (
        [f"-{number:05}-of-{num_files:05}" for number in range(1, num_files + 1)] if num_files > 1 else [""]
    )
    files = [pattern.format(place) for place in places]
    weight_map = {name: files[index % num_files] for index, name in enumerate(weights)}
    for file in files:
        part = {name: weights[name].contiguous() for name in weights if weight_map[name] == file}
        if file.endswith(".bin"):
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file, metadata={"format": "pt"})
    if num_files > 1:
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (folder / f"{pattern.format('')}.index.json").write_text(json.dumps(index))


MakeFolder = Callable[[str], tuple[Path, Any]]


@pytest.fixture(scope="module")
def make_folder(family_tokenizers: Any, tmp_path_factory: pytest.TempPathFactory) -> MakeFolder:
    """A family's folder, and transformers' model with the same weights; made once each."""
    made: dict[str, tuple[Path, Any]] = {}

    def make(name: str) -> tuple[Path, Any]:
        if name not in made:
            folder = tmp_path_factory.mktemp("family") / name
            folder.mkdir()
            content = family_tokenizers(name)
            ids = {token["content"]: token["id"] for token in content["added_tokens"]}
            named = {
                "deepseek-coder": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
                "qwen2.5-coder": ("<|endoftext|>", "<|endoftext|>"),
            }.get(name)
            ends = {"bos_token_id": ids[named[0]], "eos_token_id": ids[named[1]]} if named else {}
            # DeepSeek-Coder and Qwen pad the model's vocabulary.
            vocab_size = max(*ids.values(), *content["model"]["vocab"].values()) + 1 + (9 if named else 0)
            peer = random_peer({**CONFIGS[name], "vocab_size": vocab_size, **ends}, folder)
            weights = dict(peer.state_dict())
            if CONFIGS[name].get("tie_word_embeddings", True):
                weights.pop("lm_head.weight", None)
            write_weights(weights, folder, *PUBLISHED_AS.get(name, ("model{}.safetensors", 1)))
            (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
            made[name] = (folder, peer)
        return made[name]

    return make


@torch.no_grad()
def assert_logits_equal(model: InfillModel, peer: Any, vocab_size: int) -> None:
    assert isinstance(model.language_model, TransformerModel)
    transformer = model.language_model.transformer
    token_ids_BT = torch.randint(vocab_size, (2, 150), generator=torch.Generator().manual_seed(2))
    logits = transformer.logits(transformer(token_ids_BT))
    assert logits.std() > 0.5
    torch.testing.assert_close(logits, peer(token_ids_BT).logits, rtol=1e-4, atol=1e-4)


def test_logits_equal_those_of_transformers(make_folder: MakeFolder, family_name: str) -> None:
    folder, peer = make_folder(family_name)
    model = incoder.load(folder, device="cpu")
    assert model.infilling_format.name == family_name
    assert_logits_equal(model, peer, model.tokenizer.vocab_size)


@pytest.mark.parametrize("name", ["granite-code", "mellum", "seed-coder", "codestral"])
def test_more_families_compute_as_transformers_does_and_fill(make_folder: MakeFolder, name: str) -> None:
    folder, peer = make_folder(name)
    model = incoder.load(folder, device="cpu")
    assert model.infilling_format.name == FORMATS.get(name, name)
    assert_logits_equal(model, peer, model.tokenizer.vocab_size)
    result = model.infill(["def mean(", "):\n    return ", "\n"], max_new_tokens=4)
    assert result.text.startswith("def mean(")
    quantized = incoder.load(folder, device="cpu", dtype="int8")  # the biases are not left out
    scores = [one.score("def mean(xs):\n").total_logprob for one in (model, quantized)]
    assert scores[1] == pytest.approx(scores[0], rel=0.02)


def test_several_holes_are_filled_one_after_the_other(make_folder: MakeFolder, family_name: str) -> None:
    model = incoder.load(make_folder(family_name)[0], device="cpu")
    parts = ["def mean(", "):\n    return sum(", ") / len(xs)\n", "\n"]
    result = model.infill(parts, num_candidates=2, temperature=1.0, max_new_tokens=5, seed=1)
    assert len(result.infills) == 3
    assert result.text == "".join(a + b for a, b in zip(parts, (*result.infills, ""), strict=True))
    assert model.complete("def mean(", max_new_tokens=5).text.startswith("def mean(")
    assert model.score("x = 1\n").num_tokens > 0


def test_a_later_hole_sees_the_earlier_fills_and_later_ones_nothing(
    make_folder: MakeFolder, family_name: str
) -> None:
    """The prompt for the second of three holes is that for one hole in the text as it is by then."""
    model = incoder.load(make_folder(family_name)[0], device="cpu")
    prompter = Prompter(model._vocabulary, model.language_model.max_positions, 5, token_healing=False)
    several = prompter.prompt(["a = ", "\nb = ", "\nc = ", "\n"], ["1"])
    tokenizer, layout = model.tokenizer, model.infilling_format
    expected = layout.prompt([tokenizer.encode_start("a = 1\nb = "), tokenizer.encode("\nc = \n")])
    assert several.token_ids == expected
    assert several.required_prefixes == (b"",)


def test_special_tokens_in_the_text_stay_text(make_folder: MakeFolder, family_name: str) -> None:
    model = incoder.load(make_folder(family_name)[0], device="cpu")
    names = "".join(name.replace("▁<", " <") for name in model.tokenizer.special_ids)
    prompter = Prompter(model._vocabulary, model.language_model.max_positions, 5)
    prompt = prompter.prompt([f"x = '{names[:60]}", f"{names[-60:]}'\n"], [])
    special = set(model.tokenizer.special_ids.values())
    num_marks = sum(token_id in special for token_id in prompt.token_ids)
    assert num_marks == sum(token_id in special for token_id in prompter.prompt(["x", "y"], []).token_ids)


def test_token_healing_applies_to_a_hole_inside_a_word(make_folder: MakeFolder, family_name: str) -> None:
    """The infill must first spell the bytes that token healing removes from the prefix."""
    model = incoder.load(make_folder(family_name)[0], device="cpu")
    prompter = Prompter(model._vocabulary, model.language_model.max_positions, 5)
    prompt = prompter.prompt(["import os\nimport nump", "\n"], [])
    (required,) = prompt.required_prefixes
    assert required
    assert b"import os\nimport nump".endswith(required)
    assert not model.tokenizer.decode_bytes(prompt.token_ids).count(b"nump")


@pytest.mark.parametrize("name", ["codellama", "qwen2.5-coder", "starcoder"])
@pytest.mark.parametrize("max_new_tokens", [3, 10_000])
def test_other_files_get_half_of_the_context_that_an_infill_leaves(
    make_folder: MakeFolder, name: str, max_new_tokens: int
) -> None:
    model = incoder.load(make_folder(name)[0], device="cpu")
    small = {"a.py": "x = 1\n", "b.py": "import a\n"}
    files = {"left_out.py": "y\n", "huge.py": "x = 1\n" * 500, **small}
    shown = model.shown_files(files, "c.py", max_new_tokens=max_new_tokens)
    assert [*shown] == ["huge.py", "a.py", "b.py"]
    assert {**shown, "huge.py": ""} == {"huge.py": "", **small}
    assert 0 < shown["huge.py"].count("x = 1\n") == len(shown["huge.py"]) // 6 < 500
    options = prompt_options(
        path="c.py", num_tail_lines=0, token_healing=False, other_files=files, repository="zoo"
    )
    prompter = model._prompter(options, max_new_tokens)
    prompt = model.tokenizer.decode_bytes(prompter.prompt(["first\n" * 9, "z\n" * 9], []).token_ids)
    assert b"first" in prompt
    assert b"z" in prompt


@pytest.mark.parametrize("name", ["qwen2.5-coder", "starcoder"])
def test_other_files_need_a_path(make_folder: MakeFolder, name: str) -> None:
    model = incoder.load(make_folder(name)[0], device="cpu")
    small = {"a.py": "x = 1\n", "b.py": "import a\n"}
    result = model.infill(["x = ", "\n", ""], path="c.py", other_files=small, max_new_tokens=3)
    assert result.text.startswith("x = ")
    with pytest.raises(IncoderError, match="other_files need a path"):
        model.infill(["x = ", "\n"], other_files=small)


def test_a_family_without_repositories_is_shown_other_files_as_comments(make_folder: MakeFolder) -> None:
    model = incoder.load(make_folder("codellama")[0], device="cpu")
    files = {"a.py": "x = 1\n\ny = x\n", "b.py": "import a"}
    context, header = model._context(files, "c.py", "zoo")
    assert context == []
    assert header == "# a.py\n# x = 1\n#\n# y = x\n\n# b.py\n# import a\n\n"
    assert model._context({"b.py": "import a"}, "c.rs", "zoo")[1] == "// b.py\n// import a\n\n"
    result = model.infill(["x = ", "\n"], path="c.py", other_files=files, max_new_tokens=3)
    assert result.text.startswith("x = ")


def test_code_llama_fills_with_the_suffix_first_if_asked(make_folder: MakeFolder) -> None:
    model = incoder.load(make_folder("codellama")[0], device="cpu", infilling_format="codellama-spm")
    assert model.infilling_format.name == "codellama-spm"
    assert model.infill(["x = ", "\n", ""], max_new_tokens=3).text.startswith("x = ")


def test_a_long_text_is_cut_to_the_context(make_folder: MakeFolder, family_name: str) -> None:
    """StarCoder2's context here is its window of attention, 192 of 512 positions."""
    model = incoder.load(make_folder(family_name)[0], device="cpu")
    assert model.language_model.max_positions == 192
    lines = "x = x + 1\n" * 300
    result = model.infill([lines, lines], max_new_tokens=3)
    assert result.text == lines + result.infills[0] + lines


def test_a_model_without_infilling_tokens_completes_and_refuses_holes(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder, _ = make_folder("codellama")
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [token for token in content["added_tokens"] if "▁<" not in token["content"]]
    vocab = content["model"]["vocab"]
    for name in [name for name in vocab if name.startswith("▁<")]:
        token_id = vocab.pop(name)
        vocab[f"(unused {token_id})"] = token_id
    content["model"]["merges"] = [merge for merge in content["model"]["merges"] if "▁" not in merge[0][:1]]
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    model = incoder.load(tmp_path, device="cpu")
    assert model.complete("x = ", max_new_tokens=3).text.startswith("x = ")
    with pytest.raises(IncoderError, match="no fill-in-the-middle tokens; it can complete, not infill"):
        model.infill(["x = ", "\n"])


@pytest.mark.parametrize("has_tokenizer_json", [True, False])
def test_incoder_s_published_layout_loads(
    tiny_tokenizer: Tokenizer, tmp_path: Path, has_tokenizer_json: bool
) -> None:
    """Half-precision pickles, the table of positions and the tied head in them, as on the hub."""
    config = {
        "activation_function": "gelu",
        "architectures": ["XGLMForCausalLM"],
        "attention_heads": 4,
        "bos_token_id": 0,
        "d_model": 32,
        "eos_token_id": 2,
        "ffn_dim": 64,
        "init_std": 0.3,
        "max_position_embeddings": 192,
        "model_type": "xglm",
        "num_layers": 2,
        "pad_token_id": 1,
        "scale_embedding": True,
        "vocab_size": tiny_tokenizer.vocab_size,
    }
    peer = random_peer(config, tmp_path)
    for parameter in peer.parameters():
        parameter.data = parameter.data.half().float()
    weights = {name: tensor.half() for name, tensor in peer.state_dict().items()}
    weights["model.embed_positions.weights"] = torch.zeros(194, 32, dtype=torch.float16)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    write_weights(weights, tmp_path, *PUBLISHED_AS["incoder"])
    tiny_tokenizer.save(tmp_path)
    if not has_tokenizer_json:
        as_vocab_and_merges(tmp_path)
    model = incoder.load(tmp_path, device="cpu")
    assert model.infilling_format.name == "causal-masking"
    assert model.tokenizer.encode("import os\n") == tiny_tokenizer.encode("import os\n")
    assert_logits_equal(model, peer, tiny_tokenizer.vocab_size)
    assert len(model.infill(["x = ", "\ny = ", "\n"], max_new_tokens=4).infills) == 2


def as_vocab_and_merges(folder: Path) -> None:
    """The tokenizer in the published form of old: the BPE alone, its ids counted from 0."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    vocab = {token: token_id - 4 for token, token_id in model["vocab"].items() if token_id >= 4}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("\n".join(" ".join(merge) for merge in model["merges"]))
    (folder / "tokenizer.json").unlink()
