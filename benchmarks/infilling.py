"""What an editor waits for, each beside a peer that does the same work on the same random weights.

    python benchmarks/infilling.py                              # every row of the table, 350m, xglm
    python benchmarks/infilling.py --only keystroke --size 1.3b --dtype bf16
    python benchmarks/infilling.py --device cuda --size 1.3b --dtype bf16

Contexts are files of Python's standard library, another in each round, since ours keeps what it has read.
Both write just as many tokens, in turns, and the ratio of the median times counts.
"""

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import torch
from measuring.contestants import Contestants
from measuring.places import add_device_option, chosen_device
from measuring.scripted_model import ScriptedModel
from measuring.turns import Work, median_seconds
from peers import transformers_models

from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.engine.engine import Engine
from incoder.inference.infill_model import InfillModel
from incoder.request import InfillRequest

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CONTEXT = 1500  # tokens around the holes
MODULES = (
    "argparse",
    "ast",
    "inspect",
    "tarfile",
    "typing",
    "doctest",
    "pydoc",
    "optparse",
    "zipfile",
    "pickle",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="350m")
    parser.add_argument("--shape", choices=["xglm", "llama"], default="xglm")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--only", action="append", choices=ROWS, help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    add_device_option(parser)
    arguments = parser.parse_args()

    device, place = chosen_device(arguments.device)
    print(
        f"{arguments.size}, {arguments.shape}, {arguments.dtype}, {place}; "
        f"seconds, medians of {arguments.rounds}"
    )
    print(f"{'':24} {'ours':>7} {'peer':>7} {'ratio':>6}   peer")
    with tempfile.TemporaryDirectory() as folder:
        dtype = DTYPES[arguments.dtype]
        contestants = Contestants(Path(folder), arguments.size, arguments.shape, dtype, device)
        bench = Bench(contestants.ours(dtype), contestants.transformers(dtype), arguments.rounds + 1)
        for name in arguments.only or ROWS:
            peer, row = ROWS[name]
            ours, theirs = median_seconds(*row(bench), arguments.rounds)
            print(f"{name:24} {ours:7.3f} {theirs:7.3f} {theirs / ours:6.2f}   {peer}", flush=True)


class Bench:
    """Both models, and texts to read."""

    def __init__(self, model: InfillModel, peer: Any, rounds: int) -> None:
        self.model, self.peer, self.rounds = model, peer, rounds
        self.tokenizer = self.model.tokenizer
        # Whatever the random weights say, a fill goes on to its last token.
        self.never_end = dict.fromkeys(self.model.infilling_format.end_of_infill_ids, -1e9)
        texts = [self.tokenizer.encode(_source(module)) for module in MODULES]
        self._token_ids = [token_id for text in texts for token_id in text]
        self._places = count(0, 1531)

    def text_ids(self, num_tokens: int) -> list[int]:
        """Tokens of source code, others at each call."""
        place = next(self._places) % (len(self._token_ids) - num_tokens)
        return self._token_ids[place : place + num_tokens]

    def parts(self, num_holes: int) -> list[str]:
        """So many holes, evenly placed in the context."""
        token_ids, size = self.text_ids(CONTEXT), CONTEXT // (num_holes + 1)
        cuts = [*range(0, size * (num_holes + 1), size), CONTEXT]
        return [self.tokenizer.decode(token_ids[a:b]) for a, b in pairwise(cuts)]

    def infill(self, parts: list[str], num_tokens: int, **how: Any) -> None:
        result = self.model.infill(
            parts,
            max_new_tokens=num_tokens,
            logit_bias=self.never_end,
            token_healing=False,
            stopping_rules=(),
            speculate=False,
            **{"temperature": 0, **how},
        )
        reasons = {reason for candidate in result.candidates for reason in candidate.finish_reasons}
        assert reasons == {"length"}, f"a fill ended early: {reasons}"

    def prompt(self, parts: list[str]) -> torch.Tensor:
        encoded = [self.tokenizer.encode(part) for part in parts]
        layout = self.model.infilling_format
        return torch.tensor([[*layout.prompt(encoded), *layout.hole_start(0)]])

    def generate(self, token_ids: torch.Tensor, num_tokens: int, **how: Any) -> torch.Tensor:
        return transformers_models.generate(self.peer, token_ids, num_tokens, **how)


def prefill(bench: Bench) -> tuple[Work, Work]:
    texts = [bench.text_ids(512) for _ in range(bench.rounds)]

    @torch.inference_mode()
    def ours(number: int) -> None:
        sequences = bench.model.language_model.open(512)
        sequences.forward([texts[number]])
        sequences.close()

    @torch.inference_mode()
    def peer(number: int) -> None:
        token_ids = torch.tensor([texts[number]], device=bench.peer.device)
        bench.peer(token_ids, use_cache=True, logits_to_keep=1)

    return ours, peer


def candidates(bench: Bench) -> tuple[Work, Work]:
    texts = [bench.parts(1) for _ in range(bench.rounds)]
    return (
        lambda number: bench.infill(texts[number], 32, num_candidates=10, temperature=0.8, top_p=0.95),
        lambda number: bench.generate(
            bench.prompt(texts[number]),
            32,
            do_sample=True,
            num_return_sequences=10,
            temperature=0.8,
            top_p=0.95,
            top_k=0,
        ),
    )


