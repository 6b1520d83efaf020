"""The command line: all commands, one file each, and the wording of their `--help`."""

import inspect
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from incoder import __version__
from incoder.cli.ask import ask
from incoder.cli.attributes import attributes
from incoder.cli.complete import complete
from incoder.cli.config import config
from incoder.cli.console import write_result
from incoder.cli.corpus import app as corpus
from incoder.cli.docstring import docstring
from incoder.cli.doctor import doctor
from incoder.cli.edit import edit
from incoder.cli.eval import app as evaluation
from incoder.cli.fill import fill
from incoder.cli.finetune import finetune
from incoder.cli.fix import fix
from incoder.cli.lsp import lsp
from incoder.cli.models import app as models
from incoder.cli.next_edit import next_edit
from incoder.cli.objective import app as objective
from incoder.cli.project import app as project
from incoder.cli.rename import rename
from incoder.cli.serve import serve
from incoder.cli.settings import find_settings
from incoder.cli.tokenizer import app as tokenizer
from incoder.cli.train import train
from incoder.cli.types import types

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # with markup, help texts break where the source breaks its lines
    context_settings={"help_option_names": ["--help", "-h"]},
)

# Commands that write code for a user. Evaluation and training depend only on their own command line.
_WITH_SETTINGS = (
    "fill",
    "complete",
    "docstring",
    "types",
    "rename",
    "fix",
    "edit",
    "next-edit",
    "ask",
    "attributes",
)
_METAVARS = {int: "NUMBER", float: "NUMBER", str: "TEXT", Path: "PATH", datetime: "DATE"}


def _print_version(is_given: bool) -> None:
    if is_given:
        write_result(f"incoder {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Fill holes in code, write it left to right, and train models that do."""
    if context.invoked_subcommand in _WITH_SETTINGS:
        defaults = {setting.name: setting.value for setting in find_settings(os.environ, Path.cwd())}
        context.default_map = {context.invoked_subcommand: defaults}


app.command()(fill)
app.command()(complete)
app.command()(docstring)
app.command()(types)
app.command()(rename)
app.command()(fix)
app.command()(edit)
app.command()(next_edit)
app.command()(ask)
app.command()(attributes)
app.add_typer(models, name="models")
app.add_typer(project, name="project")
app.command()(serve)
app.command()(lsp)
app.command()(config)
app.command()(doctor)
app.command()(train)
app.command()(finetune)
app.add_typer(corpus, name="corpus")
app.add_typer(tokenizer, name="tokenizer")
app.add_typer(objective, name="objective")
app.add_typer(evaluation, name="eval")


def command_line() -> Any:
    """Return all commands as one callable, with untruncated summaries and words for metavars."""
    command = typer.main.get_command(app)
    _improve_help(command)
    return command


def _improve_help(command: Any) -> None:
    if command.help and not command.short_help:  # else Click cuts the help text to a line
        command.short_help = " ".join(inspect.cleandoc(command.help).split("\n\n")[0].split())
    _suggest_current_names(command)
    kinds = get_type_hints(command.callback) if command.callback else {}
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            parameter.metavar = parameter.metavar or parameter.name.upper()
            parameter.display_type_rich = lambda **_: ""  # else a type such as <str> follows
        elif parameter.metavar is None and not parameter.is_flag:
            parameter.metavar = _metavar(kinds.get(parameter.name))
    for inner in getattr(command, "commands", {}).values():
        _improve_help(inner)


def _suggest_current_names(command: Any) -> None:
    """Let the error about an unknown option suggest only options that `--help` shows, not older names."""
    parse = command.parse_args
    hidden = {
        flag
        for one in command.params
        if getattr(one, "hidden", False)
        for flag in (*one.opts, *one.secondary_opts)
    }

    def parse_args(context: Any, args: list[str]) -> Any:
        try:
            return parse(context, args)
        except Exception as error:
            possible = getattr(error, "possibilities", None)  # of Click's NoSuchOption
            if possible:
                error.possibilities = [one for one in possible if one not in hidden]  # type: ignore[attr-defined]
            raise

    if hidden:
        command.parse_args = parse_args


def _metavar(kind: Any) -> str | None:
    """Return a word for the values of an annotated option, or None for Click's own."""
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    inner = [one for one in get_args(kind) if one is not type(None)]
    return _metavar(inner[0]) if inner else _METAVARS.get(kind)
