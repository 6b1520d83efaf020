"""Markdown without its formatting, as text for reading.

Marks of emphasis and headings, bullets and addresses of links are removed; their text and code are kept. HTML
and bare addresses are removed, as in the authors' code.
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from incoder.extras import missing_extra

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MAX_CHARACTERS = 20_000  # of one cell; longer ones are data, and 100,000 open brackets took 24 s to parse


def plain_text(markdown: str) -> str:
    """The text; a blank line separates blocks, and a line end list items and rows of tables."""
    if len(markdown) > _MAX_CHARACTERS:
        return markdown
    lines = list[str]()
    row: list[str] | None = None
    list_depth = 0
    for token in _parser().parse(markdown):
        match token.type:
            case "inline":
                text = "".join(_inline(token.children or []))
                if row is not None:
                    row.append(text)
                elif text:
                    lines.append(text)
            case "fence" | "code_block":
                lines += [token.content.rstrip("\n"), ""]
            case "tr_open":
                row = []
            case "tr_close":
                lines.append(" ".join(row or []))
                row = None
            case "bullet_list_open" | "ordered_list_open":
                list_depth += 1
            case "bullet_list_close" | "ordered_list_close":
                list_depth -= 1
                lines.append("")
            case "paragraph_close" if list_depth == 0:
                lines.append("")
            case "heading_close" | "table_close":
                lines.append("")
    return "\n".join(_without_double_blanks(lines))


def _inline(tokens: "list[Token]") -> Iterator[str]:
    autolink = False
    for token in tokens:
        match token.type:
            case "link_open":
                autolink = token.info == "auto"
            case "link_close":
                autolink = False
            case "softbreak" | "hardbreak":
                yield "\n"
            case "text" | "code_inline" if not autolink:
                yield token.content
            case "image":
                yield token.content
    # html_inline says nothing that a reader reads


def _without_double_blanks(lines: list[str]) -> Iterator[str]:
    while lines and not lines[-1]:
        lines.pop()
    previous = ""
    for line in lines:
        if line or previous:
            yield line
        previous = line


@cache
def _parser() -> "MarkdownIt":
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise missing_extra("notebooks need markdown-it-py", "corpus") from error
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])
