"""Options that several commands share, with one wording each."""

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli.source import STANDARD_INPUT, check_replaceable
from incoder.errors import IncoderError

if TYPE_CHECKING:
    from incoder.tokenizer.tokenizer import Tokenizer

DEFAULT_MODEL = "mini"

Model = Annotated[
    str,
    typer.Option(
        help="An embedded model (see: incoder models), a checkpoint folder, a GGUF file, a model on the hub "
        "(owner/model), which is fetched once, or the URL of a completions server (docs/scale-out.md).",
        metavar="NAME|FOLDER|URL",
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(help="A branch, tag or commit of a model on the hub.", show_default="main"),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="The infilling format (see docs/models.md), such as codellama-spm.",
        show_default="by its vocabulary",
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default CUDA when there is one.")]
Extension = Annotated[
    str | None,
    typer.Option(
        "--ext",
        help="The file extension in the prompt, such as .py; empty for none.",
        show_default="that of FILE",
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="The weights in memory: float32, bfloat16, float16, int8 (a quarter of float32) or int4.",
        show_default="float32 on a CPU, bfloat16 on CUDA",
    ),
]
Adapter = Annotated[
    Path | None,
    typer.Option(
        help="Add this LoRA adapter, in peft's layout, to the model that it was trained on.",
        metavar="FOLDER",
        show_default=False,
    ),
]
InPlace = Annotated[
    bool,
    typer.Option("--in-place", help="Write the result into FILE; the rest of it is not changed."),
]
Diff = Annotated[bool, typer.Option("--diff", help="Show the changes as a unified diff.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object with all candidates.")]
ResultAsJson = Annotated[bool, typer.Option("--json", help="One JSON object in place of the table.")]
Lines = Annotated[
    str | None,
    typer.Option(help="Work on the lines from FIRST to LAST.", metavar="FIRST:LAST", show_default=False),
]
Function = Annotated[
    str | None,
    typer.Option(
        help="Work on this function, method or class, such as Class.method.",
        metavar="NAME",
        show_default=False,
    ),
]


def check_output(file: str, *, in_place: bool, diff: bool, json: bool) -> None:
    """Refuse kinds of output that exclude each other; `file` is empty if there are several.

    Raises:
        typer.BadParameter: there is more than one, or standard input is to be changed in place.
        IncoderError: the file is to be changed in place, and cannot be replaced.
    """
    if in_place + diff + json > 1:
        raise typer.BadParameter("--in-place, --diff and --json exclude each other; choose one")
    if in_place and file == STANDARD_INPUT:
        raise typer.BadParameter("--in-place needs a file; standard input cannot be written to")
    if in_place and file:
        check_replaceable(file)


def fetch(model: str, revision: str | None) -> None:
    """Fetch a model from the hub if it is not in the cache, with the progress bars of the hub's client.

    Raises:
        IncoderError: there is no such model, or it cannot be fetched.
    """
    from incoder.inference.models.catalogue import find_model

    find_model(model, revision)


def as_override(key: str, path: Path) -> str:
    """Return an override of a recipe's path, in the form of --set.

    >>> as_override("corpus", Path("runs/tiny"))
    'corpus="runs/tiny"'
    """
    from json import dumps  # a JSON string is a TOML string, too

    return f"{key}={dumps(str(path))}"


def load_tokenizer(path: Path | None) -> "Tokenizer":
    """Return the tokenizer at `path` or of an embedded model of this name, by default that of `mini`.

    Raises:
        IncoderError: there is no tokenizer at `path`, or no model is embedded.
    """
    from incoder.embedded_models import embedded_models, embedded_or_path
    from incoder.tokenizer.tokenizer import Tokenizer

    if path is None and DEFAULT_MODEL not in embedded_models():
        raise IncoderError("no model is embedded here; name a tokenizer with --tokenizer PATH")
    return Tokenizer.from_file(embedded_or_path(path or Path(DEFAULT_MODEL)))


def path_to_tell(file: str, extension: str | None) -> PurePath | None:
    """Return the path for the prompt, with the given extension if there is one; None for no path.

    >>> path_to_tell("notes.txt", "py").name, path_to_tell("-", None) is None
    ('file.py', True)
    """
    if extension is None:
        return None if file == STANDARD_INPUT else PurePath(file)
    return PurePath(f"file.{extension.lstrip('.')}") if extension else None
