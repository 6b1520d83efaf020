"""One request of each shape before the first one of a user, so that nothing is compiled while they wait."""

import time
from collections.abc import Iterator

from incoder.request import InfillRequest
from incoder.server.models.served_model import LoadedModel, ModelFacts, Note

_LINE = "    total = first + second  # a line of code, as long as many are\n"


def warm_up(model: LoadedModel, facts: ModelFacts, note: Note) -> None:
    """Run requests of all shapes, one after the other; a note says what each step took."""
    for step, request in _requests(facts):
        start = time.monotonic()
        model.submit(request).result()
        note(f"{facts.name}: {step} ready after {time.monotonic() - start:.1f} s")


def _requests(facts: ModelFacts) -> Iterator[tuple[str, InfillRequest]]:
    """Yield the shapes with their names."""
    text = "def f(first, second):\n" + _LINE * (facts.context_length // 32)
    parts = (text, "\n" + _LINE) if facts.max_num_holes else (text,)
    for step, settings in (
        ("a long prompt", {"temperature": 0, "max_new_tokens": 4}),
        ("a suggestion", {"temperature": 0, "max_new_tokens": 32}),
        ("a sampled one", {"max_new_tokens": 8}),
        ("candidates", {"num_candidates": 3, "temperature": 0.8, "max_new_tokens": 8}),
        ("log-probabilities", {"num_alternatives": 1, "temperature": 0, "max_new_tokens": 4}),
    ):
        yield step, InfillRequest.from_settings(parts, cache_salt="warm-up", path="a.py", **settings)
