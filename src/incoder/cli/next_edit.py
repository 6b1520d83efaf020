"""`incoder next-edit`: the edits that should follow one that was made."""

from pathlib import Path
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import progress
from incoder.cli.source import read_source
from incoder.editing.next_edits.proposals import DEFAULT_MIN_GAIN, DEFAULT_MIN_SHIFT

_MAX_DIFF_BYTES = 10_000_000


def next_edit(
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.", show_default=False)],
    from_diff: Annotated[
        Path,
        typer.Option(
            "--from-diff",
            help="A unified diff of the edit that was made, as git diff prints it. FILE may be the file "
            "before it or after it.",
            metavar="DIFF",
            show_default=False,
        ),
    ],
    min_gain: Annotated[
        float,
        typer.Option(help="How much more probable a new text must be than the old one, in nats per token."),
    ] = DEFAULT_MIN_GAIN,
    min_shift: Annotated[
        float, typer.Option(help="How much of that must be due to the edit that was made, in nats per token.")
    ] = DEFAULT_MIN_SHIFT,
    model: options.Model = options.DEFAULT_MODEL,
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    extension: options.Extension = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Make the edits that should follow one that was made, in any language.

    If a name, an argument or a line was edited, the other places that are like it are looked at. The model
    says whether the edit has made them wrong, and writes or scores what belongs there. What is in doubt stays
    as it is.

    Example: git diff shapes.py > edit.diff; incoder next-edit shapes.py --from-diff edit.diff --diff
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)

    from incoder.editing.candidates import Change, EditCandidate
    from incoder.editing.next_edits.diffs import versions
    from incoder.editing.next_edits.proposals import next_edits
    from incoder.files import read_text

    text, path = read_source(file), options.path_to_tell(file, extension)
    before, after = versions(text, read_text(from_diff, _MAX_DIFF_BYTES), path or Path(file))
    loaded = editing.load_model(model, revision, device, dtype, adapter=adapter)
    with progress("looking for next edits …"):
        found = next_edits(loaded, before, after, path=path, min_gain=min_gain, min_shift=min_shift)
    changes = [
        Change(f"line {one.line}", one.line, (EditCandidate((one.edit,), one.gain, one.gain),))
        for one in found
    ]
    nothing = None if changes else "no edit follows with enough confidence"
    editing.deliver(
        file, model, after, changes, in_place=in_place, diff=diff, json=json, nothing_to_do=nothing
    )
