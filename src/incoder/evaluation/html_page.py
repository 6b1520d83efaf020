"""Results as one self-contained HTML page: tables, the figure, and the protocol of every run."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from incoder.evaluation.differences import Difference
from incoder.evaluation.report import Cell, Result, Table

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #7a7a7a; --bar: #0072b22e; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; text-align: right; vertical-align: top; }
th, td { border-bottom: 1px solid var(--line); }
th { font-weight: 600; } thead th { vertical-align: bottom; }
th[scope=row], .left { text-align: left; white-space: nowrap; }
tbody tr.first th, tbody tr.first td { border-top: 2px solid var(--line); }
td small { display: block; color: var(--faint); white-space: nowrap; }
td.rate { background: linear-gradient(90deg, var(--bar) var(--share), transparent var(--share)); }
.wide { min-width: 22rem; text-align: left; }
img { max-width: 100%; background: white; border-radius: 6px; }
.note { color: var(--faint); font-size: .9rem; }
code { font-size: .85em; }
"""


def render(
    table: Table,
    results: Sequence[Result],
    picture: bytes | None,
    differences: Sequence[Difference] = (),
    picture_title: str = "Pass rate over right-hand context",
) -> str:
    """Render the page; `picture` is a PNG."""
    figure = ""
    if picture is not None:
        source = base64.b64encode(picture).decode()
        figure = (
            f"<h2>{escape(picture_title)}</h2>"
            f'<img alt="{escape(picture_title)}" src="data:image/png;base64,{source}">'
        )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>InCoder: evaluation</title><style>{_STYLE}</style></head><body>"
        "<h1>Evaluation</h1>"
        '<p class="note">Percent, with 95 % intervals that draw whole problems again (cluster bootstrap).</p>'
        f"{_rates(table)}{_missing(table)}{_differences(differences)}{figure}<h2>Protocol</h2>{_protocols(results)}</body></html>\n"
    )


def title(rate: str) -> str:
    """The name of a rate for people.

    >>> title("pass_rate_newline")
    'pass rate newline'
    """
    return rate.replace("_", " ")


def _rates(table: Table) -> str:
    spans: dict[str, int] = {}
    for benchmark, _ in table.columns:
        spans[benchmark] = spans.get(benchmark, 0) + 1
    tops = "".join(f'<th colspan="{span}">{escape(name)}</th>' for name, span in spans.items())
    names = "".join(f"<th>{escape(title(rate))}</th>" for _, rate in table.columns)
    head = f'<tr><th class="left" rowspan="2">model</th><th class="left" rowspan="2">method</th>{tops}</tr>'
    body, earlier = [], None
    for model, method, cells in table.rows:
        first = ' class="first"' if model != earlier else ""
        shown = escape(model) if model != earlier else ""
        body.append(
            f'<tr{first}><th scope="row">{shown}</th><td class="left">{escape(method)}</td>'
            f"{''.join(map(_cell, cells))}</tr>"
        )
        earlier = model
    return (
        f'<div class="scroll"><table><thead>{head}<tr>{names}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _missing(table: Table) -> str:
    """A note that says why some rates have no interval; empty if all have one."""
    reasons = dict.fromkeys(cell.missing for _, _, cells in table.rows for cell in cells if cell is not None)
    shown = "; ".join(f"no interval where there are {reason}" for reason in reasons if reason is not None)
    return f'<p class="note">–: {escape(shown)}</p>' if shown else ""


def _differences(differences: Sequence[Difference]) -> str:
    if not differences:
        return ""
    names = ("benchmark", "", "minus", "rate", "difference", "95 % interval", "tasks", "better", "worse")
    head = "".join(f'<th class="left">{name}</th>' for name in names)
    rows = []
    for one in differences:
        interval = (
            one.missing if one.interval is None else " – ".join(f"{100 * end:+.1f}" for end in one.interval)
        )
        cells = (
            *(one.benchmark, ", ".join(one.one), ", ".join(one.other), title(one.rate)),
            *(f"{100 * one.value:+.1f}", interval, f"{one.num_tasks:,}", one.num_better, one.num_worse),
        )
        rows.append("".join(f'<td class="left">{escape(str(cell))}</td>' for cell in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        "<h2>Differences, task by task</h2>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "<td>–</td>"
    interval = "–" if cell.interval is None else " – ".join(f"{100 * end:.1f}" for end in cell.interval)
    return (
        f'<td class="rate" style="--share: {100 * cell.value:.1f}%">{100 * cell.value:.1f}'
        f"<small>{interval}</small></td>"
    )


def _protocols(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        protocol, decoding = result.protocol, result.protocol.get("decoding") or {}
        model = (protocol.get("model") or {}).get("fingerprint", "")[:12]
        ceiling = protocol.get("ceiling")
        made = {
            name: protocol[name] for name in ("infilling_format", "dtype", "device") if protocol.get(name)
        }
        settings = ", ".join(f"{title(name)} {_plain(value)}" for name, value in (made | decoding).items())
        cells = (
            result.benchmark,
            result.model,
            result.method,
            f"{result.metrics['num_tasks']:,}",
            "–" if ceiling is None else f"{100 * ceiling:.1f}",
            protocol.get("data_sha256", "")[:12],
            model or "–",
        )
        shown = "".join(f'<td class="left">{escape(str(cell))}</td>' for cell in cells)
        rows.append(f'<tr>{shown}<td class="wide">{escape(settings or "–")}</td></tr>')
    names = ("benchmark", "model", "method", "tasks", "gold", "data", "weights", "decoding")
    head = "".join(f'<th class="left">{name}</th>' for name in names)
    return (
        f'<div class="scroll"><table class="note"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
