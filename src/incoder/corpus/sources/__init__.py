"""Where documents come from: one file for each kind of source.

A source is cut into input shards, and each is read alone, so that any number of workers can share them. What
cannot be read is dropped with the reason and never stops a run.
"""
