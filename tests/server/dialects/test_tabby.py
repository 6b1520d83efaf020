"""Tabby's bodies and answers, without a model."""

from typing import Any

import pytest

from incoder.server.dialects.tabby import read
from incoder.server.fields import FieldError, Fields

SNIPPET = {"filepath": "b.py", "body": "def g(): ...\n"}
BODY: dict[str, Any] = {
    "language": "python",
    "segments": {
        "prefix": "def f(x):\n    return ",
        "suffix": "\n",
        "filepath": "src/a.py",
        "git_url": "https://example.org/a.git",
        "declarations": [SNIPPET],
        "relevant_snippets_from_changed_files": [{"filepath": "c.py", "body": "y = 2\n", "score": 0.5}],
        "clipboard": "x",
    },
    "user": "ada",
    "temperature": 0.1,
    "seed": 3,
}


def test_segments_are_a_hole_with_other_files() -> None:
    call = read(Fields(BODY))
    (request,) = call.requests
    assert request.parts == ("def f(x):\n    return ", "\n")
    assert str(request.prompt.path) == "src/a.py"
    assert list(request.prompt.other_files) == ["c.py", "b.py"]
    assert (request.sampling.temperature, request.sampling.seed, call.has_seed) == (0.1, 3, True)


@pytest.mark.parametrize(
    ("language", "path"),
    [
        ("python", "untitled.py"),
        ("typescriptreact", "untitled.tsx"),
        ("C++", "untitled.cpp"),
        ("klingon", "None"),
    ],
)
def test_a_file_without_a_path_has_its_languages_extension(language: str, path: str) -> None:
    request = read(Fields({"language": language, "segments": {"prefix": "x"}})).requests[0]
    assert str(request.prompt.path) == path
    assert request.parts == ("x", "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"segments": {}}, r"^segments\.prefix is required"),
        ({"segments": 5}, "^segments must be an object, got 5"),
        (
            {"segments": {"prefix": "x", "declarations": [{"body": "y"}]}},
            r"declarations\[0\]\.filepath is required",
        ),
        ({**BODY, "mode": "next_edit_suggestion"}, "^mode must be standard"),
        ({**BODY, "mode": "poem"}, "^mode must be one of standard, next_edit_suggestion"),
        ({**BODY, "temperature": -1}, r"^temperature must be a number in \[0, 100\]"),
    ],
)
def test_what_is_missing_or_wrong_is_named(body: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        read(Fields(body))


def test_a_raw_prompt_is_continued_and_the_prompt_shown_on_request(made: Any) -> None:
    call = read(Fields({**BODY, "debug_options": {"raw_prompt": "x = ", "return_prompt": True}}))
    assert call.requests[0].parts == ("x = ",)
    written = call.write(made.answer(made.result(made.candidate("1"))))
    assert written["choices"] == [{"index": 0, "text": "1"}]
    assert written["id"].startswith("cmpl-")
    assert written["debug_data"] == {"prompt": "PROMPT"}
    assert "debug_data" not in read(Fields(BODY)).write(made.answer(made.result(made.candidate("1"))))
