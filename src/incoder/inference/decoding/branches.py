"""Branches: infills that begin like the greedy one, then have another token that is nearly as probable.

Each prefix of the greedy infill with another token after it is the beginning of a branch. The most probable
beginnings are taken, and greedy decoding continues each of them. In contrast to samples, they need no random
numbers, no two begin alike, and they leave the greedy infill where the model is least sure. Works on token
ids and bytes, and knows no model.
"""

from collections.abc import Iterator

from incoder.inference.decoding.sequence_state import Beginning, Decoded
from incoder.inference.text_vocabulary import TextVocabulary


def best_beginnings(greedy: Decoded, num_beginnings: int, vocabulary: TextVocabulary) -> list[Beginning]:
    """Return the most probable beginnings of branches of the greedy infill, the best first.

    They take one of its `permitted` tokens in place of the chosen one. None leaves it after its end. A
    beginning with the same text as the greedy infill is left out.

    >>> greedy = Decoded(
    ...     b"x", (-0.5,), "stop", token_ids=(500,), rankings=((),), permitted=(((500, -0.5), (501, -1.0)),)
    ... )
    >>> [one.token_ids for one in best_beginnings(greedy, 4, TextVocabulary(model.tokenizer))]
    [(501,)]
    """
    found = sorted(_beginnings(greedy, vocabulary), key=lambda one: -one.total_logprob)
    return found[:num_beginnings]


def _beginnings(greedy: Decoded, vocabulary: TextVocabulary) -> Iterator[Beginning]:
    """All beginnings, in the order of the places where they leave the greedy infill."""
    tokenizer, written, before = vocabulary.tokenizer, greedy.written(vocabulary), b""
    for place in range(min(len(greedy.read) + 1, len(greedy.token_ids))):
        for token_id, logprob in greedy.permitted[place]:
            text = before + tokenizer.token_bytes(token_id)
            if token_id not in vocabulary.end_ids and not written.startswith(text):
                yield Beginning(
                    (*greedy.token_ids[:place], token_id),
                    (*greedy.logprobs[:place], logprob),
                    greedy.rankings[: place + 1],
                )
        before += tokenizer.token_bytes(greedy.token_ids[place])
