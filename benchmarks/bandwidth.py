"""Greedy decoding of a large model as a share of the memory bandwidth, each precision beside a peer.

Writing one token reads every weight once, so tokens/s times the bytes of the weights cannot be more than what
the memory delivers. That is measured in the same run, by summing up a gigabyte. Peers, on the same random
weights: transformers' `generate` in fp32 and bf16, CTranslate2 in int8 (xglm shape only). The prompt's time
is taken off. All in turns, so that all meet the same noise; medians.

    python benchmarks/bandwidth.py                                   # 1.3b, xglm, all precisions
    python benchmarks/bandwidth.py --size 350m --dtype int8
"""

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measuring.random_models import save_random_model
from peers import transformers_models
from peers.ctranslate2_decoder import writer as ctranslate2_writer

import incoder
from incoder.inference.catalogue import find_model
from incoder.model.transformer import Transformer, TransformerConfig
from incoder.tokenizer.tokenizer import Tokenizer

DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
PROMPT = "def mean(xs):\n    return sum(xs) / len(xs)\n\n\ndef variance(xs):\n    center = mean(xs)\n"

Writer = Callable[[int], object]  # writes so many tokens after the prompt


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1.3b")
    parser.add_argument("--shape", choices=["xglm", "llama"], default="xglm")
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="default: all three")
    parser.add_argument("--tokens", type=int, default=24, help="tokens to write in each round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    tokenizer = Tokenizer.from_file(find_model("mini"))
    print(f"{'':22} {'tokens/s':>9} {'ratio':>6} {'of bandwidth':>13}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = save_random_model(folder, arguments.size, arguments.shape, torch.bfloat16)
        for dtype in arguments.dtype or DTYPES:
            writers = {"ours": _ours(folder, dtype), **_peer(folder, config, dtype, tokenizer)}
            title = f"{arguments.size} {dtype}"
            _compare(title, writers, _num_bytes(config, dtype), arguments.tokens, arguments.rounds)
            del writers
            gc.collect()


def _num_bytes(config: TransformerConfig, dtype: str) -> int:
    """The matrices that a token is multiplied with; the embedding is one of them, being the output weight."""
    with torch.device("meta"):
        model = Transformer(config)
    num_weights: int = sum(weight.numel() for weight in model.state_dict().values() if weight.ndim == 2)
    num_bytes: int = num_weights * DTYPES[dtype].itemsize
    return num_bytes


def _compare(title: str, writers: dict[str, Writer], num_bytes: int, num_tokens: int, rounds: int) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in writers}
    bandwidths = []
    memory = torch.ones(2**28)
    for writer in writers.values():
        writer(1)
    for _ in range(rounds):
        bandwidths.append(memory.nbytes / _seconds(memory.sum))
        for name, writer in writers.items():
            prompt_and_one = _seconds(writer, 1)
            speeds[name].append(num_tokens / (_seconds(writer, 1 + num_tokens) - prompt_and_one))
    ours, bandwidth = statistics.median(speeds["ours"]), statistics.median(bandwidths)
    for name, values in speeds.items():
        speed = statistics.median(values)
        print(
            f"{title + ', ' + name:22} {speed:9.2f} {ours / speed:6.2f} {speed * num_bytes / bandwidth:13.0%}"
        )
    print(f"{'':22} reading: {bandwidth / 1e9:.1f} GB/s")


def _seconds(function: Callable[..., object], *arguments: int) -> float:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def _ours(folder: Path, dtype: str) -> Writer:
    name = {"fp32": "float32", "bf16": "bfloat16"}.get(dtype, dtype)
    model = incoder.load(folder, dtype=name)

    def write(num_tokens: int) -> None:
        result = model.complete(PROMPT, temperature=0, max_new_tokens=num_tokens, speculate=False)
        assert result.candidates[0].finish_reasons == ("length",), "random weights ended a text; take others"

    return write


def _peer(folder: Path, config: TransformerConfig, dtype: str, tokenizer: Tokenizer) -> dict[str, Writer]:
    prompt = tokenizer.encode(PROMPT)
    if dtype != "int8":
        return {"transformers": _transformers(folder, DTYPES[dtype], prompt)}
    return {"CTranslate2": ctranslate2_writer(folder, config, prompt)} if config.shape == "xglm" else {}


def _transformers(folder: Path, dtype: torch.dtype, prompt: list[int]) -> Writer:
    peer, token_ids = transformers_models.load(folder, dtype), torch.tensor([prompt])
    return lambda num_tokens: transformers_models.generate(peer, token_ids, num_tokens)


if __name__ == "__main__":
    main()
