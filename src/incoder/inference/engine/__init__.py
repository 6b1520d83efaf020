"""Many sequences read side by side, over one cache of keys and values in blocks."""
