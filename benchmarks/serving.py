"""The server beside its engine called directly, in turns within one run, on the places where an editor asks.

    python benchmarks/serving.py
    python benchmarks/serving.py --dtype int8 --rounds 50

`incoder serve` runs in a process of its own; the engine is called directly in this one. Both get the same
requests for a file of 1,500 tokens: the first request of a file, the next keystroke, and the request after an
accepted suggestion. A suggestion is one line of at most 24 tokens. Milliseconds: the median, and the 95th
percentile.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import getsource
from random import Random

import httpx2
import torch
from measuring.places import chosen_device

import incoder
from incoder.inference.engine.worker import EngineWorker
from incoder.inference.infill_model import InfillModel
from incoder.request import InfillRequest
from incoder.results import TextPiece

CONTEXT = 1500  # tokens around the hole
MODULES = ("argparse", "ast", "inspect", "tarfile", "doctest", "pydoc", "optparse", "zipfile", "pickle")
TYPED = "result = self.collect"
KINDS = ["first request", "next keystroke", "accepted suggestion"]  # in the order of `places`


@dataclass(frozen=True, slots=True)
class Taken:
    """The seconds until the first text and until the end, and the number of tokens written."""

    first: float
    total: float
    num_tokens: int


Ask = Callable[[str, str], Taken]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--dtype")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    _, place = chosen_device("cpu")
    model = incoder.load(arguments.model, device="cpu", dtype=arguments.dtype)
    print(f"{arguments.model}, {arguments.dtype or 'float32'}, {place}; {arguments.rounds} rounds")
    print(f"{'':32} {'server, p50 (p95)':>19} {'engine, p50 (p95)':>19}  ratio of medians")
    with (
        serving(arguments.model, arguments.dtype) as url,
        httpx2.Client(base_url=url, timeout=60) as client,
        EngineWorker(model.language_model) as worker,
    ):
        rivals: Sequence[Ask] = (over_http(client), directly(model, worker))
        measured = [[ask(*place) for ask in rivals] for place in places(model, arguments.rounds)]
    for name in KINDS:
        rows = [row for kind, row in zip(KINDS * arguments.rounds, measured, strict=True) if kind == name]
        for what in ("first", "total"):
            times = [[getattr(row[rival], what) * 1000 for row in rows] for rival in (0, 1)]
            shown = [f"{statistics.median(one):7.1f} ({percentile(one):6.1f})" for one in times]
            ratio = statistics.median(times[0]) / statistics.median(times[1])
            label = f"{name}, {'first text' if what == 'first' else 'whole'}"
            print(f"{label:32} {shown[0]:>19} {shown[1]:>19}  {ratio:5.2f}")


def places(model: InfillModel, rounds: int) -> Iterator[tuple[str, str]]:
    """Yield a prefix and a suffix for each kind of request, of another file in each round."""
    random = Random(0)
    for number in range(rounds):
        source = getsource(__import__(MODULES[number % len(MODULES)]))
        ids = model.tokenizer.encode(source)
        start = random.randrange(max(1, len(ids) - CONTEXT))
        text = model.tokenizer.decode(ids[start : start + CONTEXT])
        lines = text.splitlines(keepends=True)
        middle = len(lines) // 2
        prefix = f"# file {number}\n" + "".join(lines[:middle]) + "        "
        suffix = "\n" + "".join(lines[middle:])
        yield prefix + TYPED, suffix
        yield prefix + TYPED + "_", suffix
        yield prefix + TYPED + "_all(first, second)\n        ", suffix


def over_http(client: httpx2.Client) -> Ask:
    def ask(prefix: str, suffix: str) -> Taken:
        body = {
            "prompt": prefix,
            "suffix": suffix,
            "temperature": 0,
            "max_tokens": 24,
            "stop": ["\n"],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        started, first, num_tokens = time.perf_counter(), 0.0, 0
        with client.stream("POST", "/v1/completions", json=body) as answer:
            for line in answer.iter_lines():
                first = first or time.perf_counter() - started
                if line.startswith("data: {"):
                    usage = json.loads(line.removeprefix("data: ")).get("usage")
                    num_tokens = usage["completion_tokens"] if usage else num_tokens
        return Taken(first, time.perf_counter() - started, num_tokens)

    return ask


def directly(model: InfillModel, worker: EngineWorker) -> Ask:
    def ask(prefix: str, suffix: str) -> Taken:
        request = InfillRequest.from_settings(
            (prefix, suffix), temperature=0, max_new_tokens=24, stop="\n", rank_by="none"
        )
        firsts: list[float] = []

        def note(_: TextPiece) -> None:
            if not firsts:
                firsts.append(time.perf_counter())

        started = time.perf_counter()
        result = worker.run(model.generation(request, on_text=note))
        ended = time.perf_counter()
        first = firsts[0] if firsts else ended
        return Taken(first - started, ended - started, result.usage.num_completion_tokens)

    return ask


def percentile(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


@contextmanager
def serving(model: str, dtype: str | None) -> Iterator[str]:
    """Run `incoder serve` with this model, and yield its URL."""
    command = [sys.executable, "-m", "incoder", "serve", "--port", "0", "--model", model, "--device", "cpu"]
    command += ["--dtype", dtype] if dtype else []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield next(line.split()[1] for line in process.stderr if line.startswith("ready: "))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
