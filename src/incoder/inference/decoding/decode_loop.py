"""One hole, or one completion, in all rows of a batch: choose a token, read it, until every row has ended.

Works on token ids and bytes, with a model seen through `Sequences`. Knows no texts, no windows, and nothing
of what stands before or after in the prompt.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from incoder.inference.decoding.greedy import choose_greedy, with_logprobs
from incoder.inference.decoding.prompt_lookup import Guesser
from incoder.inference.decoding.sampling import adjusted, check_log_sums, choose
from incoder.inference.decoding.stopping_rules.stopping import Edge
from incoder.inference.language_model import Forward, Generation, Sequences
from incoder.inference.prompts.token_healing import TokenTable
from incoder.inference.sampling_params import SamplingParams
from incoder.tokenizer.formats import InfillingFormat, choose_format
from incoder.tokenizer.text_tokenizer import TextTokenizer

FinishReason = Literal["end", "stop", "length", "time"]
OnBytes = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one row generated.

    `spelling` are the bytes of the fill, without its forced start. `logprobs` has every token that was chosen
    (the forced start's, the end-of-mask, those of the stop string too), under the model's own distribution:
    temperature 1, nothing left out. `read` are the tokens of the forced start and the fill that the model has
    read, `unread` those of the fill that it has not read yet.
    """

    spelling: bytes
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    read: tuple[int, ...] = ()
    unread: tuple[int, ...] = ()


class Vocabulary:
    """Which tokens may be generated, which end a fill, and how they are spelled.

    `layout` is by default the infilling format that the tokenizer tells.
    """

    def __init__(self, tokenizer: TextTokenizer, layout: InfillingFormat | None = None) -> None:
        layout = layout or choose_format(tokenizer)
        self.tokenizer = tokenizer
        self.table = TokenTable(tokenizer)
        self.layout = layout
        self.end_ids = layout.end_of_infill_ids
        self._biases: dict[tuple[torch.device, int], Tensor] = {}

    def permitted(self, logits_BV: Tensor, rows: Sequence["Row"]) -> Tensor:
        """The logits, with minus infinity for tokens that must not come next in a row.

        A token must continue the bytes that a row is forced to begin with, and must not begin with forbidden
        ones.
        """
        permitted_BV = logits_BV + self.bias_for(logits_BV)
        for index, row in enumerate(rows):
            if row.forced_left:
                allowed = torch.from_numpy(self.table.allowed_after(row.forced_left)).to(logits_BV.device)
                permitted_BV[index] = -torch.inf
                permitted_BV[index, allowed] = logits_BV[index, allowed]
            elif row.forbidden:
                forbidden = torch.from_numpy(self.table.beginning_with(row.forbidden)).to(logits_BV.device)
                permitted_BV[index, forbidden] = -torch.inf
        return permitted_BV

    def bias_for(self, logits_BV: Tensor) -> Tensor:
        """Minus infinity for tokens that are never generated, else zero; made once, where the logits are."""
        key = (logits_BV.device, logits_BV.shape[1])
        if key not in self._biases:
            bias_V = torch.zeros(logits_BV.shape[1])
            bias_V[sorted(self.layout.never_generated_ids)] = -torch.inf
            bias_V[self.tokenizer.vocab_size :] = -torch.inf  # some checkpoints pad their vocabulary
            self._biases[key] = bias_V.to(logits_BV.device)
        return self._biases[key]


