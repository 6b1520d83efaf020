"""Files of random weights, made as llama.cpp's converter makes them, beside transformers' networks."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from incoder.errors import IncoderError
from incoder.model.gguf_checkpoint import gguf_config, load_gguf
from incoder.model.gguf_file import GGUFFile
from incoder.model.rotary import RopeScaling
from incoder.model.transformer import Transformer

gguf = pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

WriteGGUF = Callable[[Path, dict[str, Any], dict[str, tuple[Any, str]]], None]
HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INNER, VOCABULARY = 64, 4, 2, 16, 96, 101


def settings(architecture: str, **changes: Any) -> dict[str, Any]:
    """The metadata of a small network; a change to None leaves an entry out."""
    own = {
        "block_count": 2,
        "context_length": 64,
        "embedding_length": HIDDEN,
        "feed_forward_length": INNER,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 50_000.0,
        "rope.dimension_count": HEAD_DIM,
        **changes,
    }
    present = {f"{architecture}.{name}": value for name, value in own.items() if value is not None}
    return {"general.architecture": architecture, **present}


def peer_of(architecture: str, **changes: Any) -> Any:
    """transformers' network with these settings, and lively random weights, gains and biases included."""
    config = transformers.AutoConfig.for_model(
        architecture,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        initializer_range=0.3,
        **{"rope_theta": 50_000.0, "tie_word_embeddings": True, **changes},
    )
    torch.manual_seed(0)
    peer = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in peer.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape), alpha=0.3)
    return peer


RENAMED = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers": "blk",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def tensors_of(peer: Any, type_name: str, *, permutes: bool) -> dict[str, tuple[Any, str]]:
    """The weights as llama.cpp's converter writes them; the peer's weights become the dequantized ones."""
    kind = gguf.GGMLQuantizationType[type_name]
    tensors = {}
    for name, parameter in peer.named_parameters():
        values = parameter.detach().numpy().copy()
        stored_as = type_name if values.ndim > 1 else "F32"
        if values.ndim > 1:
            values = gguf.quants.dequantize(gguf.quants.quantize(values, kind), kind)
            parameter.data = torch.from_numpy(values)
        if permutes and ("q_proj" in name or "k_proj" in name):
            heads = HEADS if "q_proj" in name else KV_HEADS
            values = values.reshape(heads, 2, HEAD_DIM // 2, -1).swapaxes(1, 2).reshape(values.shape)
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        tensors[name] = (np.ascontiguousarray(values), stored_as)
    return tensors


@torch.no_grad()
def assert_logits_equal(model: Transformer, peer: Any, tolerance: float = 1e-4) -> None:
    token_ids_BT = torch.randint(VOCABULARY, (2, 50), generator=torch.Generator().manual_seed(2))
    logits, expected = model.logits(model(token_ids_BT)), peer(token_ids_BT).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(logits.float(), expected, rtol=tolerance, atol=tolerance)


SHAPES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "llama": ("llama", {}, {}),
    "qwen2": ("qwen2", {}, {}),
    "an output layer of its own": ("llama", {"tie_word_embeddings": False}, {}),
    "biases everywhere (Granite Code)": ("llama", {"attention_bias": True, "mlp_bias": True}, {}),
    "positions stretched linearly": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 50_000.0}},
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
}


@pytest.mark.parametrize("type_name", ["F16", "Q8_0"])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_equal_those_of_transformers(
    shape: str, type_name: str, tmp_path: Path, write_gguf: WriteGGUF
) -> None:
    architecture, of_peer, changes = SHAPES[shape]
    peer = peer_of(architecture, **of_peer)
    tensors = tensors_of(peer, type_name, permutes=architecture == "llama")
    write_gguf(tmp_path / "x.gguf", settings(architecture, **changes), tensors)
    assert_logits_equal(load_gguf(GGUFFile(tmp_path / "x.gguf")), peer)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_transformers_reads_the_same_network_from_the_file(
    architecture: str, tmp_path: Path, write_gguf: WriteGGUF
) -> None:
    """A second opinion on the order of the rows of queries and keys."""
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    read: Any = load_gguf_checkpoint
    tensors = tensors_of(peer_of(architecture), "Q4_0", permutes=architecture == "llama")
    write_gguf(tmp_path / "x.gguf", settings(architecture), tensors)
    peer = peer_of(architecture)
    found = read(str(tmp_path / "x.gguf"), return_tensors=True, model_to_load=peer)["tensors"]
    assert len(found) == len(tensors)
    peer.load_state_dict(found, strict=False)
    assert_logits_equal(load_gguf(GGUFFile(tmp_path / "x.gguf")), peer)


