"""Defaults for options, from the environment and from settings files, each with its origin.

An option on the command line wins, then the environment (INCODER_MODEL and so on), then the project's
`.incoder.toml`, then the user's `~/.config/incoder/config.toml`. A project's file may set only what is
harmless, because somebody else may have written it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from incoder.config import Recipe, load_recipe
from incoder.corpus.text.languages import language_named
from incoder.errors import IncoderError
from incoder.request import InfillRequest
from incoder.request_settings import RequestSettings

PROJECT_FILE = ".incoder.toml"
_PREFIX = "INCODER_"


class ProjectSettings(Recipe):
    """Settings that a project's file may have; their names are the names of the options."""

    hole: Annotated[str, Field(min_length=1)] | None = None
    leave_out: tuple[Annotated[str, AfterValidator(language_named)], ...] | None = None


class UserSettings(ProjectSettings):
    """Settings that the user's file and the environment may have."""

    model: Annotated[str, Field(min_length=1)] | None = None
    device: Annotated[str, Field(min_length=1)] | None = None
    dtype: Literal["float32", "bfloat16", "float16", "int8", "int4"] | None = None
    upstream_model: Annotated[str, Field(min_length=1)] | None = None
    upstream_api_key_file: Annotated[str, Field(min_length=1)] | None = None
    upstream_tokenizer: Annotated[str, Field(min_length=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None

    @field_validator("temperature", "top_p", "max_new_tokens")
    @classmethod
    def _in_the_range_of_requests(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None:
            try:
                InfillRequest.from_settings(**cast(RequestSettings, {info.field_name: value}))
            except IncoderError as error:
                raise ValueError(str(error)) from error
        return value


NAMES = tuple(UserSettings.model_fields)


@dataclass(frozen=True, slots=True)
class Setting:
    """A default for the option of this name; `origin` is a file's path or a variable of the environment."""

    name: str
    value: Any
    origin: str


def user_file(environment: Mapping[str, str]) -> Path:
    """Return the path of the user's settings, whether the file exists or not."""
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "incoder" / "config.toml"


def project_file(folder: Path) -> Path | None:
    """Return the settings file nearest to a folder, in it or in a parent, but not outside its checkout."""
    for parent in (folder, *folder.parents):
        if (parent / PROJECT_FILE).is_file():
            return parent / PROJECT_FILE
        if (parent / ".git").exists():
            break
    return None


def find_settings(environment: Mapping[str, str], folder: Path) -> list[Setting]:
    """Return the strongest setting of each name that has one, in the order of `NAMES`.

    Raises:
        IncoderError: a file cannot be read, or a file or variable has a key or value that is not allowed.
    """
    found = {one.name: one for one in _all_settings(environment, folder)}  # the last of a name counts
    return [found[name] for name in NAMES if name in found]


def _all_settings(environment: Mapping[str, str], folder: Path) -> Iterator[Setting]:
    """Yield every setting, the weakest first."""
    if (path := user_file(environment)).is_file():
        yield from _settings(load_recipe(UserSettings, path), str(path))
    if (project := project_file(folder)) is not None:
        _refuse_settings_of_users(project, path)
        yield from _settings(load_recipe(ProjectSettings, project), str(project))
    for name in NAMES:
        variable = _PREFIX + name.upper()
        if environment.get(variable):
            yield from _settings(_from_text(name, environment[variable], variable), variable)


def _settings(settings: ProjectSettings, origin: str) -> Iterator[Setting]:
    for name, value in settings:
        if value is not None:
            yield Setting(name, list(value) if isinstance(value, tuple) else value, origin)


def _from_text(name: str, text: str, variable: str) -> UserSettings:
    value = [part.strip() for part in text.split(",")] if name == "leave_out" else text
    try:
        return UserSettings.model_validate({name: value})
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise IncoderError(f"the environment's {variable}={text}: {problem}") from error


def _refuse_settings_of_users(path: Path, users: Path) -> None:
    try:
        names = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # reading it again reports the error
    for name in names:
        if name in UserSettings.model_fields and name not in ProjectSettings.model_fields:
            raise IncoderError(
                f"{path} sets {name}, which a project may not choose for its users; move it to {users}"
            )
