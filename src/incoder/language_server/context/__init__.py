"""What the model reads of other files of the workspace: similar lines, and declarations of imported names.

The shown text stays the same while its user types, so that a server finds it in its cache.
"""
