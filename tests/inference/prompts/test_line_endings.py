import pytest

from incoder.inference.prompts.line_endings import as_model_sees, line_end, with_line_end


def test_the_model_sees_unix_line_ends_and_no_byte_order_mark() -> None:
    assert as_model_sees(["\ufeffa\r\n", "\ufeffb\r\n\n"]) == ["a\n", "\ufeffb\n\n"]


def test_a_text_of_lone_carriage_returns_has_lines() -> None:
    assert as_model_sees(["def f():\r", "\rx\r"]) == ["def f():\n", "\nx\n"]


def test_a_carriage_return_in_a_line_is_text() -> None:
    assert as_model_sees(["a\rb\n", "c\r\n"]) == ["a\rb\n", "c\n"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a\r\nb\r\n", "c\n"], "\r\n"),
        (["a\r\nb\n", "c\n"], "\n"),
        (["", "no line end"], "\n"),
        (["a\rb", "\r"], "\r"),
        (["a\rb\rc\r", "\n"], "\n"),
    ],
)
def test_most_lines_decide(texts: list[str], expected: str) -> None:
    assert line_end(texts) == expected


def test_an_infill_gets_the_line_ends_of_its_text_once() -> None:
    assert with_line_end("a\nb\r\n", "\r\n") == "a\r\nb\r\n"
    assert with_line_end("a\nb\n", "\r") == "a\rb\r"
    assert with_line_end("a\n", "\n") == "a\n"