def test_llama_3_s_stretched_positions_are_found_from_their_factors(
    tmp_path: Path, write_gguf: WriteGGUF
) -> None:
    stretched = {
        "rope_type": "llama3",
        "rope_theta": 50_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    peer = peer_of("llama", rope_parameters=stretched)
    plain = 50_000.0 ** -(torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    factors = (plain / peer.model.rotary_emb.inv_freq).numpy()
    assert factors.min() == pytest.approx(1)
    assert factors.max() == pytest.approx(8)
    tensors = tensors_of(peer, "F32", permutes=True)
    tensors["rope_freqs.weight"] = (factors, "F32")
    write_gguf(tmp_path / "x.gguf", settings("llama"), tensors)
    model = load_gguf(GGUFFile(tmp_path / "x.gguf"))
    assert model.config.rope_scaling == RopeScaling(float(factors.max()), 8192, 1.0, 4.0)
    assert_logits_equal(model, peer)
    tensors["rope_freqs.weight"] = (factors * np.float32(1.1), "F32")
    write_gguf(tmp_path / "x.gguf", settings("llama"), tensors)
    with pytest.raises(IncoderError, match=r"x\.gguf: rope_freqs\.weight stretches .* other than Llama 3's"):
        load_gguf(GGUFFile(tmp_path / "x.gguf"))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.3), (torch.float32, 1e-4)])
def test_weights_come_in_the_wanted_precision(
    dtype: torch.dtype, tolerance: float, tmp_path: Path, write_gguf: WriteGGUF
) -> None:
    peer = peer_of("llama")
    write_gguf(tmp_path / "x.gguf", settings("llama"), tensors_of(peer, "F32", permutes=True))
    model = load_gguf(GGUFFile(tmp_path / "x.gguf"), dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert model.embedding.weight.dtype == dtype
    if dtype == torch.float32:
        assert_logits_equal(model, peer, tolerance)


@pytest.mark.parametrize("num_bits", [8, 4])
def test_matrices_are_quantized_as_those_of_a_folder_are(
    num_bits: int, tmp_path: Path, write_gguf: WriteGGUF
) -> None:
    from incoder.model.quantization import quantize

    write_gguf(tmp_path / "x.gguf", settings("llama"), tensors_of(peer_of("llama"), "F16", permutes=True))
    at_once = load_gguf(GGUFFile(tmp_path / "x.gguf"), num_bits=num_bits)
    afterwards = load_gguf(GGUFFile(tmp_path / "x.gguf"))
    quantize(afterwards, num_bits=num_bits)
    token_ids_BT = torch.arange(40)[None]
    assert torch.equal(at_once.logits(at_once(token_ids_BT)), afterwards.logits(afterwards(token_ids_BT)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": "gemma"}, "the architecture 'gemma' is not known; known are llama, qwen2"),
        ({"general.architecture": "qwen3"}, "the architecture 'qwen3' is not known"),
        ({"llama.embedding_length": None}, "has no llama.embedding_length, which the network needs"),
        ({"llama.embedding_length": "wide"}, "holds a value of the wrong kind"),
        ({"llama.attention.head_count": 0}, "holds a value of the wrong kind"),
        ({"llama.expert_count": 8}, "a mixture of 8 experts, which is not supported"),
        (
            {"llama.rope.dimension_count": 8},
            "llama.rope.dimension_count is 8; only the size of a head, 16, is",
        ),
        ({"llama.attention.value_length": 8}, "llama.attention.value_length is 8; only the size of a head"),
        ({"llama.rope.scaling.type": "yarn"}, "rope type is 'yarn'; only 'default', 'linear' and 'llama3'"),
        ({"llama.rope.scaling.type": "linear"}, "holds a value of the wrong kind"),  # no factor
        ({"llama.block_count": 3}, r"lacks the tensor blk\.2\.\S+; fetch it again"),
        ({"llama.block_count": 2**31}, "num_layers must be at most 1,024, got 2147483648"),
        ({"llama.context_length": 2**31}, "max_positions must be at most 67,108,864, got 2147483648"),
        ({"llama.context_length": 2**26}, "the table of positions would take 4.3 GB, at most"),
        ({"llama.context_length": 0}, "max_positions must be a whole number of at least 1, got 0"),
        (
            {"llama.attention.key_length": 2**20, "llama.rope.dimension_count": 2**20},
            "head_dim must be at most 16,384, got 1048576",
        ),
        ({"llama.attention.head_count": 8, "llama.rope.dimension_count": 8}, "num_heads|shape"),
        ({"llama.block_count": 1}, r"holds the tensor blk\.1\.\S+, which no part of the network takes"),
        (
            {"llama.feed_forward_length": 80},
            r"ffn_gate.weight has the shape \(96, 64\), the metadata says \(80",
        ),
        ({"llama.attention.head_count_kv": [2, 2]}, "num_kv_heads must be a whole number|wrong kind"),
    ],
)
def test_a_network_that_is_not_computed_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, write_gguf: WriteGGUF
) -> None:
    metadata = {key: value for key, value in {**settings("llama"), **changes}.items() if value is not None}
    write_gguf(tmp_path / "x.gguf", metadata, tensors_of(peer_of("llama"), "F32", permutes=True))
    with pytest.raises(IncoderError, match=rf"x\.gguf:? .*({message})"):
        load_gguf(GGUFFile(tmp_path / "x.gguf"))


