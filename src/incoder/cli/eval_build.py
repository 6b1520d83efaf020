"""`incoder eval build`: a benchmark from code that a model has not seen."""

from pathlib import Path
from typing import Annotated

import typer

from incoder.cli.console import print_note, progress

_TASKS = (
    *("single-line", "mid-line", "multi-line"),
    *("block-opener", "argument", "name"),
    *("return-types", "variable-names", "docstrings", "cloze"),
)


def build(
    task: Annotated[
        str,
        typer.Argument(help="The benchmark to make.", metavar=f"[{'|'.join(_TASKS)}]", show_default=False),
    ],
    folder: Annotated[
        Path,
        typer.Option(
            "--from",
            help="A folder of code; for the benchmarks of Python its entries are the projects.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for the file.", show_default=False)
    ],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Draw this number of rows.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other rows.")] = 0,
    context: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="For benchmarks made of files: characters kept before each hole; half as many are kept "
            "after it.",
            show_default="the whole file",
        ),
    ] = None,
) -> None:
    """Make a benchmark from code that the model was not trained on.

    From files in any of the 28 languages: single-line, mid-line and multi-line cut out a line, characters
    inside a line, or two to eight lines. From Python files: block-opener, argument and name cut out a line
    that opens a block, an argument of a call, or a name.

    From Python functions, each as a file of its own, the paper's benchmarks. return-types: the annotated
    return type, with all other annotations removed. variable-names: all occurrences of a variable of four
    characters or more. docstrings: the first paragraph, in the fields of CodeXGLUE. cloze: a call of max or
    min.

    Example: incoder eval build single-line --from our-code/ --limit 500 --output runs/data
    """
    if task not in _TASKS:
        raise typer.BadParameter(f"must be one of {', '.join(_TASKS)}, got {task}")
    from incoder.evaluation.building.build import build as build_rows
    from incoder.evaluation.building.function_rows import BUILDERS

    what = "functions" if task in BUILDERS else "files"
    with progress(f"reading {what} …") as update:
        built = build_rows(
            task,
            folder,
            output,
            limit=limit,
            seed=seed,
            context=context,
            on_source=lambda number: update(f"{number:,} {what} …"),
        )
    for counted, count in sorted(built.counts.items()):
        print_note(f"{count:>8,} {counted}")
    print_note(
        f"{built.num_rows:,} rows in {built.path}; judge with: incoder eval {task} --data {built.path}"
    )
