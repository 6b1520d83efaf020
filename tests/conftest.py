"""Fixtures that more than one room uses."""

from pathlib import Path

import pytest

from incoder.tokenizer.tokenizer import Tokenizer
from incoder.tokenizer.training import train_tokenizer

# Twice each, so that every pair is frequent enough to become a token.
TINY_DOCUMENTS = 2 * (
    "<| file ext=.py source=github |>\nimport os\nimport sys\n"
    "\n\ndef main():\n    print(os.getcwd())\n<|/ file |>",
    "class Counter:\n    def __init__(self, start=0):\n        self.count = start\n\n    def add(self, n):\n"
    '        """Add n."""\n        self.count += n\n        return self.count\n',
    "import numpy as np\n\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n"
    "\n\nfor x in range(10):\n    print(x)\n",
    "if x is None:\n\treturn None\nelse:\n\treturn x + 1\n",
    "def first(items):\r\n    for item in items:\r\n        return item\r\n\r\n",
    "def größe(text: str) -> int:\n    # 漢字 and 🙂 are text as well\n    return len(text)\n",
)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and benchmarks beside the repository; without it the test is skipped."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared beside the repository")
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Tokenizer:
    """640 ids, learnt from a few lines of Python (the special tokens and the bytes alone are 517)."""
    return train_tokenizer(TINY_DOCUMENTS, vocab_size=640)
