"""`incoder eval report`: results of several runs as tables, a picture and a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli.console import print_note, write_result

if TYPE_CHECKING:
    from incoder.evaluation.report import Cell, Table


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="Files results.json, or folders that hold one.", show_default=False),
    ],
    picture: Annotated[
        Path | None,
        typer.Option("--png", help="Draw pass rates over right-hand context.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one page with all of it.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the tables.")] = False,
) -> None:
    """Compare runs: the paper's tables, methods down and tasks across, with 95 % intervals.

    Example: incoder eval report runs/infill runs/rerank runs/left --png context.png --html report.html
    """
    import json as json_module
    from dataclasses import asdict

    from incoder.evaluation.figure import draw
    from incoder.evaluation.page import render
    from incoder.evaluation.report import curves, load_results, table
    from incoder.files import write_bytes, write_text

    loaded = load_results(results)
    compared, lines = table(loaded), curves(loaded)
    if picture is not None:
        write_bytes(picture, draw(lines))
        print_note(f"wrote {picture}")
    if html is not None:
        write_text(html, render(compared, loaded, draw(lines) if lines else None))
        print_note(f"wrote {html}")
    if json:
        told = {"table": asdict(compared), "curves": [asdict(line) for line in lines]}
        write_result(json_module.dumps(told) + "\n")
    else:
        write_result(_as_text(compared))


def _as_text(table: "Table") -> str:
    """A block for each benchmark, so that many of them fit on a terminal."""
    from rich.console import Console
    from rich.table import Table as RichTable

    from incoder.evaluation.page import title

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
                    block.add_row(model, method, *(_shown(cell).replace("[", r"\[") for cell in shown))
            console.print(block)
            console.print()
    return captured.get()


def _shown(cell: "Cell | None") -> str:
    if cell is None:
        return "–"
    interval = "–" if cell.interval is None else ", ".join(f"{100 * end:.1f}" for end in cell.interval)
    return f"{100 * cell.value:.1f} [{interval}]"
