"""`incoder ask`: an answer to a question, or a title and tags for it."""

import json as json_format
from dataclasses import asdict
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note, progress, write_result
from incoder.cli.source import STANDARD_INPUT, read_source
from incoder.errors import IncoderError


def ask(
    question: Annotated[
        str, typer.Argument(help="The question, or - to read it from standard input.", show_default=False)
    ],
    tags: Annotated[
        str, typer.Option(help="Tags to tell the model.", metavar="TAG,TAG", show_default=False)
    ] = "",
    comments: Annotated[
        list[str] | None,
        typer.Option(
            "--comment",
            help="Comment on the answer and have another one written. Repeatable.",
            metavar="TEXT",
        ),
    ] = None,
    headline: Annotated[
        bool, typer.Option("--headline", help="Propose a title and tags for the question instead.")
    ] = False,
    model: options.Model = "mini",
    revision: options.Revision = None,
    num_candidates: options.NumCandidates = 1,
    temperature: options.Temperature = 0.4,
    top_p: options.TopP = 0.95,
    max_new_tokens: options.MaxNewTokens = 256,
    seed: options.Seed = 0,
    json: options.Json = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Answer a question in the layout of StackOverflow, for models that were trained on it.

    InCoder's published models were; mini was not, and only shows how it works. A warning names a model that
    does not seem to know the layout. Each --comment comes below the answer so far, and the next answer is
    written with it in view.

    Example: incoder ask "How do I read a CSV file?" --tags python,pandas --model facebook/incoder-1B
    """
    settings = editing.decoding(num_candidates, temperature, top_p, max_new_tokens, seed)
    if headline and (comments or tags):
        raise typer.BadParameter("--headline proposes tags; --tags and --comment belong to answers")
    text = read_source(question) if question == STANDARD_INPUT else question
    if not text.strip():
        raise IncoderError("the question is empty")

    from incoder.tasks.threads import Turn, answers, headlines, seen_in_training

    loaded = editing.load_model(model, revision, device, dtype)
    loaded.check_attributes()
    if headline:
        with progress("writing …"):
            found = headlines(loaded, text, settings)
            is_seen = seen_in_training(loaded)
        shown = "".join(f"{one.title}\n{', '.join(one.tags)}\n" for one in found[:1])
        described = [asdict(one) for one in found]
        result = {"question": text, "model": model, "seen_in_training": is_seen, "candidates": described}
        write_result(json_format.dumps(result) + "\n" if json else shown)
        _warn(model, is_seen)
        return
    turns: list[Turn] = []
    for comment in [*(comments or []), ""]:
        with progress("writing …"):
            candidates = answers(loaded, text, settings, tags=[*filter(None, tags.split(","))], turns=turns)
        answer = candidates[0].infills[0].strip()
        if comment:
            print_note(f"{answer}\n> {comment}")
            turns.append(Turn(answer, comment))
    is_seen = seen_in_training(loaded)
    if json:
        result = {
            "question": text,
            "model": model,
            "seen_in_training": is_seen,
            "turns": [asdict(turn) for turn in turns],
            "candidates": [{"answer": one.infills[0].strip(), "logprob": one.logprob} for one in candidates],
        }
        write_result(json_format.dumps(result) + "\n")
    else:
        write_result(answer + "\n")
        for number, one in enumerate(candidates[1:], start=2):
            print_note(
                f"candidate {number}, mean log-probability {one.logprob:.3f}\n{one.infills[0].strip()}"
            )
    _warn(model, is_seen)


def _warn(model: str, is_seen: bool) -> None:
    if not is_seen:
        print_note(
            f"warning: {model} does not seem to have seen StackOverflow's layout in training, so its answers "
            "mean little; InCoder's published models have seen it"
        )
