"""Greedy decoding speed: tokens/s of one sequence, ours against transformers' `generate` with its cache.

Random weights, the same for both, in the same precision; both read the prompt and write the same number of
tokens, in turns within one run, so that both meet the same noise. The ratio of the medians is what counts.

    python benchmarks/decoding.py                                    # mini and 350m, both shapes, fp32
    python benchmarks/decoding.py --size mini --shape llama --dtype bf16
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from incoder.inference.cached_sequences import TransformerModel
from incoder.inference.catalogue import find_model
from incoder.inference.decoding import Vocabulary, decode
from incoder.inference.sampling import SamplingParams, random_stream
from incoder.model.checkpoint import save_checkpoint
from incoder.model.sizes import config_for
from incoder.model.transformer import Shape, Transformer
from incoder.tokenizer.tokenizer import Tokenizer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", action="append", help="default: mini and 350m")
    parser.add_argument("--shape", action="append", choices=["llama", "xglm"], help="default: both")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64, help="tokens to write")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    tokenizer = Tokenizer.from_file(find_model("mini"))
    print(f"{'':12} {'ours':>10} {'transformers':>14} {'ratio':>7}   tokens/s, {arguments.dtype}, batch 1")
    for size in arguments.size or ["mini", "350m"]:
        for shape in arguments.shape or ["llama", "xglm"]:
            ours, peer = _speeds(size, shape, tokenizer, arguments)
            print(f"{size + ' ' + shape:12} {ours:10.1f} {peer:14.1f} {ours / peer:7.2f}")


def _speeds(
    size: str, shape: Shape, tokenizer: Tokenizer, arguments: argparse.Namespace
) -> tuple[float, float]:
    model = Transformer(config_for(size, shape, vocab_size=tokenizer.vocab_size))
    model.init_weights(torch.Generator().manual_seed(0))
    model.to(DTYPES[arguments.dtype]).eval()
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(model, Path(folder), dtype=DTYPES[arguments.dtype])
        auto_model: Any = transformers.AutoModelForCausalLM
        peer = auto_model.from_pretrained(folder, dtype=DTYPES[arguments.dtype]).eval()
    prompt = torch.randint(4, 4000, (arguments.prompt_tokens,), generator=torch.Generator().manual_seed(0))
    runs = {
        "ours": _our_run(model, tokenizer, prompt.tolist(), arguments.tokens),
        "peer": _peer_run(peer, prompt, arguments.tokens),
    }
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            num_tokens = run()
            speeds[name].append(num_tokens / (time.perf_counter() - started))
    return statistics.median(speeds["ours"]), statistics.median(speeds["peer"])


def _our_run(
    model: Transformer, tokenizer: Tokenizer, prompt: list[int], num_tokens: int
) -> Callable[[], int]:
    language_model, vocabulary = TransformerModel(model), Vocabulary(tokenizer)
    params = SamplingParams(temperature=0, max_new_tokens=num_tokens)

    @torch.inference_mode()
    def run() -> int:
        sequences = language_model.open(len(prompt) + num_tokens)
        decoded = decode(
            sequences,
            sequences.read([prompt]),
            forced=b"",
            params=params,
            streams=[random_stream(0, 0)],
            vocabulary=vocabulary,
            max_positions=language_model.max_positions,
        )
        return len(decoded[0].logprobs)

    return run


def _peer_run(peer: Any, prompt: torch.Tensor, num_tokens: int) -> Callable[[], int]:
    def run() -> int:
        output = peer.generate(
            prompt[None],
            attention_mask=torch.ones_like(prompt[None]),
            do_sample=False,
            use_cache=True,
            min_new_tokens=num_tokens,
            max_new_tokens=num_tokens,
        )
        return int(output.shape[1]) - len(prompt)

    return run


if __name__ == "__main__":
    main()
