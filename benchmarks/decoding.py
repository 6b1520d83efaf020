"""Greedy decoding speed: tokens/s of one sequence, ours against transformers' `generate` with its cache.

Random weights, the same for both, in the same precision; both read the prompt and write the same number of
tokens, in turns within one run, so that both meet the same noise. The ratio of the medians is what counts.

    python benchmarks/decoding.py                                    # mini and 350m, both shapes, fp32
    python benchmarks/decoding.py --size mini --shape llama --dtype bf16
    python benchmarks/decoding.py --device cuda --size 1.3b --dtype bf16
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from measuring.contestants import Contestants
from measuring.places import add_device_option, chosen_device
from measuring.turns import median_seconds
from peers import transformers_models
from torch import Tensor

from incoder.inference.decoding.decode_loop import decoding
from incoder.inference.language_model import Forward, Generation, LanguageModel, run_alone
from incoder.inference.models.catalogue import find_model
from incoder.inference.vocabulary import Vocabulary
from incoder.model.transformer import Shape
from incoder.sampling_params import SamplingParams
from incoder.tokenizer.tokenizer import Tokenizer

Writer = Callable[[Tensor], None]  # writes on after a prompt

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
    add_device_option(parser)
    arguments = parser.parse_args()

    tokenizer = Tokenizer.from_file(find_model("mini"))
    device, place = chosen_device(arguments.device)
    what = f"tokens/s, {arguments.dtype}, batch 1, {place}"
    print(f"{'':12} {'ours':>10} {'transformers':>14} {'ratio':>7}   {what}")
    for size in arguments.size or ["mini", "350m"]:
        for shape in arguments.shape or ["llama", "xglm"]:
            ours, peer = _speeds(size, shape, device, tokenizer, arguments)
            print(f"{size + ' ' + shape:12} {ours:10.1f} {peer:14.1f} {ours / peer:7.2f}", flush=True)


def _speeds(
    size: str, shape: Shape, device: torch.device, tokenizer: Tokenizer, arguments: argparse.Namespace
) -> tuple[float, float]:
    dtype, num_tokens = DTYPES[arguments.dtype], arguments.tokens
    with tempfile.TemporaryDirectory() as folder:
        contestants = Contestants(Path(folder), size, shape, dtype, device)
        model, peer = contestants.ours(dtype).language_model, contestants.transformers(dtype)
    ours = _our_writer(model, tokenizer, num_tokens)
    # Another prompt in each round, since ours keeps what it has read.
    stream = torch.Generator().manual_seed(0)
    prompts = torch.randint(4, 4000, (arguments.rounds + 1, arguments.prompt_tokens), generator=stream)
    seconds = median_seconds(
        lambda number: ours(prompts[number]),
        lambda number: transformers_models.generate(peer, prompts[number][None], num_tokens),
        arguments.rounds,
    )
    return num_tokens / seconds[0], num_tokens / seconds[1]


def _our_writer(language_model: LanguageModel, tokenizer: Tokenizer, num_tokens: int) -> Writer:
    vocabulary = Vocabulary(tokenizer)
    params = SamplingParams(temperature=0, max_new_tokens=num_tokens, speculate=False)

    def writing(prompt: Tensor) -> Generation[None]:
        sequences = language_model.open(len(prompt) + num_tokens)
        logits_BV = yield Forward(sequences, [prompt.tolist()])
        (decoded,) = yield from decoding(
            sequences,
            logits_BV,
            required_prefix=b"",
            params=params,
            rngs=[None],
            vocabulary=vocabulary,
            max_positions=language_model.max_positions,
        )
        sequences.close()
        assert len(decoded.logprobs) == num_tokens, "random weights ended a text; take others"

    @torch.inference_mode()
    def write(prompt: Tensor) -> None:
        run_alone(writing(prompt))

    return write


if __name__ == "__main__":
    main()
