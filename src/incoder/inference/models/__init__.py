"""Which models there are, how they are found and fetched, and how one is loaded."""
