"""`incoder attributes`: a file's language, name and its repository's stars, predicted from its text."""

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note, progress, write_result
from incoder.cli.request_options import with_request
from incoder.cli.source import read_source
from incoder.editing.attributes import MEANINGS, Prediction, predict_attribute, seen_in_training
from incoder.editing.defaults import ATTRIBUTES
from incoder.request import InfillRequest

_NAMES = tuple(MEANINGS)
_NUM_SHOWN = 3


@with_request(("seed",), ATTRIBUTES)
def attributes(
    request: InfillRequest,
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.", show_default=False)],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help=f"The attribute to predict: {', '.join(_NAMES)}. Repeatable.",
            metavar="NAME",
            show_default="all",
        ),
    ] = None,
    model: options.Model = "mini",
    revision: options.Revision = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object with all values.")] = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Predict a file's attributes from its text alone, with a model that was trained with them.

    ext is the file's extension, filename its name, source the host of its repository (github or gitlab), and
    dstars the repository's stars in six bins, from 0 (the lower half of all) to 5 (the top 3 %). All except
    the name have probabilities among the known values. If the file is long, the model reads its end. A
    warning names the attributes that the model does not seem to know: its values for them mean little.

    Example: incoder attributes setup.py --only ext
    """
    unknown = [name for name in only or () if name not in _NAMES]
    if unknown:
        raise typer.BadParameter(f"--only must be one of {', '.join(_NAMES)}, got {unknown[0]}")

    text = read_source(file)
    loaded = editing.load_model(model, revision, device, dtype, adapter=adapter)
    loaded.check_attributes()
    with progress("predicting …"):
        found = {name: predict_attribute(loaded, text, name, request) for name in only or _NAMES}
        seen = {name: seen_in_training(loaded, name) for name in found}
    if json:
        described = {name: [asdict(one) for one in predictions] for name, predictions in found.items()}
        result = {"file": file, "model": model, "attributes": described, "seen_in_training": seen}
        write_result(json_format.dumps(result) + "\n")
    else:
        write_result("".join(f"{name}: {_shown(predictions)}\n" for name, predictions in found.items()))
        for name in found:
            print_note(f"{name} is {MEANINGS[name]}")
    unseen = [name for name, is_seen in seen.items() if not is_seen]
    if unseen:
        print_note(
            f"warning: {model} does not seem to have seen {' and '.join(unseen)} in training, so its values "
            "mean little; InCoder's published models have seen all attributes"
        )


def _shown(predictions: Sequence[Prediction]) -> str:
    values = [
        one.value if one.probability is None else f"{one.value} ({one.probability:.0%})"
        for one in predictions[:_NUM_SHOWN]
    ]
    return ", ".join(values) or "nothing"
