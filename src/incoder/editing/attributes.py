"""A file's attributes, predicted from its text by a model that was trained with them (paper, section 3.3).

In training, attributes are at a document's end as often as at its start; at the end they are predictions. If
an attribute has few values, the model scores each of them; otherwise it writes one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incoder.editing.defaults import ATTRIBUTES
from incoder.editing.known_formats import knows_format
from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.tags import closing_tag, opening_tag

VALUES: Mapping[str, tuple[str, ...]] = {
    "ext": (
        *(".py", ".js", ".ts", ".java", ".c", ".h", ".cpp", ".cs", ".go", ".rs", ".rb", ".php", ".sh"),
        *(".html", ".css", ".sql", ".kt", ".swift", ".scala", ".hs", ".lua", ".pl", ".r", ".jl", ".dart"),
        *(".m", ".lisp", ".ipynb:python"),
    ),
    "dstars": tuple(map(str, range(6))),
    "source": ("github", "gitlab"),
}
MEANINGS: Mapping[str, str] = {
    "ext": "the file's extension; .ipynb:python is a notebook in Python",
    "filename": "the file's name",
    "source": "the host of its repository",
    "dstars": "its repository's stars in six bins, from 0 (the lower half of all) to 5 (the top 3 %)",
}
_SHOWN_CHARACTERS = 6000  # the model sees this many characters from the end of a long text


@dataclass(frozen=True, slots=True)
class Prediction:
    """A value, and its probability among the compared values; None if the model wrote the value."""

    value: str
    probability: float | None


def seen_in_training(model: Model, name: str) -> bool:
    """Whether the model seems to have been trained with this attribute; otherwise predictions mean little.

    >>> [name for name in MEANINGS if seen_in_training(model, name)]
    ['ext', 'filename']
    """
    return knows_format(model, f"{opening_tag('file')}\nx = 1\n\n<|/ file", f" {name}=")


def predict_attribute(
    model: Model, text: str, name: str, template: InfillRequest = ATTRIBUTES
) -> tuple[Prediction, ...]:
    """Predict the value of one attribute of a text; returns values, the most probable first."""
    shown = f"{opening_tag('file')}\n{text[-_SHOWN_CHARACTERS:]}\n"
    if name not in VALUES:
        request = template.for_parts([f"{shown}<|/ file {name}="], stop=(" |>", "\n"))
        written = model.run(request)
        values = [one.infills[0].strip().strip('"') for one in written.candidates]
        return tuple(Prediction(value, None) for value in dict.fromkeys(values) if value)
    scores = model.score_texts([shown + closing_tag("file", {name: value}) for value in VALUES[name]])
    return _ranked(VALUES[name], [score.total_logprob for score in scores])


def _ranked(values: Sequence[str], logprobs: Sequence[float]) -> tuple[Prediction, ...]:
    best = max(logprobs)
    weights = [math.exp(logprob - best) for logprob in logprobs]
    found = [Prediction(v, weight / sum(weights)) for v, weight in zip(values, weights, strict=True)]
    return tuple(sorted(found, key=lambda one: -(one.probability or 0.0)))
