"""What the sentinel after a prefix tail costs inside lines: how probable the right text and its end are.

    incoder eval build argument --from PROJECTS --limit 300 --seed 7 --context 1500 --output DATA
    python recipes/mini/tail_sentinels.py DATA/argument.jsonl

PROJECTS holds projects that `mini` was neither trained nor is measured on. For each hole the model reads the
right text token by token: after a prompt with the sentinel, as in its training; without it, by the rule
*tails*; and left to right. The table has the nats of the text, the share of holes whose first token is the
most probable one, the same share of all tokens, and the nats of the end after the text.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch

import incoder
from incoder.inference.infill_model import InfillModel
from incoder.inference.language_model import Forward, Generation, run_alone
from incoder.inference.prompts.line_endings import as_model_sees
from incoder.inference.prompts.prompter import Prompt
from incoder.request import PromptOptions

MAX_NEW_TOKENS = 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="+", help="holes of one kind, as eval build writes them")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--limit", type=int, default=150, help="holes of each kind, drawn with seed 3")
    arguments = parser.parse_args()
    model = incoder.load(arguments.model)
    print("kind, prompt: nats of the text, first token right, tokens right, nats of the end")
    for path in arguments.data:
        holes = [json.loads(line) for line in path.open(encoding="utf-8")]
        random.Random(3).shuffle(holes)
        found: dict[str, list[tuple[float, float, float, float]]] = {}
        for hole in holes[: arguments.limit]:
            for name, prompt in prompts(model, hole["prefix"], hole["suffix"], hole["path"]).items():
                found.setdefault(name, []).append(read(model, prompt, hole["middle"]))
        for name, values in found.items():
            nats, first, right, end = np.mean(values, axis=0)
            print(f"{path.stem}, {name}: {nats:.2f}, {first:.1%}, {right:.1%}, {end:.2f}", flush=True)


def prompts(model: InfillModel, prefix: str, suffix: str, path: str) -> dict[str, Prompt]:
    """The prompts of a hole, by name."""
    options, texts = PromptOptions(path=Path(path)), as_model_sees([prefix, suffix])
    prompter = model._prompter(options, MAX_NEW_TOKENS)
    return {
        "with the sentinel": prompter.prompt(texts, []),
        "without it": prompter.prompt(texts, [], omits_sentinel=True),
        "left to right": prompter.prompt(texts[:1], []),
    }


def read(model: InfillModel, prompt: Prompt, text: str) -> tuple[float, float, float, float]:
    """What the model makes of the right text after a prompt: the columns of the table."""
    data = prompt.required_prefixes[0] + text.encode()
    token_ids = model.tokenizer.encode_bytes(data)
    logprobs_TV = run_alone(logits_along(model, prompt.token_ids, token_ids)).log_softmax(dim=1)
    targets = [*token_ids, model.infilling_format.end_of_infill_id]
    nats_T = -logprobs_TV[range(len(targets)), targets]
    is_right_T = (logprobs_TV.argmax(dim=1) == torch.tensor(targets))[:-1].double()
    return float(nats_T[:-1].sum()), float(is_right_T[0]), float(is_right_T.mean()), float(nats_T[-1])


def logits_along(model: InfillModel, prompt: list[int], token_ids: list[int]) -> Generation[torch.Tensor]:
    """The logits after the prompt and after each of the tokens that follow it."""
    sequences = model.language_model.open(len(prompt) + len(token_ids))
    try:
        logits_1V = yield Forward(sequences, [prompt])
        logits_TV = yield Forward(sequences, [token_ids], all_logits=True)
    finally:
        sequences.close()
    return torch.cat([logits_1V, logits_TV])


if __name__ == "__main__":
    main()
