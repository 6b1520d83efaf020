"""Mixing the model's distribution with the counts of the project: a weight per row, then new logits.

p' = (1 - w) p + w q for tokens that write text, where q are the relative counts after the longest known
context. The probability that the infill ends stays as the model has it, because no file says where a hole
ends. Pure functions of tensors; knows no files.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from operator import mul
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.files import read_json_object
from incoder.inference.memory.lookup import Continuations
from incoder.inference.memory.segment import MAX_ORDER, MIN_ORDER

FILE = "memory.json"

_MIN_WEIGHT, _MAX_WEIGHT = 1e-6, 0.999  # so that neither side alone makes a token impossible
_MAX_SCORE = 50.0
_NUM_ORDERS = MAX_ORDER - MIN_ORDER + 1


@dataclass(frozen=True, slots=True)
class MixingWeights:
    """The logistic model of the weight: `orders` has a constant for each order from 2 to 8.

    The other numbers multiply: the logarithm of the total count; the share of the most frequent next token;
    whether all counts are for one token; the model's greatest probability; and the model's
    probability of the most frequent next token.
    """

    orders: tuple[float, ...]
    log_count: float
    top_share: float
    is_single: float
    model_confidence: float
    model_agreement: float

    def __post_init__(self) -> None:
        if len(self.orders) != _NUM_ORDERS or not all(map(math.isfinite, self.values)):
            raise IncoderError(f"weights of project memory need {_NUM_ORDERS} finite numbers for `orders`")

    @property
    def values(self) -> tuple[float, ...]:
        """All numbers in the order of `features`."""
        return (*self.orders, *(getattr(self, field.name) for field in fields(self)[1:]))

    @classmethod
    def of_values(cls, values: Sequence[float]) -> "MixingWeights":
        """The inverse of `values`."""
        return cls(tuple(values[:_NUM_ORDERS]), *values[_NUM_ORDERS:])


# For models without weights of their own: the constants are 0.5 below the ones of `mini`, since bigger
# models know more.
DEFAULT_WEIGHTS = MixingWeights((-4.2, -3.7, -3.1, -2.7, -2.4, -2.2, -1.5), 0.4, 2.4, 0.1, -2.3, 0.6)


def read_weights(folder: Path) -> MixingWeights:
    """The weights that are stored with a model, else the default ones.

    Raises:
        IncoderError: the file is not what `write_weights` writes.
    """
    path = folder / FILE
    try:
        content = read_json_object(path)["weights"] if path.exists() else None
        if content is None:
            return DEFAULT_WEIGHTS
        return MixingWeights(**{**content, "orders": tuple(content["orders"])})
    except (OSError, ValueError, KeyError, TypeError, IncoderError) as error:
        raise IncoderError(
            f"{path} does not hold weights of project memory ({error}); fit them again, or delete it to use "
            "the default ones"
        ) from error


def weights_as_json(weights: MixingWeights, about: Mapping[str, object]) -> str:
    """The content of `memory.json`; `about` says how the weights were fitted."""
    return json.dumps({"weights": asdict(weights), **about}, indent=2) + "\n"


def features(found: Continuations, model_confidence: float, model_agreement: float) -> list[float]:
    """The features that the weights multiply, in the order of `MixingWeights.values`."""
    is_order = [0.0] * _NUM_ORDERS
    is_order[found.order - MIN_ORDER] = 1.0
    total, top = found.total, max(found.counts.values())
    known = [math.log(total), top / total, float(len(found.counts) == 1)]
    return [*is_order, *known, model_confidence, model_agreement]


def most_frequent(found: Continuations) -> int:
    """The token with the highest count; of equals the one with the lowest id."""
    return min(found.counts, key=lambda token_id: (-found.counts[token_id], token_id))


def mix(
    logits_BV: Tensor,
    found: Sequence[Continuations | None],
    weights: MixingWeights,
    end_ids: Collection[int] = (),
) -> Tensor:
    """Logits of the mixed distribution; a row without a known context keeps its own.

    Logits of tokens that the project does not know stay as they are; all others grow by as much as makes the
    mixture, up to a constant of the row. Tokens whose logit is minus infinity must not be generated; the
    project's counts of the others are used.

    >>> logits_BV = torch.zeros(1, 4)
    >>> mixed = mix(logits_BV, [Continuations(8, {2: 5})], DEFAULT_WEIGHTS, end_ids=[3])
    >>> mixed.argmax().item(), round(mixed.softmax(-1)[0, 3].item(), 4)
    (2, 0.25)
    """
    if not any(found):
        return logits_BV
    mixed_BV = logits_BV.float().clone()
    mix_row = _mix_on_cpu if mixed_BV.device.type == "cpu" else _mix_on_device
    for mixed_V, one in zip(mixed_BV, found, strict=True):
        permitted = None if one is None else _permitted(one, mixed_V)
        if permitted is not None:
            mix_row(mixed_V, permitted, weights, sorted(end_ids))
    return mixed_BV


def _permitted(found: Continuations, logits_V: Tensor) -> Continuations | None:
    """The continuations without tokens whose logit is minus infinity; None if none is left."""
    ids = list(found.counts)
    is_permitted = (logits_V[ids] > -torch.inf).tolist()
    if all(is_permitted):
        return found
    counts = {one: found.counts[one] for one, permitted in zip(ids, is_permitted, strict=True) if permitted}
    return Continuations(found.order, counts) if counts else None


def _mix_on_cpu(mixed_V: Tensor, found: Continuations, weights: MixingWeights, end_ids: list[int]) -> None:
    """Mix one row in place, in NumPy: half a dozen of its calls take less time than one of PyTorch's."""
    row_V = mixed_V.numpy()
    greatest = float(row_V.max())
    if not math.isfinite(greatest):  # decoding refuses such logits
        return
    log_sum = greatest + math.log(float(np.exp(row_V - greatest).sum()))
    agreement = math.exp(float(row_V[most_frequent(found)]) - log_sum)
    weight = _weight(found, weights, math.exp(greatest - log_sum), agreement)
    end_share = float(np.exp(row_V[end_ids] - log_sum).sum()) if end_ids else 0.0
    added = math.log(weight) - math.log1p(-weight) + log_sum + math.log1p(-min(end_share, _MAX_WEIGHT))
    ids = np.fromiter(found.counts.keys(), dtype=np.int64)
    counts = np.fromiter(found.counts.values(), dtype=np.float32)
    row_V[ids] = np.logaddexp(row_V[ids], np.log(counts) + np.float32(added - math.log(found.total)))
    if end_ids:
        row_V[end_ids] -= math.log1p(-weight)


