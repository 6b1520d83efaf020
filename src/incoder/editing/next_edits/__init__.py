"""Next edits: the places that an edit makes wrong, and what belongs there instead.

After a user has edited a file, other places often need the same or a matching edit. `events` are what the
user changed, `sites` the places that may follow, found in the text alone. The model then says how much less
probable the edit has made the old text of a site (`proposals`), and writes or scores the new text as an
infill with both sides in view. `excerpt` bounds what the model reads.
"""
