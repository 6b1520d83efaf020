"""Fits the weights of project memory, and measures next tokens and lines with and without it, left to right.

    python recipes/mini/memory_weights.py observe --output RUNS/attrs.npz PROJECTS/attrs
    python recipes/mini/memory_weights.py fit --output memory.json RUNS/attrs.npz RUNS/trio.npz …
    python recipes/mini/memory_weights.py test --weights memory.json RUNS/networkx.npz RUNS/flask.npz …

`observe` reads windows of a project's files with the model, and notes for every token what the model and the
memory say. The memory has the project without the file itself and its near copies, and the file's own text up
to the window, renewed every few tokens. `fit` refuses the projects of held-out.txt. Fit on none that the
model was trained on, either.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import incoder
from incoder.corpus.decontamination.held_out import refuse_held_out
from incoder.errors import IncoderError
from incoder.files import write_text
from incoder.inference.infill_model import InfillModel
from incoder.inference.memory.lookup import WeightedSegment, longest_continuations
from incoder.inference.memory.mixing import (
    DEFAULT_WEIGHTS,
    MixingWeights,
    features,
    most_frequent,
    read_weights,
    weights_as_json,
)
from incoder.inference.memory.project_memory import OPEN_FILE_WEIGHT, ProjectMemory
from incoder.inference.memory.segment import MAX_ORDER, Segment
from incoder.inference.memory.source_files import read_text
from incoder.inference.prompting_model import attribute_header
from incoder.inference.prompts.line_endings import as_model_sees
from incoder.tokenizer.text_tokenizer import TextTokenizer

NUM_FEATURES = len(DEFAULT_WEIGHTS.values)
NUM_KEPT = 32  # next tokens of a context that are noted, the most frequent
BEFORE = 1024  # tokens that the model reads before a window
RENEWED_AFTER = 8  # tokens, after which the open file's text is indexed again
MIN_LINE = 10  # characters of a line that counts in the search for near copies
PENALTY = 1e-3  # of the squared weights, so that what was never seen stays small
NUM_RESAMPLES = 1000
HELD_OUT = Path(__file__).with_name("held-out.txt")
PROJECT = "project"  # of the observations: the name of the folder, the one entry that is no column


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("observe")
    one.add_argument("project", type=Path)
    one.add_argument("--output", type=Path, required=True)
    one.add_argument("--model", default="mini")
    one.add_argument("--num-files", type=int, default=24)
    one.add_argument("--num-tokens", type=int, default=300, help="of each file")
    one.add_argument("--seed", type=int, default=19)
    one.set_defaults(run=observe)
    one = commands.add_parser("fit")
    one.add_argument("observations", type=Path, nargs="+")
    one.add_argument("--output", type=Path, required=True)
    one.set_defaults(run=fit)
    one = commands.add_parser("test")
    one.add_argument("observations", type=Path, nargs="+")
    one.add_argument("--weights", type=Path, required=True, help="the folder of memory.json")
    one.set_defaults(run=test)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except IncoderError as error:
        parser.error(str(error))


def observe(arguments: argparse.Namespace) -> None:
    """Note what model and memory say of tokens of a project's files."""
    model, rng = incoder.load(arguments.model), random.Random(arguments.seed)
    memory = ProjectMemory(arguments.project, model.tokenizer)
    index = memory.refresh()
    texts = {
        path: as_model_sees([text])[0]
        for path, file in index.files.items()
        if file.span.length > arguments.num_tokens and (text := read_text(arguments.project / path))
    }
    chosen = rng.sample(sorted(texts), min(arguments.num_files, len(texts)))
    notes: list[dict[str, NDArray[np.float32]]] = []
    for number, path in enumerate(chosen):
        token_ids = model.tokenizer.encode(texts[path])
        start = rng.randint(1, max(1, len(token_ids) - arguments.num_tokens))
        copies = near_copies(texts[path], texts) - {path}
        project = memory.prior(path=arguments.project / path, left_out=copies).segments
        window = range(start, min(start + arguments.num_tokens, len(token_ids)))
        notes.append(observe_window(model, project, token_ids, window, path, number))
        print(f"{path}: {len(window)} tokens, {len(copies)} near copies left out", flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: np.concatenate([one[name] for one in notes]) for name in notes[0]}
    np.savez(arguments.output, **columns, **{PROJECT: np.array(arguments.project.resolve().name)})


