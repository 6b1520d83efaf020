"""The models behind the port: local ones, each with an engine of its own, and other servers."""
