"""The network, the table of its sizes, and its checkpoints."""