def decoding(
    sequences: Sequences,
    logits_BV: Tensor,
    *,
    forced: bytes,
    params: SamplingParams,
    streams: Sequence[torch.Generator],
    vocabulary: Vocabulary,
    max_positions: int,
    contexts: Sequence[Sequence[int]] | None = None,
    edges: Sequence[Edge] | None = None,
    is_time_up: Callable[[], bool] = lambda: False,
    on_bytes: OnBytes | None = None,
) -> Generation[list[Decoded]]:
    """Generate in every row to the end-of-mask, a stop string, its edge, `max_new_tokens` or a full context.

    `logits_BV` are those of what the rows have read; each row has a random stream of its own. The fill begins
    after the bytes `forced`, which the first tokens must spell and which do not count as new. `contexts` are
    the tokens that each row has read, for penalties and guesses; a row's edge may end its fill early.
    `on_bytes(row, data)` gets the bytes of the fill as they come, once nothing can take them back.

    A row alone reads guesses along with its last token. Every token is chosen from the logits after those
    before it, with the same random number, whether it was guessed or not; so guesses change no result.
    """
    lengths = sequences.lengths
    contexts = contexts or [()] * len(lengths)
    edge_of_each: Sequence[Edge | None] = edges or [None] * len(lengths)
    rows = [
        Row(forced, params, max_positions - length, vocabulary, context, edge)
        for length, context, edge in zip(lengths, contexts, edge_of_each, strict=True)
    ]
    guesser = None
    if params.speculate and len(rows) == 1 and contexts[0]:
        guesser = Guesser(contexts[0], vocabulary.layout.never_generated_ids | vocabulary.end_ids)
    guess: list[int] = []
    while live := [index for index, row in enumerate(rows) if row.finish_reason is None]:
        if is_time_up():
            for index in live:
                rows[index].end("time")
            if guess:
                sequences.rollback(0, len(guess))
            break
        if guesser is None:
            logits_BV = logits_BV[live] if len(live) < len(rows) else logits_BV
            _choose(rows, live, logits_BV, params, streams, vocabulary)
        else:
            num_right = _choose_along(guess, rows, logits_BV, params, streams, vocabulary, guesser)
            if num_right < len(guess):
                sequences.rollback(0, len(guess) - num_right)
        if on_bytes is not None:
            for index in live:
                on_bytes(index, rows[index].newly_settled())
        if all(row.finish_reason is not None for row in rows):
            break
        if guesser is not None:
            guess = guesser.guess(rows[0].max_num_guesses)
        if guess:
            logits_BV = yield Forward(sequences, [[*rows[0].next_to_read, *guess]], all_logits=True)
        else:
            logits_BV = yield Forward(sequences, [row.next_to_read for row in rows])
    for index, row in enumerate(rows):
        if row.num_read_in_vain:
            sequences.rollback(index, row.num_read_in_vain)
        if on_bytes is not None:
            on_bytes(index, row.newly_settled())
    return [row.decoded() for row in rows]


def _choose(
    rows: Sequence["Row"],
    live: Sequence[int],
    logits_BV: Tensor,
    params: SamplingParams,
    streams: Sequence[torch.Generator],
    vocabulary: Vocabulary,
) -> None:
    """The next token of each row that is live."""
    if _is_plain(rows, live, params):
        results_3B = choose_greedy(logits_BV, vocabulary.bias_for(logits_BV))
    else:
        adjusted_BV = adjusted(logits_BV, params, [rows[index].seen for index in live])
        permitted_BV = vocabulary.permitted(adjusted_BV, [rows[index] for index in live])
        token_ids_B = choose(permitted_BV, params, [streams[index] for index in live])
        results_3B = with_logprobs(logits_BV, token_ids_B)
    # In one piece: until then nothing waits for a GPU, which is still at the step that gave the logits.
    for index, result in zip(live, zip(*results_3B.tolist(), strict=True), strict=True):
        _take(rows[index], *result)


def _take(row: "Row", token_id: float, logprob: float, log_sum: float) -> None:
    check_log_sums([log_sum])
    row.take(int(token_id), logprob)


def _is_plain(rows: Sequence["Row"], live: Sequence[int], params: SamplingParams) -> bool:
    """Whether each of these rows gets the token with the greatest logit that may be generated at all."""
    return params.takes_the_greatest and not any(rows[index].is_constrained for index in live)


