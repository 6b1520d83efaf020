"""`incoder eval report`: the results of several runs as tables, a figure and an HTML page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli.console import print_note, write_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incoder.evaluation.differences import Difference
    from incoder.evaluation.report import Cell, Table


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="Files results.json, or folders that hold one.", show_default=False),
    ],
    picture: Annotated[
        Path | None,
        typer.Option(
            "--png", help="Draw pass rates over right-hand context, or else as bars.", show_default=False
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write everything to one HTML page.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the tables.")] = False,
) -> None:
    """Compare runs: the paper's tables, methods down and tasks across, with 95 % intervals.

    Below the tables, every result is compared with the first given result of its benchmark, task by task.

    Example: incoder eval report runs/infill runs/rerank runs/left --png context.png --html report.html
    """
    import json as json_module
    from dataclasses import asdict

    from incoder.evaluation.differences import differences
    from incoder.evaluation.figure import draw, draw_rates
    from incoder.evaluation.html_page import render
    from incoder.evaluation.report import curves, load_results, table
    from incoder.files import write_bytes, write_text

    loaded = load_results(results)
    compared, lines, pairs = table(loaded), curves(loaded), differences(loaded)
    drawn = None
    if picture is not None or html is not None:
        drawn = draw(lines) if lines else draw_rates(compared)
    if picture is not None and drawn is not None:
        write_bytes(picture, drawn)
        if not lines:
            print_note("no result has a rate by right-hand context; the picture shows the rates as bars")
        print_note(f"wrote {picture}")
    if html is not None:
        shown = "Pass rate over right-hand context" if lines else "Rates"
        write_text(html, render(compared, loaded, drawn, pairs, shown))
        print_note(f"wrote {html}")
    if json:
        content = {
            "table": asdict(compared),
            "curves": [asdict(line) for line in lines],
            "differences": [asdict(pair) for pair in pairs],
        }
        write_result(json_module.dumps(content) + "\n")
    else:
        write_result(_as_text(compared) + _differences_as_text(pairs))


def _as_text(table: "Table") -> str:
    """A block for each benchmark, so that many of them fit on a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    from incoder.evaluation.html_page import title

    console = Console(width=110, highlight=False)
    with console.capture() as captured:
        for benchmark in dict.fromkeys(name for name, _ in table.columns):
            places = [place for place, (name, _) in enumerate(table.columns) if name == benchmark]
            block = RichTable(title=benchmark, title_justify="left", box=None, pad_edge=False)
            block.add_column("model")
            block.add_column("method")
            for place in places:
                block.add_column(title(table.columns[place][1]) + " %", justify="right")
            for model, method, cells in table.rows:
                shown = [cells[place] for place in places]
                if any(cell is not None for cell in shown):
                    block.add_row(
                        escape(model), method, *(_shown(cell).replace("[", r"\[") for cell in shown)
                    )
            console.print(block)
            found = [cells[place] for *_, cells in table.rows for place in places]
            for reason in dict.fromkeys(cell.missing for cell in found if cell is not None):
                if reason is not None:
                    console.print(rf"\[–]: {reason}")
            console.print()
    return captured.get()


def _differences_as_text(differences: "Sequence[Difference]") -> str:
    """A line for each pair; its interval is of the difference, since both are resampled task by task."""
    lines = []
    for one in differences:
        interval = (
            f"no interval: {one.missing}"
            if one.interval is None
            else "95 % interval " + " to ".join(f"{100 * end:+.1f}" for end in one.interval)
        )
        rate = one.rate.replace("_", " ")
        lines.append(
            f"{one.benchmark}, {rate}, {', '.join(one.one)} minus {', '.join(one.other)}: "
            f"{100 * one.value:+.1f} points ({interval}); {one.num_tasks:,} tasks in both, better on "
            f"{one.num_better:,}, worse on {one.num_worse:,}"
        )
    return "\n".join(lines) + "\n" if lines else ""


def _shown(cell: "Cell | None") -> str:
    if cell is None:
        return "–"
    interval = "–" if cell.interval is None else ", ".join(f"{100 * end:.1f}" for end in cell.interval)
    return f"{100 * cell.value:.1f} [{interval}]"
