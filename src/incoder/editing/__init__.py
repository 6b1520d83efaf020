"""Editing code with a model that was not trained for it: strings in, edits out."""
