"""A scanner for strings, comments and brackets, which finds what is open where a hole begins."""
