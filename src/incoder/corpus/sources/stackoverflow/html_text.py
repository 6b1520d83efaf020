"""A post's HTML as text: code that spans lines in `<code>`, everything else as a reader reads it."""

import re
from typing import Any

from incoder.corpus.text.html import parsed_body

_BLANK_LINES = re.compile(r"\n{3,}")


def html_text(html: str) -> str:
    """The text of rendered Markdown; its line ends are those between the blocks of the HTML."""
    body = parsed_body(html)
    if body is None:
        return ""
    for node in body.css("code"):
        code = node.text(deep=True)
        if "\n" in code.strip("\n") or _is_block(node):
            node.replace_with("<code>\n" + code.strip("\n") + "\n</code>")
    return _BLANK_LINES.sub("\n\n", body.text(deep=True)).strip()


def _is_block(node: Any) -> bool:
    return node.parent is not None and node.parent.tag == "pre" and "\n" in node.text(deep=True).strip("\n")
