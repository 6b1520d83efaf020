from incoder.inference.line_endings import as_model_sees, to_crlf, uses_crlf


def test_the_model_sees_unix_line_ends_and_no_byte_order_mark() -> None:
    assert as_model_sees(["\ufeffa\r\n", "\ufeffb\r\n\n"]) == ["a\n", "\ufeffb\n\n"]


def test_most_lines_decide() -> None:
    assert uses_crlf(["a\r\nb\r\n", "c\n"])
    assert not uses_crlf(["a\r\nb\n", "c\n"])
    assert not uses_crlf(["", "no line end"])


def test_a_fill_gets_windows_line_ends_once() -> None:
    assert to_crlf("a\nb\r\n") == "a\r\nb\r\n"