def holes(bench: Bench) -> tuple[Work, Work]:
    texts = [bench.parts(4) for _ in range(bench.rounds)]
    layout = bench.model.infilling_format

    def authors(number: int) -> None:
        """Their example reads everything again for each hole (README of dpfried/incoder)."""
        token_ids = bench.prompt(texts[number])
        for hole in range(1, 5):
            token_ids = bench.generate(token_ids, 24)
            if hole < 4:
                sentinel = torch.tensor([layout.hole_start(hole)], device=token_ids.device)
                token_ids = torch.cat([token_ids, sentinel], dim=1)

    return lambda number: bench.infill(texts[number], 24), authors


def keystroke(bench: Bench) -> tuple[Work, Work]:
    """The first token after one more character in the line of the hole."""
    prefix, suffix = bench.parts(1)
    texts = [bench.parts(1) for _ in range(bench.rounds)]
    typed = "\n    result = collect_all_of_them(first, second"

    def ours(number: int) -> None:
        bench.infill([prefix + typed[: 16 + number], suffix], 1, num_tail_lines=1)

    def without_reuse(number: int) -> None:
        prefix, suffix = texts[number]
        bench.infill([prefix + typed[: 16 + number], suffix], 1, num_tail_lines=1)

    return ours, without_reuse


def concurrent(bench: Bench) -> tuple[Work, Work]:
    """Sixteen prompts of 64 to 484 tokens, 8 to 68 tokens after each, in another order."""
    lengths = [64 + 28 * index for index in range(16)]
    wanted = [8 + 4 * (7 * index % 16) for index in range(16)]
    texts = [[bench.text_ids(length) for length in lengths] for _ in range(bench.rounds)]

    def ours(number: int) -> None:
        assert isinstance(bench.model.language_model, TransformerModel)
        engine = Engine(bench.model.language_model, max_active=16)
        for token_ids, num_tokens in zip(texts[number], wanted, strict=True):
            request = InfillRequest.from_settings(
                [bench.tokenizer.decode(token_ids)],
                temperature=0,
                max_new_tokens=num_tokens,
                logit_bias=bench.never_end,
                speculate=False,
                token_healing=False,
            )
            engine.submit(bench.model.generation(request))
        engine.run()

    def peer(number: int) -> None:
        """A static batch goes on until the longest is written."""
        rows = texts[number]
        width = max(map(len, rows))
        token_ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        bench.generate(token_ids, max(wanted), mask=mask)

    return ours, peer


def beams(bench: Bench) -> tuple[Work, Work]:
    texts = [bench.text_ids(256) for _ in range(bench.rounds)]

    def ours(number: int) -> None:
        result = bench.model.complete(
            bench.tokenizer.decode(texts[number]),
            max_new_tokens=32,
            num_beams=5,
            logit_bias=bench.never_end,
            token_healing=False,
        )
        assert result.candidates[0].finish_reasons == ("length",), "a beam ended early"

    return ours, lambda number: bench.generate(torch.tensor([texts[number]]), 32, num_beams=5)


def speculation(kind: str) -> Callable[[Bench], tuple[Work, Work]]:
    """A fill of 128 tokens, whatever is the cheapest way to write them, and one token at a time."""

    def row(bench: Bench) -> tuple[Work, Work]:
        parts, script = _repetitive_edit(bench) if kind == "edit" else _unlike_its_context(bench)
        model = InfillModel(ScriptedModel(bench.model.language_model, script), bench.tokenizer)

        def work(speculate: bool) -> Work:
            def fill(_: int) -> None:
                model.infill(
                    parts,
                    temperature=0,
                    max_new_tokens=128,
                    token_healing=False,
                    stopping_rules=(),
                    speculate=speculate,
                )

            return fill

        return work(True), work(False)

    return row


def _repetitive_edit(bench: Bench) -> tuple[list[str], list[int]]:
    """The same change at the next places: methods that differ in a name."""

    def method(name: str) -> str:
        return (
            f"    def visit_{name}(self, node: {name}) -> None:\n"
            f"        self.enter(node)\n        for child in node.{name.lower()}_children:\n"
            f"            self.visit(child, parent=node)\n        self.leave(node)\n\n"
        )

    before = "".join(method(name) for name in ("Module", "Class", "Function", "Lambda", "Call"))
    after = "".join(method(name) for name in ("Return", "Yield"))
    missing = "".join(method(name) for name in ("If", "While", "With", "Try", "Match"))
    return ["class Visitor:\n" + before, after], bench.tokenizer.encode(missing)


def _unlike_its_context(bench: Bench) -> tuple[list[str], list[int]]:
    """Code of one module in another one's."""
    prefix, suffix = bench.parts(1)
    return [prefix, suffix], bench.tokenizer.encode(_source("colorsys")[600:])


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


ROWS: dict[str, tuple[str, Callable[[Bench], tuple[Work, Work]]]] = {
    "prefill of 512 tokens": ("transformers", prefill),
    "10 candidates": ("transformers, 10 samples", candidates),
    "4 holes": ("the authors' example, over transformers", holes),
    "keystroke": ("the same without reuse", keystroke),
    "speculation, edit": ("the same without it", speculation("edit")),
    "speculation, other code": ("the same without it", speculation("other")),
    "16 concurrent": ("transformers, a batch of 16", concurrent),
    "beam 5": ("transformers, 5 beams", beams),
}

if __name__ == "__main__":
    main()
