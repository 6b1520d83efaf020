"""Where programs that a model wrote run: a fork server that confines each of them to a folder of its own.

The parts run in a bare interpreter, so they import nothing but the standard library and each other.
"""
