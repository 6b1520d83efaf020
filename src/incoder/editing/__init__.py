"""Editing code with a model that was not trained for it: text goes in, edits come out.

Each tool is a module: docstring, type_hints, rename, rewrite, fix, qa_threads and attributes. The packages
docstrings, types, renaming and test_run hold what the tools are made of.
"""
