"""The language server: what an editor shows, from what its user types. Imports no torch."""