def observe_window(
    model: InfillModel,
    project: Sequence[WeightedSegment],
    token_ids: list[int],
    window: range,
    path: str,
    number: int,
) -> dict[str, NDArray[np.float32]]:
    """For each token its features, probability and share, and the same of the most frequent next tokens."""
    start = window.start
    before = token_ids[max(0, start - BEFORE) : start]
    header = model.tokenizer.encode(attribute_header(Path(path)))
    document_start = [model.infilling_format.document_start_id] if before == token_ids[:start] else []
    sequences = model.language_model.open(BEFORE + len(window) + 64)
    with torch.inference_mode():
        read = [one for one in (*document_start, *header, *before) if one is not None]
        first_1V = sequences.forward([read])
        rest_TV = sequences.forward([token_ids[start : window.stop - 1]], all_logits=True)
    sequences.close()
    own_TV = torch.cat((first_1V, rest_TV)).softmax(-1).numpy()
    columns = {
        "features": np.zeros((len(window), NUM_FEATURES)),
        "own": np.zeros((len(window), NUM_KEPT + 1)),  # the last: the most probable of all other tokens
        "share": np.zeros((len(window), NUM_KEPT + 1)),
        "is_target": np.zeros((len(window), NUM_KEPT + 1)),
        "target": np.zeros((len(window), 2)),  # its probability and its share
        "document": np.full(len(window), number),
        "line": np.array(lines_of(model.tokenizer, token_ids, window)),
    }
    segments = project
    for row, place in enumerate(window):
        if row % RENEWED_AFTER == 0:
            buffer, _ = Segment.build([token_ids[:place]], model.tokenizer.vocab_size)
            segments = [WeightedSegment(buffer, OPEN_FILE_WEIGHT), *project]
        own_V, target = own_TV[row], token_ids[place]
        found = longest_continuations(segments, token_ids[max(0, place - MAX_ORDER) : place])
        kept: list[int] = []
        if found is not None:
            kept = sorted(found.counts, key=lambda one: (-found.counts[one], one))[:NUM_KEPT]
            columns["features"][row] = features(found, float(own_V.max()), float(own_V[most_frequent(found)]))
            columns["own"][row, : len(kept)] = own_V[kept]
            columns["share"][row, : len(kept)] = [found.counts[one] / found.total for one in kept]
            columns["is_target"][row, : len(kept)] = np.array(kept) == target
            columns["target"][row, 1] = found.counts.get(target, 0) / found.total
        columns["target"][row, 0] = own_V[target]
        others_V = own_V.copy()
        others_V[kept] = -1
        columns["own"][row, -1] = others_V.max()
        columns["is_target"][row, -1] = others_V.argmax() == target
    return {name: column.astype(np.float32) for name, column in columns.items()}


def lines_of(tokenizer: TextTokenizer, token_ids: list[int], window: range) -> list[int]:
    """The number of each token's line, its line end included; -1 if the window cuts the line."""
    lines, number = list[int](), 0
    is_whole = window.start == 0 or b"\n" in tokenizer.token_bytes(token_ids[window.start - 1])
    for place in window:
        lines.append(number if is_whole else -1)
        if b"\n" in tokenizer.token_bytes(token_ids[place]):
            number, is_whole = number + 1, True
    return [-1 if line == number else line for line in lines]


def near_copies(text: str, texts: dict[str, str]) -> set[str]:
    """The files that have at least half of the lines of this text."""
    own = {line for line in map(str.strip, text.split("\n")) if len(line) >= MIN_LINE}
    return {
        path
        for path, other in texts.items()
        if 2 * len(own & set(map(str.strip, other.split("\n")))) >= max(1, len(own))
    }


def fit(arguments: argparse.Namespace) -> None:
    """The weights under which the observed tokens are most probable."""
    refuse_held_out([project for path in arguments.observations for project in projects_of(path)], HELD_OUT)
    notes = [read(path) for path in arguments.observations]
    known = [one["features"].any(axis=1) for one in notes]
    inputs = torch.tensor(
        np.concatenate([one["features"][rows] for one, rows in zip(notes, known, strict=True)])
    )
    targets = torch.tensor(
        np.concatenate([one["target"][rows] for one, rows in zip(notes, known, strict=True)])
    )
    # Every project counts alike.
    importance = torch.cat([torch.full((int(rows.sum()),), 1 / int(rows.sum())) for rows in known]) / len(
        known
    )
    values = torch.zeros(NUM_FEATURES, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        weight = torch.sigmoid(inputs @ values)
        mixed = (1 - weight) * targets[:, 0] + weight * targets[:, 1]
        total = -(importance * (mixed + 1e-9).log()).sum() + PENALTY * values.square().mean()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)
    weights = MixingWeights.of_values([round(value, 4) for value in values.tolist()])
    about = {
        "fitted_on": [path.stem for path in arguments.observations],
        "num_tokens": len(inputs),
    }
    write_text(arguments.output, weights_as_json(weights, about))
    print(f"{loss().item():.4f} nats, {weights}")


