"""Whether an infill adds syntax errors to those that the text around its hole has."""
