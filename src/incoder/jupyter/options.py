"""The options of `%%infill`: as `incoder fill` has them, made from the same fields, and some of a notebook.

IPython's `magic_arguments` decorators in, the settings of a request and of a model out.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast, get_args, get_origin

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from incoder.cli.request_options import FILLING, DescribedOption, converted, described_options
from incoder.document import DEFAULT_HOLE
from incoder.request_settings import RequestSettings

# IPython puts a % before it, and argparse makes one of two.
_USAGE = "%%infill [options], and code with <FILL> below; or %%infill [options] -- CODE"
_REQUEST_OPTIONS: Final = tuple(name for name in FILLING if name != "project")  # a notebook is in none
_MODEL_OPTIONS: Final = {
    "model": "A model as for `incoder fill`: an embedded one, a folder, a GGUF file, owner/model on the hub, "
    "or the URL of a completions server.",
    "revision": "A branch, tag or commit of a model on the hub.",
    "device": "cpu or cuda; by default CUDA when there is one.",
    "dtype": "The weights in memory: float32, bfloat16, float16, int8 or int4.",
    "adapter": "Add the LoRA adapter in this folder to the model.",
    "infilling_format": "The infilling format (docs/models.md).",
}
_METAVARS: Final = {"adapter": "FOLDER"}


@dataclass(frozen=True, slots=True)
class MagicOptions:
    """What was given: the settings of the request and of the model, and how the notebook is used."""

    request: RequestSettings
    model: dict[str, str]
    hole: str | None
    use_context: bool
    replace: bool
    take: int | None
    help: bool


def with_options(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a magic with all options, which `parse_options` parses."""
    decorators = [
        magic_arguments(),
        kwds(usage=_USAGE),
        argument("-h", "--help", action="store_true", help="Show this help."),
        argument("--take", type=int, metavar="NUMBER", help="Take this candidate of the last cell instead."),
        argument(
            "--replace", action="store_true", help="Replace this cell; by default a next cell is added."
        ),
        argument(
            "--no-context", action="store_true", help="Do not show the model the cells that ran before."
        ),
        argument("--hole", metavar="TEXT", help=f"The text that marks a hole (default: {DEFAULT_HOLE})."),
        *(
            argument(
                f"--{name.removeprefix('infilling_')}",
                dest=name,
                metavar=_METAVARS.get(name, "NAME"),
                help=text,
            )
            for name, text in _MODEL_OPTIONS.items()
        ),
        *map(_argument, described_options(_REQUEST_OPTIONS)),
    ]
    for decorator in reversed(decorators):
        magic = decorator(magic)
    return magic


def parse_options(magic: Any, line: str) -> MagicOptions:
    """Parse the options on a magic's line.

    Raises:
        UsageError: one is not known, or its value is of the wrong kind.
    """
    try:
        given = vars(magic.parser.parse_argstring(line))
    except ValueError as error:  # a quote is not closed
        raise UsageError(f"{error}; quote a value with blanks, such as --stop 'a b'") from error
    values = {name: value for name in _REQUEST_OPTIONS if (value := given.get(name)) is not None}
    return MagicOptions(
        request=cast(RequestSettings, converted(values)),
        model={name: given[name] for name in _MODEL_OPTIONS if given[name] is not None},
        hole=given["hole"],
        use_context=not given["no_context"],
        replace=given["replace"],
        take=given["take"],
        help=given["help"],
    )


def _argument(option: DescribedOption) -> Any:
    kind, flags = option.kind, option.flags[0].split("/")
    described = option.help.replace("%", "%%")  # argparse formats it
    if kind is bool:
        return argument(flags[0], dest=option.name, action=argparse.BooleanOptionalAction, help=described)
    inner = next((one for one in get_args(kind) if one is not type(None)), kind)
    settings: dict[str, Any] = {"metavar": option.metavar}
    if get_origin(kind) is list:
        settings["action"] = "append"
    elif choices := get_args(inner):
        settings = {"choices": choices}
    elif isinstance(inner, type):
        settings |= {"type": inner, "metavar": option.metavar or "NUMBER"}
    return argument(*option.flags, dest=option.name, help=described, **settings)
