"""The sandbox for programs that a model wrote: a fork server that confines each one to a folder of its own.

Its modules run in a bare interpreter, so they import only the standard library and each other.
"""
