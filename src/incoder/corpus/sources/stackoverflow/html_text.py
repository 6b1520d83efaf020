"""A post's HTML as text: code that spans lines in `<code>`, everything else as a reader reads it."""

import re
from typing import Any

from incoder.corpus.text.html import parsed_body

_BLANK_LINES = re.compile(r"\n{3,}")
_BLOCKS = (
    "p, div, ul, ol, li, dl, dt, dd, table, thead, tbody, tr, pre, blockquote, hr, h1, h2, h3, h4, h5, h6"
)
_CELLS = "td, th"


def html_text(html: str) -> str:
    """The text of rendered Markdown.

    Its line ends are those between the blocks of the HTML; `<br>`, cells and blocks that follow each other
    without one are separated as well, so that no two words are joined.

    >>> html_text("<p>one<br>two</p><p>three</p>")
    'one\\ntwo\\nthree'
    """
    body = parsed_body(html)
    if body is None:
        return ""
    for node in body.css("code"):
        code = node.text(deep=True)
        if "\n" in code.strip("\n") or _is_block(node):
            node.replace_with("<code>\n" + code.strip("\n") + "\n</code>")
    for node in body.css("br"):
        node.replace_with("" if _starts_with_line_end(node.next) else "\n")
    _separate(body, _CELLS, " ")
    _separate(body, _BLOCKS, "\n")
    return _BLANK_LINES.sub("\n\n", body.text(deep=True)).strip()


def _separate(body: Any, selector: str, separator: str) -> None:
    for node in body.css(selector):
        if node.next is not None and not _starts_with_line_end(node.next):
            node.insert_after(separator)


def _starts_with_line_end(node: Any) -> bool:
    return node is not None and node.tag == "-text" and node.text().startswith("\n")


def _is_block(node: Any) -> bool:
    return node.parent is not None and node.parent.tag == "pre" and "\n" in node.text(deep=True).strip("\n")
