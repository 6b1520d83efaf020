"""From a request to the tokens that a model reads: prefix tails, token healing, windows, other files."""
