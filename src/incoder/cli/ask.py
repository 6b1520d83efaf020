"""`incoder ask`: an answer to a question, or a title and tags for it."""

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note, progress, write_result
from incoder.cli.request_options import DRAWING, with_request
from incoder.cli.source import STANDARD_INPUT, read_source
from incoder.editing.defaults import ASK
from incoder.errors import IncoderError
from incoder.request import InfillRequest
from incoder.results import Candidate

if TYPE_CHECKING:
    from incoder.editing.qa_threads import Turn
    from incoder.inference.prompting_model import PromptingModel


@with_request(DRAWING, ASK)
def ask(
    request: InfillRequest,
    question: Annotated[
        str, typer.Argument(help="The question, or - to read it from standard input.", show_default=False)
    ],
    tags: Annotated[
        str, typer.Option(help="The question's tags.", metavar="TAG,TAG", show_default=False)
    ] = "",
    comments: Annotated[
        list[str] | None,
        typer.Option(
            "--comment",
            help="A comment on the answer; the model then writes another one. Repeatable.",
            metavar="TEXT",
        ),
    ] = None,
    headline: Annotated[
        bool, typer.Option("--headline", help="Propose a title and tags for the question instead.")
    ] = False,
    model: options.Model = "mini",
    revision: options.Revision = None,
    json: options.Json = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Answer a question in the format of StackOverflow, for models that were trained on it.

    InCoder's published models were; mini was not, and only shows how the command works. A warning says if the
    model does not seem to know the format. Each --comment follows the answer so far, and the model reads it
    before it writes the next answer.

    Example: incoder ask "How do I read a CSV file?" --tags python,pandas --model facebook/incoder-1B
    """
    if headline and (comments or tags):
        raise typer.BadParameter("--headline proposes tags; --tags and --comment belong to answers")
    text = read_source(question) if question == STANDARD_INPUT else question
    if not text.strip():
        raise IncoderError("the question is empty")

    from incoder.editing.qa_threads import headlines, seen_in_training

    loaded = editing.load_model(model, revision, device, dtype, adapter=adapter)
    loaded.check_attributes()
    described: dict[str, Any] = {}
    notes: list[str] = []
    if headline:
        with progress("writing …"):
            found = headlines(loaded, text, request)
        shown = "".join(f"{one.title}\n{', '.join(one.tags)}\n" for one in found[:1])
        described["candidates"] = [asdict(one) for one in found]
    else:
        turns, candidates = _conversation(
            loaded, text, request, [*filter(None, tags.split(","))], [*filter(None, comments or [])]
        )
        texts = [one.infills[0].strip() for one in candidates]
        shown = texts[0] + "\n"
        described["turns"] = [asdict(turn) for turn in turns]
        described["candidates"] = [
            {"answer": answer, "logprob": one.logprob} for answer, one in zip(texts, candidates, strict=True)
        ]
        notes = [
            f"candidate {number}, mean log-probability {one.logprob:.3f}\n{answer}"
            for number, (answer, one) in enumerate(zip(texts, candidates, strict=True), start=1)
        ][1:]
    is_seen = seen_in_training(loaded)
    if json:
        result = {"question": text, "model": model, "seen_in_training": is_seen, **described}
        write_result(json_format.dumps(result) + "\n")
    else:
        write_result(shown)
        for note in notes:
            print_note(note)
    if not is_seen:
        print_note(
            f"warning: {model} does not seem to have seen StackOverflow's format in training, so its answers "
            "mean little; InCoder's published models have seen it"
        )


def _conversation(
    model: "PromptingModel",
    question: str,
    request: InfillRequest,
    tags: Sequence[str],
    comments: Sequence[str],
) -> "tuple[list[Turn], Sequence[Candidate]]":
    """Return the earlier answers with their comments, and the candidates for the answer after them."""
    from incoder.editing.qa_threads import Turn, answers

    turns: list[Turn] = []
    for comment in comments:
        with progress("writing …"):
            candidates = answers(model, question, request, tags=tags, turns=turns)
        turns.append(Turn(candidates[0].infills[0].strip(), comment))
        print_note(f"{turns[-1].answer}\n> {comment}")
    with progress("writing …"):
        return turns, answers(model, question, request, tags=tags, turns=turns)
