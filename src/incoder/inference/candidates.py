"""Candidates of a request: their state while holes are filled, their results, and their ranking.

Knows no model, only bytes, tokens and their log-probabilities. Imports no torch.
"""

import codecs
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from incoder.document import Parts
from incoder.inference.decoding.sequence_state import Decoded
from incoder.inference.prompts.line_endings import line_end, with_line_end
from incoder.inference.syntax.scanner import START, Place
from incoder.results import Alternative, Candidate, Token
from incoder.tokenizer.text_tokenizer import TextTokenizer


@dataclass(slots=True)
class CandidateState:
    """The state of candidate number `index` while its holes are filled."""

    index: int
    infills: list[str] = field(default_factory=list)
    decoded: list[Decoded] = field(default_factory=list)
    place: Place = START  # the scanner has read the text so far up to here

    def add(self, decoded: Decoded) -> None:
        """Append the next hole's infill."""
        self.infills.append(text_of(decoded.spelling))
        self.decoded.append(decoded)

    def result(self, parts: Sequence[str], tokenizer: TextTokenizer) -> Candidate:
        """Return the finished candidate, with the line ends of the text around its infills."""
        end = line_end(parts)
        infills = tuple(with_line_end(infill, end) for infill in self.infills)
        text = Parts(tuple(parts)).join(infills) if len(parts) > 1 else parts[0] + infills[0]
        logprobs = [logprob for one in self.decoded for logprob in one.logprobs]
        total = sum(logprobs)
        mean = total / max(1, len(logprobs))  # there is no token if the time was up before the first
        tokens = tuple(tuple(_tokens(one, tokenizer)) for one in self.decoded)
        reasons = tuple(one.finish_reason for one in self.decoded)
        return Candidate(text, infills, mean, total, reasons, tokens)


def candidate_seed(seed: int, index: int, prompt_ids: Sequence[int]) -> int:
    """Return the seed of one candidate, of 32 bits, which differs with the prompt.

    So the answers to different prompts do not share their luck, while equal requests get equal answers: alone
    or together with others, in any order.

    >>> candidate_seed(0, 1, [5, 6]) == candidate_seed(0, 1, [5, 7])
    False
    """
    data = ",".join(map(str, (seed, index, *prompt_ids))).encode()
    return int.from_bytes(blake2b(data, digest_size=4).digest())


class Standing(NamedTuple):
    """What counts before a candidate's log-probability; greater is better."""

    adds_no_error: bool = True
    minus_num_unbound: int = 0  # names that are used and bound nowhere


def ranked(
    candidates: Sequence[Candidate], standings: Sequence[Standing], values: Sequence[float]
) -> tuple[Candidate, ...]:
    """Return the candidates in falling order of standing, then value; of equal infills only the first.

    >>> one, other = (Candidate(text, (text,), -1.0, -1.0, ("end",)) for text in "ab")
    >>> [candidate.text for candidate in ranked([one, other], [Standing(False), Standing()], [2.0, 1.0])]
    ['b', 'a']
    """
    keys = list(zip(standings, values, strict=True))
    order = sorted(range(len(candidates)), key=keys.__getitem__, reverse=True)
    distinct: dict[tuple[str, ...], Candidate] = {}
    for index in order:
        distinct.setdefault(candidates[index].infills, candidates[index])
    return tuple(distinct.values())


def with_equal_infills(states: Iterable[CandidateState]) -> list[list[CandidateState]]:
    """Group the candidates that are equal so far.

    >>> states = [CandidateState(0, infills=["x"]), CandidateState(1), CandidateState(2, infills=["x"])]
    >>> [[state.index for state in group] for group in with_equal_infills(states)]
    [[0, 2], [1]]
    """
    groups: dict[tuple[str, ...], list[CandidateState]] = defaultdict(list)
    for state in states:
        groups[tuple(state.infills)].append(state)
    return list(groups.values())


def first_of_each(found: Sequence[Decoded]) -> list[Decoded]:
    """Return the first of each group of infills with the same bytes, in their order.

    >>> found = [Decoded(b"x", (-1.0,), "end"), Decoded(b"x", (-2.0,), "end")]
    >>> len(first_of_each(found))
    1
    """
    different: dict[bytes, Decoded] = {}
    for decoded in found:
        different.setdefault(decoded.spelling, decoded)
    return list(different.values())


def text_of(spelling: bytes) -> str:
    """Return the text of an infill's bytes: drop an incomplete character at the end, replace bad bytes.

    >>> text_of("café".encode()[:-1])
    'caf'
    """
    return codecs.getincrementaldecoder("utf-8")("replace").decode(spelling)


def _tokens(decoded: Decoded, tokenizer: TextTokenizer) -> Iterable[Token]:
    if not decoded.token_ids:  # another server may have written them, and not named them
        return
    for token_id, logprob, ranking in zip(decoded.token_ids, decoded.logprobs, decoded.rankings, strict=True):
        yield Token(token_id, tokenizer.token_bytes(token_id), logprob, alternatives(ranking, tokenizer))


def alternatives(ranking: Iterable[tuple[int, float]], tokenizer: TextTokenizer) -> tuple[Alternative, ...]:
    """Return the most probable tokens of one place, with their bytes.

    >>> alternatives([(500, -0.5)], model.tokenizer)[0].logprob
    -0.5
    """
    return tuple(
        Alternative(token_id, tokenizer.token_bytes(token_id), logprob) for token_id, logprob in ranking
    )
