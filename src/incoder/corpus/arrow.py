"""pyarrow, which only the `corpus` extra brings."""

from typing import Any

from incoder.errors import IncoderError


def pyarrow() -> tuple[Any, Any]:
    """pyarrow and its parquet module.

    Raises:
        IncoderError: it is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise IncoderError("a corpus needs pyarrow: pip install 'incoder[corpus]'") from error
    return pa, parquet
