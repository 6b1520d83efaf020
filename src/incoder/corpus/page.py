"""A corpus's report as one self-contained HTML page: contents, lengths of documents, dropped files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from incoder.corpus.survey import Share, Survey

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #7a7a7a; --bar: #0072b2; --tokens: #e69f00; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .8rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; } .left { text-align: left; white-space: normal; }
.path { overflow-wrap: anywhere; color: var(--faint); } .chart { width: 22%; }
.bar { background: var(--bar); height: .9rem; margin-top: .3rem; border-radius: 2px; }
.tokens { background: var(--tokens); margin-top: 1px; }
.columns { display: flex; align-items: flex-end; gap: 3px; height: 12rem; }
.columns div { flex: 1; background: var(--bar); border-radius: 2px 2px 0 0; min-height: 1px; }
.ticks { display: flex; gap: 3px; } .ticks span { flex: 1; text-align: center; font-size: .75rem; }
.note { color: var(--faint); font-size: .9rem; }
"""


def render(report: Mapping[str, Any], survey: Survey) -> str:
    """The whole page, from `report.json` and the counts of `survey`."""
    parts = [
        _section("Splits", _splits(report["splits"])),
        _section("Languages and sources", _shares(survey)),
        _section("Lengths of documents", _lengths(survey)),
        _section("Left out", _dropped(report["dropped"])),
        _section("Clusters of duplicates", _clusters(report.get("clusters", {}))),
        _section("Projects left out", _dropped_projects(report["dropped_projects"])),
        _section("Largest projects", _projects(report["projects"])),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>InCoder: corpus</title><style>{_STYLE}</style></head><body>"
        f"<h1>Corpus, {size(survey.num_bytes)}</h1>{''.join(parts)}</body></html>\n"
    )


def size(num_bytes: int) -> str:
    """A number of bytes in decimal units.

    >>> size(1_234_567)
    '1.2 MB'
    """
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:,.1f} {unit}"
    return f"{num_bytes / 1e3:,.1f} kB"


def ordered(survey: Survey) -> list[tuple[str, str, Share]]:
    """Each language and source with its share, the largest share first."""
    shares = sorted(survey.shares.items(), key=lambda item: -item[1].num_bytes)
    return [(language, source, share) for (language, source), share in shares]


