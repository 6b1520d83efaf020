"""The settings of the language server, as an editor sends them, with their JSON schema.

A wrong value never ends the server: the setting keeps its value, and a message to the user names the wrong
value, the rule and the remedy.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from incoder.errors import shown
from incoder.language_server.context.other_files import DEFAULT_MAX_BYTES
from incoder.language_server.secret_files import SECRET_FILES

SECTION = "incoder"

_MAX_SHOWN = 80  # characters of a wrong value

Milliseconds = Annotated[int, Field(ge=0, le=10_000)]
Pattern = Annotated[str, Field(min_length=1, max_length=200)]


class Settings(BaseModel):
    """All settings, with defaults that need no change.

    >>> Settings().lines
    'auto'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    enabled: bool = Field(default=True, description="Suggest code at the cursor.")
    model: str | None = Field(
        default=None,
        description="The model, as in `incoder serve --model`. By default it is the one of your running "
        "server, else mini.",
    )
    lines: Literal["auto", "one", "block"] = Field(
        default="auto",
        description="The length of a suggestion: `one` line, the `block` that begins at the cursor, or "
        "`auto`: a block where one begins, else the rest of the line.",
    )
    num_items: int = Field(
        default=3, ge=1, le=16, description="Suggestions to cycle through when you ask for them explicitly."
    )
    max_new_tokens: int = Field(default=128, ge=1, le=4096, description="The longest suggestion, in tokens.")
    temperature: float = Field(
        default=0.2,
        ge=0,
        le=2,
        description="Randomness of explicitly requested suggestions; others have none.",
    )
    debounce: Milliseconds | None = Field(
        default=None,
        description="Milliseconds without a key before a suggestion is computed; by default it follows the "
        "rhythm of your typing.",
    )
    prefetch: bool = Field(
        default=True,
        description="Compute the next suggestion while one is shown, so that it is there at once.",
    )
    next_edits: bool = Field(
        default=True,
        description="Propose the edits that should follow yours, in editors that show next edits.",
    )
    in_comments: bool = Field(default=True, description="Suggest text inside comments.")
    in_strings: bool = Field(default=True, description="Suggest text inside strings.")
    disabled_languages: tuple[Pattern, ...] = Field(
        default=(), description="Languages without suggestions, by the editor's ids, such as `markdown`."
    )
    secret_files: tuple[Pattern, ...] = Field(
        default=SECRET_FILES,
        description="Patterns of names of files that are never read: no suggestions in them, and none from "
        "them.",
    )
    context_bytes: int = Field(
        default=DEFAULT_MAX_BYTES,
        ge=0,
        le=200_000,
        description="The most text of other files that the model is shown, in bytes; 0 shows none.",
    )
    project_memory: bool = Field(
        default=True,
        description="Prefer what the other files of the workspace have in such places (project memory).",
    )
    test_command: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="A command that fails as long as code is wrong, for the action that fixes lines, such as "
        "`pytest -x`. The server must allow it (`incoder serve --allow-tests --project DIR`). Set it in "
        "your own settings only, never in a workspace's.",
    )
    trusted_folders: tuple[Pattern, ...] = Field(
        default=(),
        description="Folders whose mypy settings and plugins may be used to check types. Set it in your own "
        "settings only.",
    )
    log_level: Literal["error", "warning", "info", "debug"] = Field(
        default="info", description="How much is written to the editor's log. No level writes code."
    )

    def trusts(self, path: Path) -> bool:
        """Whether a file is in one of the trusted folders, links followed.

        >>> Settings(trusted_folders=("/home/me/app",)).trusts(Path("/home/me/app/src/a.py"))
        True
        """
        folders = (Path(folder).expanduser().resolve() for folder in self.trusted_folders)
        return any(path.resolve().is_relative_to(folder) for folder in folders)


def read_settings(given: object, before: Settings | None = None) -> tuple[Settings, list[str]]:
    """Return the settings in an editor's answer, and what is wrong with it, a sentence each.

    `given` is an object, or one in which the settings are the object `incoder`. Settings that it leaves out
    have their defaults; one that is wrong has its value of `before`, or else its default.

    >>> settings, problems = read_settings({"incoder": {"lines": "all", "debouce": 5}})
    >>> settings == Settings()
    True
    >>> for problem in problems:
    ...     print(problem)
    the setting incoder.debouce is unknown; did you mean incoder.debounce?
    the setting incoder.lines is "all": it must be 'auto', 'one' or 'block'
    """
    if isinstance(given, Mapping) and isinstance(given.get(SECTION), Mapping):
        given = given[SECTION]
    if given is None:
        return Settings(), []
    if not isinstance(given, Mapping):
        return before or Settings(), [f"the settings of {SECTION} must be an object, got {shown(str(given))}"]
    known = {str(name): _listed(value) for name, value in given.items() if name in Settings.model_fields}
    problems = [_unknown(str(name)) for name in given if name not in Settings.model_fields]
    try:
        return Settings.model_validate(known), problems
    except ValidationError as error:
        for one in error.errors():
            name = str(one["loc"][0])
            if name in known:
                problems.append(_wrong(name, given[name], one["msg"]))
                del known[name]
                if before is not None:
                    known[name] = getattr(before, name)
        return Settings.model_validate(known), problems


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"did you mean {SECTION}.{near[0]}?" if near else f"there are {', '.join(Settings.model_fields)}"
    return f"the setting {SECTION}.{name} is unknown; {hint}"


def _wrong(name: str, value: object, rule: str) -> str:
    said = rule.removeprefix("Input should be ")
    written = json.dumps(value)
    if len(written) > _MAX_SHOWN:
        written = f"{written[:_MAX_SHOWN]} …"
    return f"the setting {SECTION}.{name} is {written}: it must be {said}"


def schema() -> dict[str, Any]:
    """Return the JSON schema of the settings; docs/language-server.md has it."""
    found = Settings.model_json_schema()
    del found["description"]  # this docstring
    for one in (found, *found["properties"].values()):
        one.pop("title", None)  # pydantic's, made from the names
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "InCoder", **found}
