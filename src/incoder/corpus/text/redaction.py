"""Personal data and secrets: e-mail addresses (paper, section 3.1), and on request IP addresses and keys.

Each is replaced by a text of the same form that nobody can mistake for a real one.
"""

import ipaddress
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from incoder.corpus.recipe import CorpusRecipe
from incoder.document import Document

Redaction = Callable[[str], str]

REPLACEMENT = "removed@example.com"
IPV4_REPLACEMENT = "192.0.2.1"  # of the networks for documentation, RFC 5737 and RFC 3849
IPV6_REPLACEMENT = "2001:db8::1"
KEY_REPLACEMENT = "REMOVED_KEY"

# Top-level domains that addresses in source code really have. Any word would do for a domain's last part, but
# `weights@x.dtype` is a product of matrices.
_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|int|info|biz|name|io|dev|ai|app|me|co|eu|tv|cc|xyz|tech|cloud|email|online|site|"
    "ac|ar|at|au|be|bg|br|by|ca|ch|cl|cn|cz|de|dk|ee|es|fi|fr|gr|hk|hr|hu|id|ie|il|in|ir|is|it|jp|kr|lt|lu|lv|"
    "mx|my|nl|no|nz|pe|ph|pk|pl|pt|ro|rs|ru|se|sg|si|sk|th|tr|tw|ua|uk|us|uy|vn|za"
)

# Before the @ at most 64 characters (RFC 5321); more are no address, and cost no more than that to look at.
_MAX_LOCAL_PART = 64
_LOCAL_PART = frozenset(string.ascii_letters + string.digits + "_.+%-")
_DOMAIN = re.compile(
    rf"(?:[a-z0-9-]{{1,63}}\.){{1,8}}(?:{_TOP_LEVEL})(?![\w(\[-]|\.\w)", re.IGNORECASE | re.ASCII
)

# Four numbers that are not part of a longer run of them.
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)", re.ASCII)
# What says before them that they are a version: `"version": "`, `AssemblyVersion("`, `pkg==`, `>=`,
# `Chrome/`.
_VERSION = re.compile(
    r"(?:(?:version\w{0,20}|\b(?:ver|rev|revision|release|build)\b)"
    r"[\"')\]]{0,2}[ \t]{0,4}[:=(,]{0,2}[ \t]{0,4}[\"'(\[>=<~^]{0,4}"
    r"|[\w\]][=~!<>]=[ \t]?|(?:^|[\s\"',])[<>~^]=?[ \t]?|[A-Za-z]/)\Z",
    re.IGNORECASE | re.ASCII,
)
_LOOKED_BACK = 60  # characters

# Accounts of services before an address of git's, such as `git@github.com:owner/name.git`.
_SERVICES = frozenset({"git", "hg", "gitea", "gitolite", "forgejo", "aur", "svn"})
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:])", re.IGNORECASE | re.ASCII)

_IPV6_UNICAST = ipaddress.ip_network("2000::/3")  # what is given out; `a[1::2]` is a slice

# Formats that their issuers document. Words of high entropy are not looked for: in code most are hashes.
_KEYS = re.compile(
    r"-----BEGIN (?P<kind>[A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:(?!-----)[\s\S]){1,10000}?-----END (?P=kind)-----"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bgithub_pat_[A-Za-z0-9_]{82}\b"
    r"|\bglpat-[A-Za-z0-9_-]{20}(?![A-Za-z0-9_-])"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,250}"
    r"|\b[rs]k_live_[A-Za-z0-9]{24,99}\b"
    r"|\bAIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"
    r"|\bsk-(?:[A-Za-z0-9]{48}\b|(?:proj|ant|svcacct)-[A-Za-z0-9_-]{40,200})"
    r"|\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b"
    r"|\bnpm_[A-Za-z0-9]{36}\b"
    r"|\bpypi-AgE[A-Za-z0-9_-]{50,300}"
    r"|\bhf_[A-Za-z]{34}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,1000}"
)
# One of these is in every key above; a text without any needs no search.
_KEY_SIGNS = re.compile(
    r"PRIVATE KEY|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|k_live_|AIza|sk-|SG\.|npm_|pypi-AgE|"
    r"hf_|eyJ"
)


def redactions_of(recipe: CorpusRecipe) -> list[Redaction]:
    """The redactions that a recipe asks for."""
    chosen = [
        (recipe.redact_emails, redact_emails),
        (recipe.redact_ips, redact_ips),
        (recipe.redact_keys, redact_keys),
    ]
    return [redaction for wanted, redaction in chosen if wanted]


def redact_emails(text: str) -> str:
    """Replace every e-mail address; the rest of the text stays as it is.

    >>> redact_emails("by jane@example.org, see git@github.com:o/r.git")
    'by removed@example.com, see git@github.com:o/r.git'
    """
    parts, done, at = list[str](), 0, text.find("@")
    while at != -1:
        start = _start_of_local_part(text, at)
        domain = _DOMAIN.match(text, at + 1) if done <= start < at else None
        if domain is not None and not _is_of_a_service(text, start, at, domain.end()):
            parts += (text[done:start], REPLACEMENT)
            done = domain.end()
        at = text.find("@", max(at + 1, done))
    return "".join([*parts, text[done:]]) if parts else text


def _is_of_a_service(text: str, start: int, at: int, end: int) -> bool:
    """Whether this is a repository's address as git writes it, and so nobody's e-mail address."""
    has_path = text[end : end + 1] == ":" or text[max(0, start - 3) : start] == "://"
    return has_path and text[start:at].lower() in _SERVICES


def _start_of_local_part(text: str, at: int) -> int:
    """The position at which the name before the @ begins; that of the @ if the name is too long."""
    start = at
    while start and text[start - 1] in _LOCAL_PART:
        start -= 1
        if at - start > _MAX_LOCAL_PART:
            return at
    return start


def redact_ips(text: str) -> str:
    """Replace every public IP address, but no private ones, localhost or versions.

    >>> redact_ips("ping 8.8.8.8; version = 8.8.8.8")
    'ping 192.0.2.1; version = 8.8.8.8'
    """
    text = _IPV4.sub(_without_ipv4, text)
    return _IPV6.sub(lambda found: _public(found[0], IPV6_REPLACEMENT), text)


def _without_ipv4(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - _LOOKED_BACK) : found.start()]
    return found[0] if _VERSION.search(before) else _public(found[0], IPV4_REPLACEMENT)


def redact_keys(text: str) -> str:
    """Replace private keys and the access tokens of well-known services."""
    return _KEYS.sub(KEY_REPLACEMENT, text) if _KEY_SIGNS.search(text) else text


def redacted(
    documents: Iterable[Document], redactions: Sequence[Redaction] = (redact_emails,)
) -> Iterator[Document]:
    """Yield the documents with all redactions applied."""
    for document in documents:
        text = document.text
        for redaction in redactions:
            text = redaction(text)
        yield document if text is document.text else replace(document, text=text)


def _public(address: str, replacement: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    is_assigned = parsed.version == 4 or parsed in _IPV6_UNICAST
    return replacement if is_assigned and parsed.is_global else address
