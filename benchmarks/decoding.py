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
from torch import Tensor

from incoder.inference.cached_sequences import TransformerModel
from incoder.inference.catalogue import find_model
from incoder.inference.decoding import Vocabulary, decoding
from incoder.inference.programs import Program, Read, run
from incoder.inference.sampling import SamplingParams, random_stream
from incoder.model.checkpoint import save_checkpoint
from incoder.model.sizes import config_for
from incoder.model.transformer import Shape, Transformer
from incoder.tokenizer.tokenizer import Tokenizer

Writer = Callable[[Tensor], int]  # writes on after a prompt, and says how many tokens

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
    writers = {
        "ours": _our_writer(model, tokenizer, arguments.tokens),
        "peer": _peer_writer(peer, arguments.tokens),
    }
    speeds: dict[str, list[float]] = {name: [] for name in writers}
    for round_number in range(arguments.rounds + 1):
        # Another prompt in each round, since ours keeps what it has read.
        stream = torch.Generator().manual_seed(round_number)
        prompt = torch.randint(4, 4000, (arguments.prompt_tokens,), generator=stream)
        for name, write in writers.items():
            started = time.perf_counter()
            num_tokens = write(prompt)
            if round_number:  # the first one warms up
                speeds[name].append(num_tokens / (time.perf_counter() - started))
    return statistics.median(speeds["ours"]), statistics.median(speeds["peer"])


def _our_writer(model: Transformer, tokenizer: Tokenizer, num_tokens: int) -> Writer:
    language_model, vocabulary = TransformerModel(model), Vocabulary(tokenizer)
    params = SamplingParams(temperature=0, max_new_tokens=num_tokens, speculate=False)

    def writing(prompt: Tensor) -> Program[int]:
        sequences = language_model.open(len(prompt) + num_tokens)
        logits_BV = yield Read(sequences, [prompt.tolist()])
        (decoded,) = yield from decoding(
            sequences,
            logits_BV,
            forced=b"",
            params=params,
            streams=[random_stream(0, 0)],
            vocabulary=vocabulary,
            max_positions=language_model.max_positions,
        )
        sequences.close()
        return len(decoded.logprobs)

    @torch.inference_mode()
    def write(prompt: Tensor) -> int:
        return run(writing(prompt))

    return write


def _peer_writer(peer: Any, num_tokens: int) -> Writer:
    def write(prompt: Tensor) -> int:
        output = peer.generate(
            prompt[None],
            attention_mask=torch.ones_like(prompt[None]),
            do_sample=False,
            use_cache=True,
            min_new_tokens=num_tokens,
            max_new_tokens=num_tokens,
        )
        return int(output.shape[1]) - len(prompt)

    return write


if __name__ == "__main__":
    main()
