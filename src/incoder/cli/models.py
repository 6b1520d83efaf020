"""`incoder models`: what is embedded, and what is known of a model."""

from dataclasses import asdict
from typing import Annotated

import typer

from incoder.cli.console import print_note, write_result

app = typer.Typer(help="List the models at hand, or look at one.", invoke_without_command=True)

_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.callback()
def models(context: typer.Context, json: _AsJson = False) -> None:
    """List the embedded models; `incoder models info NAME` says more about one, or about a folder."""
    if context.invoked_subcommand is not None:
        return
    import json as json_module

    from incoder.inference.catalogue import EMBEDDED, describe_model, embedded_models

    infos = [describe_model(name) for name in embedded_models()]
    if json:
        write_result(json_module.dumps({"models": [asdict(info) for info in infos]}, default=str) + "\n")
        return
    if not infos:
        print_note(f"no model is embedded in this installation ({EMBEDDED})")
    for info in infos:
        write_result(
            f"{info.name}  {info.num_parameters / 1e6:.1f} M parameters, {info.num_bytes / 1e6:.0f} MB, "
            f"context of {info.context_length} tokens, licence {info.licence or 'unknown'}\n"
        )


@app.command()
def info(
    name: Annotated[
        str, typer.Argument(help="An embedded model or a checkpoint folder.", show_default=False)
    ],
    json: _AsJson = False,
) -> None:
    """Say what is known of one model.

    Example: incoder models info mini
    """
    import json as json_module

    from incoder.inference.catalogue import describe_model

    about = describe_model(name)
    if json:
        write_result(json_module.dumps(asdict(about), default=str) + "\n")
        return
    write_result(
        f"name            {about.name}\n"
        f"folder          {about.folder}\n"
        f"architecture    {about.architecture}\n"
        f"parameters      {about.num_parameters:,}\n"
        f"size            {about.num_bytes / 1e6:.1f} MB\n"
        f"vocabulary      {about.vocab_size:,} tokens\n"
        f"context         {about.context_length:,} tokens\n"
        f"licence         {about.licence or 'unknown'}\n"
    )
