"""Greedy decoding of a large model as a share of the memory bandwidth, each precision beside a peer.

Writing one token reads every weight once, so tokens/s times the bytes of the weights cannot be more than what
the memory delivers. That is measured in the same run: on a CPU by summing up a gigabyte; on a GPU by summing
up four and by copying them, which reads and writes, and the faster one counts. Peers, on the same random
weights: transformers' `generate`; for int8 and int4 on a CPU CTranslate2 in int8 (xglm shape only). The
prompt's time is taken off. All in turns, so that all meet the same noise; medians.

    python benchmarks/bandwidth.py                                   # 1.3b, xglm, all but fp16
    python benchmarks/bandwidth.py --size 350m --dtype int8
    python benchmarks/bandwidth.py --device cuda --size 6.7b --tokens 192
"""

import argparse
import gc
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring.contestants import Contestants
from measuring.places import add_device_option, chosen_device
from measuring.precisions import Precision, num_matrix_bytes
from measuring.turns import seconds_for
from peers import transformers_models

from incoder.inference.infill_model import InfillModel
from incoder.inference.models.catalogue import find_model
from incoder.tokenizer.tokenizer import Tokenizer

DTYPES: dict[str, Precision] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": "int8",
    "int4": "int4",
}
DEFAULT_DTYPES = {"cpu": ["fp32", "bf16", "int8", "int4"], "cuda": ["bf16"]}
PROMPT = "def mean(xs):\n    return sum(xs) / len(xs)\n\n\ndef variance(xs):\n    center = mean(xs)\n"

Writer = Callable[[int], object]  # writes this many tokens after the prompt


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1.3b")
    parser.add_argument("--shape", choices=["xglm", "llama"], default="xglm")
    parser.add_argument(
        "--dtype", action="append", choices=DTYPES, help="default: fp32, bf16, int8 and int4; on a GPU bf16"
    )
    parser.add_argument("--tokens", type=int, default=24, help="tokens to write in each round")
    parser.add_argument("--rounds", type=int, default=5)
    add_device_option(parser)
    arguments = parser.parse_args()

    device, place = chosen_device(arguments.device)
    bandwidth = _cpu_bandwidth() if device.type == "cpu" else _gpu_bandwidth(device)
    print(f"{place:28} {'tokens/s':>9} {'ratio':>6} {'of bandwidth':>13}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        contestants = Contestants(folder, arguments.size, arguments.shape, torch.bfloat16, device)
        for dtype in arguments.dtype or DEFAULT_DTYPES[device.type]:
            writers = {
                "ours": _ours(contestants.ours(DTYPES[dtype])),
                **_peer(contestants, folder, dtype, device),
            }
            num_bytes = num_matrix_bytes(contestants.config, DTYPES[dtype])
            title = f"{arguments.size} {dtype}"
            _compare(title, writers, num_bytes, bandwidth, arguments.tokens, arguments.rounds)
            del writers
            gc.collect()


def _compare(
    title: str,
    writers: dict[str, Writer],
    num_bytes: int,
    bandwidth: Callable[[], float],
    num_tokens: int,
    rounds: int,
) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in writers}
    bandwidths = []
    for writer in writers.values():
        writer(2)
    for _ in range(rounds):
        bandwidths.append(bandwidth())
        for name, writer in writers.items():
            prompt_and_one = seconds_for(writer, 1)
            speeds[name].append(num_tokens / (seconds_for(writer, 1 + num_tokens) - prompt_and_one))
    ours, limit = statistics.median(speeds["ours"]), statistics.median(bandwidths)
    for name, values in speeds.items():
        speed = statistics.median(values)
        print(f"{title + ', ' + name:28} {speed:9.2f} {ours / speed:6.2f} {speed * num_bytes / limit:13.0%}")
    print(f"{'':28} memory: {limit / 1e9:.1f} GB/s", flush=True)


def _cpu_bandwidth() -> Callable[[], float]:
    """Measures bytes a second."""
    memory = torch.ones(2**28)
    return lambda: memory.nbytes / seconds_for(memory.sum)


def _gpu_bandwidth(device: torch.device) -> Callable[[], float]:
    """The same, several times in a row, so that launching takes no part of the time that matters."""
    source, target = torch.ones(2**30, device=device), torch.empty(2**30, device=device)
    num_times = 8

    def read() -> None:
        for _ in range(num_times):
            source.sum()

    def copy() -> None:
        for _ in range(num_times):
            target.copy_(source)

    return lambda: (
        num_times
        * max(source.nbytes / seconds_for(read), (source.nbytes + target.nbytes) / seconds_for(copy))
    )


def _ours(model: InfillModel) -> Writer:
    def write(num_tokens: int) -> None:
        result = model.complete(PROMPT, temperature=0, max_new_tokens=num_tokens, speculate=False)
        assert result.candidates[0].finish_reasons == ("length",), "random weights ended a text; take others"

    return write


def _peer(contestants: Contestants, folder: Path, dtype: str, device: torch.device) -> dict[str, Writer]:
    prompt = Tokenizer.from_file(find_model("mini")).encode(PROMPT)
    if isinstance(storage := DTYPES[dtype], torch.dtype):
        return {"transformers": _transformers(contestants.transformers(storage), prompt)}
    if contestants.config.shape != "xglm" or device.type != "cpu":
        return {}
    from peers import ctranslate2_decoder  # where there are only GPUs to measure, it need not be installed

    return {"CTranslate2 int8": ctranslate2_decoder.writer(folder, contestants.config, prompt)}


def _transformers(peer: Any, prompt: list[int]) -> Writer:
    token_ids = torch.tensor([prompt])
    return lambda num_tokens: transformers_models.generate(peer, token_ids, num_tokens)


if __name__ == "__main__":
    main()