def cluster_sizes(clusters: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Rows of reason, range of sizes and number of clusters; ranges end at powers of two.

    >>> cluster_sizes({"duplicate": {"sizes": {"2": 5, "3": 1, "4": 2}}})
    [('duplicate', '2', 5), ('duplicate', '3–4', 3)]
    """
    rows = list[tuple[str, str, int]]()
    for reason, found in clusters.items():
        bins = Counter[int]()
        for documents, number in found["sizes"].items():
            bins[(int(documents) - 1).bit_length()] += number
        for bits, number in sorted(bins.items()):
            lowest, highest = (1 << (bits - 1)) + 1, 1 << bits
            rows.append((reason, f"{highest:,}" if bits == 1 else f"{lowest:,}–{highest:,}", number))
    return rows


def largest_clusters(clusters: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Rows of reason, name of the kept document, and size of its cluster (itself included).

    >>> largest_clusters({"duplicate": {"largest": [[4, "p", "a.py"]]}})
    [('duplicate', 'p: a.py', 4)]
    """
    return [
        (reason, f"{project}: {path}", documents)
        for reason, found in clusters.items()
        for documents, project, path in found["largest"]
    ]


def below(bits: int) -> str:
    """The upper bound of a bin of lengths, 2 to the power `bits` bytes.

    >>> below(12)
    '< 4 k'
    """
    for power, unit in ((30, "G"), (20, "M"), (10, "k")):
        if bits >= power:
            return f"< {1 << (bits - power)} {unit}"
    return f"< {1 << bits}"


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>{content}" if content else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """An HTML table; the first `left` columns are aligned to the left, columns without a title are charts."""
    kinds = ["left" if place < left else "" if title else "chart" for place, title in enumerate(head)]
    marks = [f' class="{kind}"' if kind else "" for kind in kinds]
    shown = "".join(
        "<tr>" + "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, row, strict=True)) + "</tr>"
        for row in rows
    )
    titles = "".join(f"<th{mark}>{title}</th>" for mark, title in zip(marks, head, strict=True))
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{shown}</tbody></table></div>'


def _bar(share: float, kind: str = "") -> str:
    return f'<div class="bar{kind and f" {kind}"}" style="width:{100 * share:.1f}%"></div>'


def _splits(splits: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        (name, f"{one['num_projects']:,}", f"{one['num_documents']:,}", size(one["num_bytes"]))
        for name, one in splits.items()
    ]
    return _table(("split", "projects", "documents", "size"), rows)


def _shares(survey: Survey) -> str:
    shares = ordered(survey)
    most_bytes = max((share.num_bytes for _, _, share in shares), default=1) or 1
    most_tokens = max((share.num_tokens or 0 for _, _, share in shares), default=0)
    rows = [
        (
            escape(language),
            escape(source),
            f"{share.num_documents:,}",
            size(share.num_bytes),
            "–" if share.num_tokens is None else f"{share.num_tokens:,}",
            "–" if not share.num_tokens else f"{share.num_bytes / share.num_tokens:.2f}",
            _bar(share.num_bytes / most_bytes)
            + (_bar((share.num_tokens or 0) / most_tokens, "tokens") if most_tokens else ""),
        )
        for language, source, share in shares
    ]
    head = ("language", "source", "documents", "size", "tokens", "bytes a token", "")
    note = '<p class="note">Bars: size above, tokens below.</p>' if most_tokens else ""
    return _table(head, rows, left=2) + note


def _lengths(survey: Survey) -> str:
    if not survey.lengths:
        return ""
    bins = range(min(survey.lengths), max(survey.lengths) + 1)
    most = max(survey.lengths.values())
    columns = "".join(
        f'<div style="height:{100 * survey.lengths[one] / most:.1f}%" '
        f'title="{survey.lengths[one]:,} documents"></div>'
        for one in bins
    )
    ticks = "".join(f"<span>{escape(below(one))}</span>" for one in bins)
    return (
        f'<div class="columns">{columns}</div><div class="ticks">{ticks}</div>'
        '<p class="note">Documents by size in bytes; each column has twice the bound of the one before.</p>'
    )


def _dropped(dropped: Mapping[str, Mapping[str, Any]]) -> str:
    by_files = sorted(dropped.items(), key=lambda item: -item[1]["num_files"])
    most = max((count["num_files"] for _, count in by_files), default=1)
    rows = [
        (
            escape(reason),
            f'<div class="path">{"<br>".join(escape(": ".join(one)) for one in count["examples"])}</div>',
            f"{count['num_files']:,}",
            size(count["num_bytes"]),
            _bar(count["num_files"] / most),
        )
        for reason, count in by_files
    ]
    return _table(("reason", "for example", "files", "size", ""), rows, left=2) if rows else ""


def _clusters(clusters: Mapping[str, Mapping[str, Any]]) -> str:
    sizes = cluster_sizes(clusters)
    if not sizes:
        return ""
    most = max(number for _, _, number in sizes)
    rows = [
        (escape(reason), documents, f"{number:,}", _bar(number / most)) for reason, documents, number in sizes
    ]
    largest = [
        (escape(reason), f'<div class="path">{escape(name)}</div>', f"{documents:,}")
        for reason, name, documents in largest_clusters(clusters)
    ]
    return _table(("reason", "documents in a cluster", "clusters", ""), rows) + _table(
        ("reason", "kept document of the largest clusters", "documents"), largest, left=2
    )


def _dropped_projects(projects: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (escape(one["project"]), escape(one["reason"]), escape(one["licence"] or "unknown"))
        for one in projects[:100]
    ]
    return _table(("project", "reason", "licence"), rows, left=3) if rows else ""


def _projects(projects: Mapping[str, Mapping[str, Any]]) -> str:
    largest = sorted(projects.items(), key=lambda item: -item[1]["num_bytes"])[:50]
    rows = [
        (
            escape(name),
            escape(count["licence"] or "not stated"),
            count["split"],
            f"{count['num_documents']:,}",
            size(count["num_bytes"]),
        )
        for name, count in largest
        if count["num_documents"]
    ]
    return _table(("project", "licence", "split", "documents", "size"), rows, left=3)
