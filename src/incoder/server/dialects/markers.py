"""Prompts in which a client wrote a model family's markers as text: `<fim_prefix>P<fim_suffix>S<fim_middle>`.

In a request, markers are text, since a file may contain them. They count only if the request names a model by
an alias that declares their family: `starcoder2:incoder` is the default model for clients that write
StarCoder's markers, and `starcoder2:NAME` a model served under another name. Clients such as Zed choose the
family by the name before the colon.

Everything else is tolerated as clients write it: text before the first marker, other files after
`<file_sep>`, and a zero-width joiner after a `<`, which pydantic-ai puts into whatever looks like a special
token.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from incoder.request import InfillRequest
from incoder.server.dialects.other_files import by_name

if TYPE_CHECKING:
    from incoder.server.call import Call

DEFAULT_MODEL = "incoder"  # after the colon of an alias: the model that is served first

# pydantic-ai breaks whatever looks like a special token: `<`, the joiner, the rest of the name.
_JOINED = re.compile("(?<=<)\u200d(?=\\|[^\\s<>|]{1,64}\\|?>|｜[^\\s<>｜]{1,64}｜>|[a-z_]{1,32}\\|?>)")


@dataclass(frozen=True, slots=True)
class _Markers:
    """The markers around the two texts; of a suffix-first prompt, `end` is the one between them."""

    begin: str
    middle: str
    end: str
    is_suffix_first: bool = False


@dataclass(frozen=True, slots=True)
class _Family:
    """The ways in which clients write a family's prompts, and the names by which they know it."""

    names: tuple[str, ...]
    forms: tuple[_Markers, ...]
    file_mark: str = ""
    repository_mark: str = ""


_FAMILIES = (
    _Family(
        ("starcoder", "starcoder2", "starcoderbase"),
        (_Markers("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),),
        "<file_sep>",
        "<repo_name>",
    ),
    _Family(
        ("qwen2.5-coder", "qwen-coder", "qwen", "codegemma"),
        (_Markers("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),),
        "<|file_sep|>",
        "<|repo_name|>",
    ),
    _Family(
        ("codellama", "code-llama"),
        # The blanks belong to the markers, but CellSense leaves them out.
        (_Markers("<PRE> ", " <SUF>", " <MID>"), _Markers("<PRE>", "<SUF>", "<MID>")),
    ),
    _Family(
        ("deepseek-coder", "deepseek-coder-v2"),
        (
            _Markers("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
            _Markers("<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜fim▁hole｜>"),  # CellSense confuses the two
        ),
    ),
    _Family(("codestral", "mistral"), (_Markers("[SUFFIX]", "[PREFIX]", "", is_suffix_first=True),)),
    _Family(
        ("glm", "glm-4", "glm-4.5"),
        (_Markers("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),),
    ),
)
_FAMILY_OF = {name: family for family in _FAMILIES for name in family.names}

FAMILY_NAMES = tuple(_FAMILY_OF)
ALIASES = tuple(f"{family.names[0]}:{DEFAULT_MODEL}" for family in _FAMILIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedPrompt:
    """The texts of a prompt with markers. `path` is empty unless the prompt names the file of its hole."""

    prefix: str
    suffix: str
    path: str = ""
    other_files: tuple[tuple[str, str], ...] = field(default=())  # names and texts
    repository: str = ""


def split_alias(model: str) -> tuple[str | None, str]:
    """Return the family that a model's name declares, None for none, and the served model's name.

    An empty name is the default model.

    >>> split_alias("starcoder2:incoder"), split_alias("qwen2.5-coder:1.5b"), split_alias("mini")
    (('starcoder2', ''), ('qwen2.5-coder', '1.5b'), (None, 'mini'))
    """
    family, colon, name = model.partition(":")
    if not colon or family not in _FAMILY_OF:
        return None, model
    return family, "" if name == DEFAULT_MODEL else name


def split_markers(text: str, families: Iterable[str]) -> MarkedPrompt | None:
    """Return the texts around the hole, or None if this is no prompt of these families.

    The first begin marker counts, then the last end marker, which must be the end of the prompt, and between
    them there must be one marker of the other kind; anything else is text.

    >>> split_markers("<PRE> x = <SUF>\\n <MID>", ["codellama"])
    MarkedPrompt(prefix='x =', suffix='\\n', path='', other_files=(), repository='')
    """
    text = _JOINED.sub("", text)
    for name in families:
        family = _FAMILY_OF[name]
        for form in family.forms:
            before, begin, rest = text.partition(form.begin)
            if not begin or not rest.endswith(form.end) or rest.count(form.middle) != 1:
                continue
            one, _, other = rest[: len(rest) - len(form.end)].partition(form.middle)
            prefix, suffix = (other, one) if form.is_suffix_first else (one, other)
            return _with_context(family, before, prefix, suffix)
    return None


def under_alias(call: "Call") -> "Call":
    """Return the call with its model's own name, and with holes where its prompts have the alias's markers.

    >>> from incoder.server.call import Call
    >>> prompt = InfillRequest(parts=("[SUFFIX]\\n[PREFIX]x = ",))
    >>> call = Call(requests=[prompt], write=str, model="codestral:incoder")
    >>> under_alias(call).requests[0].parts
    ('x = ', '\\n')
    """
    family, name = split_alias(call.model)
    if family is None:
        return call
    requests = [request_with_hole(request, [family]) or request for request in call.requests]
    return replace(call, model=name, requests=requests)


def request_with_hole(request: InfillRequest, families: Iterable[str]) -> InfillRequest | None:
    """Return the request with a hole where its prompt has markers of these families, None if it has none.

    >>> request_with_hole(InfillRequest(parts=("[SUFFIX]\\n[PREFIX]x = ",)), ["codestral"]).parts
    ('x = ', '\\n')
    """
    found = split_markers(request.parts[0], families) if len(request.parts) == 1 else None
    if found is None:
        return None
    files = by_name(found.other_files)
    options = replace(
        request.prompt,
        path=PurePath(found.path or "untitled") if files or found.path else request.prompt.path,
        other_files={**request.prompt.other_files, **files},
        repository=found.repository or request.prompt.repository,
    )
    return replace(request, parts=(found.prefix, found.suffix), prompt=options)


def _with_context(family: _Family, before: str, prefix: str, suffix: str) -> MarkedPrompt:
    """Return the prompt with what is before its first marker: other files, or lines before the prefix."""
    repository, path, files = "", "", list[tuple[str, str]]()
    if family.repository_mark and family.repository_mark in before:
        before, _, named = before.partition(family.repository_mark)
        repository, mark, rest = named.partition(family.file_mark)
        repository, before = repository.strip(), before + mark + rest
    if family.file_mark and family.file_mark in before:
        before, *marked = before.split(family.file_mark)
        for section in marked:
            name, _, content = section.partition("\n")
            files.append((name.strip(), content))
        last_name, last_content = files[-1]
        if not last_content.strip():  # the name before the begin marker is that of the file with the hole
            path = last_name
            files.pop()
    lines = before.strip()
    return MarkedPrompt(
        prefix=f"{lines}\n{prefix}" if lines else prefix,
        suffix=suffix,
        path=path,
        other_files=tuple((name, content) for name, content in files if name and content.strip()),
        repository=repository,
    )