def _choose_along(
    guess: Sequence[int],
    rows: Sequence["Row"],
    logits_TV: Tensor,
    params: SamplingParams,
    streams: Sequence[torch.Generator],
    vocabulary: Vocabulary,
    guesser: Guesser,
) -> int:
    """The next tokens of the only row, as long as they are those of the guess; how many were."""
    (row,) = rows
    num_right = 0
    results = None
    if _is_plain(rows, [0], params):  # no choice depends on the one before: all are waited for at once
        results_3T = choose_greedy(logits_TV, vocabulary.bias_for(logits_TV))
        results = list(zip(*results_3T.tolist(), strict=True))
    for place in range(len(guess) + 1):
        if results is not None:
            _take(row, *results[place])
        else:
            _choose(rows, [0], logits_TV[place : place + 1], params, streams, vocabulary)
        guesser.add(row.last_token_id)
        if row.finish_reason is not None or place == len(guess) or row.last_token_id != guess[place]:
            break
        num_right += 1
    if guess:
        guesser.learn(len(guess), num_right)
    return num_right


class Row:
    """One fill while it is written, token by token."""

    def __init__(
        self,
        forced: bytes,
        params: SamplingParams,
        room: int,
        vocabulary: Vocabulary,
        context: Sequence[int] = (),
        edge: Edge | None = None,
    ) -> None:
        self.finish_reason: FinishReason | None = None
        self.num_read_in_vain = 0
        self._vocabulary = vocabulary
        self._num_held = len(forced)  # bytes before the infill
        self._forced = forced + (edge.start if edge is not None else b"")
        self._params = params
        self._room = room
        self._edge = edge
        self._stops = [stop.encode("utf-8", "surrogateescape") for stop in params.stop]
        self._spelling = b""  # of all tokens, the forced start included
        self._token_ids: list[int] = []
        self._ends: list[int] = []  # where in the spelling each token ends
        self._logprobs: list[float] = []
        self._num_new_tokens = 0
        self._cut: int | None = None  # where in the spelling a stop string begins, or the edge of the hole is
        self._end_id: int | None = None
        self._num_settled = self._num_held  # bytes that were handed out as they came
        # Not the ends of other fills: a fill must not become less likely to end.
        self._seen = set(context) - vocabulary.end_ids if params.repetition_penalty != 1 else set()

    def copy(self) -> "Row":
        """The same fill, to be continued otherwise."""
        twin = copy(self)
        twin._token_ids, twin._ends, twin._logprobs = [*self._token_ids], [*self._ends], [*self._logprobs]
        twin._seen = set(self._seen)
        return twin

    @property
    def forced_left(self) -> bytes:
        return self._forced[len(self._spelling) :]

    @property
    def forbidden(self) -> bytes | None:
        """The bytes that the next token must not begin with; None if none will be from here on."""
        return None if self._edge is None else self._edge.forbidden_next(self._spelling[self._num_held :])

    @property
    def is_constrained(self) -> bool:
        """Whether some tokens must not come next, or may be forbidden later."""
        return bool(self.forced_left) or self.forbidden is not None

    @property
    def seen(self) -> Collection[int]:
        """What the repetition penalty is for."""
        return self._seen

    @property
    def last_token_id(self) -> int:
        return self._token_ids[-1] if self._end_id is None else self._end_id

    @property
    def max_num_guesses(self) -> int:
        """So many more tokens can be read and still leave one to choose; none while a start is forced."""
        num_new = self._params.max_new_tokens - self._num_new_tokens
        return 0 if self.forced_left else min(num_new, self._room - len(self._token_ids)) - 1

    @property
    def next_to_read(self) -> list[int]:
        return self._token_ids[-1:] if self.finish_reason is None else []

    def take(self, token_id: int, logprob: float) -> None:
        self._logprobs.append(logprob)
        if token_id in self._vocabulary.end_ids:
            self._end_id = token_id
            self._cut = self._edge_place(len(self._spelling))
            self.finish_reason = "end" if self._cut is None else "stop"
            self._count_read_in_vain(len(self._token_ids))
            return
        self._seen.add(token_id)
        num_bytes_before = len(self._spelling)
        self._token_ids.append(token_id)
        self._spelling += self._vocabulary.tokenizer.token_bytes(token_id)
        self._ends.append(len(self._spelling))
        self._num_new_tokens += len(self._spelling) > len(self._forced)
        self._cut = self._stop_after(num_bytes_before)
        if self._cut is not None:
            self.finish_reason = "stop"
            self._count_read_in_vain(len(self._token_ids) - 1)
        elif self._num_new_tokens >= self._params.max_new_tokens or len(self._token_ids) >= self._room:
            self.end("length")

    def end(self, reason: Literal["length", "time"]) -> None:
        """End the infill at its last token, for a reason other than its text."""
        self.finish_reason = reason
        self._cut = self._edge_place(len(self._spelling))
        self._count_read_in_vain(len(self._token_ids) - (reason == "length"))

    def decoded(self) -> Decoded:
        assert self.finish_reason is not None
        num_read = len(self._token_ids) - (self.finish_reason == "length")
        unread = self._token_ids[num_read:]
        if self._cut is not None:  # the cut may be inside a token; the last token was not read
            num_chosen = len(self._token_ids) - (self._end_id is None)
            num_read = min(bisect_right(self._ends, self._cut), num_chosen)
            start = self._ends[num_read - 1] if num_read else 0
            unread = self._vocabulary.tokenizer.encode_bytes(self._spelling[start : self._cut])
        return Decoded(
            self._spelling[self._num_held : self._cut],
            tuple(self._logprobs),
            self.finish_reason,
            tuple(self._token_ids[:num_read]),
            tuple(unread),
        )

    def newly_settled(self) -> bytes:
        """The bytes of the fill that are certain and were not handed out yet."""
        end = self._cut
        if end is None:
            end = len(self._spelling)
            if self.finish_reason is None:
                end -= max((_overlap(self._spelling, stop) for stop in self._stops), default=0)
                if self._edge is not None:
                    fill = self._spelling[self._num_held :]
                    end = min(end, self._num_held + self._edge.num_settled(fill))
        start, self._num_settled = self._num_settled, max(self._num_settled, end)
        return self._spelling[start:end]

    def _stop_after(self, num_bytes_before: int) -> int | None:
        """Where a stop string begins that ends in the bytes after `num_bytes_before`, or the edge is."""
        places = []
        for stop in self._stops:
            start = max(self._num_held, num_bytes_before - len(stop) + 1)
            places.append(self._spelling.find(stop, start))
        stop_place = min((place for place in places if place >= 0), default=None)
        found = [
            stop_place,
            self._last_line_place(),
            self._edge_place(),
            None if stop_place is None else self._edge_place(stop_place),
        ]
        return min((place for place in found if place is not None), default=None)

    def _last_line_place(self) -> int | None:
        """Where the last of `max_lines` lines ends; None if it is not finished, or without a limit."""
        if self._params.max_lines is None:
            return None
        text = self._spelling[len(self._forced) :]
        place = len(text) - len(text.lstrip(b"\n"))
        for _ in range(self._params.max_lines):
            place = text.find(b"\n", place) + 1
            if not place:
                return None
        return len(self._forced) + place

    def _edge_place(self, end: int | None = None) -> int | None:
        """Where in the spelling the edge is, if the fill has come to it, or ends at `end`."""
        if self._edge is None or self.forced_left:
            return None
        fill = self._spelling[self._num_held : end]
        place = self._edge.cut(fill) if end is None else self._edge.cut_at_end(fill)
        return None if place is None else self._num_held + place

    def _count_read_in_vain(self, num_read: int) -> None:
        if self._cut is not None:
            self.num_read_in_vain = max(0, num_read - bisect_right(self._ends, self._cut))


def _overlap(spelling: bytes, stop: bytes) -> int:
    """How many bytes at the end of the spelling may be the beginning of a stop string."""
    longest = min(len(stop) - 1, len(spelling))
    return next((length for length in range(longest, 0, -1) if spelling.endswith(stop[:length])), 0)
