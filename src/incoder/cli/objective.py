"""`incoder objective`: show a file as the training objective presents it to the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from incoder.cli.console import print_note, result_console, write_result
from incoder.cli.options import load_tokenizer
from incoder.cli.source import read_input

if TYPE_CHECKING:
    from rich.text import Text

    from incoder.objective.span_kinds.mixture import SpanKind
    from incoder.tokenizer.tokenizer import Tokenizer

app = typer.Typer(no_args_is_help=True)

_SPAN_KINDS = (
    *("lines", "block-openers", "bindings", "characters", "words"),
    *("names", "arguments", "strings", "annotations", "docstrings"),
)
_COLOURS = ("cyan", "yellow", "magenta", "green", "red", "blue")


def _earlier_name(old: str, new: str, **settings: Any) -> Any:
    """Return a hidden option with a name of the previous release."""

    def with_note(value: Any) -> Any:
        if value is not None:
            print_note(f"{old} is called {new} now; its earlier name is read for one more release")
        return value

    return typer.Option(old, hidden=True, callback=with_note, **settings)


@app.callback()
def _group() -> None:
    """Show a file as the training objective presents it to the model."""
    # Without a callback, typer would turn a group of one command into that command and drop `show`.


@app.command()
def show(
    file: Annotated[str, typer.Argument(help="The file, or - to read standard input.", show_default=False)],
    seed: Annotated[
        int, typer.Option(min=0, help="The seed of the random numbers; another seed masks other spans.")
    ] = 0,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            help="A tokenizer.json, a folder with one, or the name of an embedded model.",
            show_default="mini",
        ),
    ] = None,
    window: Annotated[
        int, typer.Option(min=16, help="Tokens in a block; a longer file is cut into several blocks.")
    ] = 2048,
    rule: Annotated[
        Literal["paper", "released-code"],
        typer.Option(help="The distribution of spans: the paper's, or the released code's."),
    ] = "paper",
    span_boundaries: Annotated[
        Literal["token", "character"],
        typer.Option(help="The boundaries of spans: only between tokens, or between any characters."),
    ] = "token",
    mean_spans: Annotated[
        float, typer.Option(min=0.01, max=64, help="The mean number of spans in a block.")
    ] = 1.0,
    span_counts: Annotated[
        Literal["poisson", "geometric"], typer.Option(help="The distribution of the number of spans.")
    ] = "poisson",
    line_span_rate: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="The share of masked blocks whose spans are lines or parts of lines, or of --span-kind.",
        ),
    ] = 0.0,
    span_kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--span-kind",
            metavar=f"[{'|'.join(_SPAN_KINDS)}]",
            help="A kind of these spans, in place of lines. Repeatable: each kind is drawn equally often.",
            show_default=False,
        ),
    ] = None,
    num_tail_lines: Annotated[
        int,
        typer.Option(
            min=0,
            max=64,
            help="Lines in the prefix tail with which such a span begins; 1 is the start of its own line.",
        ),
    ] = 0,
    plain_rate: Annotated[
        float, typer.Option(min=0, max=1, help="The share of blocks that are not masked.")
    ] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    edges: Annotated[
        Literal["token", "character"] | None, _earlier_name("--edges", "--span-boundaries")
    ] = None,
    num_lead_lines: Annotated[
        int | None, _earlier_name("--num-lead-lines", "--num-tail-lines", min=0, max=64)
    ] = None,
) -> None:
    """Show a file as the model sees it in training: its spans follow at the end, each after its sentinel.

    A span has the colour of its sentinel. The defaults are the paper's.

    Example: incoder objective show script.py --seed 3 --line-span-rate 1
    """
    import numpy as np

    from incoder.objective.blocks import masked_blocks
    from incoder.objective.masking import Masker, MaskingConfig
    from incoder.objective.rows import document_rng
    from incoder.tokenizer.infilling_format import CausalMaskingFormat

    if unknown := [kind for kind in span_kinds or () if kind not in _SPAN_KINDS]:
        raise typer.BadParameter(f"--span-kind must be one of {', '.join(_SPAN_KINDS)}, got {unknown[0]}")
    if span_kinds and line_span_rate == 0:
        raise typer.BadParameter("--span-kind needs --line-span-rate above 0, the share of such blocks")
    vocabulary = load_tokenizer(tokenizer)
    config = MaskingConfig(
        rule=rule,
        span_boundaries=edges or span_boundaries,
        mean_spans=mean_spans,
        span_counts=span_counts,
        line_span_rate=line_span_rate,
        span_kinds=dict.fromkeys(cast(list["SpanKind"], span_kinds or []), 1.0),
        num_tail_lines=num_tail_lines if num_lead_lines is None else num_lead_lines,
        plain_rate=plain_rate,
    )
    infilling_format = CausalMaskingFormat(vocabulary)
    masker = Masker(config, infilling_format, vocabulary)
    text = read_input(file).decode("utf-8", "surrogateescape")  # training may meet any bytes, too
    document = np.array([vocabulary.document_start_id, *vocabulary.encode(text)])
    blocks = [
        _Block(token_ids, *infilling_format.parse(token_ids))
        for token_ids in masked_blocks(document, masker, window, document_rng(seed, epoch=0, document=0))
    ]
    if json:
        write_result(_as_json(blocks, vocabulary))
    else:
        _print_blocks(blocks, vocabulary)


@dataclass(frozen=True, slots=True)
class _Block:
    token_ids: list[int]
    kept: list[list[int]]
    spans: list[list[int]]
    continues: bool


def _as_json(blocks: Sequence[_Block], vocabulary: "Tokenizer") -> str:
    import json

    result = {
        "num_tokens": sum(len(block.token_ids) for block in blocks),
        "num_spans": sum(len(block.spans) for block in blocks),
        "blocks": [
            {
                "kept": [vocabulary.decode(part) for part in block.kept],
                "spans": [vocabulary.decode(span) for span in block.spans],
                "continues": block.continues,
                "token_ids": block.token_ids,
            }
            for block in blocks
        ],
    }
    return json.dumps(result, ensure_ascii=False) + "\n"


def _print_blocks(blocks: Sequence[_Block], vocabulary: "Tokenizer") -> None:
    from rich.text import Text

    console = result_console(soft_wrap=True)
    for number, block in enumerate(blocks, start=1):
        title = Text(f"block {number} of {len(blocks)}", "bold")
        title.append(f": {_counted(len(block.token_ids), 'token')}", "dim")
        console.print(title)
        console.print(Text().join(_laid_out(block, vocabulary)))
        console.print()
        for index, span in enumerate(block.spans):
            num_lines = vocabulary.decode_bytes(span).count(b"\n")
            line = Text.assemble(_sentinel(vocabulary, index), f" {_counted(len(span), 'token')}")
            console.print(line.append(f", {_counted(num_lines, 'line end')}"))
        if block.continues:
            extra = _sentinel(vocabulary, len(block.spans))
            console.print(Text.assemble(extra, " has no span: the file goes on in the next block"))
        console.print()
    num_spans = sum(len(block.spans) for block in blocks)
    num_tokens = sum(len(block.token_ids) for block in blocks)
    console.print(
        f"{_counted(len(blocks), 'block')}, {_counted(num_spans, 'span')}, {_counted(num_tokens, 'token')}. "
        "Each span is shown on a line of its own; the model sees no line end there."
    )


def _laid_out(block: _Block, vocabulary: "Tokenizer") -> "Iterator[Text]":
    """Yield the block in the layout of training, with a line end before each span."""
    from rich.text import Text

    for index, part in enumerate(block.kept):
        if index:
            yield _sentinel(vocabulary, index - 1)
        if part[:1] == [vocabulary.document_start_id]:
            yield Text("<|endoftext|>", "dim")
        yield Text(_visible(vocabulary.decode(part)))
    if block.continues:
        yield _sentinel(vocabulary, len(block.spans))
    for index, span in enumerate(block.spans):
        yield Text("\n")
        *tail, infill = _split(span, vocabulary.sentinel_ids[index])
        for token_ids in tail:
            yield _sentinel(vocabulary, index)
            yield Text(_visible(vocabulary.decode(token_ids)))
        yield _sentinel(vocabulary, index)
        yield Text(_visible(vocabulary.decode(infill)), _COLOURS[index % len(_COLOURS)])
        yield Text("<|endofmask|>", "dim")


def _split(span: "Sequence[int]", sentinel_id: int) -> "list[Sequence[int]]":
    """Return a span's prefix tail, if it has one, and its infill."""
    if sentinel_id not in span:
        return [span]
    end = span.index(sentinel_id)
    return [span[:end], span[end + 1 :]]


def _sentinel(vocabulary: "Tokenizer", index: int) -> "Text":
    from rich.text import Text

    name = vocabulary.special_token(vocabulary.sentinel_ids[index]) or ""
    return Text(name, f"bold reverse {_COLOURS[index % len(_COLOURS)]}")


def _visible(text: str) -> str:
    """Escape control characters, which a terminal would obey instead of showing."""
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
