"""The options of generation, made from the fields of a request: one wording, one default, one range check.

A command takes a `request` (a template without a text) or its `settings` and is decorated with the names of
the fields that it offers; each becomes an option after the command's `revision`. Options of the previous
release are read for one more, with a note. Notebook magics make options of `described_options`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, cast, get_args, get_type_hints

import typer

from incoder.cli.console import print_note
from incoder.errors import IncoderError
from incoder.request import InfillRequest, PromptOptions
from incoder.request_settings import ALL_STOPPING_RULES, RankBy, RequestSettings
from incoder.sampling_params import SamplingParams

Command = Callable[..., None]

# The options of every command that generates, and more for commands whose result is the text itself.
DRAWING: Final = ("num_candidates", "temperature", "top_p", "max_new_tokens", "seed")
COMPLETING: Final = (
    *DRAWING,
    *("top_k", "stop", "num_beams", "time_limit", "lines", "token_healing", "project"),
)
FILLING: Final = (*COMPLETING, "rank_by", "num_tail_lines", "stopping_rules")

_FLAGS: Mapping[str, tuple[str, ...]] = {
    "num_candidates": ("--num-candidates", "-n"),
    "num_beams": ("--beams",),
    "num_tail_lines": ("--tail-lines",),
    "token_healing": ("--token-healing/--no-token-healing",),
    "stopping_rules": ("--stopping-rules/--no-stopping-rules",),
}
_OLD_FLAGS: Mapping[str, str] = {
    "num_tail_lines": "--lead-lines",
    "token_healing": "--heal/--no-heal",
    "stopping_rules": "--edges/--no-edges",
}
_OLD_VALUES: Mapping[str, Mapping[str, str]] = {"rank_by": {"whole": "full-text"}}
_NONE_SHOWN: Mapping[str, str | bool] = {  # how help shows a default of None
    "top_k": "all",
    "time_limit": "none",
    "num_tail_lines": "as it was trained",
    "lines": "as many as it writes",
    "stop": False,
    "project": "none",
}
_METAVARS: Mapping[str, str] = {"stop": "TEXT", "rank_by": "|".join(get_args(RankBy)), "project": "DIR"}


@dataclass(frozen=True, slots=True)
class DescribedOption:
    """The option of a field: its `flags`, the `kind` of its value, its explanation and its metavar."""

    name: str
    flags: tuple[str, ...]
    kind: Any
    help: str
    metavar: str | None


def described_options(
    names: Sequence[str], flags: Mapping[str, tuple[str, ...]] | None = None
) -> list[DescribedOption]:
    """Return the options of these fields, in the dataclasses' order; `flags` replace the usual ones.

    >>> described_options(["seed"])[0].flags
    ('--seed',)
    """
    all_flags = {**_FLAGS, **(flags or {})}
    return [
        DescribedOption(
            name, all_flags.get(name, (f"--{name.replace('_', '-')}",)), kind, described, _METAVARS.get(name)
        )
        for name, (kind, described) in _FIELDS.items()
        if name in names
    ]


def with_request(names: Sequence[str], template: InfillRequest | None = None) -> Callable[[Command], Command]:
    """Decorate a command that takes a `request`: the template with the values of its options.

    The command raises typer.BadParameter for a value outside of its range, before it begins.
    """
    settings = _settings_of(template or InfillRequest())
    defaults = settings | {
        "stop": list(settings["stop"]) or None,
        "stopping_rules": bool(settings["stopping_rules"]),
    }

    def convert(given: dict[str, Any]) -> InfillRequest:
        if given.get("stop", ()) is None:
            del given["stop"]
        return request_of(cast(RequestSettings, settings | given))

    return _decorator("request", _options(names, defaults, {}), convert)


def with_settings(
    names: Sequence[str],
    shown_defaults: Mapping[str, str | bool],
    flags: Mapping[str, tuple[str, ...]] | None = None,
) -> Callable[[Command], Command]:
    """Decorate a command that takes only the `settings` that were given on the command line.

    `shown_defaults` are the defaults in the help text, and `flags` replace the usual names of options.
    """

    def convert(given: dict[str, Any]) -> RequestSettings:
        return cast(RequestSettings, {name: value for name, value in given.items() if value is not None})

    options = _options(names, dict.fromkeys(names), shown_defaults, flags)
    return _decorator("settings", options, convert)


def shown_defaults(template: InfillRequest) -> dict[str, str | bool]:
    """Return the defaults of all options as help shows them, for `with_settings`.

    >>> shown_defaults(InfillRequest())["token_healing"]
    'token-healing'
    """
    shown: dict[str, str | bool] = {}
    for name, value in _settings_of(template).items():
        if name in _FIELDS:
            kind, _ = _FIELDS[name]
            on_and_off = _FLAGS[name][0].replace("--", "").split("/") if kind is bool else ()
            shown[name] = on_and_off[not value] if on_and_off else _NONE_SHOWN.get(name, str(value))
    return shown


def request_of(settings: RequestSettings) -> InfillRequest:
    """Return the template with these settings.

    Raises:
        typer.BadParameter: one is outside of its range.
    """
    try:
        return InfillRequest.from_settings(**settings)
    except IncoderError as error:
        raise typer.BadParameter(str(error)) from error


def _decorator(
    name: str, options: Sequence[inspect.Parameter], convert: Callable[[dict[str, Any]], Any]
) -> Callable[[Command], Command]:
    """Return a decorator that adds these options; the parameter `name` gets their values by `convert`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def call(**values: Any) -> None:
            given = converted({one.name: values.pop(one.name) for one in options})
            command(**values, **{name: convert(given)})

        own = [one for one in inspect.signature(command).parameters.values() if one.name != name]
        place = 1 + [one.name for one in own].index("revision")
        parameters = [*own[:place], *options, *own[place:]]
        signature = inspect.Signature(parameters)
        call.__dict__["__signature__"] = signature
        call.__annotations__ = {one.name: one.annotation for one in parameters}
        return call

    return decorate


