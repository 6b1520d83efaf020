"""The server: the HTTP interfaces that completion clients speak."""
