"""Jupyter notebooks whose cells have holes: the JSON text, and the script that a model reads."""
