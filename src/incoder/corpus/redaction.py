"""E-mail addresses become `removed@example.com` (paper, section 3.1)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from incoder.document import Document

REPLACEMENT = "removed@example.com"

# Top-level domains that addresses in source code really have. Any word would do for a domain's last part, but
# `weights@x.dtype` is a product of matrices.
_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|int|info|biz|name|io|dev|ai|app|me|co|eu|tv|cc|xyz|tech|cloud|email|online|site|"
    "ac|ar|at|au|be|bg|br|by|ca|ch|cl|cn|cz|de|dk|ee|es|fi|fr|gr|hk|hr|hu|id|ie|il|in|ir|is|it|jp|kr|lt|lu|lv|"
    "mx|my|nl|no|nz|pe|ph|pk|pl|pt|ro|rs|ru|se|sg|si|sk|th|tr|tw|ua|uk|us|uy|vn|za"
)

# A start only where no address could have begun earlier, and at most 64 characters before the @ (RFC 5321):
# the search stays linear on long runs without one.
_EMAIL = re.compile(
    rf"(?<![\w.+%-])[\w.+%-]{{1,64}}@(?:[a-z0-9-]{{1,63}}\.){{1,8}}(?:{_TOP_LEVEL})(?![\w(\[-]|\.\w)",
    re.IGNORECASE | re.ASCII,
)


def redact_emails(text: str) -> str:
    """Replace every e-mail address; the rest of the text stays as it is."""
    return _EMAIL.sub(REPLACEMENT, text) if "@" in text else text


def redacted(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents without e-mail addresses."""
    for document in documents:
        text = redact_emails(document.text)
        yield document if text is document.text else replace(document, text=text)
