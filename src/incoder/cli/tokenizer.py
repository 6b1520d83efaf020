"""`incoder tokenizer`: learn a vocabulary, or show the tokens of a text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli.console import notes, result_console, write_result
from incoder.cli.log_lines import LoggedProgress
from incoder.cli.options import as_override, load_tokenizer
from incoder.cli.source import STANDARD_INPUT, read_input

if TYPE_CHECKING:
    from rich.text import Text


app = typer.Typer(no_args_is_help=True, help="Learn a vocabulary, or show the tokens of a text.")

_STYLES = ("black on bright_cyan", "black on bright_yellow")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="The tokenizer recipe, a TOML file.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for tokenizer.json and its companions.")
    ],
    corpus: Annotated[
        Path | None, typer.Option(help="Learn from this corpus instead of the one that the recipe names.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace one setting, e.g. --set vocab_size=4096. Repeatable."
        ),
    ] = None,
) -> None:
    """Learn a byte-level BPE vocabulary from a corpus that `incoder corpus build` made.

    The folder loads in `transformers` as it is. Memory is about 65 MB for each MB of the sample
    (`max_sample_bytes` in the recipe).

    Example: incoder tokenizer train recipes/tiny/tokenizer.toml --output runs/tiny/tokenizer
    """
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn

    from incoder.config import load_recipe, refuse_other_runs, save_recipe
    from incoder.corpus.storage.documents import read_documents
    from incoder.corpus.text.attributes import render
    from incoder.files import make_folder
    from incoder.tokenizer.tokenizer import FILES
    from incoder.tokenizer.training import TokenizerRecipe, train_tokenizer

    named = [] if corpus is None else [as_override("corpus", corpus)]
    resolved = load_recipe(TokenizerRecipe, recipe, [*(overrides or []), *named])
    refuse_other_runs(resolved, output / "tokenizer.toml", (*FILES, "tokenizer.toml"))
    make_folder(output)  # before the work, not after it
    documents = (
        render(document, resolved.seed) for document in read_documents(resolved.corpus, resolved.split)
    )
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with LoggedProgress(*columns, console=notes) as progress:
        task = progress.add_task("reading, then merging", total=None)
        tokenizer = train_tokenizer(
            documents,
            resolved.vocab_size,
            max_sample_bytes=resolved.max_sample_bytes,
            max_token_length=resolved.max_token_length,
            seed=resolved.seed,
            on_read=lambda num_characters: progress.advance(task, num_characters),
        )
    # First: after a kill, the same command recognises the other files as its own by the recipe.
    save_recipe(resolved, output / "tokenizer.toml")
    tokenizer.save(output)
    notes.print(f"{tokenizer.vocab_size} tokens in {output / 'tokenizer.json'}", markup=False)


@app.command()
def show(
    text: Annotated[
        str, typer.Argument(help="The text, or - to read it from standard input.", show_default=False)
    ],
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            help="A tokenizer.json, a folder with one, or the name of an embedded model.",
            show_default="mini",
        ),
    ] = None,
    special_tokens: Annotated[
        bool, typer.Option("--special-tokens", help="Recognise <|mask:0|> and other special tokens.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the tokens of a text, each above its id; · is a space and ⏎ a line end.

    Example: incoder tokenizer show 'import numpy as np'
    """
    from incoder.tokenizer.pieces import readable_piece

    vocabulary = load_tokenizer(tokenizer)
    data = read_input(text) if text == STANDARD_INPUT else text.encode("utf-8", "surrogateescape")
    if special_tokens:
        token_ids = vocabulary.encode_with_special_tokens(data.decode("utf-8", "surrogateescape"))
    else:
        token_ids = vocabulary.encode_bytes(data)
    pieces = [readable_piece(vocabulary, token_id) for token_id in token_ids]
    if json:
        write_result(_as_json(token_ids, pieces, len(data)))
    else:
        _print_pieces(token_ids, pieces, len(data))


def _as_json(token_ids: Sequence[int], pieces: Sequence[str], num_bytes: int) -> str:
    import json

    result = {"num_tokens": len(token_ids), "num_bytes": num_bytes, "token_ids": token_ids, "pieces": pieces}
    return json.dumps(result, ensure_ascii=False) + "\n"


def _print_pieces(token_ids: Sequence[int], pieces: Sequence[str], num_bytes: int) -> None:
    console = result_console()
    for line in _lines(token_ids, pieces, console.width):
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
    rate = f", {num_bytes / len(token_ids):.2f} bytes a token" if token_ids else ""
    console.print(f"{len(token_ids)} tokens, {num_bytes} bytes{rate}")


def _lines(token_ids: Sequence[int], pieces: Sequence[str], width: int) -> "Iterator[Text]":
    """Yield two lines for each line of the text, the tokens and their ids, wrapped to the terminal."""
    from rich.cells import cell_len
    from rich.text import Text

    upper, lower = Text(), Text()
    for number, (token_id, piece) in enumerate(zip(token_ids, pieces, strict=True)):
        cell = max(cell_len(piece), len(str(token_id)))
        if upper and upper.cell_len + cell > width:
            yield from (upper, lower, Text())
            upper, lower = Text(), Text()
        upper.append(piece, _STYLES[number % 2]).append(" " * (cell - cell_len(piece) + 1))
        lower.append(f"{token_id:<{cell + 1}}", "dim")
        if piece[-1] in "⏎␍":
            yield from (upper, lower, Text())
            upper, lower = Text(), Text()
    if upper:
        yield from (upper, lower, Text())