def _options(
    names: Sequence[str],
    defaults: Mapping[str, Any],
    shown_defaults: Mapping[str, str | bool],
    flags: Mapping[str, tuple[str, ...]] | None = None,
) -> list[inspect.Parameter]:
    """Return an option for each field, in the dataclasses' order, and a hidden one for each earlier flag."""
    options = []
    for one in described_options(names, flags):
        name, kind, default = one.name, one.kind, defaults[one.name]
        shown = True if default is not None else _NONE_SHOWN.get(name, True)
        option = typer.Option(
            default,
            *one.flags,
            help=one.help,
            metavar=one.metavar,
            show_default=shown_defaults.get(name, shown),
            parser=functools.partial(_choice, name) if name in _OLD_VALUES else None,
        )
        options.append(_parameter(name, str if name in _OLD_VALUES else kind, option))
        if name in _OLD_FLAGS:
            hidden = typer.Option(None, _OLD_FLAGS[name], hidden=True)
            options.append(_parameter(f"old_{name}", kind, hidden))
    return options


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, place, default=option, annotation=kind | None)


def converted(given: dict[str, Any]) -> dict[str, Any]:
    """Return the values of options as the fields have them; print a note for each option's earlier name.

    >>> converted({"stop": ["\\\\n"], "stopping_rules": False})
    {'stop': ('\\n',), 'stopping_rules': ()}
    """
    for name, flag in _OLD_FLAGS.items():
        value = given.pop(f"old_{name}", None)
        if value is not None:
            given[name] = value
            old, new = flag.split("/"), _FLAGS[name][0].split("/")
            index = 1 if value is False else 0
            note_renamed(old[index], new[index])
    for name, values in _OLD_VALUES.items():
        if given.get(name) in values:
            old_value, new_value = given[name], values[given[name]]
            given[name] = new_value
            flag = "--" + name.replace("_", "-")
            note_renamed(f"{flag} {old_value}", f"{flag} {new_value}")
    if given.get("stop") is not None:
        given["stop"] = tuple(text.replace("\\n", "\n") for text in given["stop"])
    if isinstance(given.get("stopping_rules"), bool):
        given["stopping_rules"] = ALL_STOPPING_RULES if given["stopping_rules"] else ()
    return given


def note_renamed(old: str, new: str) -> None:
    """Say that an option's old name is read for one more release only."""
    print_note(f"note: {old} is now called {new}; the old name will be refused in the next release")


def _choice(name: str, value: str) -> str:
    """Return a value of a field; refuse all but its present and earlier names."""
    known = get_args(_FIELD_TYPES[name])
    if value not in (*known, *_OLD_VALUES[name]):
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, known))}.")
    return value


def _settings_of(template: InfillRequest) -> dict[str, Any]:
    """Return all settings of a template, by the names of their fields."""
    owners = (template.sampling, template.prompt, template)
    values = {one.name: getattr(owner, one.name) for owner in owners for one in fields(owner)}
    return {name: values[name] for name in RequestSettings.__annotations__ if name in values}


_FIELD_TYPES: Final[Mapping[str, Any]] = {
    name: kind
    for owner in (SamplingParams, PromptOptions, InfillRequest)
    for name, kind in get_type_hints(owner).items()
}


# On the command line.
_KINDS: Mapping[str, Any] = {"stop": list[str], "stopping_rules": bool, "project": Path}


def _option_kinds() -> dict[str, tuple[Any, str]]:
    """For each field that is an option its kind on the command line and its explanation."""
    return {
        one.name: (_KINDS.get(one.name, _FIELD_TYPES[one.name]), one.metadata["help"])
        for owner in (SamplingParams, PromptOptions, InfillRequest)
        for one in fields(owner)
        if "help" in one.metadata
    }


_FIELDS: Final = _option_kinds()
