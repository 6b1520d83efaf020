"""`incoder eval loss`: the held-out loss of a model on a corpus or a folder of code."""

import json as json_module
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from incoder.cli import options
from incoder.cli.console import print_note, progress_bar, write_result
from incoder.cli.editing import load_model
from incoder.errors import IncoderError

_FILE = "loss.json"

if TYPE_CHECKING:
    from incoder.evaluation.held_out_loss import HeldOut


def loss(
    data: Annotated[
        Path,
        typer.Option(
            help="A corpus that incoder corpus build made, or a folder of code.", show_default=False
        ),
    ],
    model: options.Model = options.DEFAULT_MODEL,
    revision: options.Revision = None,
    split: Annotated[
        Literal["validation", "train"], typer.Option(help="Which documents of a corpus.")
    ] = "validation",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only this number of texts, evenly spaced.", show_default="all")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Only texts in this language, such as python.", show_default="all")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write loss.json to this folder.", show_default=False),
    ] = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
    json: options.ResultAsJson = False,
) -> None:
    """Measure the loss of a model on text that it was not trained on.

    The loss is in nats per token, as in training, and in bits per byte, which compares models with different
    vocabularies. Any model that loads can be measured, even one that cannot infill.

    Example: incoder eval loss --data runs/tiny/corpus --model runs/tiny/train/model
    """
    from incoder.evaluation.held_out_loss import measure_loss
    from incoder.files import make_folder, write_text
    from incoder.output_folder import refuse_foreign, written_with

    if output is not None:
        is_ours = written_with(output / _FILE, "model", "bits_per_byte")
        refuse_foreign(output, (_FILE,), ours=(_FILE,) if is_ours else ())
    # Report errors in the data before a model is loaded.
    places = _places(_held_out(data, split), language, limit, data)
    loaded = load_model(model, revision, device, dtype, adapter=adapter)
    texts = (held_out for place, held_out in enumerate(_held_out(data, split)) if place in places)
    with progress_bar("reading texts", len(places)) as count:
        found = measure_loss(loaded, texts, on_text=lambda _: count())
    result = {"model": model, "data": str(data), **found}
    write_result(json_module.dumps(result) + "\n" if json else _as_text(found))
    if output is not None:
        write_text(make_folder(output) / _FILE, json_module.dumps(result, indent=1) + "\n")
        print_note(f"wrote {output / _FILE}")


def _held_out(data: Path, split: str) -> Iterator["HeldOut"]:
    """Yield the documents of a corpus, or the files of a folder."""
    from collections import Counter

    from incoder.corpus.storage.documents import MANIFEST, read_documents
    from incoder.corpus.text.languages import LANGUAGES, extension_of
    from incoder.evaluation.building.source_files import source_files
    from incoder.evaluation.held_out_loss import HeldOut

    if (data / MANIFEST).is_file():
        for document in read_documents(data, split):
            language = LANGUAGES.get(extension_of(document.path), "other")
            yield HeldOut(document.text, document.path, language.lower(), document.project)
        return
    for source in source_files(data, Counter()):
        yield HeldOut(source.text, source.path, source.language.lower(), source.path)


def _places(
    texts: Iterator["HeldOut"], language: str | None, limit: int | None, data: Path
) -> frozenset[int]:
    """Return the numbers of the texts to measure; not the texts, because a corpus may be larger than memory.

    Raises:
        IncoderError: there is no text in this language.
    """
    places, languages = list[int](), set[str]()
    for place, text in enumerate(texts):
        languages.add(text.language)
        if language is None or text.language == language.lower():
            places.append(place)
    if language is not None and not places:
        raise IncoderError(f"{data} holds no text in {language}; it has {', '.join(sorted(languages))}")
    if limit is None or limit >= len(places):
        return frozenset(places)
    return frozenset(places[index * len(places) // limit] for index in range(limit))


def _as_text(found: dict[str, Any]) -> str:
    rows = {"all": found, **(found["languages"] if len(found["languages"]) > 1 else {})}
    width = max(map(len, rows))
    lines = [f"{'':{width}}  nats/token  bits/byte  95 % interval     texts       tokens"]
    for name, row in rows.items():
        interval = row["bits_per_byte_interval"]
        shown = "–" if interval is None else "–".join(f"{end:.3f}" for end in interval)
        figures = f"{row['loss']:10.4f}  {row['bits_per_byte']:9.4f}  {shown:13}"
        lines.append(f"{name:{width}}  {figures}  {row['num_texts']:8,}  {row['num_tokens']:11,}")
    missing = found["bits_per_byte_interval_missing"]
    if missing is not None:
        lines.append(f"no interval: {missing.replace('problem', 'project')}")
    return "\n".join(lines) + "\n"
