"""What the tests of this room share."""

import pytest

from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

CODE = '''\
import os
import numpy as np


class Counter:
    """Counts größe and 🙂 alike."""

    def __init__(self, start=0):
        self.count = start

    def add(self, n):
        self.count += n\r
        return self.count


def mean(xs):
    return sum(xs) / len(xs)
'''


@pytest.fixture(scope="session")
def code() -> bytes:
    """A file with blank lines, CRLF, and characters of up to four bytes."""
    return CODE.encode()


@pytest.fixture(scope="session")
def infilling_format(tiny_tokenizer: Tokenizer) -> CausalMaskingFormat:
    return CausalMaskingFormat(tiny_tokenizer)