def test_a_file_without_weights_is_refused(tmp_path: Path, write_gguf: WriteGGUF) -> None:
    write_gguf(tmp_path / "x.gguf", settings("llama"), {})
    with pytest.raises(
        IncoderError, match=r"it lacks the tensor token_embd\.weight, so it is not a whole model"
    ):
        gguf_config(GGUFFile(tmp_path / "x.gguf"))


def test_the_context_ends_where_a_window_of_attention_does(tmp_path: Path, write_gguf: WriteGGUF) -> None:
    metadata = settings("llama", **{"attention.sliding_window": 32})
    write_gguf(tmp_path / "x.gguf", metadata, tensors_of(peer_of("llama"), "F32", permutes=True))
    assert gguf_config(GGUFFile(tmp_path / "x.gguf")).max_positions == 32


LAYERS, WIDTH, ROWS = 3, 1024, 4096
ONES = np.frombuffer((np.float16(1.0).tobytes() + bytes([1] * 32)) * (WIDTH // 32), np.uint8)
LOADED = """
import ctypes, gc, sys, torch
from pathlib import Path
import gguf
from incoder.model.gguf_checkpoint import load_gguf
from incoder.model.gguf_file import GGUFFile

def megabytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024

def peak(num_bits):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    load_gguf(GGUFFile(Path(sys.argv[1])), dtype=torch.bfloat16, num_bits=num_bits)
    return megabytes("VmHWM") - before

torch.ones(4, 4) @ torch.ones(4, 4)
print(peak(None), peak(8))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the peak from /proc")
def test_loading_takes_the_result_and_one_layer(tmp_path: Path, write_gguf: WriteGGUF) -> None:
    """As the operating system counts it: pages of the file are released, too."""

    def matrix(num_rows: int, num_columns: int = WIDTH) -> tuple[Any, str]:
        row = np.tile(ONES, num_columns // WIDTH)
        return np.tile(row, (num_rows, 1)), "Q8_0"

    gains = (np.ones(WIDTH, np.float32), "F32")
    tensors = {"token_embd.weight": matrix(512), "output_norm.weight": gains}
    for layer in range(LAYERS):
        block = {
            **{f"attn_{name}": matrix(WIDTH) for name in ("q", "k", "v", "output")},
            **{"ffn_gate": matrix(ROWS), "ffn_up": matrix(ROWS), "ffn_down": matrix(WIDTH, ROWS)},
            **{"attn_norm": gains, "ffn_norm": gains},
        }
        tensors |= {f"blk.{layer}.{name}.weight": value for name, value in block.items()}
    sizes = {
        "block_count": LAYERS,
        "embedding_length": WIDTH,
        "feed_forward_length": ROWS,
        "attention.head_count": 16,
        "attention.head_count_kv": 16,
        "rope.dimension_count": 64,
    }
    write_gguf(tmp_path / "x.gguf", settings("llama", **sizes), tensors)
    command = [sys.executable, "-c", LOADED, str(tmp_path / "x.gguf")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    num_weights = LAYERS * (4 * WIDTH * WIDTH + 3 * ROWS * WIDTH) + 512 * WIDTH
    largest = 2 * ROWS * WIDTH * 4 / 2**20  # 32 MB: gate and up, in float32
    for peak, num_bytes in zip(map(float, run.stdout.split()), (2, 1), strict=True):
        result = num_weights * num_bytes / 2**20
        assert result * 0.8 < peak < result + largest + 20  # MB, for pieces on their way
