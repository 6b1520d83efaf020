import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.text.redaction import (
    IPV4_REPLACEMENT,
    IPV6_REPLACEMENT,
    KEY_REPLACEMENT,
    REPLACEMENT,
    redact_emails,
    redact_ips,
    redact_keys,
    redacted,
    redactions_of,
)
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


ONE_EXPRESSION = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}(?:com|org|io|uk|co)(?![\w(\[-]|\.\w)",
    re.IGNORECASE | re.ASCII,
)


@given(
    st.lists(
        st.sampled_from([*"ab.@-+% (\n\u00e9", "x" * 40, "@b.com", "a@", ".co", ".org", "io", "C@D.UK"]),
        max_size=30,
    ).map("".join)
)
def test_looking_from_each_at_finds_what_one_expression_finds(text: str) -> None:
    assert redact_emails(text) == ONE_EXPRESSION.sub(REPLACEMENT, text)


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


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]
)
@pytest.mark.parametrize("around", ["{}", 'host = "{}"', "ping {}\n", "http://{}/", "[{}]"])
def test_public_ip_addresses_are_replaced(address: str, around: str) -> None:
    replacement = IPV6_REPLACEMENT if ":" in address else IPV4_REPLACEMENT
    assert redact_ips(around.format(address)) == around.format(replacement)


@pytest.mark.parametrize(
    "code",
    [
        "127.0.0.1",
        "0.0.0.0",
        "192.168.1.20",
        "10.0.0.1",
        "255.255.255.0",
        "version 1.2.3.4",
        "v1.2.3.4",
        "1.2.3.4.5",
        "300.1.1.1",
        "01.2.3.4",
        "::1",
        "fe80::1",
        "std::vector",
        "a[1::2]",
        "12:30:59",
        "x[::-1]",
        "Foo::Bar::baz",
        "pkg==1.2.3.4-rc1",
    ],
)
def test_what_is_no_public_address_stays(code: str) -> None:
    assert redact_ips(code) == code


# Put together here, so that no scanner finds a key in this file.
KEYS = {
    "AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub": "ghp_" + "a1B2" * 9,
    "GitLab": "glpat-" + "aB3_-" * 4,
    "Slack": "xoxb-" + "123456789012-abcdef",
    "Stripe": "sk_live_" + "a1b2" * 6,
    "Google": "AIza" + "Sy-_0" * 7,
    "JWT": "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0In0" + "." + "abcDEF123_-" * 3,
    "PEM": "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIE\n" * 20 + "-----END RSA PRIVATE KEY-----",
}


@pytest.mark.parametrize("service", KEYS)
def test_keys_are_replaced(service: str) -> None:
    assert redact_keys(f'token = "{KEYS[service]}"\n') == f'token = "{KEY_REPLACEMENT}"\n'


@pytest.mark.parametrize(
    "code",
    [
        "d41d8cd98f00b204e9800998ecf8427e",
        "mask-rcnn-with-a-long-name-of-more-than-forty-characters-in-it",
        "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----",
        "AKIA_NOT_A_KEY",
        "hf_hub_download",
    ],
)
def test_hashes_and_names_are_no_keys(code: str) -> None:
    assert redact_keys(code) == code


def test_a_recipe_redacts_emails_alone_unless_asked(recipe: Callable[..., CorpusRecipe]) -> None:
    assert redactions_of(recipe()) == [redact_emails]
    asked = recipe(redact_emails=False, redact_ips=True, redact_keys=True)
    assert redactions_of(asked) == [redact_ips, redact_keys]


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3." * 200_000,
        "a:" * 500_000,
        "sk-" * 300_000,
        "eyJ" * 300_000,
        "-----BEGIN PRIVATE KEY-----" * 20_000,
    ],
)
def test_searching_for_addresses_and_keys_takes_linear_time(text: str) -> None:
    started = time.process_time()
    redact_ips(text)
    redact_keys(text)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        'version = "8.8.8.8"',
        '"version": "8.8.4.4",',
        "__version__ = '8.8.8.8'",
        '[assembly: AssemblyVersion("9.9.9.9")]',
        "<Version>8.8.8.8</Version>",
        "package==8.8.8.8",
        '"package": "^8.8.8.8"',
        "Chrome/90.0.4430.212 Safari",
        "release 8.8.8.8",
    ],
)
def test_versions_are_no_addresses(text: str) -> None:
    assert redact_ips(text) == text


@pytest.mark.parametrize(
    "text", ["server = {}", "ping {}", 'host == "{}"', "https://{}/", "receiver: {}", 'dns=["{}"]']
)
def test_addresses_are_no_versions(text: str) -> None:
    assert redact_ips(text.format("8.8.8.8")) == text.format("192.0.2.1")


@pytest.mark.parametrize(
    "text", ["git@github.com:owner/name.git", "ssh://git@example.com/x", "hg@example.org:x", "GIT@host.com:x"]
)
def test_where_a_repository_is_is_no_e_mail_address(text: str) -> None:
    assert redact_emails(text) == text


def test_people_are_not_taken_for_services() -> None:
    assert redact_emails("git@example.com") == "removed@example.com"  # no path: a mailing list
    assert redact_emails("jane@example.com:secret") == "removed@example.com:secret"