def _mix_on_device(mixed_V: Tensor, found: Continuations, weights: MixingWeights, end_ids: list[int]) -> None:
    """The same in PyTorch, without waiting for a GPU."""
    device = mixed_V.device
    log_sum = mixed_V.logsumexp(dim=-1)
    confidence = (mixed_V.max() - log_sum).exp()
    agreement = (mixed_V[most_frequent(found)] - log_sum).exp()
    known = sum(map(mul, weights.values, features(found, 0.0, 0.0)))
    score = known + weights.model_confidence * confidence + weights.model_agreement * agreement
    weight = torch.sigmoid(score).clamp(_MIN_WEIGHT, _MAX_WEIGHT)
    added = weight.log() - torch.log1p(-weight) + log_sum
    if end_ids:
        ends = torch.tensor(end_ids, device=device)
        end_share = (mixed_V[ends] - log_sum).exp().sum().clamp(max=_MAX_WEIGHT)
        added = added + torch.log1p(-end_share)
    ids = torch.tensor(list(found.counts), device=device)
    counts = torch.tensor(list(found.counts.values()), dtype=torch.float32, device=device)
    mixed_V[ids] = torch.logaddexp(mixed_V[ids], counts.log() - math.log(found.total) + added)
    if end_ids:
        mixed_V[ends] -= torch.log1p(-weight)


def _weight(found: Continuations, weights: MixingWeights, confidence: float, agreement: float) -> float:
    score = sum(map(mul, weights.values, features(found, confidence, agreement)))
    weight = 1 / (1 + math.exp(-score)) if score > -_MAX_SCORE else 0.0
    return min(max(weight, _MIN_WEIGHT), _MAX_WEIGHT)
