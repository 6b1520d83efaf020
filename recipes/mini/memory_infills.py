"""How often a greedy infill is the text that was taken out, with project memory and without, by kind of hole.

    python recipes/mini/memory_infills.py fill --output RUNS/flask.jsonl PROJECTS/flask
    python recipes/mini/memory_infills.py fill --teacher --before 1200 --after 600 --output … PROJECTS/flask
    python recipes/mini/memory_infills.py report RUNS/flask.jsonl RUNS/tornado.jsonl …

With `--teacher` nothing is written: the model reads the text that was taken out, and an infill is exact if
each of its tokens, but the first one where it is healed, is the most probable one. That takes less time, and
leaves out where an infill ends.

A hole is a whole line (without its indentation), or 5 to 25 characters in the middle of one. The model sees
3,000 characters before it and 1,500 after it; the memory has the project without the file itself and its near
copies, and the whole text around the hole. Holes are drawn file by file, so any number of them is a sample.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from memory_weights import interval, near_copies
from part_line_holes import AFTER, BEFORE, LONGEST, SHORTEST

import incoder
from incoder.inference.candidates import CandidateState
from incoder.inference.infill_model import InfillModel
from incoder.inference.language_model import run_alone
from incoder.inference.memory.prior import NextTokenPrior
from incoder.inference.memory.source_files import read_text
from incoder.inference.prompts.line_endings import as_model_sees
from incoder.request import InfillRequest

NAMES = ("without", "with")
KINDS = ("line", "part of a line")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("fill")
    one.add_argument("project", type=Path)
    one.add_argument("--output", type=Path, required=True)
    one.add_argument("--model", default="mini")
    one.add_argument("--num-holes", type=int, default=200, help="of each kind")
    one.add_argument("--seed", type=int, default=20)
    one.add_argument("--before", type=int, default=BEFORE, help="characters in view before the hole")
    one.add_argument("--after", type=int, default=AFTER, help="and after it")
    one.add_argument("--teacher", action="store_true", help="judge the tokens of the text taken out")
    one.set_defaults(run=fill)
    one = commands.add_parser("report")
    one.add_argument("results", type=Path, nargs="+")
    one.set_defaults(run=report)
    arguments = parser.parse_args()
    arguments.run(arguments)


def fill(arguments: argparse.Namespace) -> None:
    """Fill the holes of one project, and write a JSON line for each."""
    model, rng = incoder.load(arguments.model), random.Random(arguments.seed)
    memory = model.open_project(arguments.project, cache_folder=arguments.output.parent / "indexes")
    texts = {
        path: as_model_sees([text])[0]
        for path, file in memory.refresh().files.items()
        if file.span.length > 100 and (text := read_text(arguments.project / path))
    }
    with arguments.output.open("w", encoding="utf-8") as output:
        for kind, path, start, end in holes(texts, rng, arguments.num_holes):
            text = texts[path]
            copies = near_copies(text, texts) - {path}
            started = time.perf_counter()
            own = arguments.project / path
            prior = memory.prior([text[:start], text[end:]], own, left_out=copies)
            row = {"kind": kind, "path": path, "start": start, "gold": text[start:end]}
            row["prior_s"] = time.perf_counter() - started
            shown = max(0, start - arguments.before)
            shown = text.rfind("\n", 0, shown) + 1 if shown else 0
            request = InfillRequest.from_settings(
                (text[shown:start], text[end : end + arguments.after]),
                temperature=0,
                max_new_tokens=48,
                path=Path(path).name,
            )
            if arguments.teacher:
                row["exact"] = exact_tokens(model, request, text[start:end], prior)
                output.write(json.dumps(row) + "\n")
                output.flush()
                continue
            for name, one in (("without", None), ("with", prior)):
                started = time.perf_counter()
                row[name] = infill_of(model, request, one)
                row[f"{name}_s"] = time.perf_counter() - started
            row["exact"] = {name: row[name].strip() == text[start:end].strip() for name in NAMES}
            output.write(json.dumps(row) + "\n")
            output.flush()


def exact_tokens(
    model: InfillModel, request: InfillRequest, gold: str, prior: NextTokenPrior
) -> dict[str, bool]:
    """Whether each token of the text that was taken out is the most probable one."""
    prompt = model._infilling(request)._prompt(CandidateState(0))
    required = prompt.required_prefixes[0]
    token_ids = model.tokenizer.encode_bytes(required + gold.encode("utf-8", "surrogateescape"))
    sequences = model.language_model.open(len(prompt.token_ids) + len(token_ids) + 64)
    with torch.inference_mode():
        logits = [sequences.forward([prompt.token_ids])]
        if len(token_ids) > 1:
            logits.append(sequences.forward([token_ids[:-1]], all_logits=True))
    sequences.close()
    own_TV = torch.cat(logits)
    left_contexts = [[*prompt.left_contexts[0], *token_ids[:end]] for end in range(len(token_ids))]
    chosen = {
        "without": own_TV.argmax(-1).tolist(),
        "with": prior.mix(own_TV, left_contexts).argmax(-1).tolist(),
    }
    first = 1 if required else 0
    return {name: ids[first:] == token_ids[first:] for name, ids in chosen.items()}


def infill_of(model: InfillModel, request: InfillRequest, prior: NextTokenPrior | None) -> str:
    with torch.inference_mode():
        return run_alone(model._infilling(request, prior=prior).run()).infills[0]


def holes(texts: dict[str, str], rng: random.Random, num_holes: int) -> Iterator[tuple[str, str, int, int]]:
    """A hole of each kind in turn, in files drawn at random: kind, path, start and end."""
    paths = sorted(texts)
    for _ in range(num_holes):
        for kind in KINDS:
            while True:
                path = rng.choice(paths)
                lines = texts[path].splitlines(keepends=True)
                number = rng.randrange(len(lines))
                line = lines[number].rstrip("\n")
                indent = len(line) - len(line.lstrip())
                start, end = indent, len(line)
                if kind == "part of a line":
                    size = rng.randint(SHORTEST, LONGEST)
                    if len(line) - indent < size + 4:
                        continue
                    start = rng.randint(indent + 1, len(line) - size - 1)
                    end = start + size
                    if not line[end:].strip():
                        continue
                elif end - start < SHORTEST:
                    continue
                before = sum(map(len, lines[:number]))
                yield kind, path, before + start, before + end
                break


def report(arguments: argparse.Namespace) -> None:
    """Exact match of each project and kind, with the interval of the gain, resampling files."""
    print("| project | kind | holes | exact: without, % | with memory, % | gain (95 %) |")
    print("|---|---|---|---|---|---|")
    for path in arguments.results:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for kind in KINDS:
            chosen = [row for row in rows if row["kind"] == kind]
            paths = np.unique([row["path"] for row in chosen], return_inverse=True)[1]
            right = {name: np.array([float(row["exact"][name]) for row in chosen]) for name in NAMES}
            low, high = interval(right["with"] - right["without"], paths)
            print(
                f"| {path.stem} | {kind} | {len(chosen)} | {100 * right['without'].mean():.1f} | "
                f"{100 * right['with'].mean():.1f} | {100 * low:+.1f} to {100 * high:+.1f} |"
            )


if __name__ == "__main__":
    main()
