"""Licences: from packages' metadata, from licence files and their texts, and whether a recipe allows them."""
