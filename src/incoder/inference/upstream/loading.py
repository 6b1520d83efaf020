"""From the URLs of servers to a model: finds its tokenizer, and asks the servers what they can do.

Imports no torch.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from incoder.embedded_models import embedded_models
from incoder.errors import IncoderError
from incoder.files import read_text
from incoder.inference.models import hub
from incoder.inference.models.catalogue import context_length_at, find_model
from incoder.inference.models.gguf_model import tokenizer_and_format
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.inference.upstream.capabilities import choose_model
from incoder.inference.upstream.client import UpstreamClient, UpstreamError, checked_url
from incoder.inference.upstream.event_loop import EventLoop
from incoder.inference.upstream.marked_text import text_format
from incoder.inference.upstream.model import UpstreamModel
from incoder.inference.upstream.server import UpstreamServer
from incoder.inference.upstream.servers import UpstreamServers
from incoder.model.generation_config import load_num_tail_lines
from incoder.model.gguf_file import GGUFFile, is_gguf
from incoder.tokenizer.formats import InfillingFormat, choose_format, read_tokenizer
from incoder.tokenizer.text_tokenizer import TextTokenizer

_MAX_KEY_BYTES = 10_000
_DEFAULT_CONTEXT_LENGTH = 4096  # what every model of code has at least


def load_upstream(
    urls: Sequence[str],
    *,
    model: str | None = None,
    api_key_file: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    infilling_format: str | None = None,
    seconds: float = 60.0,
) -> UpstreamModel:
    """Return the model that the servers at these base URLs serve; `incoder.load` explains the arguments.

    `seconds` limits the time until a server's first byte, and between two pieces of an answer.

    Raises:
        IncoderError: no server answers, one refuses the key, lacks the model, or is no completions server; or
            the tokenizer or the key cannot be read.
    """
    if not urls:
        raise IncoderError("a model on other servers needs the URL of one, such as http://127.0.0.1:8000/v1")
    bases = list(dict.fromkeys(map(checked_url, urls)))
    key = None if api_key_file is None else read_api_key(Path(api_key_file))
    loop = EventLoop()
    try:
        clients = [UpstreamClient(url, key, seconds) for url in bases]
        name = loop.run(_model_name(clients, model))
        found = _found_tokenizer(name, tokenizer, infilling_format)
        text_tokenizer, layout, folder = (None, None, None) if found is None else found
        servers = UpstreamServers([UpstreamServer(one, name, text_tokenizer) for one in clients])
        can, problems = loop.run(servers.start())
        notes = [*problems, *can.notes(has_tokenizer=text_tokenizer is not None)]
        if text_tokenizer is None or layout is None:
            text_tokenizer, layout = text_format(name, infilling_format, has_suffix=can.suffix)
        length = can.context_length or (None if folder is None else context_length_at(folder))
        if length is None:
            length = _DEFAULT_CONTEXT_LENGTH
            notes.append(f"no context length is known: at most {length:,} tokens are used")
        if not layout.max_num_holes:
            notes.append("no infilling format is known for this model: it only completes")
        source = {
            "name": bases[0] if len(bases) == 1 else tuple(bases),
            "model": name,
            "api_key_file": api_key_file,
            "tokenizer": tokenizer,
            "infilling_format": infilling_format,
        }
        return UpstreamModel(
            servers,
            loop,
            TextVocabulary(text_tokenizer, layout),
            length,
            name=name,
            num_tail_lines=0 if folder is None or not folder.is_dir() else load_num_tail_lines(folder),
            notes=[f"{name} on {', '.join(bases)}: {note}" for note in notes],
            source=source,
        )
    except BaseException:
        loop.close()
        raise


def is_upstream(name: object) -> bool:
    """Whether the name of a model is the URL of a server.

    >>> is_upstream("http://127.0.0.1:8000/v1"), is_upstream("mini")
    (True, False)
    """
    return isinstance(name, str) and name.startswith(("http://", "https://"))


def read_api_key(file: Path) -> str:
    """Return the key in a file: its only line.

    Raises:
        IncoderError: the file cannot be read, or holds no key.
    """
    lines = read_text(file, _MAX_KEY_BYTES).split("\n")
    key = lines[0].strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key or any(map(str.strip, lines[1:])):
        raise IncoderError(f"{file} must hold an API key, one line without spaces")
    return key


async def _model_name(clients: Sequence[UpstreamClient], model: str | None) -> str:
    """Return the model's name, by the first server that answers; its tokenizer decides what is asked next."""
    if model is not None:
        return model
    for index, client in enumerate(clients):
        try:
            return (await choose_model(client, None))[0]
        except UpstreamError as error:
            if not error.is_temporary or index == len(clients) - 1:
                raise
    raise AssertionError


def _found_tokenizer(
    model: str, given: str | os.PathLike[str] | None, infilling_format: str | None
) -> tuple[TextTokenizer, InfillingFormat, Path] | None:
    """Return the tokenizer, its format, and its folder or GGUF file; None if it is not on this machine."""
    path = _cached(model) if given is None else Path(given)
    if path is None:
        return None
    if is_gguf(path):
        tokenizer, layout = tokenizer_and_format(GGUFFile(path), infilling_format)
        return tokenizer, layout, path
    if not path.is_dir():
        raise IncoderError(f"a tokenizer is a folder with a tokenizer.json, or a GGUF file; got {path}")
    text_tokenizer = read_tokenizer(path)
    return text_tokenizer, choose_format(text_tokenizer, infilling_format), path


def _cached(model: str) -> Path | None:
    """Return the folder of an embedded model or one in the hub's cache.

    A server's name for its model is never taken for a path on this machine.
    """
    if model in embedded_models():
        return find_model(model)
    return hub.cached_folder(model) if hub.is_hub_name(model) else None