def test(arguments: argparse.Namespace) -> None:
    """Top-1 and nats per token, then whole lines, with intervals of the differences, resampling files.

    Greedy decoding writes a line exactly if every token of it is the most probable one.
    """
    weights, lines = read_weights(arguments.weights), list[str]()
    print(
        "| project | files, tokens | top-1: model | with memory | gain (95 %) "
        "| nats: model | with memory | gain (95 %) |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for path in arguments.observations:
        notes = read(path)
        weight = 1 / (1 + np.exp(-notes["features"] @ np.array(weights.values)))
        weight = np.where(notes["features"].any(axis=1), weight, 0.0)
        mixed = (1 - weight)[:, None] * notes["own"] + weight[:, None] * notes["share"]
        is_right = {
            "model": picked(notes["own"], notes["is_target"]),
            "memory": picked(mixed, notes["is_target"]),
        }
        own, share = notes["target"].T
        nats = {"model": -np.log(own + 1e-9), "memory": -np.log((1 - weight) * own + weight * share + 1e-9)}
        files = notes["document"]
        lines.append(line_row(path.stem, is_right, notes["line"], files))
        top = interval(is_right["memory"] - is_right["model"], files)
        saved = interval(nats["model"] - nats["memory"], files)
        print(
            f"| {path.stem} | {len(np.unique(files))}, {len(files)} | {100 * is_right['model'].mean():.1f} | "
            f"{100 * is_right['memory'].mean():.1f} | {100 * top[0]:+.1f} to {100 * top[1]:+.1f} | "
            f"{nats['model'].mean():.2f} | {nats['memory'].mean():.2f} | {saved[0]:.2f} to {saved[1]:.2f} |"
        )

    print("\n| project | lines | exact: model, % | with memory, % | gain (95 %) |\n|---|---|---|---|---|")
    print("\n".join(lines))


def line_row(
    project: str,
    is_right: dict[str, NDArray[np.float64]],
    lines: NDArray[np.float64],
    files: NDArray[np.float64],
) -> str:
    """How many whole lines are right in every token."""
    _, first, line_of = np.unique(1000 * files + lines, return_index=True, return_inverse=True)
    is_whole = lines[first] >= 0
    exact = {
        name: (np.bincount(line_of, weights=1 - right) == 0)[is_whole].astype(np.float64)
        for name, right in is_right.items()
    }
    low, high = interval(exact["memory"] - exact["model"], files[first][is_whole])
    return (
        f"| {project} | {is_whole.sum()} | {100 * exact['model'].mean():.1f} | "
        f"{100 * exact['memory'].mean():.1f} | {100 * low:+.1f} to {100 * high:+.1f} |"
    )


def picked(probabilities: NDArray[np.float64], is_target: NDArray[np.float64]) -> NDArray[np.float64]:
    return is_target[np.arange(len(is_target)), probabilities.argmax(axis=1)]


def interval(differences: NDArray[np.float64], files: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the mean difference over files drawn again with replacement."""
    rng = np.random.default_rng(0)
    groups = [differences[files == one] for one in np.unique(files)]
    drawn = rng.integers(0, len(groups), size=(NUM_RESAMPLES, len(groups)))
    means = [np.concatenate([groups[one] for one in row]).mean() for row in drawn]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def read(path: Path) -> dict[str, NDArray[np.float64]]:
    with np.load(path) as content:
        return {
            name: content[name].astype(np.float64 if name != "features" else np.float32)
            for name in content
            if name != PROJECT
        }


def projects_of(path: Path) -> set[str]:
    """The names of the file and of the folder that was observed."""
    with np.load(path) as content:
        return {path.stem, *([str(content[PROJECT])] if PROJECT in content else [])}


if __name__ == "__main__":
    main()
