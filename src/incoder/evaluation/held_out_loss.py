"""The held-out loss of a model on code: the mean negative log-probability of texts it was not trained on.

Training minimises nats per token, which depend on the vocabulary. Bits per byte do not, so they compare
models with different tokenizers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from incoder.errors import IncoderError
from incoder.evaluation.statistics import ratio_interval, why_no_interval
from incoder.model_protocol import Model


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A text that the model was not trained on; the interval resamples whole groups of texts."""

    text: str
    path: str
    language: str
    group: str


@dataclass(frozen=True, slots=True)
class _Measured:
    """The loss of one text."""

    held_out: HeldOut
    nats: float
    num_tokens: int

    @property
    def num_bytes(self) -> int:
        return len(self.held_out.text.encode("utf-8", "surrogateescape"))


def measure_loss(
    model: Model, texts: Iterable[HeldOut], *, on_text: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Measure the loss over all texts and for each language, ready for JSON; empty texts do not count.

    `on_text` is called with the number of texts read.

    Raises:
        IncoderError: there is no text.
    """
    measured = []
    for number, held_out in enumerate(texts, start=1):
        logprobs = model.score(held_out.text, path=held_out.path).token_logprobs if held_out.text else ()
        if logprobs:
            measured.append(_Measured(held_out, -math.fsum(logprobs), len(logprobs)))
        if on_text is not None:
            on_text(number)
    if not measured:
        raise IncoderError("there is no text to measure the loss on; all documents are empty")
    languages = sorted({one.held_out.language for one in measured})
    by_language = {
        language: _figures([one for one in measured if one.held_out.language == language])
        for language in languages
    }
    return {**_figures(measured), "languages": by_language}


def _figures(measured: Sequence[_Measured]) -> dict[str, Any]:
    nats, sizes = [one.nats for one in measured], [one.num_bytes for one in measured]
    groups = [one.held_out.group for one in measured]
    num_tokens = sum(one.num_tokens for one in measured)
    bits = [one / math.log(2) for one in nats]
    interval = ratio_interval(bits, sizes, groups)
    return {
        "loss": math.fsum(nats) / num_tokens,
        "perplexity": math.exp(math.fsum(nats) / num_tokens),
        "bits_per_byte": math.fsum(bits) / sum(sizes),
        "bits_per_byte_interval": None if interval is None else list(interval),
        "bits_per_byte_interval_missing": why_no_interval(groups) if interval is None else None,
        "num_texts": len(measured),
        "num_tokens": num_tokens,
        "num_bytes": sum(sizes),
    }
