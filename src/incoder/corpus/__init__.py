"""From source files to documents and token shards: sources → filters → dedup → attributes → shards."""
