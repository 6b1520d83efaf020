import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.corpus.redaction import REPLACEMENT, redact_emails, redacted
from incoder.document import Document


@pytest.mark.parametrize(
    "address",
    [
        "jane@example.org",
        "jane.doe+tag@mail.cs.example.edu",
        "JANE_DOE@EXAMPLE.COM",
        "j-d%x@a-b.co.uk",
        "x@y.io",
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "<{}>", "# by {}.", 'author = "{}"\n', "mailto:{}?subject=x", "é{}"]
)
def test_addresses_are_replaced_and_nothing_around_them(address: str, around: str) -> None:
    assert redact_emails(around.format(address)) == around.format(REPLACEMENT)


@pytest.mark.parametrize(
    "code",
    [
        "y = weights@x.dtype",
        "y = w@x.T",
        "z = a@b.at(3)",
        "z = a@b.name[0].shape",
        "@app.command()",
        "@pytest.fixture",
        "user@localhost",
        "a @ b.com",
        "pkg@1.2.3",
    ],
)
def test_code_is_no_address(code: str) -> None:
    assert redact_emails(code) == code


def test_long_runs_without_an_address_take_linear_time() -> None:
    text = "a" * 1_000_000 + " @"
    started = time.process_time()
    assert redact_emails(text) == text
    assert redact_emails("a." * 500_000 + "@") == "a." * 500_000 + "@"
    assert time.process_time() - started < 2


@given(st.text(alphabet="ab@.com-_ \n<é"))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact_emails(text)
    assert redact_emails(once) == once


def test_documents_keep_everything_but_the_address() -> None:
    document = Document("# a@b.com\n", "x.py", "p", "folder", "MIT", {"ext": ".py"})
    (result,) = redacted([document])
    assert result == Document(f"# {REPLACEMENT}\n", "x.py", "p", "folder", "MIT", {"ext": ".py"})
