"""Recipes: TOML files with only the settings that differ from the defaults.

Defaults < recipe file < `--set section.key=value`. A recipe's schema is a pydantic model next to the code
that it configures; this file reads recipes, explains their errors, and saves the resolved result.
"""

import difflib
import tomllib
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo

from incoder.errors import IncoderError
from incoder.files import read_at_most, write_text
from incoder.output_folder import refuse_foreign

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

UserPath = Annotated[Path, AfterValidator(Path.expanduser)]  # ~ is the home folder


def _from_recipe(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path())
    return Path(folder, path.expanduser()).resolve()


RecipePath = Annotated[Path, AfterValidator(_from_recipe)]  # relative to the folder of the recipe


class Recipe(BaseModel):
    """The base of every recipe and section: frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    renamed: ClassVar[Mapping[str, str]] = {}  # keys of the previous release, and their present names


_MAX_BYTES = 10_000_000  # of a recipe's file
_MIN_LIKENESS = 0.5  # of an unknown key to the suggested one; without a likely key the message lists all keys

R = TypeVar("R", bound=Recipe)


def _warn(note: str) -> None:
    warnings.warn(note, FutureWarning, stacklevel=3)


def load_recipe(
    schema: type[R],
    path: Path | None,
    overrides: Sequence[str] = (),
    *,
    on_renamed: Callable[[str], None] = _warn,
) -> R:
    """Read a recipe file, apply `section.key=value` overrides, and fill in the defaults.

    An override's value is TOML (`3e-4`, `true`, `"text"`, `[1, 2]`); a value that is not valid TOML is a
    string. A `RecipePath` is resolved from the folder of the recipe. `on_renamed` is called with a note for
    each key that has its name of the previous release.

    Raises:
        IncoderError: the file cannot be read or parsed, a key is unknown (the nearest one is named), or a
            value breaks a rule.

    >>> class Training(Recipe):
    ...     lr: float = 1e-3
    >>> load_recipe(Training, None, ["lr=3e-4"])
    Training(lr=0.0003)
    """
    values: dict[str, Any] = {}
    origin = "the recipe"
    if path is not None:
        origin = str(path)
        try:
            content = read_at_most(path, _MAX_BYTES)
            if content is None:
                raise IncoderError(f"{path} is no recipe: it has more than {_MAX_BYTES // 10**6} MB")
            values = tomllib.loads(content.decode("utf-8").replace("\r\n", "\n"))
        except OSError as error:
            raise IncoderError(f"cannot read the recipe {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise IncoderError(f"{path} is not valid TOML: {error}") from error
    _rename_keys(schema, values, origin, on_renamed)
    for override in overrides:
        _apply_override(values, override)
        _rename_keys(schema, values, f"--set {override}", on_renamed, overrides=True)
    try:
        return schema.model_validate(values, context={"folder": path.parent if path else Path()})
    except ValidationError as error:
        raise IncoderError("\n".join(_complaints(schema, error, origin))) from error


def save_recipe(recipe: Recipe, path: Path, without: frozenset[str] = frozenset()) -> None:
    """Write the resolved recipe as TOML, except for the keys in `without`; a run can be repeated from it.

    Raises:
        IncoderError: the file cannot be written.
    """
    write_text(path, _as_toml(recipe, without))


def refuse_other_runs(recipe: Recipe, path: Path, written: Collection[str]) -> None:
    """Raise if a folder has a file named in `written`, unless a run of the same recipe wrote it.

    `path` is the file in which a run saves its recipe.

    Raises:
        IncoderError: another run, or another program, wrote such files.
    """
    is_same = path.is_file() and path.read_bytes() == _as_toml(recipe).encode()
    refuse_foreign(path.parent, written, ours=written if is_same else ())


def _as_toml(recipe: Recipe, without: frozenset[str] = frozenset()) -> str:
    import tomli_w

    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True, exclude=set(without)))


def _rename_keys(
    schema: type[BaseModel],
    values: dict[str, Any],
    origin: str,
    on_renamed: Callable[[str], None],
    prefix: str = "",
    *,
    overrides: bool = False,
) -> None:
    """Rename the keys of the previous release, in place.

    Raises:
        IncoderError: both names of a key are present, unless the earlier name `overrides` the other.
    """
    for old, new in getattr(schema, "renamed", {}).items():
        if old not in values:
            continue
        if new in values and not overrides:
            raise IncoderError(
                f"{origin}: {prefix}{old} is the earlier name of {prefix}{new}; leave one of them out"
            )
        values[new] = values.pop(old)
        on_renamed(
            f"{origin}: {prefix}{old} is called {prefix}{new} now; its earlier name is read for one more "
            "release"
        )
    for name, info in schema.model_fields.items():
        section, section_schema = values.get(name), info.annotation
        if (
            isinstance(section, dict)
            and isinstance(section_schema, type)
            and issubclass(section_schema, BaseModel)
        ):
            _rename_keys(section_schema, section, origin, on_renamed, f"{prefix}{name}.", overrides=overrides)


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise IncoderError(f"--set takes KEY=VALUE, such as training.lr=3e-4, got {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise IncoderError(f"--set {override}: {section} is a value, not a section")
    values[name] = value


def _complaints(schema: type[BaseModel], error: ValidationError, origin: str) -> Iterator[str]:
    problems = error.errors()
    locations = [problem["loc"] for problem in problems]
    unknown = {location: _place(schema, location) for location in _locations(problems, "extra_forbidden")}
    meant = {location: _nearest_key(element, key) for location, (element, _, key) in unknown.items()}
    meant_keys = {f"{unknown[location][1]}{key}" for location, key in meant.items()}
    for problem, location in zip(problems, locations, strict=True):
        depth = len(location)
        if problem["type"] == "too_short" and any(
            len(other) > depth and other[:depth] == location for other in locations
        ):
            continue  # only because its elements are refused, which have messages of their own
        element, prefix, key = _place(schema, location)
        if problem["type"] == "extra_forbidden":
            nearest = meant[location]
            hint = (
                f"did you mean {prefix}{nearest}?" if nearest else f"the keys are {', '.join(_keys(element))}"
            )
            yield f"{origin}: unknown key {prefix}{key}; {hint}"
        elif problem["type"] != "missing":
            yield f"{origin}: {prefix}{key}: {problem['msg']}, got {problem['input']!r}"
        elif f"{prefix}{key}" not in meant_keys:  # else its misspelt name has a message of its own
            yield f"{origin}: the key {prefix}{key} is missing, and it has no default"


def _locations(problems: Iterable["ErrorDetails"], kind: str) -> Iterator[tuple[int | str, ...]]:
    return (problem["loc"] for problem in problems if problem["type"] == kind)


def _nearest_key(schema: type[BaseModel], key: str) -> str | None:
    nearest = difflib.get_close_matches(key, list(_keys(schema)), n=1, cutoff=_MIN_LIKENESS)
    return nearest[0] if nearest else None


def _place(schema: type[BaseModel], location: Sequence[int | str]) -> tuple[type[BaseModel], str, str]:
    """Split a location into the schema of the innermost list element, the path to it, and the rest.

    Outside a list the schema is that of the whole recipe. If an element may have several schemas, the
    location also has its kind, which is not a key of the recipe.
    """
    annotation: Any = schema
    prefix, rest = "", list[str]()
    for part in location:
        models = list(_models(annotation))
        of_kind = [model for model in models if part in _kinds(model)]
        if of_kind and rest and rest[-1].isdecimal():
            schema = annotation = of_kind[0]
            prefix, rest = prefix + ".".join(rest) + ".", []
            continue
        fields = next((model.model_fields for model in models if part in model.model_fields), {})
        annotation = fields[str(part)].annotation if part in fields else annotation
        rest.append(str(part))
    return schema, prefix, ".".join(rest)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield all schemas in a type, such as the members of a union in a tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _kinds(model: type[BaseModel]) -> tuple[object, ...]:
    """Return the values of the field that distinguishes a schema from others, if it has one."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _keys(schema: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in schema.model_fields.items():
        yield prefix + name
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _keys(info.annotation, f"{prefix}{name}.")
