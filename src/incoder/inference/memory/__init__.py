"""Project memory: an n-gram index over a project's files, mixed into the distribution of the next token.

Text files in, next-token counts and drafts out. Everything stays on this machine.
"""
