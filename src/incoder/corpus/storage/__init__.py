"""What a corpus keeps on disk: documents, token shards, and manifests that say when both are whole."""
