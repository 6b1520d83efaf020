"""Models that need no training: one that writes a given document, and a reference without a cache."""

from collections.abc import Callable, Sequence
from itertools import accumulate

import pytest
import torch
from torch import Tensor

from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.infill_model import InfillModel
from incoder.model.transformer import Shape, Transformer, TransformerConfig
from incoder.tokenizer.tokenizer import Tokenizer

LogitsAfter = Callable[[list[int]], Tensor]


class ReadingAgain:
    """`Sequences` that remember nothing but the tokens: every row, alone, from its start, at every step."""

    def __init__(self, logits_after: LogitsAfter) -> None:
        self._logits_after = logits_after
        self.rows: list[list[int]] = [[]]
        self.num_reads = 0
        self.num_cached_tokens = 0

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.rows]

    def forward(self, rows: Sequence[Sequence[int]], *, all_logits: bool = False) -> Tensor:
        assert any(rows)
        self.num_reads += 1
        if not all_logits:
            for row, token_ids in zip(self.rows, rows, strict=True):
                row += token_ids
            return torch.stack([self._logits_after(row) for row in self.rows])
        logits = []
        for row, token_ids in zip(self.rows, rows, strict=True):
            for token_id in token_ids:
                row.append(token_id)
                logits.append(self._logits_after(row))
        return torch.stack(logits)

    def rollback(self, row: int, num_tokens: int) -> None:
        del self.rows[row][-num_tokens:]

    def select(self, rows: Sequence[int]) -> None:
        self.rows = [list(self.rows[row]) for row in rows]

    def close(self) -> None:
        """What was read stays, for tests to look at."""


class FakeModel:
    """A language model from a function of the token ids; it keeps what was opened for tests to look at."""

    def __init__(self, logits_after: LogitsAfter, max_positions: int) -> None:
        self.logits_after = logits_after
        self.max_positions = max_positions
        self.opened: list[ReadingAgain] = []

    def open(self, num_slots: int, cache_salt: str = "") -> ReadingAgain:
        assert num_slots > 0
        del cache_salt
        self.opened.append(ReadingAgain(self.logits_after))
        return self.opened[-1]

    def logprobs(self, token_ids: Sequence[int]) -> Tensor:
        assert len(token_ids) <= self.max_positions
        logits = [self.logits_after(list(token_ids[:end])) for end in range(1, len(token_ids))]
        rows = [row.log_softmax(-1)[token_ids[i + 1]] for i, row in enumerate(logits)]
        return torch.stack(rows) if rows else torch.zeros(0)


class Author:
    """Knows the finished document, and only in the tokens that it has without the holes' left edges.

    Wherever the text so far ends inside one of those tokens it has no idea and writes "?". That makes visible
    whether token healing was applied at a hole's start.
    """

    def __init__(self, document: str, tokenizer: Tokenizer) -> None:
        self.document = document.encode()
        self.tokenizer = tokenizer

    def __call__(self, token_ids: list[int]) -> Tensor:
        logits = torch.zeros(self.tokenizer.vocab_size)
        logits[self._next(token_ids)] = 20.0
        return logits

    def _next(self, token_ids: list[int]) -> int:
        pieces, num_holes = self._pieces(token_ids)
        pieces[0] = pieces[0].removeprefix(b"<| file ext=.py |>\n")
        if not num_holes:
            return self._token_after(pieces[0], len(self.document))
        kept, spans = (
            pieces[: num_holes + 1],
            pieces[num_holes + 2 :],
        )  # between them: after the extra sentinel
        so_far = b"".join(part + span for part, span in zip(kept, spans, strict=False))
        part = kept[len(spans)]
        is_last = len(spans) == num_holes
        end = len(self.document) - len(part) if is_last else self.document.find(part, len(so_far))
        return self.tokenizer.end_of_mask_id if len(so_far) == end else self._token_after(so_far, end)

    def _token_after(self, so_far: bytes, end: int) -> int:
        token_ids = self.tokenizer.encode_bytes(self.document[:end])
        ends = accumulate(len(self.tokenizer.token_bytes(token_id)) for token_id in token_ids)
        token_at = dict(zip([0, *ends], token_ids, strict=False))
        return token_at.get(len(so_far), self.tokenizer.encode("?")[0])

    def _pieces(self, token_ids: list[int]) -> tuple[list[bytes], int]:
        """The text between the sentinels, and the number of holes."""
        pieces: list[list[int]] = [[]]
        num_holes = 0
        for token_id in token_ids:
            if token_id in self.tokenizer.sentinel_ids:
                num_holes = max(num_holes, self.tokenizer.sentinel_ids.index(token_id))
                pieces.append([])
            else:
                pieces[-1].append(token_id)
        return [self.tokenizer.decode_bytes(piece) for piece in pieces], num_holes


