"""The key/value cache in blocks: which are free, shared or cached, and the keys and values themselves."""
