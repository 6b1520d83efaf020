"""InCoder: write code left to right, and fill any number of holes in it with both sides in view.

>>> import incoder
>>> incoder.InfillRequest(parts=("x = ", "\\n")).num_infills
1
"""

TYPE_CHECKING = False  # type checkers treat it as typing's, whose import would delay the start of the command
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import overload

    import torch

    from incoder.document import Parts as Parts
    from incoder.editing.attributes import predict_attribute as predict_attribute
    from incoder.editing.docstring import undocumented as undocumented
    from incoder.editing.docstring import write_docstrings as write_docstrings
    from incoder.editing.edits import apply_edits as apply_edits
    from incoder.editing.fix import fix as fix
    from incoder.editing.python_source import PythonSource as PythonSource
    from incoder.editing.qa_threads import answers as answers
    from incoder.editing.qa_threads import headlines as headlines
    from incoder.editing.rename import find_variable as find_variable
    from incoder.editing.rename import propose_names as propose_names
    from incoder.editing.rename import rename_to as rename_to
    from incoder.editing.renaming.renaming import Renaming as Renaming
    from incoder.editing.renaming.variables import Variables as Variables
    from incoder.editing.rewrite import rewrite_lines as rewrite_lines
    from incoder.editing.selection import Selection as Selection
    from incoder.editing.type_hints import write_annotations as write_annotations
    from incoder.editing.types.missing_annotations import missing_annotations as missing_annotations
    from incoder.errors import IncoderError as IncoderError
    from incoder.inference.engine.engine import Engine as Engine
    from incoder.inference.engine.worker import EngineWorker as EngineWorker
    from incoder.inference.infill_model import InfillModel as InfillModel
    from incoder.inference.reranking import infill_by_reranking as infill_by_reranking
    from incoder.inference.upstream.model import UpstreamModel as UpstreamModel
    from incoder.model_protocol import Model as Model
    from incoder.request import InfillRequest as InfillRequest
    from incoder.request import PromptOptions as PromptOptions
    from incoder.results import Candidate as Candidate
    from incoder.results import InfillResult as InfillResult
    from incoder.results import Score as Score
    from incoder.results import TextPiece as TextPiece
    from incoder.results import Usage as Usage
    from incoder.sampling_params import SamplingParams as SamplingParams

__version__ = "0.1.0"

# The public names, imported at first use, so that `import incoder` loads no torch.
_PUBLIC = {
    "incoder.document": ("Parts",),
    "incoder.editing.attributes": ("predict_attribute",),
    "incoder.editing.docstring": ("undocumented", "write_docstrings"),
    "incoder.editing.edits": ("apply_edits",),
    "incoder.editing.fix": ("fix",),
    "incoder.editing.python_source": ("PythonSource",),
    "incoder.editing.rewrite": ("rewrite_lines",),
    "incoder.editing.rename": ("find_variable", "propose_names", "rename_to"),
    "incoder.editing.renaming.renaming": ("Renaming",),
    "incoder.editing.selection": ("Selection",),
    "incoder.editing.types.missing_annotations": ("missing_annotations",),
    "incoder.editing.qa_threads": ("answers", "headlines"),
    "incoder.editing.type_hints": ("write_annotations",),
    "incoder.editing.renaming.variables": ("Variables",),
    "incoder.errors": ("IncoderError",),
    "incoder.inference.engine.engine": ("Engine",),
    "incoder.inference.engine.worker": ("EngineWorker",),
    "incoder.inference.infill_model": ("InfillModel",),
    "incoder.inference.reranking": ("infill_by_reranking",),
    "incoder.inference.upstream.model": ("UpstreamModel",),
    "incoder.model_protocol": ("Model",),
    "incoder.request": ("InfillRequest", "PromptOptions"),
    "incoder.results": ("Candidate", "InfillResult", "Score", "TextPiece", "Usage"),
    "incoder.sampling_params": ("SamplingParams",),
}

__all__ = ["load", *(name for names in _PUBLIC.values() for name in names)]

if not TYPE_CHECKING:  # type checkers use the imports above, and report an unknown name as an error

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for module, names in _PUBLIC.items():
            if name in names:
                value = globals()[name] = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:

    def overload(function: object) -> object:
        return function


@overload
def load(
    name: "str | os.PathLike[str]" = "mini",
    *,
    revision: str | None = None,
    device: "str | torch.device | None" = None,
    dtype: "str | torch.dtype | None" = None,
    infilling_format: str | None = None,
    adapter: "str | os.PathLike[str] | None" = None,
) -> "InfillModel": ...
@overload
def load(  # noqa: F811
    name: "str | Sequence[str]",
    *,
    model: str | None,
    api_key_file: "str | os.PathLike[str] | None" = None,
    tokenizer: "str | os.PathLike[str] | None" = None,
    infilling_format: str | None = None,
) -> "UpstreamModel": ...


def load(  # noqa: F811
    name: "str | os.PathLike[str] | Sequence[str]" = "mini",
    *,
    revision: str | None = None,
    device: "str | torch.device | None" = None,
    dtype: "str | torch.dtype | None" = None,
    infilling_format: str | None = None,
    adapter: "str | os.PathLike[str] | None" = None,
    model: str | None = None,
    api_key_file: "str | os.PathLike[str] | None" = None,
    tokenizer: "str | os.PathLike[str] | None" = None,
) -> "InfillModel | UpstreamModel":
    """Load a model: embedded (`mini`), a checkpoint folder, a GGUF file, on the hub, or on a server.

    A model on the hub (`facebook/incoder-1B`, with an optional `revision`) is fetched the first time, then
    read from the cache. By default the model runs on CUDA in bfloat16 if there is a GPU, else on the CPU in
    float32; a `dtype` may also be float16, int8 or int4. The vocabulary determines the infilling format
    unless `infilling_format` names another one. An `adapter`, the folder of a LoRA adapter in peft's layout,
    is added to the weights of the model that it was trained on.

    The base URL of an OpenAI-compatible completions server (`http://127.0.0.1:8000/v1`, or several of them)
    loads the `model` that runs there, by default its only one. `api_key_file` holds the key, and `tokenizer`
    is a folder with the model's `tokenizer.json`, by default that of the model in this machine's cache.
    docs/scale-out.md explains what such a model can do without one.

    Raises:
        IncoderError: there is no such model, it cannot be fetched or read, or no server answers.

    >>> load("mini", device="cpu").infilling_format.name
    'causal-masking'
    """
    from incoder.errors import IncoderError

    is_url = isinstance(name, str) and name.startswith(("http://", "https://"))
    if is_url or isinstance(name, tuple | list):
        from incoder.inference.upstream.loading import load_upstream

        if any(one is not None for one in (revision, device, dtype, adapter)):
            raise IncoderError(
                "revision, device, dtype and adapter are for models on this machine, not on a server"
            )
        return load_upstream(
            [name] if isinstance(name, str) else list(name),  # type: ignore[arg-type] # a sequence here
            model=model,
            api_key_file=api_key_file,
            tokenizer=tokenizer,
            infilling_format=infilling_format,
        )
    if model is not None or api_key_file is not None or tokenizer is not None:
        raise IncoderError(
            "model, api_key_file and tokenizer are for the URL of a server, such as http://127.0.0.1:8000/v1"
        )

    from incoder.inference.models.loading import (
        load as load_model,  # torch is imported here, not with the package
    )

    return load_model(
        name,  # type: ignore[arg-type] # refuses what is no name
        revision=revision,
        device=device,
        dtype=dtype,
        infilling_format=infilling_format,
        adapter=adapter,
    )
