"""`incoder attributes`: what a file's text tells of its name, language and stars."""

import json as json_format
from dataclasses import asdict
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import progress, write_result
from incoder.cli.source import read_source

_NAMES = ("ext", "filename", "source", "dstars")
_NUM_SHOWN = 3


def attributes(
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.", show_default=False)],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What to predict: {', '.join(_NAMES)}. Repeatable.", metavar="NAME", show_default="all"
        ),
    ] = None,
    model: options.Model = "mini",
    revision: options.Revision = None,
    seed: options.Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object with all values.")] = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Predict a file's attributes from its text alone, with a model that was trained with them.

    Extension, source and stars (a bin from 0 to 5) come with their probabilities among the known values; a
    name is written. Long files are seen by their end.

    Example: incoder attributes setup.py --only ext
    """
    unknown = [name for name in only or () if name not in _NAMES]
    if unknown:
        raise typer.BadParameter(f"--only must be one of {', '.join(_NAMES)}, got {unknown[0]}")

    from incoder.tasks.attributes import predict
    from incoder.tasks.model import Decoding

    text = read_source(file)
    loaded = editing.load_model(model, revision, device, dtype)
    loaded.check_attributes()
    decoding = Decoding(num_candidates=5, temperature=0.6, max_new_tokens=16, seed=seed)
    with progress("predicting …"):
        found = {name: predict(loaded, text, name, decoding) for name in only or _NAMES}
    if json:
        described = {name: [asdict(one) for one in predictions] for name, predictions in found.items()}
        write_result(json_format.dumps({"file": file, "model": model, "attributes": described}) + "\n")
        return
    for name, predictions in found.items():
        shown = [
            one.value if one.probability is None else f"{one.value} ({one.probability:.0%})"
            for one in predictions[:_NUM_SHOWN]
        ]
        write_result(f"{name}: {', '.join(shown) or 'nothing'}\n")
