"""Settings as editors send them, and their JSON schema in docs/language-server.md.

`python tests/language_server/test_settings.py` writes the schema into that page.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from incoder.language_server.settings import Settings, read_settings, schema

PAGE = Path(__file__).resolve().parents[2] / "docs" / "language-server.md"
_SCHEMA = re.compile(r"(?<=```json\n)\{\n  \"\$schema\".*?(?=```)", re.DOTALL)


def schema_text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


def test_the_page_has_the_schema() -> None:
    assert _SCHEMA.findall(PAGE.read_text(encoding="utf-8")) == [schema_text()]


def test_every_setting_is_explained() -> None:
    assert all(one["description"] for one in schema()["properties"].values())


@pytest.mark.parametrize("given", [{"lines": "one"}, {"incoder": {"lines": "one"}}])
def test_settings_may_be_in_a_section_of_their_own(given: dict[str, Any]) -> None:
    assert read_settings(given) == (Settings(lines="one"), [])


@pytest.mark.parametrize("given", [None, {}, {"incoder": {}}])
def test_without_settings_there_are_the_defaults(given: object) -> None:
    assert read_settings(given, Settings(lines="one")) == (Settings(), [])


def test_a_wrong_value_keeps_the_one_before_and_says_what_is_wrong() -> None:
    before = Settings(max_new_tokens=64)
    given = {"max_new_tokens": 0, "lines": "one", "disabled_languages": ["markdown"], "colour": "red"}
    settings, problems = read_settings(given, before)
    assert settings == Settings(max_new_tokens=64, lines="one", disabled_languages=("markdown",))
    assert problems == [
        f"the setting incoder.colour is unknown; there are {', '.join(Settings.model_fields)}",
        "the setting incoder.max_new_tokens is 0: it must be greater than or equal to 1",
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"enabled": 1}, "the setting incoder.enabled is 1: it must be a valid boolean"),
        ({"disabled_languages": [5]}, "the setting incoder.disabled_languages is [5]: it must be"),
        ({"temperature": float("nan")}, "the setting incoder.temperature is NaN: it must be"),
        ({"debounce": "soon"}, 'the setting incoder.debounce is "soon": it must be a valid integer'),
        ([1, 2], "the settings of incoder must be an object, got '[1, 2]'"),
        ("x" * 10_000, "the settings of incoder must be an object, got 'xxx"),
    ],
)
def test_no_value_ends_the_server(given: object, problem: str) -> None:
    settings, problems = read_settings(given)
    assert settings == Settings()
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert len(problems[0]) < 200


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_SCHEMA.sub(lambda _: schema_text(), page), encoding="utf-8")