@pytest.fixture
def author(tiny_tokenizer: Tokenizer) -> Callable[..., InfillModel]:
    """A model that fills the holes of this one document as the document has it."""

    def make(document: str, max_positions: int = 512) -> InfillModel:
        return InfillModel(FakeModel(Author(document, tiny_tokenizer), max_positions), tiny_tokenizer)

    return make


@pytest.fixture
def reading_again(tiny_tokenizer: Tokenizer) -> Callable[[LogitsAfter, int], InfillModel]:
    """A model from a function of all tokens so far and the longest context."""
    return lambda logits_after, max_positions: InfillModel(
        FakeModel(logits_after, max_positions), tiny_tokenizer
    )


@pytest.fixture
def fake_model() -> Callable[..., InfillModel]:
    """A model from a function of all tokens so far, with any tokenizer and infilling format."""
    return lambda logits_after, tokenizer, layout: InfillModel(
        FakeModel(logits_after, 512), tokenizer, layout
    )


@pytest.fixture
def dice(tiny_tokenizer: Tokenizer) -> InfillModel:
    """A model whose every opinion is random, but always the same after the same tokens."""

    def logits_after(token_ids: list[int]) -> Tensor:
        stream = torch.Generator().manual_seed(hash(tuple(token_ids)) % 2**63)
        return 2 * torch.randn(tiny_tokenizer.vocab_size, generator=stream)

    return InfillModel(FakeModel(logits_after, max_positions=256), tiny_tokenizer)


@pytest.fixture
def transcript(tiny_tokenizer: Tokenizer) -> Callable[..., str]:
    """What a fake model read, with its special tokens as <START>, <0>, <1>, …, <EOM>."""

    def spelled(token_id: int) -> bytes:
        if token_id in tiny_tokenizer.sentinel_ids:
            return b"<%d>" % tiny_tokenizer.sentinel_ids.index(token_id)
        marks = {tiny_tokenizer.end_of_mask_id: b"<EOM>", tiny_tokenizer.document_start_id: b"<START>"}
        return marks.get(token_id) or tiny_tokenizer.token_bytes(token_id)

    def write(model: InfillModel, opened: int = 0, row: int = 0) -> str:
        assert isinstance(model.language_model, FakeModel)
        return b"".join(map(spelled, model.language_model.opened[opened].rows[row])).decode(
            "utf-8", "replace"
        )

    return write


@pytest.fixture(params=["llama", "xglm", "starcoder2"])
def transformer(
    request: pytest.FixtureRequest, tiny_tokenizer: Tokenizer, device: torch.device
) -> Transformer:
    """A network of random weights with strong opinions, in each shape in turn."""
    shape: Shape = request.param
    config = TransformerConfig(
        shape,
        vocab_size=tiny_tokenizer.vocab_size,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=4 if shape == "xglm" else 2,
        head_dim=8,
        inner_size=64,
        max_positions=160,
    )
    model = Transformer(config).eval()
    model.init_weights(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in model.parameters():  # opinions as strong as a trained model's
            parameter.mul_(4 if parameter.ndim > 1 else 1)
    return model.to(device)


@pytest.fixture
def fast(transformer: Transformer, tiny_tokenizer: Tokenizer) -> InfillModel:
    """That network with its cache, as users get it."""
    return InfillModel(TransformerModel(transformer), tiny_tokenizer)


@pytest.fixture
def slow(transformer: Transformer, reading_again: Callable[..., InfillModel]) -> InfillModel:
    """The same without a cache."""

    def logits_after(token_ids: list[int]) -> Tensor:
        return transformer.logits(transformer(torch.tensor([token_ids], device=transformer.device)))[
            0, -1
        ].float()

    return reading_again(logits_after, 160)
