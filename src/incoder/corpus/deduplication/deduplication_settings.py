"""The search for duplicates: the schema of `[deduplication]`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from incoder.config import Recipe


class DeduplicationSettings(Recipe):
    """The search for duplicates, and the choice of the one that is kept.

    `exact` keeps the one with the most stars, in whatever order the documents come. `paper` is one pass with
    a Bloom filter, sized for `expected_documents` so that less than `error_rate` of the others are taken for
    duplicates, and keeps the first one: its result depends on the order.

    With `near`, documents that are nearly the same go as well: those whose sets of five successive words
    overlap by `near_threshold` or more (Jaccard), estimated by MinHash.
    """

    method: Literal["exact", "paper"] = "exact"
    expected_documents: PositiveInt = 10_000_000
    error_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-9
    near: bool = False
    near_threshold: Annotated[float, Field(ge=0.5, le=1)] = 0.7
