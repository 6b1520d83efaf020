"""`incoder models`: list models, describe one, compile, merge with an adapter, push to the hub."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli import options
from incoder.cli.console import print_note, progress, write_result
from incoder.errors import IncoderError

if TYPE_CHECKING:
    from incoder.inference.models.catalogue import ModelInfo

app = typer.Typer(help="List the models on this machine, or describe one.", invoke_without_command=True)

_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.callback()
def models(context: typer.Context, json: _AsJson = False) -> None:
    """List the embedded models and those fetched from the hub; `incoder models info NAME` says more."""
    if context.invoked_subcommand is not None:
        return
    import json as json_module

    from incoder.embedded_models import EMBEDDED, embedded_models
    from incoder.inference.models.catalogue import cached_models, describe_model

    infos = [describe_model(name) for name in embedded_models()]
    for name, revision, folder in cached_models():
        try:
            infos.append(describe_model(name, revision, folder=folder))
        except IncoderError as error:  # one damaged model must not hide the others
            print_note(f"{name} ({revision}): {error}")
    if json:
        write_result(json_module.dumps({"models": [asdict(info) for info in infos]}, default=str) + "\n")
        return
    if not infos:
        print_note(f"no model is embedded in this installation ({EMBEDDED}), and none was fetched")
    for info in infos:
        revision = f" ({info.revision})" if info.revision else ""
        write_result(
            f"{info.name}{revision}  {_parameters(info)}, {info.num_bytes / 1e6:.0f} MB, "
            f"context of {info.context_length} tokens, format {info.infilling_format}, "
            f"licence {info.licence or 'unknown'}\n"
        )


@app.command()
def info(
    name: Annotated[
        str,
        typer.Argument(
            help="An embedded model, a checkpoint folder, a GGUF file, or a fetched model.",
            show_default=False,
        ),
    ],
    revision: options.Revision = None,
    json: _AsJson = False,
) -> None:
    """Describe one model.

    Example: incoder models info mini
    """
    import json as json_module

    from incoder.inference.models.catalogue import describe_model

    about = describe_model(name, revision)
    if json:
        write_result(json_module.dumps(asdict(about), default=str) + "\n")
        return
    count = about.num_parameters
    write_result(
        f"name            {about.name}\n"
        f"folder          {about.folder}\n"
        f"architecture    {about.architecture}\n"
        f"parameters      {'not counted (pickled)' if count is None else f'{count:,}'}\n"
        f"size            {about.num_bytes / 1e6:.1f} MB\n"
        f"vocabulary      {about.vocab_size:,} tokens\n"
        f"context         {about.context_length:,} tokens\n"
        f"format          {about.infilling_format}\n"
        f"licence         {about.licence or 'unknown'}\n"
    )


@app.command()
def warm(
    model: Annotated[
        str,
        typer.Argument(help="An embedded model, a checkpoint folder, a GGUF file, or a model on the hub."),
    ] = options.DEFAULT_MODEL,
    revision: options.Revision = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Compile a model before its first request, once for each machine and precision.

    With the extra `fast` the forward pass is compiled for this processor; later processes load the result.

    Example: incoder models warm mini --dtype int8
    """
    import time

    from incoder.cli.batch import note_nothing_to_do
    from incoder.cli.editing import load_model
    from incoder.model.gemv import MAX_ROWS_QUANTIZED, has_kernels

    loaded, started = load_model(model, revision, dtype=dtype, adapter=adapter), time.monotonic()
    if not has_kernels():
        note_nothing_to_do("without the extra fast nothing is compiled")
        return
    with progress("running the model …"):
        for num_rows in (1, MAX_ROWS_QUANTIZED):  # a single sequence, and a batch
            loaded.complete("def f(x):\n", num_candidates=num_rows, temperature=1.0, max_new_tokens=2)
    print_note(f"{model} is ready; that took {time.monotonic() - started:.1f} s")


@app.command()
def merge(
    model: Annotated[
        str,
        typer.Argument(
            help="An embedded model, a checkpoint folder, or a fetched model.", show_default=False
        ),
    ],
    adapter: Annotated[
        Path, typer.Argument(help="The folder of its LoRA adapter, in peft's layout.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder for the merged model.")],
    revision: options.Revision = None,
) -> None:
    """Write a model with an adapter added to its weights, as a checkpoint of its own.

    Other programs load the folder without knowing of adapters. To use an adapter here, --adapter is enough.

    Example: incoder models merge mini runs/mine/adapter --output runs/mine/merged
    """
    from incoder.inference.models.merging import merge_adapter

    options.fetch(model, revision)
    with progress(f"merging {adapter} into {model} …"):
        merge_adapter(model, adapter, output, revision=revision)
    print_note(f"wrote {output}")


@app.command()
def push(
    folder: Annotated[
        Path,
        typer.Argument(
            help="An adapter, a checkpoint, or the folder of a fine-tuning run.", show_default=False
        ),
    ],
    repository: Annotated[
        str,
        typer.Argument(
            help="The repository on the hub, as OWNER/NAME.", metavar="REPOSITORY", show_default=False
        ),
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see it; by default it is private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be pushed, and push nothing.")
    ] = False,
) -> None:
    """Upload a model or an adapter to the Hugging Face hub, with its model card.

    The repository is made if it is not there, and is private unless --public. Only the weights, the
    configuration, the tokenizer and the card are pushed. Log in with `hf auth login`, or set HF_TOKEN.

    Example: incoder models push runs/ours our-team/mini-ours
    """
    from incoder.inference.models.pushing import push as push_upload
    from incoder.inference.models.pushing import upload_of

    upload = upload_of(folder)
    for name in upload.names:
        print_note(f"{(upload.folder / name).stat().st_size / 1e6:>9.2f} MB  {name}")
    for note in upload.notes:
        print_note(note)
    if dry_run:
        print_note(f"nothing was pushed to {repository}")
        return
    with progress(f"pushing {upload.num_bytes / 1e6:.1f} MB to {repository} …"):
        address = push_upload(upload, repository, is_public=public)
    write_result(f"{address}\n")


def _parameters(info: "ModelInfo") -> str:
    if info.num_parameters is None:
        return "uncounted parameters (pickled)"
    return f"{info.num_parameters / 1e6:.1f} M parameters"
