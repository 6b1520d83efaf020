"""Metadata written into a document's text, at its start or its end (paper, section 3.3 and appendix A.3).

`<| file ext=.py source=github |>⏎…text…⏎<|/ file filename=string_utils.py |>`: a coin
decides for each attribute at which end it is written, so that a model learns both to be conditioned on it and
to predict it. Both tags are always written, as in the authors' code, even without an attribute in them.
"""

from pathlib import PurePosixPath

from incoder.corpus.recipe import AttributeSettings
from incoder.corpus.sources.source_file import SourceFile, drawn, drawn_share
from incoder.corpus.text.languages import extension_of
from incoder.document import Document
from incoder.tags import closing_tag, opening_tag


def attributes_of(file: SourceFile, settings: AttributeSettings, seed: int) -> dict[str, str]:
    """The attributes of a file, which its document gets.

    `dstars` depends on the stars of other repositories and is added later (stars.py).
    """
    if not carries_attributes(file.project, file.path, settings, seed):
        return {}
    values = {
        "ext": extension_of(file.path),
        "source": file.source,
        "filename": PurePosixPath(file.path).name,
    }
    return {name: values[name] for name in settings.names if name in values}


def carries_attributes(project: str, path: str, settings: AttributeSettings, seed: int) -> bool:
    """Whether a document gets attributes: a share of 1 − `rate` gets none."""
    return drawn_share(seed, "attributes", project, path) < settings.rate


def render(document: Document, seed: int) -> str:
    """The text with its attributes, a function of seed, project and path.

    >>> render(Document("x = 1", "a.py", "p", "folder", attributes={"ext": ".py"}), seed=0)
    '<| file |>\\nx = 1\\n<|/ file ext=.py |>'

    A document without attributes is its text alone.
    """
    if not document.attributes:
        return document.text
    start, end = dict[str, str](), dict[str, str]()
    draws = {name: drawn(seed, document.project, document.path, name) for name in document.attributes}
    for name in sorted(draws, key=draws.__getitem__):
        side = end if draws[name] & 1 else start  # the lowest bit says nothing of the order
        side[name] = document.attributes[name]
    return f"{opening_tag('file', start)}\n{document.text}\n{closing_tag('file', end)}"
