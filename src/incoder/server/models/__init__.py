"""The models of the server: local ones, each with an engine of its own, and other servers."""
