"""pyarrow, which only the `corpus` extra brings."""

from typing import Any

from incoder.extras import missing_extra


def pyarrow() -> tuple[Any, Any]:
    """pyarrow and its parquet module.

    Raises:
        IncoderError: it is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise missing_extra("a corpus needs pyarrow", "corpus") from error
    return pa, parquet
